"""Laws of dripping: whatever was heard is a beginning of what was said, and it took what the pace says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import trio
import trio.lowlevel
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tarpit.drip import TICK
from tarpit.errors import PeerGone
from tarpit.pace import Pace, piece_end
from tests.support.pair import Pair, wired

ULP = 1e-6  # seconds: what sums of floats may be off
FOREVER = float("inf")

LINE = st.binary(max_size=12).map(lambda text: b"250-" + text.replace(b"\n", b"") + b"\r\n")
REPLIES = st.lists(LINE, min_size=1, max_size=12).map(b"".join) | st.binary(min_size=1, max_size=40)
PACES = st.builds(
    Pace,
    before_reply=st.just(0.0) | st.floats(0, 20),
    per_byte=st.just(0.0) | st.floats(TICK / 50, TICK) | st.floats(TICK, 3),
    within=st.just(FOREVER) | st.floats(0.01, 60),
)
SAYINGS = st.lists(st.tuples(REPLIES, PACES), min_size=1, max_size=3)


@dataclass
class Run:
    """What became of some replies said in a row to one peer."""

    heard: list[tuple[float, bytes]] = field(default_factory=list)
    took: list[float] = field(default_factory=list)  # seconds a reply
    gone_at: float | None = None


def run(sayings: Sequence[tuple[bytes, Pace]], *, chunk: int, leaves_at: float = FOREVER) -> Run:
    """Say the replies to a peer that reads *chunk* bytes at a time and leaves at a time."""
    outcome = Run()

    async def hear(pair: Pair) -> None:
        with trio.move_on_at(leaves_at):
            while data := await pair.far.recv(chunk):
                outcome.heard.append((trio.current_time(), data))
        pair.far.close()

    async def say() -> None:
        async with wired() as pair, trio.open_nursery() as nursery:
            nursery.start_soon(hear, pair)
            try:
                for data, pace in sayings:
                    began = trio.current_time()
                    await pair.wheel.say(pair.wire, data, pace, patience=30)
                    outcome.took.append(trio.current_time() - began)
            except PeerGone:
                outcome.gone_at = trio.current_time()
            pair.wire.close()

    trio.run(say, clock=MockClock(autojump_threshold=0))
    return outcome


def due_by(data: bytes, pace: Pace, time: float) -> int:
    """Return how many bytes of a reply are due *time* seconds after it was begun."""
    gap, by_line = pace.shape(data)
    if time >= pace.within or (time >= pace.before_reply and gap <= 0):
        return len(data)
    end, at = 0, pace.before_reply
    while at <= time and end < len(data):
        end = piece_end(data, end, by_line=by_line)
        at += gap
    return end


@given(sayings=SAYINGS, chunk=st.integers(1, 100))
@settings(max_examples=60, deadline=None)
def test_time(sayings: list[tuple[bytes, Pace]], chunk: int) -> None:
    """Each reply takes what its pace says, to the tick; and all of them are heard."""
    outcome = run(sayings, chunk=chunk)
    for (data, pace), took in zip(sayings, outcome.took, strict=True):
        assert -ULP <= took - pace.takes(len(data)) <= TICK + ULP
    assert b"".join(data for _, data in outcome.heard) == b"".join(data for data, _ in sayings)


@given(data=REPLIES, pace=PACES, chunk=st.integers(1, 100))
@settings(max_examples=60, deadline=None)
def test_every_byte_is_on_time(data: bytes, pace: Pace, chunk: int) -> None:
    """At any moment those bytes have been heard that were due, to the tick: none early, none later."""
    heard = 0
    for at, piece in run([(data, pace)], chunk=chunk).heard:
        assert heard >= due_by(data, pace, at - TICK - ULP)
        heard += len(piece)
        assert heard <= due_by(data, pace, at + ULP)


@given(sayings=SAYINGS, chunk=st.integers(1, 100), part=st.floats(0, 1.2))
@settings(max_examples=60, deadline=None)
def test_departure(sayings: list[tuple[bytes, Pace]], chunk: int, part: float) -> None:
    """Whenever a peer leaves, it has heard a beginning; and nobody waits for it longer than a tick."""
    leaves_at = part * sum(pace.takes(len(data)) for data, pace in sayings)
    outcome = run(sayings, chunk=chunk, leaves_at=leaves_at)
    whole = b"".join(data for data, _ in sayings)
    assert whole.startswith(b"".join(data for _, data in outcome.heard))
    if outcome.gone_at is None:
        assert len(outcome.took) == len(sayings)
    else:
        assert leaves_at <= outcome.gone_at <= leaves_at + TICK + ULP


@given(data=REPLIES, pace=PACES)
def test_shape(data: bytes, pace: Pace) -> None:
    """NET-11 Cut into its pieces, a reply is whole; and lines are evenly spread over the time there is."""
    gap, by_line = pace.shape(data)
    ends, end = [0], 0
    while end < len(data):
        end = piece_end(data, end, by_line=by_line)
        ends.append(end)
    assert b"".join(data[i:j] for i, j in pairwise(ends)) == data
    if by_line:
        lines = data.count(b"\n")
        assert abs(pace.before_reply + gap * (lines - 1) - pace.within) < ULP
