"""What several workers are worth, and what becomes of peers while they are killed and reloaded.

`python -m bench workers [--rounds 5] [--sessions 4000] [--seconds 60]` has two parts.

*Two workers against one*: both proxies run, and take turns, with all that a site in production has on (warm
verdicts, the guard, events as JSON in a file). The load comes from 64 networks, 40 sessions at a time. With
one worker, that has a core for itself, and load generator and sink have the other; with two, each has a core,
and the generator is on the first one, the sink on the second. From four cores on everybody has his own.

*Crash and reload*: for a minute workers are killed and reloaded under load (`siege`).
"""

import argparse
import os
import resource
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.peers.names import name_server
from bench.peers.processor import cpu_seconds
from bench.peers.programs import Load, build, cache, generate
from bench.proxies import Proxy, proxy, sink
from bench.siege import besiege
from bench.surroundings import workers_of

NETWORKS: Final = 64
AT_ONCE: Final = 40
SPEED: Final = 1.3  # times the sessions a second of one worker
COST: Final = 1.15  # times its CPU a session


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to."""

    speed: float  # sessions a second
    cost: float  # milliseconds of CPU a session, all processes of the proxy


def compare(folder: Path, names: int, *, rounds: int, sessions: int) -> bool:
    """Measure in turn, and print; return whether the goals are met."""
    found: dict[int, list[Round]] = {1: [], 2: []}
    with sink(folder) as (backend, pid), ExitStack() as stack:
        proxies = {count: stack.enter_context(proxy(count, names=names, backend=backend)) for count in found}
        for number in range(rounds + 1):
            for count, one in proxies.items():
                generator = pin(count, one.process.pid, pid)
                measured = measure(folder, one, sessions, generator)
                if number:  # the first warms the verdicts
                    found[count].append(measured)
    speed, cost = (
        [statistics.median(getattr(one, name) for one in found[count]) for count in (1, 2)]
        for name in ("speed", "cost")
    )
    print(f"sessions a second: {speed[0]:.0f} with one worker, {speed[1]:.0f} with two")
    print(f"CPU a session: {cost[0]:.3f} ms with one worker, {cost[1]:.3f} ms with two")
    met = [
        told("sessions a second, two workers to one", speed[1] / speed[0], SPEED, at_least=True),
        told("CPU a session, two workers to one", cost[1] / cost[0], COST, at_least=False),
    ]
    return all(met)


def told(what: str, ratio: float, goal: float, *, at_least: bool) -> bool:
    """Print a ratio beside its goal, and return whether that is met."""
    met = ratio >= goal if at_least else ratio <= goal
    print(f"{what}: {ratio:.2f} (goal {'>=' if at_least else '<='} {goal:g}): {'met' if met else 'MISSED'}")
    return met


def pin(count: int, supervisor: int, sink_: int) -> int:
    """Give each his core, as far as there are enough; return the generator's."""
    cores = sorted(os.sched_getaffinity(os.getppid()))
    workers = cores[:count]
    last, before = cores[-1], cores[-2] if count == 1 or len(cores) > 3 else cores[0]
    for worker, core in zip(workers_of(supervisor)[:count], workers, strict=False):
        os.sched_setaffinity(worker, {core})
    os.sched_setaffinity(sink_, {last})
    return before if len(cores) > 3 or count > 1 else last


def measure(folder: Path, one: Proxy, sessions: int, core: int) -> Round:
    """Have so many sessions made, from *core*."""
    before, usual = cpu_seconds(one.process.pid), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # the generator inherits it
    try:
        ran = generate(folder, one.port, Load(sessions, AT_ONCE, 1024, sources=NETWORKS))
    finally:
        os.sched_setaffinity(0, usual)
    if ran.failed:
        raise SystemExit(f"{ran.failed} sessions failed: {ran.complaint}")
    used = cpu_seconds(one.process.pid) - before
    return Round(ran.sessions / ran.seconds, used / ran.sessions * 1000)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a goal is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench workers", description="Two workers, and one.")
    parser.add_argument("--rounds", type=int, default=5, help="of each, in turn")
    parser.add_argument("--sessions", type=int, default=4000, help="a round")
    parser.add_argument("--seconds", type=float, default=60.0, help="of crash and reload")
    options = parser.parse_args(arguments)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder = cache()
    for program in ("generator", "sink"):
        build(program, folder)
    met = []
    with name_server() as names:
        if options.rounds:
            met.append(compare(folder, names, rounds=options.rounds, sessions=options.sessions))
        if options.seconds:
            met.append(besiege(folder, names, seconds=options.seconds))
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
