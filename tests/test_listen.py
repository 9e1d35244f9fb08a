"""The accept loop: who comes in, who hears 421 at once, what is told of it, what odd accepts may break."""

import errno
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tarpit.listen import BACK_OFF, BATCH, TELL_EVERY, Listener
from tarpit.store import History
from tarpit.store.memory import MemoryStore
from tests.support.backend import fake_backend
from tests.support.dns_zone import FakeResolver
from tests.support.wires import Surroundings, load, stage

HERE = "127.0.0.1"


class Odd(socket.socket):
    """A listening socket whose accept fails with each of *errors* first; None is one that succeeds."""

    errors: list[int | None]

    @classmethod
    def create(cls, errors: Sequence[int | None]) -> "Odd":
        """Return one on a free port."""
        sock = cls(fileno=socket.create_server((HERE, 0)).detach())
        sock.errors = list(errors)
        return sock

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        """Fail, as long as there is an error left."""
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise OSError(error, os.strerror(error))
        return super().accept()


@dataclass
class Door:
    """A listener that runs, and what sessions share behind it."""

    around: Surroundings
    address: tuple[str, int]
    listener: Listener
    streams: list[trio.SocketStream] = field(default_factory=list)

    async def knock(self, source: str = HERE) -> tuple[trio.SocketStream, bytes]:
        """Connect from *source*; return the connection, and what was said first."""
        sock = trio.socket.socket()
        await sock.bind((source, 0))
        await sock.connect(self.address)
        stream = trio.SocketStream(sock)
        self.streams.append(stream)
        return stream, bytes(await stream.receive_some())

    async def knocks(self, *sources: str) -> list[bytes]:
        """Connect from each of *sources*, stay, and return the reply codes with their enhanced codes."""
        return [(await self.knock(source))[1][:9] for source in sources]

    def told(self, event: str) -> list[dict[str, object]]:
        """Return the events called *event*."""
        return [dict(entry) for entry in self.around.events.entries if entry["event"] == event]


@asynccontextmanager
async def door(
    *errors: int | None, variables: Mapping[str, str] | None = None, kind: type[Odd] = Odd
) -> AsyncIterator[Door]:
    """Run a listener on a socket that fails with *errors* first, before a backend that takes all."""
    async with fake_backend() as backend:
        settings = load(BACKENDS="{}:{}".format(*backend.address), **variables or {})
        async with stage(settings, FakeResolver({})) as around:
            with kind.create(errors) as sock:
                listener = Listener(sock, around.services)
                around.services.nursery.start_soon(listener.run)
                house = Door(around, sock.getsockname(), listener)
                try:
                    yield house
                finally:
                    around.services.nursery.cancel_scope.cancel()
                    for stream in house.streams:
                        stream.socket.close()


async def test_full_is_told_at_once() -> None:
    """Above TARPIT_MAX_SESSIONS a peer hears 421 4.3.2; the one that is in is not disturbed."""
    async with door(variables={"MAX_SESSIONS": "1"}) as house:
        first, banner = await house.knock()
        assert banner.startswith(b"220 backend.example")
        assert await house.knocks(HERE) == [b"421 4.3.2"]
        await first.send_all(b"QUIT\r\n")
        assert (await first.receive_some()).startswith(b"221 ")
        await first.aclose()
        await house.around.services.wait_empty()
        assert await house.knocks(HERE) == [b"220 backe"]
    assert len(house.told("sessions.full")) == 1


@pytest.mark.parametrize(
    ("variables", "sources", "heard"),
    [
        pytest.param(
            {"MAX_SESSIONS_PEER": "2"},
            ["127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2"],
            [b"220 backe", b"220 backe", b"421 4.7.0", b"220 backe"],
            id="a peer",
        ),
        pytest.param(
            {"MAX_SESSIONS_NETWORK": "2"},
            ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.1.3"],
            [b"220 backe", b"220 backe", b"421 4.7.0", b"220 backe"],
            id="a network",
        ),
        pytest.param(
            {"MAX_SESSIONS_PEER": "1", "MAX_SESSIONS_NETWORK": "1", "ALLOW": "127.0.0.0/24"},
            ["127.0.0.1", "127.0.0.1", "127.0.1.1", "127.0.1.1"],
            [b"220 backe", b"220 backe", b"220 backe", b"421 4.7.0"],
            id="TARPIT_ALLOW",
        ),
        pytest.param(
            {"MAX_SESSIONS": "10"},
            ["127.0.0.1"] * 10 + ["127.0.1.1", "127.0.2.1"],
            [b"220 backe"] * 9 + [b"421 4.3.2", b"220 backe", b"421 4.3.2"],
            id="the last place of a server",
        ),
    ],
)
async def test_caps(variables: dict[str, str], sources: list[str], heard: list[bytes]) -> None:
    """Each hears at once whether it may come in (RES-01, RES-02, RES-04)."""
    async with door(variables=variables) as house:
        assert await house.knocks(*sources) == heard


async def test_a_good_history_counts() -> None:
    """Whom the store knows as good is not locked out by its neighbours."""
    async with door(variables={"MAX_SESSIONS_NETWORK": "1"}) as house:
        store = house.around.services.store
        assert isinstance(store, MemoryStore)
        store.peers._known[ip_address("127.0.0.2")] = History(good=9, occasions=9, at=trio.current_time())
        assert await house.knocks("127.0.0.1", "127.0.0.3") == [b"220 backe", b"421 4.7.0"]
        assert await house.knocks("127.0.0.2") == [b"220 backe"]


