"""The accept loop: who comes in, who hears that we are full, and what a bug may break."""

import socket

import trio
from trio.testing import MockClock

from tarpit.listen import Listener, serve
from tarpit.session import Session
from tests.support.backend import fake_backend
from tests.support.dns_zone import FakeResolver
from tests.support.wires import load, stage, wire_pair


class Broken(Session):
    """A session with a bug."""

    async def run(self) -> None:
        """Fail."""
        raise ZeroDivisionError("a bug")


async def test_full_is_told_at_once() -> None:
    """Above TARPIT_MAX_SESSIONS a peer hears 421 4.3.2; the one that is in is not disturbed."""
    async with fake_backend() as backend:
        settings = load(BACKENDS="{}:{}".format(*backend.address), MAX_SESSIONS="1")
        async with stage(settings, FakeResolver({})) as around, trio.open_nursery() as nursery:
            with socket.create_server(("127.0.0.1", 0)) as sock:
                nursery.start_soon(Listener(sock, around.services).run)
                async with await trio.open_tcp_stream(*sock.getsockname()) as first:
                    assert (await first.receive_some()).startswith(b"220 backend.example")
                    async with await trio.open_tcp_stream(*sock.getsockname()) as second:
                        assert (await second.receive_some()).startswith(b"421 4.3.2 ")
                    await first.send_all(b"QUIT\r\n")
                    assert (await first.receive_some()).startswith(b"221 ")
                await around.services.wait_empty()
                nursery.cancel_scope.cancel()
    assert [entry["event"] for entry in around.events.entries].count("sessions.full") == 1


async def test_a_bug_ends_its_own_session_only(autojump_clock: MockClock) -> None:
    """The traceback is told, the connection is closed, and the place is free again."""
    async with stage(load(), FakeResolver({})) as around, wire_pair(around.poller) as (wire, far):
        session = Broken(wire, around.services, "id")
        around.services.open.add(session)
        await serve(session, around.services)
        assert await far.hear_all() == b""
        assert not around.services.open
    assert "session.failed" in [entry["event"] for entry in around.events.entries]
