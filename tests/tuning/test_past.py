"""What is taken from the lines of a log."""

import json

import pytest

from tarpit.tuning.past import Log, Past, read
from tests.support.logbook import closed


def one(line: str) -> Past:
    """Return the one session of a line."""
    (past,) = read([line]).sessions
    return past


def test_a_session_that_left() -> None:
    """Its score, the signals against it by weight, and how long it bore us."""
    past = one(closed(held=7.5, ended="peer-left", points={"no-rdns": 1, "dnsbl:bl.example": 4, "spf": 0}))
    assert past == Past(5, ("dnsbl:bl.example", "no-rdns"), 7.5, slowed=True, left=True, delivered=False)
    assert past.blamed == "dnsbl:bl.example"


def test_a_session_that_was_delivered_did_not_give_up() -> None:
    """Whoever leaves without QUIT behind an accepted message has waited for all there was."""
    past = one(closed(held=40, ended="peer-left", messages=1))
    assert (past.left, past.delivered) == (False, True)


def test_who_is_not_slowed_does_not_give_up_on_us() -> None:
    """Neither where nobody is slowed, nor where it is clean."""
    assert not one(closed(held=0, ended="peer-left", treatment="pass")).left


def test_what_speaks_for_a_peer() -> None:
    """Points below zero and a passed SPF make its delays shorter, so they are kept."""
    past = one(closed(points={"dnsbl:bl.example": 5, "dnsbl:wl.example": -2}, spf="pass"))
    assert (past.vouched, past.spf_passed, past.score) == (-2, True, 3)


def test_a_collector_s_prefix() -> None:
    """What stands before the JSON is passed over."""
    assert one("Nov 24 10:00:00 mx tarpit[7]: " + closed(held=3)).held == 3


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        (closed(verdict="hostile", treatment="hold"), {"hostile": 1}),
        (closed(blind=True), {"blind": 1}),
        (closed(ended="stopped"), {}),
        (closed(ended="full"), {}),
        ('{"event": "listener.opened"}', {}),
        ('{"event": "session.closed", "findings": 3', {"unreadable": 1}),
        ('{"event": "session.closed", "verdict": "clean"}', {"unreadable": 1}),
        ("session.closed without any JSON", {"unreadable": 1}),
        (closed(held=7).replace('"held_seconds":7', '"held_seconds":"long"'), {"unreadable": 1}),
        (closed().replace('"findings":[', '"findings":3,"others":['), {"unreadable": 1}),
        (json.dumps({"event": "session.failed", "error": "session.closed is not written"}), {}),
    ],
)
def test_what_is_left_out(line: str, left_out: dict[str, int]) -> None:
    """Hostile and blind sessions and broken lines are counted; what we have cut short says nothing."""
    assert read([line]) == Log(**left_out)  # type: ignore[arg-type]
