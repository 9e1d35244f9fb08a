"""Probes and the relay test, against a scripted backend."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tarpit.backend import health
from tarpit.backend.health import Relays
from tarpit.backend.pool import Pool
from tarpit.backend.slots import Purpose
from tarpit.destinations import BackendAddress
from tarpit.poller import Poller
from tests.support.backend import Answer, Does, FakeBackend, fake_backend
from tests.support.wires import DIALLING, running


async def test_probe_notes_the_keywords() -> None:
    """A backend that answers is up, and what it offers is known; no mail was begun."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = Pool((BackendAddress(*backend.address),), poller, DIALLING, queue=1)
        assert await health.probe(pool, pool.backends[0]) == ""
        assert pool.backends[0].up
        assert {b"SIZE 10240000", b"8BITMIME"} <= set(pool.keywords)
        await backend.wait_closed(1)
        assert backend.connections[0].commands == [b"EHLO mx.example", b"QUIT"]


@pytest.mark.parametrize("answers", [{"BANNER": b"421 4.3.2 busy\r\n"}, {"EHLO": Does.CLOSE}], ids=str)
async def test_probe_says_why_it_is_down(answers: Mapping[str, Answer]) -> None:
    """A backend that was up and no longer answers is down, with the reason."""
    poller = Poller()
    async with running(poller.run), fake_backend(answers) as backend:
        pool = Pool((BackendAddress(*backend.address),), poller, DIALLING, queue=1)
        pool.backends[0].marks.good()
        assert await health.probe(pool, pool.backends[0]) != ""
        assert pool.backends[0].up is False


@pytest.mark.parametrize(
    ("answers", "result"),
    [
        ({}, Relays.FAILED),
        ({"RCPT": b"554 5.7.1 Relay access denied\r\n"}, Relays.PASSED),
        ({"RCPT": b"454 4.7.1 Relay access denied\r\n"}, Relays.PASSED),
        ({"RCPT": b"451 4.3.0 Temporary failure\r\n"}, Relays.UNKNOWN),
        ({"MAIL": b"451 4.3.0 Temporary failure\r\n"}, Relays.UNKNOWN),
        ({"BANNER": Does.CLOSE}, Relays.UNKNOWN),
    ],
    ids=str,
)
async def test_relay_test(answers: Mapping[str, Answer], result: Relays) -> None:
    """A backend that takes a foreign recipient fails; one that refuses passes; DATA is never said."""
    poller = Poller()
    async with running(poller.run), fake_backend(answers) as backend:
        pool = Pool((BackendAddress(*backend.address),), poller, DIALLING, queue=1)
        answer = await health.test_relay(pool, pool.backends[0], "somebody@elsewhere.example")
        await backend.wait_closed(1)
        assert answer.result is result
        assert b"DATA" not in backend.connections[0].commands


@asynccontextmanager
async def one_slot() -> AsyncIterator[tuple[Pool, FakeBackend]]:
    """Yield the pool of a backend that takes one connection."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        yield Pool((BackendAddress(*backend.address, max=1),), poller, DIALLING, queue=5), backend


async def test_nothing_is_asked_beyond_the_cap(autojump_clock: MockClock) -> None:
    """A backend whose connections are all in use gets no probe on top; what is known of it stays."""
    async with one_slot() as (pool, backend):
        known = pool.backends[0]
        await pool.queue.take([known.slots], Purpose.JOIN)
        for up in (None, True, False):
            if up is not None:
                known.marks.good() if up else known.marks.bad("gone")
            before, began = known.up, trio.current_time()
            assert "in use" in await health.probe(pool, known)
            assert known.up is before
            assert trio.current_time() - began == health.PATIENCE
        answer = await health.test_relay(pool, known, "somebody@elsewhere.example")
        assert (answer.result, known.slots.taken) == (Relays.UNKNOWN, 1)
        assert not backend.connections


async def test_a_probe_waits_behind_mail(autojump_clock: MockClock) -> None:
    """A slot that comes free in time is a session's first, and the probe's after it."""
    async with one_slot() as (pool, backend), trio.open_nursery() as nursery:
        known, order = pool.backends[0], list[str]()
        await pool.queue.take([known.slots], Purpose.JOIN)

        async def look() -> None:
            assert await health.probe(pool, known) == ""
            order.append("probe")

        async def serve() -> None:
            await pool.queue.take([known.slots], Purpose.JOIN)
            order.append("mail")
            assert not backend.connections
            pool.queue.give_back(known.slots, Purpose.JOIN)

        nursery.start_soon(look)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(serve)
        await trio.testing.wait_all_tasks_blocked()
        pool.queue.give_back(known.slots, Purpose.JOIN)
    assert order == ["mail", "probe"]
    assert known.slots.taken == 0


@pytest.mark.parametrize("answers", [{}, {"BANNER": Does.CLOSE}, {"EHLO": Does.RESET}], ids=str)
async def test_a_slot_comes_back(answers: Mapping[str, Answer]) -> None:
    """However a probe ends, its slot is free again."""
    async with one_slot() as (pool, backend):
        backend.answers |= answers
        for _ in range(3):
            await health.probe(pool, pool.backends[0])
            await health.test_relay(pool, pool.backends[0], "somebody@elsewhere.example")
        assert pool.backends[0].slots.taken == 0
        assert len(backend.connections) == 6


@pytest.mark.parametrize(("seconds", "up"), [(1.9, True), (2.1, False)])
async def test_a_banner_that_is_late(autojump_clock: MockClock, seconds: float, up: bool) -> None:
    """A greet delay (postscreen) is waited out without a word, as long as any session would wait for it."""
    poller = Poller()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, port = listener.socket.getsockname()[:2]
    early: list[bytes] = []
    async with fake_backend() as backend:

        async def late(stream: trio.SocketStream) -> None:
            with trio.move_on_after(seconds):
                early.append(await stream.receive_some())  # b"" when we give up
            await backend.serve(stream)

        async with running(poller.run), trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, late, [listener])
            pool = Pool((BackendAddress(host, port),), poller, DIALLING, queue=1)
            assert (await health.probe(pool, pool.backends[0]) == "") is up
            assert pool.backends[0].up is up
            nursery.cancel_scope.cancel()
        assert not any(early)
