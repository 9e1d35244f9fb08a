"""A slowed message, read to its end and kept, or read to its end and not kept.

However a message is refused, it is read on to its end: only there may the refusal be said, and only
behind it are bytes commands again. What is too slow for any honest line is given up, and so is what
never ends.

How fast is read is the caller's `receive`; what the bytes mean is `smtp.content`; where they go is `spool`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import trio

from tarpit.errors import PeerGone
from tarpit.smtp.content import ContentFault, Decoder
from tarpit.smtp.replies import Reply
from tarpit.spool import Overflow, Spool

BLOCK: Final = 65536  # bytes asked for at once, at most
SLOWEST: Final = 500.0  # bytes a second below which a message is not waited for (Postfix's default, too)
NOT_TAKEN: Final = {
    Overflow.MESSAGE: Reply.of(552, "5.3.4 Message too large"),
    Overflow.ROOM: Reply.of(452, "4.3.1 No room for messages now, try again later"),
    Overflow.DISK: Reply.of(452, "4.3.1 No room for messages now, try again later"),
    ContentFault.BARE_NEWLINE: Reply.of(550, "5.6.11 Bare newline in the message, lines end in CRLF"),
    ContentFault.DOT_NUL: Reply.of(550, "5.6.11 A line of the message begins with a dot and a NUL"),
}

Receive = Callable[[int, float], Awaitable[bytes]]  # (limit, until) -> bytes, b"" at the end


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was read to its end. `refusal` is what to answer instead of committing it."""

    refusal: Reply | None
    rest: bytes  # what came behind the end: commands
    fatal: bool = False  # the session must end with the refusal: its bytes cannot be trusted any more
    bare_newlines: bool = False


async def read_message(
    receive: Receive, spool: Spool, first: bytes, *, refuse_bare: bool, most: int, patience: float
) -> Taken:
    """Read a message into *spool*, *first* being what has been received of it.

    Beyond *most* bytes it is given up. *patience*: seconds for a block, and for all of it in excess of what
    `SLOWEST` takes. Raises `PeerGone` when the peer ends in the middle, and whatever *receive* raises.
    """
    decoder = Decoder(refuse_bare=refuse_bare)
    began, received, block = trio.current_time(), len(first), first
    while True:
        await spool.write(decoder.receive(block))
        if decoder.ended:
            return _taken(decoder, spool)
        if received > most:
            return Taken(NOT_TAKEN[Overflow.MESSAGE], b"", fatal=True)
        due = min(trio.current_time(), began + received / SLOWEST)
        block = await receive(BLOCK, due + patience)
        if not block:
            raise PeerGone("closed in the middle of a message")
        received += len(block)


def _taken(decoder: Decoder, spool: Spool) -> Taken:
    why = decoder.fault or spool.overflow
    return Taken(
        NOT_TAKEN[why] if why else None,
        decoder.rest,
        fatal=decoder.fault is not None,
        bare_newlines=decoder.bare_newlines,
    )
