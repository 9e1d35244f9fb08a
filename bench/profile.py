"""Where the time of a clean session goes, and whether a change has made it less: `python -m bench profile`.

The proxy runs as in `bench.peers`, with all that a site in production has on, under the same load from the
same generator in C, in front of the same sink.

    --against TREE      another checkout beside this one: CPU a session of each, round by round in turns, and
                        their ratio. The machine's moods meet both: two runs apart tell nothing.
    (without)           py-spy (`pip install py-spy`) watches the worker: the share of each function, with
                        all that it calls and by itself. --folded FILE keeps the stacks for flamegraph.pl.

A sampler sees where a process is, not what it costs: while `send` wakes a process that takes our core, the
time goes on. Shares of system calls are upper bounds therefore, all others lower ones.
"""

import argparse
import shutil
import statistics
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.peers.contestants import OURS, Contestant, Surroundings, running
from bench.peers.names import name_server
from bench.peers.programs import BENCH, build, cache, sink
from bench.peers.rounds import measure, turns
from bench.peers.works import WORKS, Work
from bench.surroundings import workers_of

RATE: Final = 400  # samples a second

Cost = Callable[[Contestant, Work], float]  # milliseconds of CPU a session


def main(arguments: Sequence[str]) -> int:
    """Compare, or look; 2 where py-spy is not installed."""
    options = _options(arguments)
    folder = cache()
    for program in ("generator", "sink"):
        build(program, folder)
    work = next(work for work in WORKS if work.name == options.work)
    with name_server() as names, sink(folder) as backend, ExitStack() as stack:
        around = Surroundings(folder, backend.port, names)
        if options.against:
            trees = {"ours": BENCH.parent, "other": options.against.resolve()}
            both = {
                name: stack.enter_context(running(OURS, replace(around, tree=tree)))
                for name, tree in trees.items()
            }

            def cpu(contestant: Contestant, load: Work) -> float:
                return measure(folder, backend, contestant, load).cpu * 1000

            print(compare(both, work, options.rounds, cpu))
            return 0
        ours = stack.enter_context(running(OURS, around))
        measure(folder, backend, ours, work)  # memories warm up
        with tempfile.TemporaryDirectory() as temporary:
            folded = options.folded or Path(temporary, "folded")
            watching = _watch(workers_of(ours.pid)[0], options.seconds, folded)
            if watching is None:
                print("py-spy is not here: pip install py-spy")
                return 2
            while watching.poll() is None:
                measure(folder, backend, ours, work.scaled(0.5))
            print("\n".join(shares(folded.read_text("utf-8").splitlines(), options.rows)))
    return 0


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


def shares(folded: Sequence[str], rows: int) -> list[str]:
    """Return a table of *folded* stacks (`a;b;c 12`): each function's share, with its callees and alone."""
    within, alone, total = Counter[str](), Counter[str](), 0
    for line in folded:
        stack, _, count = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        total += int(count)
        alone[frames[-1]] += int(count)
        within.update(dict.fromkeys(frames, int(count)))
    table = [f"{total} samples", "  with what it calls   alone   function"]
    most = [(name, count) for name, count in within.most_common() if count < 0.97 * total]
    for name, samples in most[:rows]:
        table.append(f"  {samples / total:17.1%} {alone[name] / total:7.1%}   {name.replace(' (', '  (')})")
    return table


def _watch(pid: int, seconds: int, folded: Path) -> "subprocess.Popen[bytes] | None":
    program = shutil.which("py-spy")
    if program is None:
        return None
    command = [program, "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(RATE)]
    return subprocess.Popen(
        [*command, "--format", "raw", "--output", str(folded)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", choices=[work.name for work in WORKS], default="small", help="which row")
    parser.add_argument("--against", type=Path, metavar="TREE", help="a checkout to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="to watch")
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--folded", type=Path, metavar="FILE", help="keep the stacks there")
    return parser.parse_args(arguments)
