"""What sessions share: how full it is, waiting until all are over, and what a bug may break."""

import trio
import trio.testing
from trio.testing import MockClock

from tarpit.session import Session
from tests.support.dns_zone import FakeResolver
from tests.support.wires import load, stage, wire_pair


async def test_load_and_waiting() -> None:
    """A session counts until it has ended; whoever waits for emptiness is then woken."""
    async with (
        stage(load(MAX_SESSIONS="4"), FakeResolver({})) as scene,
        wire_pair(scene.poller) as (wire, _),
    ):
        services = scene.services
        await services.wait_empty()
        session = Session(wire, services, 1)
        services.began(session)
        assert services.load == 0.25
        with trio.move_on_after(0.01) as waiting:
            await services.wait_empty()
        assert waiting.cancelled_caught
        services.nursery.start_soon(services.wait_empty)
        await trio.testing.wait_all_tasks_blocked()
        services.ended(session)
        await services.wait_empty()
        assert services.load == 0


class Broken(Session):
    """A session with a bug."""

    async def _classify(self) -> None:
        """Fail."""
        raise ZeroDivisionError("a bug")


async def test_a_bug_ends_its_own_session_only(autojump_clock: MockClock) -> None:
    """The traceback is told, the connection is closed, and the place is free again."""
    async with stage(load(), FakeResolver({})) as around, wire_pair(around.poller) as (wire, far):
        session = Broken(wire, around.services, 1)
        around.services.began(session)
        await session.run()
        assert await far.hear_all() == b""
        assert not around.services.open
    assert "session.failed" in [entry["event"] for entry in around.events.entries]
