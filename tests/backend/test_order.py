"""Who holds connections waits only for backends that come after all of them."""

import pytest

from tarpit.backend.order import after, taking
from tarpit.backend.server import Backend
from tarpit.destinations import BackendAddress


def backends(down: str) -> dict[str, Backend]:
    """Return the backends a to d, of which those that *down* names are drained."""
    found = {name: Backend(BackendAddress(name, 25)) for name in "abcd"}
    for name in down:
        found[name].drained = True
    return found


@pytest.mark.parametrize(
    ("held", "wanted", "down", "may"),
    [
        ("a", "bc", "", "bc"),
        ("b", "ac", "", "c"),
        ("ca", "bd", "", "d"),
        ("b", "a", "", ""),
        ("b", "b", "", ""),
        ("a", "bc", "b", "bc"),  # it may come back meanwhile
        ("b", "ac", "c", ""),
    ],
)
async def test_after(held: str, wanted: str, down: str, may: str) -> None:
    """Later ones alone, if one of them takes mail."""
    have = backends(down)
    got = after([*have.values()], [have[name] for name in held], [have[name].slots for name in wanted])
    assert [one.name[0] for one in got] == [*may]


async def test_taking() -> None:
    """Those of a group that take mail now, by their places among all."""
    have = backends("b")
    assert taking([*have.values()], [have[name] for name in "dba"]) == {0, 3}
