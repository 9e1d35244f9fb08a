"""Wires for tests: a pair of connected ends, a voice on one of them, and all that a session wants.

The far end is in the same process: bytes are there at once, and trio's clock may jump.
"""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
import trio
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger

from scoring.resolve import Lookup
from tarpit import settings as settings_of
from tarpit.backend.dial import Dialling
from tarpit.drip import Wheel
from tarpit.errors import BackendUnavailable, PeerGone, PeerSilent
from tarpit.observe.log import unfold
from tarpit.pace import FULL_SPEED, Pace, Stage
from tarpit.parked import TimeOuts
from tarpit.poller import Poller
from tarpit.services import Services, assemble
from tarpit.settings import Settings
from tarpit.smtp.dialogue import Dialogue
from tarpit.voice import Voice
from tarpit.wire import Wire

PEER: Final = ("192.0.2.25", 4321)
NOBODY: Final = "127.0.0.1:9"  # nothing listens there: no look-up leaves this host
DIALLING: Final = Dialling("mx.example", connect=2.0, banner=2.0, reply=2.0)
TIME_OUTS: Final = TimeOuts(command=300.0, block=180.0, reply=300.0, dot=600.0)
LONG: Final = 10_000.0  # seconds of a clock that jumps


def load(**variables: str) -> Settings:
    """Return settings under which nothing leaves loopback; *variables* go without their prefix."""
    calm = {"ALLOW": "none", "DNS_SERVERS": NOBODY, "RELAY_TEST": "off", "SCORE_WAIT": "0.1s"}
    calm |= {"STATE_DIR": "/dev/null"}  # no directory: whoever wants a control socket names one
    values = calm | {"HOSTNAME": "mx.example", "PACE_JITTER": "0"} | variables
    return settings_of.load({f"TARPIT_{name}": value for name, value in values.items()})


def captured() -> tuple[FilteringBoundLogger, LogCapture]:
    """Return a logger, and where its events are kept."""
    capture = LogCapture()
    logger: FilteringBoundLogger = structlog.wrap_logger(
        None, processors=[unfold, capture], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return logger, capture


@asynccontextmanager
async def running(*engines: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run *engines* (a poller, a wheel) meanwhile."""
    async with trio.open_nursery() as nursery:
        for engine in engines:
            nursery.start_soon(engine)
        yield
        nursery.cancel_scope.cancel()


class Far:
    """The other end of a wire."""

    def __init__(self, sock: socket.socket) -> None:
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))

    async def say(self, data: bytes) -> None:
        """Send *data*."""
        await self.stream.send_all(data)

    async def receive(self) -> bytes:
        """Return what comes next, b"" at the end."""
        return bytes(await self.stream.receive_some())

    async def hear(self, end: bytes = b"\r\n") -> bytes:
        """Return what comes until it ends with *end*, or the other side ends."""
        data = b""
        with trio.fail_after(LONG):
            while not data.endswith(end) and (piece := await self.receive()):
                data += piece
        return data

    async def ask(self, line: bytes) -> bytes:
        """Say a line, and return the one that comes back."""
        await self.say(line + b"\r\n")
        return await self.hear()

    async def hear_all(self) -> bytes:
        """Return what comes until the other side ends."""
        return await self.hear(b"(never)")


@asynccontextmanager
async def wire_pair(poller: Poller, *, backend: bool = False) -> AsyncIterator[tuple[Wire, Far]]:
    """Yield a wire whose peer is `PEER`, or one to a backend, and its far end."""
    near, sock = socket.socketpair()
    gone, silent = (BackendUnavailable, BackendUnavailable) if backend else (PeerGone, PeerSilent)
    wire, far = Wire(poller, near, gone=gone, silent=silent), Far(sock)
    wire.peer = PEER
    try:
        yield wire, far
    finally:
        wire.close()
        sock.close()
        await far.stream.aclose()


@dataclass(frozen=True)
class Paced:
    """A pacer that asks a function."""

    asked: Callable[[Stage], Pace]

    def pace_for(self, stage: Stage) -> Pace:
        """Return what the function says."""
        return self.asked(stage)


def full_speed(_: Stage) -> Pace:
    """Slow nobody."""
    return FULL_SPEED


def voice_on(
    wire: Wire, dialogue: Dialogue, wheel: Wheel, pace_for: Callable[[Stage], Pace] = full_speed
) -> Voice:
    """Return a voice on *wire*."""
    return Voice(wire, wheel, dialogue, pacer=Paced(pace_for), patience=300.0)


@dataclass
class Surroundings:
    """What sessions share, and the events they wrote."""

    services: Services
    poller: Poller
    events: LogCapture

    def closed(self) -> Mapping[str, object]:
        """Return the one `session.closed`."""
        (event,) = [entry for entry in self.events.entries if entry["event"] == "session.closed"]
        return event


@asynccontextmanager
async def stage(
    settings: Settings, resolver: Lookup, *, dialling: Dialling | None = DIALLING
) -> AsyncIterator[Surroundings]:
    """Yield all that a session wants, in motion; *dialling* as the settings say it where it is None."""
    log, capture = captured()
    poller, wheel = Poller(), Wheel()
    async with running(poller.run, wheel.run), trio.open_nursery() as nursery:
        services = assemble(
            settings,
            log,
            poller=poller,
            wheel=wheel,
            nursery=nursery,
            resolver=resolver,
            dialling=dialling,
        )
        nursery.start_soon(services.classifier.watch_zones, lambda _: None)
        yield Surroundings(services, poller, capture)
        nursery.cancel_scope.cancel()
