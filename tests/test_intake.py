"""A message is read to its end, whatever becomes of it, and not for ever."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
import trio

from tarpit.errors import PeerGone, PeerSilent
from tarpit.intake import SLOWEST, Taken, read_message
from tarpit.spool import Room, Shelf, Spool


@dataclass
class Peer:
    """Sends *pieces*, one after *seconds* each."""

    pieces: list[bytes]
    seconds: float = 0.0
    untils: list[float] = field(default_factory=list)

    async def receive(self, _: int, until: float) -> bytes:
        """Return the next piece, if it comes in time."""
        self.untils.append(until)
        if trio.current_time() + self.seconds > until:
            await trio.sleep_until(until)
            raise PeerSilent("no answer in time")
        await trio.sleep(self.seconds)
        return self.pieces.pop(0) if self.pieces else b""


async def read(
    pieces: Iterable[bytes],
    *,
    first: bytes = b"",
    seconds: float = 0.0,
    room: int = 10_000,
    refuse_bare: bool = False,
) -> tuple[Taken, bytes]:
    """Return what became of a message, and what was kept of it."""
    peer = Peer(list(pieces), seconds)
    async with Spool(Shelf(Room(room), 1000)) as spool:
        taken = await read_message(
            peer.receive, spool, first, refuse_bare=refuse_bare, most=3000, patience=180.0
        )
        return taken, await spool.read(0)


async def test_what_is_here_is_read_first() -> None:
    """Content that came along with DATA, then the rest; what is behind the end is handed on."""
    taken, kept = await read([b"b\r\n.\r\nQUIT\r\n"], first=b"a\r\n")
    assert (taken, kept) == (Taken(None, b"QUIT\r\n"), b"a\r\nb\r\n")


async def test_mended_newlines_are_told() -> None:
    """Whoever tells the story knows that a message was changed."""
    taken, kept = await read([b"a\nb\r\n.\r\n"])
    assert taken.bare_newlines
    assert kept == b"a\r\nb\r\n"


@pytest.mark.parametrize(
    ("message", "room", "code", "fatal"),
    [
        (b"a\nb", 10_000, 550, True),
        (b"\r\n.\0", 10_000, 550, True),
        (b"x" * 1001, 10_000, 552, False),
        (b"x" * 900, 500, 452, False),
    ],
    ids=["bare newline", "dot and NUL", "too large", "no room"],
)
async def test_refused_at_its_end(message: bytes, room: int, code: int, fatal: bool) -> None:
    """EOD-22, BD-05: what follows a refused message is not read as commands before its end."""
    taken, kept = await read(
        [message[:2], message[2:], b"\r\nRSET\r\n", b".\r\nQUIT\r\n"], room=room, refuse_bare=True
    )
    assert taken.refusal is not None
    assert (taken.refusal.code, taken.fatal, taken.rest) == (code, fatal, b"QUIT\r\n")
    assert kept == b"" or code == 550


async def test_what_never_ends_is_given_up() -> None:
    """Far beyond its budget it is refused at once, and the session must end."""
    taken, _ = await read([b"x" * 1000] * 10)
    assert taken.refusal is not None
    assert (taken.refusal.code, taken.fatal) == (552, True)


async def test_left_in_the_middle() -> None:
    """NET-05: half a message is none."""
    with pytest.raises(PeerGone):
        await read([b"a\r\n"])


async def test_too_slow_for_any_line(autojump_clock: trio.testing.MockClock) -> None:
    """NET-02: a byte every 10 s is given up soon after the patience for one block, not for each."""
    began = trio.current_time()
    with pytest.raises(PeerSilent):
        await read([b"x"] * 1000, seconds=10.0)
    assert trio.current_time() - began == pytest.approx(180.0, abs=0.1)


async def test_slow_and_steady_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    """At more than the slowest rate nothing adds up."""
    taken, _ = await read([b"x" * 100] * 9 + [b"\r\n.\r\n"], seconds=100 / SLOWEST)
    assert taken.refusal is None
