"""How many peers one process holds, how punctual their bytes are, and what that costs: beside a C program.

`python -m bench.hold [--sessions 1000 5000 10000 15000] [--seconds 15]` starts the proxy as its own process,
connects a crowd (`bench.crowd`, one more process) from as many loopback addresses at a byte a second each,
and prints a table. In the next column stands the same for `bench/tarpit.c`, which does nothing but drip.

One after the other are measured: clean peers through the idle proxy; memory, CPU and lateness while nothing
else goes on; clean peers again; and how fast newcomers have their first byte. Memory is the process's own
(what the kernel keeps for a connection is the same for both). With two cores the crowd, the sink and the
clean peer share the other one, so the clean peer's figures are upper bounds.

The goals, at 15,000: lateness p99 at most 10 ms, CPU a byte at most 1.25 times the C program's, memory at
most 4 KiB a session, a clean session at most 1.2 times as long as through the idle proxy.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.held import HERE, compile_rival, deliver, proxy, rival, usage
from bench.surroundings import sink

CLEAN_SESSIONS: Final = 300
NEWCOMERS: Final = 500
LONGEST: Final = 150  # seconds; the banner outlasts filling up and that


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one program that holds so many peers."""

    held: int
    late_p50: float  # milliseconds
    late_p99: float
    byte_cpu: float  # microseconds
    memory: float  # bytes a session
    accepted: float  # newcomers a second
    clean: float = 0.0  # milliseconds of a clean session, median; 0 where there is none
    idle: float = 0.0  # the same, with nobody held


NOTHING: Final = Figures(0, 0.0, 0.0, 0.0, 0.0, 0.0)  # where there is no C compiler


class Orders:
    """The crowd's process, told what to do."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def give(self, order: str) -> dict[str, float]:
        """Give an order, and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def crowd(port: int) -> Iterator[Orders]:
    """Run a crowd against *port*."""
    command = [sys.executable, "-m", "bench.crowd", str(port)]
    with subprocess.Popen(
        command, cwd=HERE.parent, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Orders(process)
        finally:
            process.terminate()


def measure(pid: int, port: int, sessions: int, *, seconds: int, clean: bool) -> Figures:
    """Measure a program that listens on *port*."""
    idle = _clean_milliseconds(port) if clean else 0.0
    empty = usage(pid)
    with crowd(port) as orders:
        orders.give(f"hold {sessions}")
        orders.give("watch 2")
        before = usage(pid)
        watched = orders.give(f"watch {seconds}")
        after = usage(pid)
        busy = _clean_milliseconds(port) if clean else 0.0
        newcomers = orders.give(f"burst {NEWCOMERS}")
    return Figures(
        held=int(watched["held"]),
        late_p50=watched["p50"],
        late_p99=watched["p99"],
        byte_cpu=(after.cpu - before.cpu) / max(watched["bytes"], 1) * 1e6,
        memory=(after.resident - empty.resident) / max(watched["held"], 1),
        accepted=newcomers["rate"],
        clean=busy,
        idle=idle,
    )


COLUMNS: Final = (
    "held", "late p50 ms", "late p99 ms", "CPU us/byte", "ratio", "bytes/session", "accepted/s",
    "clean ms", "idle ms", "ratio",
)  # fmt: skip


def row(ours: Figures, theirs: Figures | None) -> tuple[str, ...]:
    """Return the cells of a line: each figure, and the C program's behind it."""
    other = theirs or NOTHING
    return (
        f"{ours.held}",
        _beside(ours.late_p50, other.late_p50, ".1f"),
        _beside(ours.late_p99, other.late_p99, ".1f"),
        _beside(ours.byte_cpu, other.byte_cpu, ".1f"),
        _ratio(ours.byte_cpu, other.byte_cpu),
        _beside(ours.memory, other.memory, ".0f"),
        _beside(ours.accepted, other.accepted, ".0f"),
        f"{ours.clean:.2f}",
        f"{ours.idle:.2f}",
        _ratio(ours.clean, ours.idle),
    )


def line(cells: Sequence[str]) -> str:
    """Return the cells as one line of a table."""
    return "".join(f"{cell:>15}" for cell in cells)


def main() -> int:
    """Measure and print; 1 if somebody was not held to the end."""
    options = _options()
    _raise_descriptor_limit()
    rows: list[Figures] = []
    print(line(COLUMNS), flush=True)
    with tempfile.TemporaryDirectory() as folder, sink() as backend:
        compiled = compile_rival(Path(folder))
        for sessions in options.sessions:
            theirs = None
            if compiled is not None:
                with rival(compiled) as (pid, port):
                    theirs = measure(pid, port, sessions, seconds=options.seconds, clean=False)
            with proxy(sessions, backend.port) as (pid, port):
                ours = measure(pid, port, sessions, seconds=options.seconds, clean=True)
            rows.append(ours)
            print(line(row(ours, theirs)), flush=True)
    print("each figure: the proxy's / the C program's; ratio: the proxy's to the C program's, clean to idle")
    return 0 if [ours.held for ours in rows] == options.sessions else 1


def _beside(ours: float, theirs: float, form: str) -> str:
    return f"{ours:{form}} / {theirs:{form}}"


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs else "-"


def _clean_milliseconds(port: int) -> float:
    deliver(port)
    return statistics.median(deliver(port) for _ in range(CLEAN_SESSIONS)) * 1000


def _raise_descriptor_limit() -> None:
    """For the children: each has a limit of its own, and takes it from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.hold", description="Hold peers and time their bytes.")
    parser.add_argument(
        "--sessions",
        type=int,
        nargs="+",
        default=[1000, 5000, 10_000, 15_000],
        help="peers at once, row by row",
    )
    parser.add_argument("--seconds", type=int, default=15, help="length of the measurement")
    options = parser.parse_args()
    if not all(1 <= one <= 60_000 for one in options.sessions) or not 2 <= options.seconds <= LONGEST:
        parser.error(f"1 to 60000 sessions, 2 to {LONGEST} seconds")
    return options


if __name__ == "__main__":
    sys.exit(main())
