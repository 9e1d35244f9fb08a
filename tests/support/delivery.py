"""A suspect in front of scripted backends, with all that its delivery wants.

At the end of a scene it is checked that slots, line and room are as they were.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, TypeVar

import trio

from tarpit.backend.introduce import Introduction
from tarpit.backend.pool import Pool
from tarpit.backend.server import Backend
from tarpit.backend.splits import Splits
from tarpit.commit import Outcome
from tarpit.deliver import Delivery, Means
from tarpit.destinations import BackendAddress
from tarpit.poller import Poller
from tarpit.smtp.commands import Hello, Mail, Rcpt, parse
from tarpit.spool import Room, Shelf
from tests.support.backend import Answer, FakeBackend, fake_backend
from tests.support.wires import DIALLING, TIME_OUTS, running

T = TypeVar("T", Hello, Mail, Rcpt)

OFFERS: Final = b"250-backend.example\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250 DSN\r\n"
MESSAGE: Final = b"Subject: x\r\n\r\n..one\ntwo\r\n"
STORED: Final = b"Subject: x\r\n\r\n..one\r\ntwo\r\n"  # on the wire


def command(kind: type[T], line: bytes) -> T:
    """Return a line as a command of that kind."""
    parsed = parse(line)
    assert isinstance(parsed, kind)
    return parsed


HELLO: Final = command(Hello, b"EHLO peer.example")
MAIL: Final = command(Mail, b"MAIL FROM:<a@peer.example> SIZE=30")
A: Final = command(Rcpt, b"RCPT TO:<a@backend.example>")
B: Final = command(Rcpt, b"RCPT TO:<b@backend.example> NOTIFY=NEVER")
C: Final = command(Rcpt, b"RCPT TO:<c@backend.example>")


@dataclass
class Scene:
    """A suspect, and backends that hear of it."""

    means: Means
    backends: tuple[FakeBackend, ...]
    doubted: list[Backend]
    left: bool = False
    delivery: Delivery = field(init=False)
    sent: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Have one peer; it is for the scene to begin and end."""
        self.delivery = self.another()

    def another(self) -> Delivery:
        """Return one more peer's way to the same backends."""
        peer = Introduction(ip_address("192.0.2.7"), 4025)
        return Delivery(
            self.means, introduction=lambda: peer, ours=("192.0.2.2", 25), peer_left=lambda: self.left
        )

    async def receive(self, limit: int, until: float) -> bytes:
        """Be the peer that sends its message."""
        assert until > trio.current_time()
        await trio.lowlevel.checkpoint()
        return self.sent.pop(0) if self.sent else b""

    async def open(self, *recipients: Rcpt, hello: Hello = HELLO, mail: Mail = MAIL) -> list[int]:
        """Begin, and return the codes that *recipients* got."""
        await self.delivery.begin(hello, mail)
        return [reply.code for reply in await self.delivery.check(recipients or (A,))]

    async def send(self, message: bytes = MESSAGE, *, over: Delivery | None = None) -> None:
        """Send a message to its end."""
        taken = await (over or self.delivery).take(self.receive, message + b".\r\n")
        assert taken.refusal is None

    async def deliver(self, *recipients: Rcpt, mail: Mail = MAIL) -> Outcome:
        """Do all of it."""
        await self.open(*recipients, mail=mail)
        await self.send()
        return await self.delivery.commit()

    async def heard(self, count: int) -> list[list[bytes]]:
        """Return the commands of each connection, once *count* of them are over."""
        with trio.fail_after(10):
            await self.backends[0].wait_closed(count)
        return [connection.commands for connection in self.backends[0].connections]

    @property
    def stored(self) -> list[bytes]:
        """What any backend was sent whole."""
        return [text for one in self.backends for each in one.connections for text in each.contents]


@asynccontextmanager
async def scene(
    *backends: dict[str, Answer], most: int = 10, queue: float = 1.0, message: int = 1_000_000
) -> AsyncIterator[Scene]:
    """Yield a suspect in front of backends that answer so; at the end everything has been given back."""
    async with trio.open_nursery() as nursery:
        plans = [{"EHLO": OFFERS, **answers} for answers in backends or ({},)]
        listening = [await nursery.start(_listen, plan) for plan in plans]
        addresses = tuple(BackendAddress(one.address[0], one.address[1], max=most) for one in listening)
        poller = Poller()
        pool, doubted = Pool(addresses, poller, DIALLING, queue=queue), list[Backend]()
        shelf = Shelf(Room(10_000_000), message)
        async with running(poller.run):
            async with trio.open_nursery() as last_words:
                spawn = last_words.start_soon
                means = Means(pool, shelf, Splits(), TIME_OUTS, spawn, probe_again=doubted.append)
                here = Scene(means, tuple(listening), doubted)
                async with here.delivery:
                    yield here
            assert shelf.room.taken == len(pool.queue) == sum(one.slots.taken for one in pool.backends) == 0
        nursery.cancel_scope.cancel()


async def _listen(
    answers: dict[str, Answer], task_status: trio.TaskStatus[FakeBackend] = trio.TASK_STATUS_IGNORED
) -> None:
    async with fake_backend(answers) as backend:
        task_status.started(backend)
        await trio.sleep_forever()
