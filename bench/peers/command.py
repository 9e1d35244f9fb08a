"""`python -m bench peers`: install and compile what is missing, start everybody, measure, report.

With --json the report is JSON, and the table goes to the standard error, where progress is told as well.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.peers import holding, report
from bench.peers.contestants import DIRECT, NAMES, Contestant, Surroundings, running, version
from bench.peers.figures import goals
from bench.peers.names import name_server
from bench.peers.programs import BENCH, build, cache, sink
from bench.peers.rounds import measure_all
from bench.peers.works import SESSIONS, WORKS, Work

HOLDING: Final = ("held", "hold")  # beside the rows
QUICK: Final = {"rounds": 2, "sessions": 200, "held": 300}
FULL: Final = {"rounds": 5, "sessions": SESSIONS, "held": 10_000}


def main(arguments: Sequence[str]) -> int:
    """Measure and report; 1 if a goal that was measured is not met."""
    options = _options(arguments)
    _raise_descriptor_limit()
    folder = cache()
    if options.install:
        subprocess.run(["sh", str(BENCH / "peers" / "install.sh"), str(folder), sys.executable], check=False)
    for program in ("generator", "sink", "relay"):
        build(program, folder)
    works = [work.scaled(options.sessions / SESSIONS) for work in WORKS if work.name in options.work]
    with name_server() as names, sink(folder) as backend, tempfile.TemporaryDirectory() as temporary:
        around = Surroundings(folder, backend.port, names)
        versions, skipped = _look(_wanted(works, options.only), around)
        with ExitStack() as stack:
            here = _start(stack, versions, skipped, around)
            rows = measure_all(folder, backend, here, works, rounds=options.rounds, tell=_tell)
        found = goals(rows)
        if "held" in options.work:
            found.append(holding.clean_among_held(around, options.held, options.rounds, _tell))
        if "hold" in options.work:
            found.append(
                holding.holding(around, Path(temporary), options.held, min(options.rounds, 3), _tell)
            )
    _tell("")
    heading = [f"  {NAMES[name]}: {text}" for name, text in (versions | skipped).items() if text]
    text = "\n".join([*heading, *report.table(rows, works, found)])
    print(text, file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(json.dumps(report.as_json(rows, found, versions, skipped), indent=1))
    return int(any(goal.met is False for goal in found))


def _wanted(works: Sequence[Work], only: Sequence[str]) -> list[str]:
    wanted = {name for work in works for name in work.who}
    return [name for name in NAMES if name in wanted and (name in only or name == DIRECT)]


def _look(wanted: Sequence[str], around: Surroundings) -> tuple[dict[str, str], dict[str, str]]:
    """Return the versions of those that are installed, and why the others are left out."""
    versions, skipped = dict[str, str](), dict[str, str]()
    for name in wanted:
        found = "" if name == DIRECT else version(name, around)
        if found is None:
            skipped[name] = "left out: not installed"
        else:
            versions[name] = found
    return versions, skipped


def _start(
    stack: ExitStack, versions: dict[str, str], skipped: dict[str, str], around: Surroundings
) -> dict[str, Contestant]:
    """Start everybody; whoever does not start goes from *versions* to *skipped*."""
    here: dict[str, Contestant] = {}
    for name in list(versions):
        _tell(f"starting {name}")
        try:
            here[name] = stack.enter_context(running(name, around))
        except TimeoutError as late:
            del versions[name]
            skipped[name] = f"left out: {late}"
    return here


def _tell(what: str) -> None:
    """Show where we are, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def _raise_descriptor_limit() -> None:
    """For the children: each has a limit of its own, and takes it from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench peers", description="Measure side by side.")
    contestants, rows = [name for name in NAMES if name != DIRECT], [*(w.name for w in WORKS), *HOLDING]
    parser.add_argument("--only", nargs="+", choices=contestants, default=contestants, help="who takes part")
    parser.add_argument("--work", nargs="+", choices=rows, default=rows, help="which rows")
    parser.add_argument("--rounds", type=int, help=f"default {FULL['rounds']}")
    parser.add_argument("--sessions", type=int, help=f"a round of the first row; default {FULL['sessions']}")
    parser.add_argument("--held", type=int, help=f"peers held at once; default {FULL['held']}")
    parser.add_argument("--quick", action="store_true", help="a minute instead of ten: shows that it works")
    parser.add_argument("--json", action="store_true", help="JSON, and the table to the standard error")
    parser.add_argument("--no-install", dest="install", action="store_false", help="only what is there")
    options = parser.parse_args(arguments)
    for name, number in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, number)
        if getattr(options, name) < 1:
            parser.error(f"--{name} is at least 1")
    return options
