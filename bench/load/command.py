"""`python -m bench load`: a population against a running proxy, over real sockets.

The result goes to the standard output, as text or as JSON; progress to the standard error.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.fleet.compare import variables_of
from bench.fleet.models import PopulationError
from bench.fleet.ours import policy_of_file, settings_for
from bench.fleet.population import Preset, presets, read_preset
from bench.load.crowd import Load, Tell, loaded
from bench.load.crowd import Progress as Done
from bench.load.report import Figures, figures, lines
from bench.load.schedule import Arrivals
from bench.load.socketed import Notes
from bench.load.surroundings import Own, own_proxy
from tarpit.errors import SettingsError

UNUSABLE: Final = 78  # the exit code of settings that cannot be used, as of `tarpit`
NOBODY_THERE: Final = 1  # not one connection stood
SESSIONS: Final = 3000
COMPRESS: Final = 300.0  # seconds
WAIT: Final = 300.0
TELL_EVERY: Final = 10.0  # seconds, where there is no terminal


def main(arguments: Sequence[str]) -> int:
    """Let everybody come, and report."""
    options = _options(arguments)
    try:
        preset = read_preset(options.preset)
        variables = _variables(preset, options)
        began = time.monotonic()
        notes, own = _run(preset, variables, options)
    except (PopulationError, SettingsError) as unusable:
        print(unusable, file=sys.stderr)
        return UNUSABLE
    head = {
        "preset": preset.name,
        "seed": options.seed,
        "sessions": _sessions(options),
        "proxy": f"{options.host}:{options.port}" if own is None else "own",
        "processes": options.processes,
        "seconds": round(time.monotonic() - began, 1),
    }
    found = figures(notes) | (_of_own(own) if own else {})
    if options.json:
        print(json.dumps({**head, **found, "settings": variables if own else {}}, indent=1))
    else:
        print("\n".join(lines(head, found)))
    return 0 if notes.connects else NOBODY_THERE


def _variables(preset: Preset, options: argparse.Namespace) -> dict[str, str]:
    """Return the settings of a proxy of our own, with their whole names. Raises as `main` catches."""
    if options.settings is not None:
        variables, left_out = policy_of_file(options.settings)
        if left_out:
            print(f"no policy, and left out: {' '.join(left_out)}", file=sys.stderr)
    elif options.policy in preset.ours:
        variables = variables_of(preset, options.policy)
    else:
        raise PopulationError(f"no policy of ours is called {options.policy}: {', '.join(preset.ours)}")
    settings_for(variables)
    return variables


def _run(
    preset: Preset, variables: Mapping[str, str], options: argparse.Namespace
) -> tuple[Notes, Own | None]:
    if not options.own:
        return _load(preset, options, (str(options.host), options.port)), None
    with own_proxy(preset, variables, seed=options.seed, sessions=_sessions(options)) as own:
        notes = _load(preset, options, own.target)
    return notes, own


def _load(preset: Preset, options: argparse.Namespace, target: tuple[str, int]) -> Notes:
    load = Load(
        preset,
        seed=options.seed,
        sessions=_sessions(options),
        arrivals=_arrivals(options),
        target=target,
        seconds=options.seconds,
        patience=options.wait,
        from_loopback=ip_address(target[0]).is_loopback,
    )
    with _progress(load.sessions) as tell:
        return loaded(load, processes=options.processes, tell=tell)


def _arrivals(options: argparse.Namespace) -> Arrivals:
    if options.rate is not None or options.real_time:
        return Arrivals(rate=options.rate)
    return Arrivals(compress=options.compress or COMPRESS)


def _sessions(options: argparse.Namespace) -> int:
    if options.sessions is not None:
        return int(options.sessions)
    if options.rate is not None and options.seconds < math.inf:
        return math.ceil(float(options.rate) * float(options.seconds))
    return SESSIONS


def _of_own(own: Own) -> Figures:
    return {
        "backend_connections_peak": own.backend_peak,
        "backend_seconds": round(own.backend_seconds, 1),
        "backend_messages": own.backend_messages,
        "proxy_cpu_seconds": round(own.cpu, 2),
    }


@contextmanager
def _progress(sessions: int) -> Iterator[Tell]:
    """Yield what is told of how far all are: a bar on a terminal, elsewhere a line now and then."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    told = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=sessions)

        def tell(parts: Sequence[Done]) -> None:
            nonlocal told
            done = sum(part.done for part in parts)
            state = f"{sum(p.started for p in parts)} came, {sum(p.open for p in parts)} connections"
            progress.update(bar, completed=done, description=state)
            if not console.is_terminal and time.monotonic() - told > TELL_EVERY:
                told = time.monotonic()
                print(f"{state}, {done} of {sessions} done with", file=sys.stderr, flush=True)

        yield tell


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench load", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--host", type=IPv4Address, default="127.0.0.1", help="where the proxy is: an IPv4 address"
    )
    parser.add_argument("--port", type=int, default=2525)
    parser.add_argument("--own", action="store_true", help="start a proxy, a mail server and DNS for it")
    parser.add_argument("--preset", default="busy-day", help=f"{', '.join(presets())}, or a .toml file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, help=f"senders; default {SESSIONS}, or what the rate makes")
    when = parser.add_mutually_exclusive_group()
    when.add_argument(
        "--compress",
        type=float,
        metavar="SECONDS",
        help=f"that a day is made to last; default {COMPRESS:.0f}",
    )
    when.add_argument("--rate", type=float, help="senders a second, instead of the day's arrivals")
    when.add_argument("--real-time", action="store_true", help="the day as it is, from the first sender on")
    parser.add_argument("--seconds", type=float, default=math.inf, help="nobody comes after so many")
    parser.add_argument(
        "--wait",
        type=float,
        default=WAIT,
        help="seconds behind the last arrival; whoever is there is cut off",
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--policy", default="ours", help="of the preset, with --own")
    parser.add_argument("--settings", type=Path, help="an env-file instead of a policy, with --own")
    parser.add_argument("--json", action="store_true", help="JSON instead of text")
    return parser.parse_args(arguments)
