"""A stream of peers in, verdicts out: in order, many at once, none too many."""

import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock

from scoring.answer import TOO_LATE, Answer
from scoring.config import Config
from scoring.score import Peer, Scorer
from scoring.stream import BLOCK, parse_peer, score_stream
from scoring.verdict import to_address
from tests.support.dns_zone import FakeResolver, found

NAMED = {
    ("1.2.0.192.in-addr.arpa", "PTR"): found("mail.example"),
    ("mail.example", "A"): found("192.0.2.1"),
}
NAMELESS_IS_SUSPECT = Config(weights={"no-rdns": 3.0})


@contextmanager
def piped(data: bytes) -> Iterator[int]:
    """Yield a file descriptor that holds *data*, all of it within a pipe's buffer, and then ends."""
    source, sink = os.pipe()
    os.write(sink, data)
    os.close(sink)
    try:
        yield source
    finally:
        os.close(source)


async def streamed(
    data: bytes, resolver: FakeResolver, *, at_once: int = 100
) -> tuple[list[dict[str, object]], int]:
    """Return the answers and the exit code."""
    out = io.StringIO()
    with piped(data) as source:
        code = await score_stream(Scorer(NAMELESS_IS_SUSPECT, resolver), source, out, at_once=at_once)
    return [json.loads(line) for line in out.getvalue().splitlines()], code


async def test_in_order() -> None:
    """An address or an object a line, an answer a line, and the worst of them as exit code."""
    lines = b'192.0.2.1\n\n  198.51.100.1  \r\n{"peer": "::ffff:192.0.2.1", "helo": "x.example"}'
    answers, code = await streamed(lines, FakeResolver(NAMED))
    assert [(answer["peer"], answer["verdict"]) for answer in answers] == [
        ("192.0.2.1", "clean"),
        ("198.51.100.1", "suspect"),
        ("192.0.2.1", "clean"),
    ]
    assert set(answers[0]) == {"peer", "score", "verdict", "findings", "errors"}
    assert code == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"mail.example", "does not appear to be an IPv4 or IPv6 address"),
        (b"\xff\x00", "does not appear to be"),
        (b'{"peer": "192.0.2.1"', "Expecting"),
        (b"{}", "peer is missing"),
        (b'{"peer": null}', "peer is missing"),
        (b'{"peer": 1}', "peer is not a string"),
        (b'{"peer": "192.0.2.1", "mail_from": ["a"]}', "mail_from is not a string"),
        (b'{"peer": "192.0.2.1", "from": "a"}', "'from' is not one of peer, helo, mail_from"),
        (b'{"peer": ' * 5000, "recursion"),
    ],
)
async def test_malformed(line: bytes, complaint: str) -> None:
    """A line that makes no sense is answered too, in its place, and is exit code 2."""
    answers, code = await streamed(b"192.0.2.1\n" + line + b"\n192.0.2.1\n", FakeResolver(NAMED))
    assert [set(answer) & {"peer", "error"} for answer in answers] == [{"peer"}, {"error"}, {"peer"}]
    assert complaint in str(answers[1]["error"])
    assert code == 2


@pytest.mark.parametrize("data", [b"", b"\n\n", b"192.0.2.1", b"192.0.2.1\n"])
async def test_ends(data: bytes) -> None:
    """Nothing in, nothing out; the last line needs no end."""
    answers, code = await streamed(data, FakeResolver(NAMED))
    assert (len(answers), code) == (data.count(b".") // 3, 0)


async def test_a_line_without_end() -> None:
    """Memory does not grow with a line that never ends: it is answered in pieces."""
    source, sink = os.pipe()
    out = io.StringIO()
    data = b"x" * (3 * BLOCK) + b"\n192.0.2.1\n"

    def write() -> None:
        with os.fdopen(sink, "wb") as pipe:
            pipe.write(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, write)
        code = await score_stream(Scorer(NAMELESS_IS_SUSPECT, FakeResolver(NAMED)), source, out)
    os.close(source)
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (code, answers[-1]["peer"]) == (2, "192.0.2.1")
    assert all("error" in answer for answer in answers[:-1])


async def test_many_at_once_and_no_more() -> None:
    """A hundred at a time wait for slow DNS, and not one more."""

    class Counting(FakeResolver):
        """Answers nobody before a hundred have asked."""

        now = most = 0
        full = trio.Event()

        async def query(self, name: str, kind: str, *, until: float) -> Answer:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now == 100:
                self.full.set()
            await self.full.wait()
            await trio.sleep(0.001)
            self.now -= 1
            return await super().query(name, kind, until=until)

    resolver = Counting({})
    data = b"".join(b"10.0.%d.%d\n" % divmod(n, 256) for n in range(500))
    answers, code = await streamed(data, resolver, at_once=100)
    assert [answer["peer"] for answer in answers] == [f"10.0.{n // 256}.{n % 256}" for n in range(500)]
    assert (code, resolver.most) == (1, 100)


async def test_a_slow_reader() -> None:
    """Who does not read the answers keeps nobody from being asked in time: a thread waits for him."""
    reading, out = threading.Event(), io.StringIO()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            if not reading.wait(5):
                raise TimeoutError
            return out.write(text)

    async def read() -> None:
        await trio.sleep(0.05)
        reading.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        with piped(b"192.0.2.1\n" * 300) as source:
            assert await score_stream(Scorer(Config(), FakeResolver(NAMED)), source, Slow()) == 0
    assert len(out.getvalue().splitlines()) == 300


async def test_no_more_than_there_is_room_for(autojump_clock: MockClock) -> None:
    """Each peer waits for its turn before its time begins to run: a long stream is no trouble of DNS."""

    class OneByOne(FakeResolver):
        """Has room for two questions, each of which takes a second."""

        room = trio.Semaphore(2)

        async def query(self, name: str, kind: str, *, until: float) -> Answer:
            with trio.move_on_at(until):
                async with self.room:
                    await trio.sleep(1)
                    return await super().query(name, kind, until=until)
            return TOO_LATE

        async def wait_room(self) -> None:
            async with self.room:
                pass

    resolver, out = OneByOne({}), io.StringIO()
    with piped(b"".join(b"10.0.0.%d\n" % n for n in range(20))) as source:
        scorer = Scorer(NAMELESS_IS_SUSPECT, resolver)
        assert await score_stream(scorer, source, out, wait_turn=resolver.wait_room) == 1
    assert {json.loads(line)["verdict"] for line in out.getvalue().splitlines()} == {"suspect"}


async def test_a_reader_that_leaves() -> None:
    """When nobody reads the answers any more, nothing more is asked."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with piped(b"192.0.2.1\n" * 50) as source, trio.fail_after(5):
        assert await score_stream(Scorer(Config(), FakeResolver(NAMED)), source, Gone()) == 0


def test_parse_peer() -> None:
    """What is not given is not asked; an empty reverse-path is the null sender."""
    address = to_address("192.0.2.1")
    assert parse_peer("192.0.2.1") == Peer(address)
    assert parse_peer('{"peer": "192.0.2.1", "helo": null, "mail_from": ""}') == Peer(address, None, "")
    assert parse_peer('{"peer": "192.0.2.1", "helo": "x", "mail_from": "a@b"}') == Peer(address, "x", "a@b")
