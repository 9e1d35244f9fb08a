"""The measurement of the guard: each kind sees whole messages, alone and in a relay."""

from bench.guard import GUARDS, SMALL, blocks, lines, message, relayed, watched
from tarpit.smtp.content import END


def test_what_is_measured_is_done() -> None:
    """Each message is one with one end, and costs something."""
    for data in (message(200_000), lines(200_000)):
        assert 150_000 < len(data) < 210_000
        assert data.index(END) == len(data) - len(END)
        assert all(seconds > 0 for seconds in watched(data, 1).values())


def test_what_is_switched_off() -> None:
    """Without its checks the guard passes anything on, up to the end."""
    odd = b"a\nb\r\n.\0\r\n.\r\n"
    assert [GUARDS[name]().receive(odd) == odd for name in ("off", "on")] == [True, False]
    assert b"".join(blocks(odd * 10_000)) == odd * 10_000


def test_sessions_are_relayed() -> None:
    """A few sessions through a process of either kind, and its CPU."""
    taken = relayed(SMALL, 2, 1)
    assert taken.keys() == GUARDS.keys()
    assert all(seconds > 0 for seconds in taken.values())
