"""What is limited for all workers, divided."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.errors import SettingsError
from tarpit.processes.shares import part, share_of
from tests.support.wires import NOBODY, load


@given(st.integers(0, 10**9), st.integers(1, 200))
def test_parts_are_the_whole(total: int, count: int) -> None:
    """They differ by one at most, and add up."""
    parts = [part(total, number, count) for number in range(count)]
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1


def test_what_is_divided() -> None:
    """Caps for everybody are divided; those of a peer or a network, which meets one worker, are not."""
    whole = load(
        BACKENDS="a:25;max=5 b:25", WORKERS="2", MAX_SESSIONS="11", MAX_HELD="3", SPOOL_TOTAL="101m",
        BACKEND_CHECKS="3",
    )  # fmt: skip
    one, two = (share_of(whole, number) for number in range(2))
    assert [backend.max for backend in one.backends] == [3, 50]
    assert [backend.max for backend in two.backends] == [2, 50]
    assert [(share.max_sessions, share.max_held, share.backend_checks) for share in (one, two)] == [
        (6, 2, 2),
        (5, 1, 1),
    ]
    assert one.spool_total + two.spool_total == whole.spool_total
    assert one.spool_message == whole.spool_message
    assert one.max_sessions_peer == whole.max_sessions_peer
    assert one.max_sessions_network == whole.max_sessions_network


def test_one_worker_has_all() -> None:
    """Then nothing is divided."""
    whole = load(BACKENDS=NOBODY)
    assert share_of(whole, 0) is whole


def test_a_message_fits_into_a_share() -> None:
    """What a worker has no room for it does not promise to take."""
    whole = load(BACKENDS=NOBODY, WORKERS="4", SPOOL_TOTAL="100m")
    assert "TARPIT_SPOOL_TOTAL" in [doubt.name for doubt in whole.warnings()]
    assert share_of(whole, 0).spool_message == 25 * 2**20


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"BACKEND_MAX": "1", "WORKERS": "4"}, "TARPIT_WORKERS: 4 is more than the smallest cap"),
        ({"MAX_SESSIONS": "3", "WORKERS": "4"}, "TARPIT_MAX_SESSIONS: 3 is less than TARPIT_WORKERS"),
        ({"BACKEND_CHECKS": "3", "WORKERS": "4"}, "TARPIT_BACKEND_CHECKS: 3 is less than TARPIT_WORKERS"),
    ],
)
def test_too_many_workers(variables: dict[str, str], fault: str) -> None:
    """Every worker needs a share of one at least."""
    with pytest.raises(SettingsError, match=fault):
        load(BACKENDS=NOBODY, **variables)


def test_a_default_is_enough_for_all() -> None:
    """The default of TARPIT_BACKEND_CHECKS is one for each worker at least."""
    assert load(BACKENDS=NOBODY, WORKERS="20").backend_checks == 20
