"""`python -m bench fleet`: a day of spammers and honest senders, once under each policy, in virtual time.

The result goes to the standard output, as a table or as JSON; progress to the standard error.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.fleet.compare import Tell, compare, policies_of, variables_of
from bench.fleet.figures import Figures
from bench.fleet.models import PopulationError
from bench.fleet.ours import policy_of_file, settings_for
from bench.fleet.population import Preset, presets, read_preset
from bench.fleet.records import Day
from bench.fleet.rivals import RIVALS
from bench.fleet.table import lines
from tarpit.errors import SettingsError

UNUSABLE: Final = 78  # the exit code of settings that cannot be used, as of `tarpit`
BUG: Final = 1

Results = Sequence[tuple[Day, Figures]]


def main(arguments: Sequence[str]) -> int:
    """Let all policies live through the day, and report."""
    options = _options(arguments)
    try:
        preset = read_preset(options.preset)
        policies = _policies(preset, options.only, options.settings)
    except (PopulationError, SettingsError) as unusable:
        print(unusable, file=sys.stderr)
        return UNUSABLE
    sessions, began = options.sessions or preset.sessions, time.monotonic()
    keep = any(path is not None for path in (options.records, options.html, options.picture))
    with _progress(list(policies), sessions) as tell:
        results = compare(
            preset,
            policies,
            seed=options.seed,
            sessions=sessions,
            tell=tell,
            keep_records=keep,
            processes=options.processes,
        )
    found = {day.policy: figures for day, figures in results}
    if options.records is not None:
        _write_records(results, options.records)
    if options.html is not None:
        _write_page(results, options.html, preset=preset.name, seed=options.seed, sessions=sessions)
    if options.picture is not None:
        _write_picture(results, options.picture)
    if options.json:
        head = {"preset": preset.name, "seed": options.seed, "sessions": sessions}
        print(json.dumps({**head, "policies": found}, indent=1))
    else:
        print("\n".join(lines(preset.name, options.seed, sessions, found)))
    return _tell_end(results, time.monotonic() - began)


def _policies(
    preset: Preset, only: Sequence[str] | None, files: Sequence[Path]
) -> dict[str, Mapping[str, str]]:
    """Return the settings by policy. Raises `PopulationError` and `SettingsError`."""
    names = policies_of(preset)
    if strangers := [name for name in only or () if name not in names]:
        raise PopulationError(f"no policy is called {', '.join(strangers)}; there are {', '.join(names)}")
    policies: dict[str, Mapping[str, str]] = {
        name: {} if name in RIVALS else variables_of(preset, name) for name in only or names
    }
    for path in files:
        policies[path.stem], left_out = policy_of_file(path)
        if left_out:
            print(f"{path.name}: no policy, and left out: {' '.join(left_out)}", file=sys.stderr)
    for name, variables in policies.items():
        if name not in RIVALS:
            settings_for(variables)
    return policies


@contextmanager
def _progress(policies: Sequence[str], sessions: int) -> Iterator[Tell]:
    """Yield what is told of how far each policy is; shown on a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:16}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = {policy: progress.add_task(policy, total=sessions) for policy in policies}

        def tell(done: Mapping[str, int]) -> None:
            for policy, count in done.items():
                progress.update(bars[policy], completed=count)

        yield tell


def _write_records(results: Results, folder: Path) -> None:
    """Write each policy's records and readings, a JSON object a line."""
    folder.mkdir(parents=True, exist_ok=True)
    for day, _ in results:
        for name, rows in ((day.policy, day.records), (f"{day.policy}.gauges", day.readings)):
            with (folder / f"{name}.jsonl").open("w") as file:
                file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)


def _write_page(results: Results, path: Path, *, preset: str, seed: int, sessions: int) -> None:
    from bench.report.page import page  # noqa: PLC0415 - its plots want more than the rest does

    found = {day.policy: figures for day, figures in results}
    path.write_text(page([day for day, _ in results], found, preset=preset, seed=seed, sessions=sessions))


def _write_picture(results: Results, path: Path) -> None:
    from bench.report.charts import survival  # noqa: PLC0415 - as above

    path.write_text(survival([day for day, _ in results], honest=False))


def _tell_end(results: Results, seconds: float) -> int:
    """Say what it took, which is no part of the result; and what should not have happened."""
    cpu = sum(day.cpu_seconds for day, _ in results)
    most = max(day.memory for day, _ in results) / 2**20
    print(f"{seconds:.0f} s, {cpu:.0f} s of CPU, {most:.0f} MiB in the largest process", file=sys.stderr)
    bugs = [f"{day.policy}: {bug}" for day, _ in results for bug in day.bugs]
    for bug in bugs:
        print(f"a session failed: {bug}", file=sys.stderr)
    return BUG if bugs else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench fleet", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--preset", default="busy-day", help=f"{', '.join(presets())}, or a .toml file")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same day")
    parser.add_argument("--sessions", type=int, help="senders; default: as the preset has it")
    parser.add_argument("--only", nargs="+", metavar="POLICY", help="these policies of the preset")
    parser.add_argument(
        "--settings",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="env-files with TARPIT_ settings to compare as well",
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots as well")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write how long bots stay, as SVG")
    parser.add_argument("--records", type=Path, metavar="FOLDER", help="write what each connection came to")
    parser.add_argument("--processes", type=int, help="default: as many as there are cores")
    return parser.parse_args(arguments)
