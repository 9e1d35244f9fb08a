"""The measuring itself: round after round, in each all rows, in each row everybody in turn.

What else the machine does comes and goes; so nobody has a good minute for himself, and ratios are taken
within a round. Whoever begins a row is another one each round. The first round only warms up: memories,
processes, compiled code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers.contestants import Contestant
from bench.peers.programs import Ran, Sink, generate
from bench.peers.works import Work


@dataclass(frozen=True, slots=True)
class Measured:
    """One contestant's part of a row in one round."""

    cpu: float  # seconds a session, of all its processes
    ran: Ran
    lost: int  # acknowledged, but not with the sink


Row = dict[str, list[Measured]]  # by contestant, a round each
Rows = dict[str, Row]  # by work


def measure(folder: Path, sink: Sink, contestant: Contestant, work: Work) -> Measured:
    """Have one contestant do the work once."""
    taken, before = sink.taken(), contestant.cpu
    ran = generate(folder, contestant.port, work.load)
    used = contestant.cpu - before
    lost = ran.sessions - (sink.taken().messages - taken.messages)
    return Measured(used / max(ran.sessions, 1), ran, max(lost, 0))


def turns(running: Sequence[str], number: int) -> list[str]:
    """Return who is measured in which order in round *number*."""
    first = number % max(len(running), 1)
    return [*running[first:], *running[:first]]


def measure_all(
    folder: Path,
    sink: Sink,
    running: Mapping[str, Contestant],
    works: Sequence[Work],
    *,
    rounds: int,
    tell: Callable[[str], None],
) -> Rows:
    """Measure everything *rounds* times, after a round that does not count."""
    rows: Rows = {work.name: {name: [] for name in work.who if name in running} for work in works}
    for number in range(rounds + 1):
        for work in works:
            for name in turns(list(rows[work.name]), number):
                tell(f"round {number} of {rounds}: {work.what}: {name}")
                measured = measure(folder, sink, running[name], work.scaled(1 if number else 0.25))
                if number:
                    rows[work.name][name].append(measured)
    return rows
