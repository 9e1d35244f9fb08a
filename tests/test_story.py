"""The story of a session that has said nothing yet."""

from tarpit.session import Session
from tarpit.story import tell
from tests.support.dns_zone import FakeResolver
from tests.support.wires import PEER, load, stage, wire_pair


async def test_tell() -> None:
    """A session that nobody asked about is unscored, passed, and says who it was."""
    async with stage(load(), FakeResolver({})) as scene, wire_pair(scene.poller) as (wire, _):
        tell(Session(wire, scene.services, 1))
        closed = scene.closed()
    assert (closed["peer"], closed["port"], closed["id"]) == (*PEER, f"{scene.services.run}000001")
    assert (closed["verdict"], closed["treatment"], closed["would_be"]) == ("unscored", "pass", "pass")
    assert (closed["messages_accepted"], closed["backend"], closed["findings"]) == (0, None, [])
