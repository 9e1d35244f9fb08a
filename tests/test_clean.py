"""A clean peer's session: joined, waiting for a place, or ended for want of one."""

import socket
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tarpit.backend.slots import Purpose
from tarpit.errors import PeerGone
from tarpit.handshake import Handshakes
from tarpit.tls import Trust
from tests.support.backend import Does
from tests.support.dns_zone import FakeResolver
from tests.support.sessions import another, session
from tests.support.wires import load, stage, wire_pair

ENVELOPE = (b"EHLO peer.example", b"MAIL FROM:<>")


def name_of(listener: socket.socket) -> str:
    """Return where a backend listens, as TARPIT_BACKENDS has it."""
    return "{}:{}".format(*listener.getsockname())


async def test_a_clean_peer_sees_the_backend(autojump_clock: MockClock) -> None:
    """Banner and replies are the backend's, and one event tells the story."""
    async with session() as (far, backend, around, _):
        assert await far.hear() == backend.answers["BANNER"]
        assert await far.ask(b"HELO peer.example") == b"250 backend.example\r\n"
        assert await far.ask(b"QUIT") == b"221 2.0.0 Bye\r\n"
        assert await far.hear_all() == b""
    closed = around.closed()
    assert (closed["ended"], closed["treatment"], closed["would_be"]) == ("quit", "pass", "pass")
    assert backend.connections[0].received == b"HELO peer.example\r\nQUIT\r\n"


async def test_without_a_backend(autojump_clock: MockClock) -> None:
    """A backend that refuses us is a 421, never a 5xx."""
    async with session({"BANNER": b"554 5.7.1 go away\r\n"}) as (far, _, around, _):
        assert (await far.hear_all()).startswith(b"421 4.3.0 ")
    assert around.closed()["ended"] == "backend"


async def test_tls_off_is_off(autojump_clock: MockClock) -> None:
    """With TARPIT_TLS=off STARTTLS is refused here, joined or not."""
    async with session(TLS="off") as (far, backend, _, _one):
        await far.hear()
        await far.ask(b"HELO peer.example")
        assert (await far.ask(b"STARTTLS")).startswith(b"502 ")
        await far.ask(b"QUIT")
    assert b"STARTTLS" not in backend.connections[0].received


async def test_no_connection_free(autojump_clock: MockClock) -> None:
    """A clean peer waits for TARPIT_BACKEND_QUEUE at most, and hears that we are busy, not broken."""
    async with session(BACKEND_MAX="1", BACKEND_QUEUE="7s") as (first, _, around, _one):
        await first.hear()
        async with wire_pair(around.poller) as (wire, far):
            began = trio.current_time()
            around.services.nursery.start_soon(another(around, wire).run)
            assert (await far.hear_all()).startswith(b"421 4.3.2 ")
            assert 7 <= trio.current_time() - began < 8
        await first.ask(b"QUIT")


async def test_a_silent_peer_makes_room(autojump_clock: MockClock) -> None:
    """While another waits, one that has been silent outside a transaction for 10 s hears 421 4.4.2."""
    async with session(BACKEND_MAX="1", BACKEND_QUEUE="60s") as (silent, backend, around, _one):
        around.services.nursery.start_soon(around.services.pool.end_idle)
        await silent.hear()
        await silent.ask(b"HELO peer.example")
        began = trio.current_time()
        async with wire_pair(around.poller) as (wire, far):
            await trio.sleep(4)
            around.services.nursery.start_soon(another(around, wire).run)
            assert (await silent.hear_all()).startswith(b"421 4.4.2 ")
            assert 10 <= trio.current_time() - began <= 11
            assert (await far.hear()).startswith(b"220 ")
            assert [line[:4] for line in backend.connections[0].commands] == [b"HELO", b"QUIT"]
            await far.ask(b"QUIT")
            await far.hear_all()


async def test_a_silent_peer_inside_tls_makes_room(autojump_clock: MockClock) -> None:
    """It is cut without a word that could not be understood, if it is its turn to speak."""
    async with session({"STARTTLS": b"220 go\r\n"}, BACKEND_MAX="1", BACKEND_QUEUE="60s") as run:
        silent, backend, around, _one = run
        around.services.nursery.start_soon(around.services.pool.end_idle)
        await silent.hear()
        await silent.ask(b"HELO peer.example")
        assert await silent.ask(b"STARTTLS") == b"220 go\r\n"
        async with wire_pair(around.poller) as (wire, far):
            await trio.sleep(4)
            around.services.nursery.start_soon(another(around, wire).run)
            assert await silent.hear_all() == b""
            assert (await far.hear()).startswith(b"220 ")
            assert backend.connections[0].commands == [b"HELO peer.example", b"STARTTLS"]
            await far.ask(b"QUIT")
            await far.hear_all()


async def test_mail_that_has_begun_is_not_cut_short(autojump_clock: MockClock) -> None:
    """However long it takes, and whoever waits."""
    async with session(BACKEND_MAX="1", BACKEND_QUEUE="60s") as (silent, _, around, _one):
        around.services.nursery.start_soon(around.services.pool.end_idle)
        await silent.hear()
        for line in ENVELOPE:
            await silent.ask(line)
        async with wire_pair(around.poller) as (wire, far):
            around.services.nursery.start_soon(another(around, wire).run)
            assert (await far.hear_all()).startswith(b"421 4.3.2 ")
        assert await silent.ask(b"RCPT TO:<you@there.example>") == b"250 2.1.5 Ok\r\n"
        await silent.ask(b"QUIT")


