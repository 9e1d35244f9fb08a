"""The story of a session, whatever became of it."""

import pytest
from trio.testing import MockClock

from tarpit.session import Session
from tarpit.story import tell
from tests.support.cases import EHLO, ENVELOPE, PATHS, case, told
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


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("said", "ended"),
    [
        pytest.param(b"QUIT\r\n", "quit", id="QUIT"),
        pytest.param(b"NOOP\nQUIT\r\n", "refused", id="a bare newline in a command"),
        pytest.param(b"BDAT 4 LAST\r\nQUIT", "refused", id="BDAT"),
        pytest.param(b"GET / HTTP/1.1\r\n", "refused", id="HTTP"),
        pytest.param(b"JUNK\r\n" * 30, "refused", id="too many errors"),
        pytest.param(b"DATA\r\n.\0\r\n.\r\nQUIT\r\n", "refused", id="a dot and a NUL"),
        pytest.param(b"DATA\r\na\nb\r\n.\r\nQUIT\r\n", "refused", id="a bare newline in a message"),
        pytest.param(b"DATA\r\nab\r\n.\r\nQUIT\r\n", "quit", id="a sound message"),
    ],
)
async def test_how_it_ended(path: str, said: bytes, ended: str, autojump_clock: MockClock) -> None:
    """`quit` is only what ended with QUIT; who was closed with a reply was refused."""
    async with case(path, *ENVELOPE, variables={"BARE_NEWLINE": "refuse"}) as here:
        await here.far.say(said)
        await here.closes()
        (event,) = told(here.around, "session.closed")
        assert (event["ended"], event["messages_mended"]) == (ended, 0)


@pytest.mark.parametrize("path", PATHS)
async def test_mended_messages_are_counted(path: str, autojump_clock: MockClock) -> None:
    """Of three messages, two have bare newlines; a refused one would not count."""
    async with case(path, EHLO) as here:
        for content in (b"a\nb", b"ab", b"a\rb"):
            await here.goes(*ENVELOPE[1:], b"DATA")
            assert (await here.answer(content + b"\r\n.\r\n")).startswith(b"250 ")
        await here.goes(b"QUIT")
        await here.closes()
        (event,) = told(here.around, "session.closed")
        assert (event["messages_mended"], event["messages_accepted"], event["proxy"]) == (2, 3, None)
