"""Is a backend there, what does it offer, and would it relay for everybody?

A plain probe (EHLO, QUIT) at the start and every TARPIT_HEALTH_EVERY. The relay test comes as a
stranger, under an address of the documentation network (RFC 5737), and asks for a recipient at a
foreign domain: a backend that takes it trusts our address, and we would be an open relay. It is made
again whenever a backend comes back. No message is ever sent.

Both take a slot as sessions do, behind all of them, so that a backend sees no connection beyond its cap.
While the cap is used up nothing is asked, and what is known of the backend stays: whoever has the slots
finds out what it is like, and gives them back. Rejected: calling it up because it is full. A slot is
taken before the dial, and a backend that swallows every SYN is full, too.
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

import trio

from scoring.verdict import HostName, HostState
from tarpit.backend.dial import Line, keywords_of
from tarpit.backend.guest import Known
from tarpit.backend.introduce import Introduction
from tarpit.backend.pool import NoSlot, Pool, connect
from tarpit.backend.server import Backend
from tarpit.backend.slots import Purpose
from tarpit.choices import BackendTls
from tarpit.errors import BackendUnavailable
from tarpit.smtp.keywords import offered
from tarpit.smtp.replies import ReceivedReply

STRANGER: Final = Introduction(ip_address("192.0.2.1"), 25, HostName(None, HostState.NONE))
NEXT_HOP: Final = ("192.0.2.2", 25)  # where it says it has connected to
INTRODUCING: Final = frozenset({b"XCLIENT", b"XFORWARD"})  # what names a peer to Postfix
PATIENCE: Final = 1.0  # seconds for a slot: the next probe comes soon
STRANGER_HELO: Final = b"EHLO stranger.invalid\r\n"


class Relays(StrEnum):
    """What the relay test found."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RelayAnswer:
    """The result, and the reply it was read from, or why there was none."""

    result: Relays
    reply: str
    answered: bool = True  # an answer that says nothing is one, a connection that is lost is none


async def probe(pool: Pool, backend: Backend) -> str:
    """Ask a backend for its keywords and note whether it has answered. Return why not, or "".

    Without a slot nothing is noted, and the reason is that one.
    """
    began = trio.current_time()
    try:
        async with _stranger(pool, backend) as line:
            ehlo = await line.hello()
    except NoSlot as full:
        return str(full)
    except BackendUnavailable as unavailable:
        backend.marks.bad(str(unavailable))
        return str(unavailable)
    backend.probe_seconds = trio.current_time() - began
    backend.keywords = offered(ehlo, starttls=True)
    backend.marks.good()
    return ""


async def test_relay(pool: Pool, backend: Backend, recipient: str) -> RelayAnswer:
    """Try *recipient*, at a foreign domain, as a stranger."""
    try:
        async with _stranger(pool, backend) as line:
            return await _try(line, recipient)
    except BackendUnavailable as unavailable:
        return RelayAnswer(Relays.UNKNOWN, str(unavailable), answered=False)


async def exposure(pool: Pool, backend: Backend) -> frozenset[bytes]:
    """Return which of XCLIENT and XFORWARD are offered to our address, in the open or inside TLS.

    Where STARTTLS is passed on, a peer could use them unseen. Empty, too, where nothing can be asked.
    """
    words = frozenset[bytes]()
    with contextlib.suppress(BackendUnavailable):
        async with _stranger(pool, backend) as line:
            words = keywords_of(await line.hello())
            if b"STARTTLS" in words and pool.dialling.trust is not None:
                await line.secure(backend.address.host, BackendTls.MAY)
                words |= keywords_of(await line.hello())
    return words & INTRODUCING


@asynccontextmanager
async def _stranger(pool: Pool, backend: Backend) -> AsyncIterator[Line]:
    """Yield a connection of the stranger's; raises `NoSlot` where none may be opened now."""
    slots = None
    with trio.move_on_after(PATIENCE):
        slots = await pool.queue.take([backend.slots], Purpose.PROBE)
    if slots is None:
        raise NoSlot("all its connections are in use, nothing was asked")
    try:
        line = await connect(pool, backend, Known(STRANGER, NEXT_HOP), trio.current_time())
        try:
            yield line
        finally:
            await line.quit()
    finally:
        pool.queue.give_back(slots, Purpose.PROBE)


async def _try(line: Line, recipient: str) -> RelayAnswer:
    for command in (STRANGER_HELO, b"MAIL FROM:<>\r\n"):
        reply = await line.ask(command)
        if reply.code >= 400:
            return RelayAnswer(Relays.UNKNOWN, _text(reply))
    reply = await line.ask(f"RCPT TO:<{recipient}>\r\n".encode("ascii", "replace"))
    return RelayAnswer(_judge(reply), _text(reply))


def _judge(reply: ReceivedReply) -> Relays:
    if reply.code < 400:
        return Relays.FAILED
    if reply.code >= 500 or (reply.enhanced or "").endswith(".7.1"):
        return Relays.PASSED
    return Relays.UNKNOWN


def _text(reply: ReceivedReply) -> str:
    return reply.raw.decode("ascii", "replace").strip()
