"""Wires for tests: a pair of connected ends, a voice on one of them, and all that a session wants.

The far end is a trio stream in the same process, so that bytes are there at once and trio's clock may jump.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast

import socket
import structlog
import trio
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger

from scoring import Scorer
from scoring.resolve import Lookup
from tarpit import settings as settings_of
from tarpit.backend.dial import Dialling
from tarpit.backend.pool import Pool
from tarpit.classify import Classifier, scoring_config
from tarpit.drip import Wheel
from tarpit.pace import FULL_SPEED, Pace, Stage
from tarpit.policy import Patience
from tarpit.poller import Poller
from tarpit.relay import TimeOuts
from tarpit.session import Services
from tarpit.smtp.dialogue import Dialogue
from tarpit.voice import Voice
from tarpit.wire import Wire

PEER: Final = ("192.0.2.25", 4321)
CLOSED: Final = "127.0.0.1:9"  # nobody listens there
DIALLING: Final = Dialling("mx.example", connect=2.0, banner=2.0, reply=2.0)


@asynccontextmanager
async def polling() -> AsyncIterator[Poller]:
    """Run a poller."""
    poller = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        yield poller
        nursery.cancel_scope.cancel()


class Far:
    """The other end of a wire. What it hears is kept in `heard`."""

    def __init__(self, sock: socket.socket) -> None:
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(_unix_or_tcp(sock)))
        self.heard = b""

    async def say(self, data: bytes) -> None:
        """Send *data*."""
        await self.stream.send_all(data)

    async def hear(self, end: bytes = b"\r\n", *, within: float = 3600) -> bytes:
        """Read until what came ends with *end*, and return what came since the last time."""
        data = b""
        with trio.fail_after(within):
            while not data.endswith(end):
                piece = await self.stream.receive_some()
                if not piece:
                    break
                data += piece
        self.heard += data
        return data

    async def hear_all(self) -> bytes:
        """Read until the other side ends."""
        return await self.hear(b"\0never")


@asynccontextmanager
async def wire_pair(poller: Poller) -> AsyncIterator[tuple[Wire, Far]]:
    """Yield a wire and its far end."""
    near, far = socket.socketpair()