async def test_a_refusal_costs_no_task_and_no_session() -> None:
    """Who is over its cap leaves nothing behind, not even a session in the log."""
    async with door(variables={"MAX_SESSIONS_PEER": "1"}) as house:
        await house.knocks(HERE)
        services = house.around.services
        tasks = len(services.nursery.child_tasks)
        assert set(await house.knocks(*[HERE] * 20)) == {b"421 4.7.0"}
        assert (len(services.nursery.child_tasks), len(services.open), services.caps.sessions) == (
            tasks,
            1,
            1,
        )
    assert len(house.told("session.closed")) == 1


async def test_places_are_free_again() -> None:
    """However sessions end, no count is left when all have."""
    async with door() as house:
        streams = [(await house.knock(source))[0] for source in ("127.0.0.1", "127.0.0.1", "127.0.7.1")]
        services = house.around.services
        assert services.caps.sessions == len(services.open) == 3
        for stream in streams:
            await stream.aclose()
        await services.wait_empty()
        assert (services.caps.sessions, services.caps.held, *services.caps._tables()) == (0, 0, {}, {}, {})


async def test_refusals_are_told_by_number(autojump_clock: MockClock) -> None:
    """One line at once, and one after ten seconds of quiet or flood, for each limit (RES-11)."""
    async with door(variables={"MAX_SESSIONS": "20", "MAX_SESSIONS_PEER": "1"}) as house:
        await house.knocks(*[HERE] * 6)
        await trio.sleep(TELL_EVERY - 1)
        assert [event["refused"] for event in house.told("sessions.full")] == [1]
        await trio.sleep(2)
        told = house.told("sessions.full")
        assert [(event["limit"], event["refused"]) for event in told] == [
            ("TARPIT_MAX_SESSIONS_PEER", 1),
            ("TARPIT_MAX_SESSIONS_PEER", 4),
        ]
        assert (told[-1]["peer"], told[-1]["sessions"]) == (HERE, 1)
        await trio.sleep(100)
        assert len(house.told("sessions.full")) == 2
        await house.knocks(HERE)
        assert [event["refused"] for event in house.told("sessions.full")] == [1, 4, 1]


async def test_a_peer_that_is_gone_by_then() -> None:
    """A connection that was reset while it waited is nobody's fault, and no error."""
    async with door(errno.ECONNABORTED, errno.EAGAIN) as house:
        assert await house.knocks(HERE) == [b"220 backe"]
    assert not house.told("accept.backoff")


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EPROTO])
async def test_the_system_does_not_let_us(error: int, autojump_clock: MockClock) -> None:
    """One hears 421 over the spare descriptor, accepting rests a moment, the next is served (RES-05)."""
    async with door(error, None, None) as house:
        began = trio.current_time()
        assert await house.knocks(HERE, HERE) == [b"421 4.3.2", b"220 backe"]
        assert trio.current_time() - began == pytest.approx(BACK_OFF)
    assert [event["error"] for event in house.told("accept.backoff")] == [errno.errorcode[error]]


async def test_out_of_descriptors_for_long(autojump_clock: MockClock) -> None:
    """While nothing can be accepted, that is told once in ten seconds, and the spare is not lost (RES-05)."""
    async with door(*[errno.EMFILE] * 220) as house:
        await house.knock()
        assert len(house.told("accept.backoff")) == 2
        assert house.listener._spare >= 0
        assert await house.knocks(HERE) == [b"220 backe"]


async def test_out_of_descriptors_with_no_spare(autojump_clock: MockClock) -> None:
    """Where not even the spare could be had again, the next rest gets it (RES-05)."""
    async with door(errno.EMFILE) as house:
        os.close(house.listener._spare)
        house.listener._spare = -1
        assert await house.knocks(HERE, HERE) == [b"421 4.3.2", b"220 backe"]
        assert house.listener._spare >= 0


async def test_many_at_once() -> None:
    """More connections than are accepted in one go are all served."""
    async with door(variables={"MAX_SESSIONS_PEER": "10"}) as house:
        for _ in range(BATCH + 10):
            sock = socket.create_connection(house.address)
            house.streams.append(trio.SocketStream(trio.socket.from_stdlib_socket(sock)))
        codes = [bytes(await stream.receive_some())[:3] for stream in house.streams]
        assert codes == [b"220"] * 10 + [b"421"] * BATCH


async def test_a_listener_that_is_broken() -> None:
    """What only a bug of ours can cause is not waited out."""
    with pytest.raises(ExceptionGroup) as caught:
        async with door(errno.EBADF) as house:
            await house.knock()
    assert caught.group_contains(OSError, match="Bad file descriptor")


class Poor(socket.socket):
    """A connection of which the kernel has no memory to spare."""

    def setsockopt(self, *_: object) -> None:
        """Fail."""
        raise OSError(errno.ENOBUFS, "no buffer space available")


class PoorOnce(Odd):
    """A listening socket whose first connection is poor."""

    first = True

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        """Return it, later others."""
        sock, address = super().accept()
        poor, self.first = self.first, False
        return (Poor(fileno=sock.detach()) if poor else sock), address


async def test_a_peer_that_cannot_be_served(autojump_clock: MockClock) -> None:
    """A connection that cannot be set up is closed and counts nowhere; the next is served."""
    async with door(kind=PoorOnce) as house:
        assert (await house.knock())[1] == b""
        assert house.around.services.caps.sessions == 0
        assert await house.knocks(HERE) == [b"220 backe"]
    assert [event["error"] for event in house.told("accept.backoff")] == ["ENOBUFS"]