@pytest.mark.parametrize("said", [b"", b"NOOP\r\nQUIT\r\n"], ids=["silently", "having said all"])
async def test_who_hangs_up_in_the_queue(said: bytes, autojump_clock: MockClock) -> None:
    """It gives up its place at once; who has only finished sending keeps it, and is answered in its turn."""
    async with session(BACKEND_MAX="1", BACKEND_QUEUE="60s", MODE="observe") as (first, _, around, _one):
        await first.hear()
        queue, began = around.services.pool.queue, trio.current_time()
        async with wire_pair(around.poller) as (wire, far):
            waiting = another(around, wire)
            around.services.nursery.start_soon(waiting.run)
            await trio.sleep(5)
            assert len(queue) == 1
            await far.say(said) if said else None
            await far.stream.send_eof()
            await trio.sleep(5)
            assert len(queue) == (1 if said else 0)
            await first.ask(b"QUIT")
            await first.hear_all()
            heard = await far.hear_all()
        assert [line[:3] for line in heard.splitlines()] == ([b"220", b"250", b"221"] if said else [])
        assert waiting.ended == ("quit" if said else "peer-left")
        assert trio.current_time() - began < 20


@pytest.mark.parametrize("said", [b"", b"NOOP\r\nQUIT\r\n"], ids=["silently", "having said all"])
async def test_who_hangs_up_before_the_banner(said: bytes, autojump_clock: MockClock) -> None:
    """The backend's slot is free again at once, and nothing is held against the backend."""
    async with session({"BANNER": Does.SILENT}, MODE="observe") as (
        far,
        _,
        around,
        one,
    ):
        backend = around.services.pool.backends[0]
        await trio.sleep(0.5)
        assert backend.slots.taken == 1
        await far.say(said) if said else None
        await far.stream.send_eof()
        await trio.sleep(0.5)
        assert backend.slots.taken == (1 if said else 0)
        assert (await far.hear_all())[:3] == (b"421" if said else b"")
    assert one.ended == ("backend" if said else "peer-left")
    assert one.errors == (("no answer in time",) if said else ())


@pytest.mark.parametrize("introduce", ["off", "xclient"])
async def test_who_hangs_up_as_the_banner_comes(introduce: str, autojump_clock: MockClock) -> None:
    """Whoever leaves in that moment is not waited for in what is still to be said to the backend."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = load(BACKENDS=name_of(listener), BACKEND_INTRODUCE=introduce, MODE="observe")
        async with stage(settings, FakeResolver({})) as around, wire_pair(around.poller) as (wire, far):
            slots, one = around.services.pool.backends[0].slots, another(around, wire)
            around.services.nursery.start_soon(one.run)
            await wait_all_tasks_blocked()
            with listener.accept()[0] as backend:
                backend.sendall(b"220 backend.example\r\n")
                far.stream.socket.shutdown(socket.SHUT_WR)  # both in one round of the epoll
                await trio.sleep(0.5)
                assert slots.taken == 0
    assert (one.ended, one.errors) == ("peer-left", ())


async def test_who_hangs_up_in_line_for_a_handshake(autojump_clock: MockClock) -> None:
    """TLS to a backend has a queue of its own, where no connection is waited for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = load(BACKENDS=f"{name_of(listener)};tls=may", MODE="observe", TLS="off")
        async with stage(settings, FakeResolver({})) as around, wire_pair(around.poller) as (wire, far):
            pool, one = around.services.pool, another(around, wire)
            handshakes = Handshakes(seconds=30.0)
            pool.dialling = replace(pool.dialling, handshakes=handshakes, trust=Trust(None, required=False))
            around.services.nursery.start_soon(one.run)
            await wait_all_tasks_blocked()
            with listener.accept()[0] as backend:
                for said in (b"220 x\r\n", b"250-x\r\n250 STARTTLS\r\n"):
                    backend.sendall(said)
                    await trio.sleep(0.1)
                async with handshakes._turn:  # somebody else's step is being made
                    backend.sendall(b"220 go\r\n")
                    await wait_all_tasks_blocked()
                    await far.stream.send_eof()
                    await trio.sleep(0.5)
                    assert pool.backends[0].slots.taken == 0
    assert (one.ended, one.errors) == ("peer-left", ())


async def test_who_hangs_up_before_the_connection_stands(autojump_clock: MockClock) -> None:
    """A backend that takes no connection keeps nobody who has left."""
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())  # from here on a connect stays in progress
        settings = load(BACKENDS=name_of(full), MODE="observe")
        async with stage(settings, FakeResolver({})) as around, wire_pair(around.poller) as (wire, far):
            slots, one = around.services.pool.backends[0].slots, another(around, wire)
            around.services.nursery.start_soon(one.run)
            await trio.sleep(0.5)
            assert slots.taken == 1
            await far.stream.send_eof()
            await trio.sleep(0.5)
            assert slots.taken == 0
    assert (one.ended, one.errors) == ("peer-left", ())


async def test_who_has_hung_up_waits_for_nothing(autojump_clock: MockClock) -> None:
    """Whoever has left by the time that it would wait is told at once."""
    async with session(BACKEND_MAX="1", MODE="observe") as (first, backend, around, _):
        await first.hear()
        async with wire_pair(around.poller) as (wire, far):
            await far.stream.send_eof()
            await wait_all_tasks_blocked()
            with pytest.raises(PeerGone):
                await another(around, wire).borrow(Purpose.JOIN)
            assert not len(around.services.pool.queue)
        await first.ask(b"QUIT")
    assert len(backend.connections) == 1
