"""A stream of peers in, a stream of verdicts out, in the same order: `python -m scoring --stdin`.

The one idea: questions wait in a channel of bounded length, each with the task that answers it; the writer
takes them in order and waits for each. So the answers are in the order of the questions, thousands are
under way at once, and no more is read than is under way, however long the stream or slow the DNS.

A peer's time begins when it is its turn, and answers are written in a thread: neither a long stream nor a
slow reader of the answers may pass for trouble of DNS.

A line that makes no sense gets an answer too, so that the n-th answer belongs to the n-th line that is not
blank.
"""

import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Final, TextIO

import trio

from scoring.score import Peer, Scorer
from scoring.verdict import Verdict, one_line, to_address

AT_ONCE: Final = 2000
MOST_WRITTEN: Final = 100  # answers at once
BLOCK: Final = 65536  # bytes read at once, and the longest line
FIELDS: Final = ("peer", "helo", "mail_from")


class Question:
    """One line of the stream and, once `answered`, the answer to it and what it means for the exit code."""

    __slots__ = ("answer", "answered", "code", "line")

    def __init__(self, line: str) -> None:
        self.line = line
        self.answered = trio.Event()
        self.answer: dict[str, object] = {}
        self.code = 0

    async def ask(self, scorer: Scorer) -> None:
        """Find the answer."""
        try:
            peer = parse_peer(self.line)
        except (ValueError, RecursionError) as fault:  # the latter of JSON that nests without end
            self.answer, self.code = {"error": one_line(str(fault))}, 2
        else:
            verdict = await scorer.score(peer)
            self.answer, self.code = as_json(str(peer.address), verdict), int(verdict.suspect)
        self.answered.set()


async def score_stream(
    scorer: Scorer,
    source: int,
    sink: TextIO,
    *,
    at_once: int = AT_ONCE,
    wait_turn: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
) -> int:
    """Answer each line of the file descriptor *source* on *sink*; return the worst exit code.

    *wait_turn* is awaited before each peer, as `Resolver.wait_room`. A reader of the answers that has gone
    ends it, as it ends other filters.
    """
    worst, ready = 0, list[str]()
    send, receive = trio.open_memory_channel[Question](at_once - 1)  # one more is being waited for

    async def read() -> None:
        async with send, aclosing(_lines(source)) as lines:
            async for line in lines:
                question = Question(line)
                await send.send(question)
                await wait_turn()
                nursery.start_soon(question.ask, scorer)

    async def write() -> None:
        text = "".join(ready)
        ready.clear()
        if text and not await trio.to_thread.run_sync(_write, sink, text):
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        async for question in receive:
            if len(ready) == MOST_WRITTEN or not question.answered.is_set():
                await write()
            await question.answered.wait()
            worst = max(worst, question.code)
            ready.append(json.dumps(question.answer) + "\n")
            if not receive.statistics().current_buffer_used:
                await write()
    return worst


def parse_peer(line: str) -> Peer:
    """Return the peer that *line* means: an address, or an object with `peer`. Raises ValueError."""
    if not line.startswith("{"):
        return Peer(to_address(line))
    given = {name: _parse_text(name, value) for name, value in json.loads(line).items()}
    address = given.get("peer")
    if address is None:
        raise ValueError("peer is missing")
    return Peer(to_address(address), given.get("helo"), given.get("mail_from"))


def _parse_text(name: str, value: object) -> str | None:
    if name not in FIELDS:
        raise ValueError(f"{name!r} is not one of {', '.join(FIELDS)}")
    if not isinstance(value, str | None):
        raise ValueError(f"{name} is not a string")  # noqa: TRY004 - of the text that is parsed, not of a caller
    return value


def as_json(peer: str, verdict: Verdict) -> dict[str, object]:
    """Return the verdict as plain JSON values; `ms` are milliseconds."""
    findings = [
        {
            "signal": finding.signal,
            "result": finding.result.value,
            "points": finding.points,
            "why": finding.why,
            "ms": round(finding.seconds * 1000, 1),
        }
        for finding in verdict.findings
    ]
    return {
        "peer": peer,
        "score": verdict.score,
        "verdict": verdict.opinion.value,
        "findings": findings,
        "errors": list(verdict.errors),
    }


async def _lines(source: int) -> AsyncGenerator[str, None]:
    """Yield the lines that are not blank; of one that has no end, pieces.

    Read in a thread: of a regular file the kernel does not say when it is readable. And not through
    `sys.stdin`, whose lock would be held by that thread when the interpreter ends.
    """
    rest = b""
    while data := await trio.to_thread.run_sync(partial(os.read, source, BLOCK), abandon_on_cancel=True):
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > BLOCK:
            lines, rest = [*lines, rest], b""
        for line in filter(None, map(bytes.strip, lines)):
            yield line.decode("utf-8", "replace")
    if rest.strip():
        yield rest.strip().decode("utf-8", "replace")


def _write(sink: TextIO, text: str) -> bool:
    """Write *text*; return False when nobody reads any more."""
    try:
        sink.write(text)
        sink.flush()
    except BrokenPipeError:
        return False
    return True
