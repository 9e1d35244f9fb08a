"""Is a backend there, what does it offer, and would it relay for everybody?

A plain probe (EHLO, QUIT) at the start and every TARPIT_HEALTH_EVERY. The relay test comes as a
stranger, under an address of the documentation network (RFC 5737), and asks for a recipient at a
foreign domain: a backend that takes it trusts our address, and we would be an open relay. It is made
again whenever a backend comes back. No message is ever sent.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from scoring.verdict import HostName, HostState
from tarpit.backend.dial import Line
from tarpit.backend.introduce import Introduction
from tarpit.backend.pool import Backend, Pool, connect
from tarpit.errors import BackendUnavailable
from tarpit.smtp.keywords import offered
from tarpit.smtp.replies import ReceivedReply

STRANGER: Final = Introduction(ip_address("192.0.2.1"), 25, HostName(None, HostState.NONE))
STRANGER_HELO: Final = b"EHLO stranger.invalid\r\n"


class Relays(StrEnum):
    """What the relay test found."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RelayAnswer:
    """The result, and the reply it was read from."""

    result: Relays
    reply: str


async def probe(pool: Pool, backend: Backend) -> str:
    """Ask a backend for its keywords and note whether it is up. Return the reason when it is not, else ""."""
    try:
        line = await connect(pool, backend, STRANGER, ("192.0.2.2", 25))
        try:
            ehlo = await line.hello()
        finally:
            await line.quit()
    except BackendUnavailable as unavailable:
        backend.up = False
        return str(unavailable)
    backend.up = True
    backend.keywords = offered(ehlo, starttls=True)
    return ""


async def test_relay(pool: Pool, backend: Backend, recipient: str) -> RelayAnswer:
    """Try *recipient*, at a foreign domain, as a stranger."""
    try:
        line = await connect(pool, backend, STRANGER, ("192.0.2.2", 25))
        try:
            return await _try(line, recipient)
        finally:
            await line.quit()
    except BackendUnavailable as unavailable:
        return RelayAnswer(Relays.UNKNOWN, str(unavailable))


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
