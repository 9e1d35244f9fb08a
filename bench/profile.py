"""Where the time of a clean session goes, and whether a change has made it less: `python -m bench profile`.

The proxy runs as in `bench.peers`, with all that a site in production has on, under the same load from the
same generator in C, in front of the same sink.

    --against TREE      another checkout beside this one: CPU a session of each, round by round in turns, and
                        their ratio. The machine's moods meet both: two runs apart tell nothing.
    --python OTHER      the same with this tree under another interpreter, one of a virtual environment that
                        has all the proxy needs; with --against, that tree under it.
    (without)           py-spy (`pip install py-spy`) watches the worker: the share of each function, with
                        all that it calls and by itself, and who takes more than 5 % alone.
    --flame FILE        draws the same as a flame graph, in SVG. --folded FILE keeps the stacks as py-spy
                        wrote them, for flamegraph.pl and speedscope.

A sampler sees where a process is, not what it costs: while `send` wakes a process that takes our core, the
time goes on. Therefore the watched worker has a core to itself, and whom it wakes has another: where they
shared all, `send` was 12 to 39 % by the hour, and 15 to 20 so. The check on it is the kernel's own count of
the worker's time in system calls, which stands beside the shares: they are as good as the two agree.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import trio

from bench.flame import draw
from bench.peers.contestants import OURS, Contestant, Surroundings, running
from bench.peers.names import name_server
from bench.peers.processor import times
from bench.peers.programs import build, cache, sink
from bench.peers.rounds import measure, turns
from bench.peers.works import WORKS, Work
from bench.stacks import leaves, read, shares
from bench.surroundings import workers_of

RATE: Final = 400  # samples a second

Cost = Callable[[Contestant, Work], float]  # milliseconds of CPU a session


def main(arguments: Sequence[str]) -> int:
    """Compare, or look; 2 where py-spy is not installed."""
    asked = options(arguments)
    folder = cache()
    for program in ("generator", "sink"):
        build(program, folder)
    work = next(work for work in WORKS if work.name == asked.work)
    compared = asked.against is not None or asked.python is not None
    core = set[int]() if compared else reserve()
    with name_server() as names, sink(folder) as backend, ExitStack() as stack:
        around = Surroundings(folder, backend.port, names)
        if compared:
            sides = {"ours": around, "other": other(asked, around)}
            both = {name: stack.enter_context(running(OURS, side)) for name, side in sides.items()}

            def cpu(contestant: Contestant, load: Work) -> float:
                return measure(folder, backend, contestant, load).cpu * 1000

            print(compare(both, work, asked.rounds, cpu))
            return 0
        ours = stack.enter_context(running(OURS, around))
        measure(folder, backend, ours, work)  # memories warm up

        def keep_busy() -> None:
            measure(folder, backend, ours, work.scaled(0.5))

        worker = workers_of(ours.pid)[0]
        os.sched_setaffinity(worker, core)
        return look(worker, work, asked, keep_busy)


def other(asked: argparse.Namespace, ours: Surroundings) -> Surroundings:
    """Return in what the other one of a comparison runs: its tree, or its interpreter, or both."""
    tree = ours.tree if asked.against is None else asked.against.resolve()
    python = ours.python if asked.python is None else str(asked.python.absolute())
    return replace(ours, tree=tree, python=python)


def compare(both: Mapping[str, Contestant], work: Work, rounds: int, cpu: Cost) -> str:
    """Return the milliseconds of each, and the ratio of *ours* to *other*: medians of the rounds."""
    spent: dict[str, list[float]] = {name: [] for name in both}
    for number in range(rounds + 1):
        for name in turns(list(both), number):
            milliseconds = cpu(both[name], work.scaled(0.5))
            if number:
                spent[name].append(milliseconds)
    ratios = [ours / other for ours, other in zip(spent["ours"], spent["other"], strict=True)]
    figures = ", ".join(f"{name} {statistics.median(values):.3f} ms" for name, values in spent.items())
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    return f"{work.what}: {figures}; ratio {spread}"


def reserve() -> set[int]:
    """Leave a core to the worker, with all that is started from now on; return which."""
    cores = os.sched_getaffinity(0)
    first = {min(cores)}
    os.sched_setaffinity(0, cores - first or cores)
    return first


def caption(work: Work, samples: int, system: float, now: datetime) -> tuple[str, str]:
    """Return the title of the picture, and with what it was made."""
    versions = f"Python {platform.python_version()}, trio {trio.__version__}, {platform.system()}"
    kernel = f"by the kernel's own count {system:.0%} of the CPU was in system calls"
    return (
        f"The path of a clean session by samples, {now.day} {now:%B %Y}",
        f"{work.what}; {samples:,} samples; {versions}; {kernel}.",
    )


def look(worker: int, work: Work, asked: argparse.Namespace, keep_busy: Callable[[], None]) -> int:
    """Watch the *worker* while it is kept busy; print, and draw."""
    with tempfile.TemporaryDirectory() as temporary:
        folded = asked.folded or Path(temporary, "folded")
        watching, before = _watch(worker, asked.seconds, folded), times(worker)
        if watching is None:
            print("py-spy is not here: pip install py-spy")
            return 2
        while watching.poll() is None:
            keep_busy()
        user, system = (now - then for now, then in zip(times(worker), before, strict=True))
        said = watching.communicate()[1]
        if watching.returncode:
            print(said.strip())
            return 1
        stacks = read(folded.read_text("utf-8").splitlines())
    title, made = caption(
        work, stacks.total(), system / max(user + system, 1), datetime.now(tz=UTC).astimezone()
    )
    large = leaves(stacks)
    print("\n".join([*shares(stacks, asked.rows), large, made]))
    if asked.flame:
        asked.flame.write_text(draw(stacks, title, [made, large]), "utf-8")
    return 0


def _watch(pid: int, seconds: int, folded: Path) -> "subprocess.Popen[str] | None":
    beside = Path(sys.executable).parent  # where pip puts it; an environment need not be entered
    program = shutil.which("py-spy") or shutil.which("py-spy", path=beside)
    if program is None:
        return None
    command = [program, "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(RATE)]
    manual = subprocess.run([program, "record", "--help"], capture_output=True, text=True, check=False).stdout
    # A py-spy that sees no system call, as on some processors, leaves it to the function that makes it.
    native = ["--native"] if "--native" in manual else []
    return subprocess.Popen(
        [*command, *native, "--format", "raw", "--output", str(folded)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", choices=[work.name for work in WORKS], default="small", help="which row")
    parser.add_argument("--against", type=Path, metavar="TREE", help="a checkout to compare with")
    parser.add_argument("--python", type=Path, metavar="OTHER", help="an interpreter to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="to watch")
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--flame", type=Path, metavar="FILE", help="draw the stacks there, as SVG")
    parser.add_argument("--folded", type=Path, metavar="FILE", help="keep the stacks there")
    return parser.parse_args(arguments)
