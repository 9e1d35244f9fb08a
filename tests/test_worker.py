"""A whole worker over loopback: a session's bytes, a full house, and the end."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock

from tarpit import worker
from tarpit.errors import SettingsError
from tests.support.backend import Does, FakeBackend, fake_backend
from tests.support.dns_zone import FakeResolver
from tests.support.peer import Peer
from tests.support.wires import captured, load, stage

MAIL = b"Subject: x\r\n\r\n..dots and \xff\0\r\n.\r\n"


@asynccontextmanager
async def working(
    orders: worker.Orders, **variables: str
) -> AsyncIterator[tuple[tuple[str, int], FakeBackend, LogCapture]]:
    """Run a worker in front of a backend; yield where it listens, the backend, and its events."""
    log, capture = captured()
    async with fake_backend() as backend:
        settings = load(BACKENDS="{}:{}".format(*backend.address), DRAIN="2s", **variables)
        with socket.create_server(("127.0.0.1", 0)) as sock:
            with trio.fail_after(30):
                async with trio.open_nursery() as nursery:
                    await nursery.start(partial(worker.serve, settings, [sock], log, orders=orders))
                    yield sock.getsockname(), backend, capture
                    orders.end()


def deliver(address: tuple[str, int]) -> bytes:
    """Deliver a message, and return all that was said."""
    with Peer.connect(address, patience=20) as peer:
        peer.play(
            """
            S: 220 backend.example ...
            C: EHLO peer.example
            S: 250-...
            C: MAIL FROM:<>
            S: 250 ...
            C: RCPT TO:<you@there.example>
            S: 250 ...
            C: DATA
            S: 354 ...
            """
        )
        peer.say(MAIL)
        assert peer.hear().code == 250
        assert peer.ask(b"QUIT").code == 221
        return bytes(peer.said)


async def test_a_clean_session_is_unchanged() -> None:
    """The backend receives exactly the bytes that the peer sent, and one event tells of them."""
    async with working(worker.Orders()) as (address, backend, capture):
        said = await trio.to_thread.run_sync(deliver, address)
        await backend.wait_closed(2)  # the first one was the probe
        assert bytes(backend.connections[1].received) == said
    names = [cast("str", entry["event"]) for entry in capture.entries]
    assert names.count("session.closed") == 1
    assert names[-1] == "worker.stopped"


async def test_a_full_house_says_so() -> None:
    """With TARPIT_MAX_SESSIONS taken, the next one hears 421 4.3.2."""
    async with working(worker.Orders(), MAX_SESSIONS="1") as (address, _, _):
        first, second = [await trio.open_tcp_stream(*address) for _ in range(2)]
        async with first, second:
            assert (await first.receive_some()).startswith(b"220 ")
            assert (await second.receive_some()).startswith(b"421 4.3.2 ")


async def test_stopping_tells_idle_peers() -> None:
    """A peer between two commands hears 421 4.3.2 when the worker stops; nothing is cut."""
    orders = worker.Orders()
    async with working(orders) as (address, _, capture), await trio.open_tcp_stream(*address) as idle:
        assert (await idle.receive_some()).startswith(b"220 ")
        orders.end()
        assert (await idle.receive_some()).startswith(b"421 4.3.2 ")
    (stopped,) = [entry for entry in capture.entries if entry["event"] == "worker.stopped"]
    assert stopped["cut"] == 0


async def test_an_open_relay_is_not_served() -> None:
    """A backend that takes a foreign recipient from a stranger stops the start, and says what to set."""
    with pytest.RaisesGroup(
        pytest.RaisesExc(SettingsError, match="TARPIT_BACKEND_INTRODUCE"), flatten_subgroups=True
    ):
        async with working(worker.Orders(), RELAY_TEST="refuse"):
            pass


async def test_a_silent_backend_holds_up_nothing(autojump_clock: MockClock) -> None:
    """All are looked at together; of one that lets us wait nothing is known yet, and peers are served."""
    async with fake_backend({"BANNER": Does.SILENT}) as silent, fake_backend() as other:
        names = " ".join("{}:{}".format(*backend.address) for backend in (silent, other))
        settings = load(BACKENDS=names, TIMEOUT_BANNER="0")
        async with stage(settings, FakeResolver({}), dialling=None) as around:
            began = trio.current_time()
            await worker.look_at_backends(around.services, starting=True)
            assert trio.current_time() == began + worker.FIRST_LOOK
            assert [backend.up for backend in around.services.pool.backends] == [None, True]
