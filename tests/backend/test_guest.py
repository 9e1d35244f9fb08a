"""Who is known to the end, and who only says what would end its wait."""

from scoring.verdict import to_address
from tarpit.backend.guest import Known, never
from tarpit.backend.introduce import Introduction


def test_known() -> None:
    """All was asked before, and no wait for it is ended."""
    who, ended = Introduction(to_address("192.0.2.25"), 40000), list[bool]()
    guest = Known(who, ("198.51.100.1", 25))
    guest.gives_up_by(lambda: ended.append(True))
    guest.check_there()
    never(lambda: ended.append(True))
    assert (guest.introduction(), guest.network, guest.ours) == (who, b"\xc0\0\2", ("198.51.100.1", 25))
    assert not ended
