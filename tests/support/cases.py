"""A session on either path, clean or slowed, brought to where a case begins."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio

from tarpit.session import Session
from tests.support.backend import Answer, FakeBackend
from tests.support.sessions import session
from tests.support.wires import PEER, Far, Surroundings

CLEAN: Final = "clean"
SLOWED: Final = "slowed"
PATHS: Final = (CLEAN, SLOWED)
EHLO: Final = b"EHLO peer.example"
MAIL: Final = b"MAIL FROM:<me@here.example>"
RCPT: Final = b"RCPT TO:<you@there.example>"
ENVELOPE: Final = (EHLO, MAIL, RCPT)


@dataclass(frozen=True, slots=True)
class Case:
    """A session that runs, its peer's end, its backend and its surroundings."""

    far: Far
    backend: FakeBackend
    around: Surroundings
    session: Session

    def reached(self) -> list[bytes]:
        """Return the lines that reached any backend, those of our own check connections included."""
        return [line for one in self.backend.connections for line in one.commands]

    def contents(self) -> list[bytes]:
        """Return the messages that any backend has taken."""
        return [content for one in self.backend.connections for content in one.contents]

    async def goes(self, *lines: bytes) -> list[bytes]:
        """Say each line and hear its whole reply; return the replies."""
        return [await self.answer(line + b"\r\n") for line in lines]

    async def answer(self, data: bytes) -> bytes:
        """Say *data* as it is, and return the whole reply, or what comes before the end."""
        await self.far.say(data)
        return await self.reply()

    async def reply(self) -> bytes:
        """Return the next whole reply: bytes up to a line that is not continued, or to the end."""
        heard = await self.far.hear()
        while heard.endswith(b"\r\n") and heard[heard.rfind(b"\r\n", 0, -2) + 2 :][3:4] == b"-":
            heard += await self.far.hear()
        return heard

    async def closes(self) -> bytes:
        """Return what is still said until the session is over."""
        rest = await self.far.hear_all()
        await self.far.stream.aclose()
        with trio.fail_after(1000):
            await self.around.services.wait_empty()
        return rest


@asynccontextmanager
async def case(
    path: str,
    *before: bytes,
    answers: Mapping[str, Answer] | None = None,
    variables: Mapping[str, str] | None = None,
) -> AsyncIterator[Case]:
    """Yield a session on *path* that has heard its banner and the replies to the lines *before*."""
    given = dict(variables or {})
    if path == CLEAN:
        given.setdefault("ALLOW", PEER[0])
    async with session(dict(answers or {}), listed=path == SLOWED, **given) as (far, backend, around, one):
        here = Case(far, backend, around, one)
        assert (await here.reply()).startswith(b"220")
        for reply in await here.goes(*before):
            assert reply.startswith(b"2"), reply
        yield here


def shorn(lines: Sequence[bytes]) -> list[bytes]:
    """Return *lines* without what we say to a backend by ourselves."""
    return [line for line in lines if line not in {b"QUIT", b"RSET"}]


def told(around: Surroundings, event: str) -> list[Mapping[str, object]]:
    """Return the events called *event*."""
    return [entry for entry in around.events.entries if entry["event"] == event]
