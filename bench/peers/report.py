"""What was measured, as a table to read and as JSON to keep."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence

from bench.peers.contestants import NAMES, OURS
from bench.peers.figures import Goal, Spread, cpu_ratios, sound, spread
from bench.peers.rounds import Measured, Rows
from bench.peers.works import Work

WORDS = {True: "met", False: "NOT MET", None: "not measured"}


def table(rows: Rows, works: Sequence[Work], goals: Sequence[Goal]) -> Iterator[str]:
    """Yield the lines of the report."""
    for work in works:
        yield f"\n{work.name}: {work.what}; {work.load.sessions} sessions a round"
        yield (
            f"  {'':32}{'CPU ms a session':>24}{'ours to it':>22}{'p50 ms':>10}{'p99 ms':>10}"
            f"{'sessions/s':>12}"
        )
        for name, rounds in rows[work.name].items():
            yield f"  {NAMES[name]:32}{_cells(rows, work.name, name, rounds)}"
    yield "\nmedian (least-most) of the rounds; goals hold for the median"
    for goal in goals:
        found = spread(goal.values)
        told = "" if found is None else f"{found:.2f}"
        limit = f"<= {goal.most:g} {goal.unit}"
        yield f"  {goal.what:48}{told:>22}   {limit:12}{WORDS[goal.met]}"


def _cells(rows: Rows, work: str, name: str, rounds: Sequence[Measured]) -> str:
    good = [one for one in rounds if sound(one)]
    if not good:
        return f"  {_complaint(rounds)}"
    cpu = spread([one.cpu * 1000 for one in good])
    ratio = spread(cpu_ratios(rows, work, OURS, name)) if name != OURS else None
    return (
        f"{_told(cpu, '.3f'):>24}{_told(ratio, '.2f'):>22}"
        f"{_middle([one.ran.p50 / 1000 for one in good]):>10.2f}"
        f"{_middle([one.ran.p99 / 1000 for one in good]):>10.2f}"
        f"{_middle([one.ran.sessions / one.ran.seconds for one in good]):>12.0f}"
        + (f"  {_complaint(rounds)}" if len(good) < len(rounds) else "")
    )


def _middle(values: Sequence[float]) -> float:
    found = spread(values)
    return found.median if found else 0.0


def _told(found: Spread | None, form: str) -> str:
    return "" if found is None else f"{found:{form}}"


def _complaint(rounds: Sequence[Measured]) -> str:
    failed, lost = sum(one.ran.failed for one in rounds), sum(one.lost for one in rounds)
    words = next((one.ran.complaint for one in rounds if one.ran.complaint), "")
    return f"{failed} sessions failed, {lost} messages lost: {words}" if failed or lost else "not measured"


def as_json(
    rows: Rows, goals: Sequence[Goal], versions: Mapping[str, str], skipped: Mapping[str, str]
) -> dict[str, object]:
    """Return all of it for JSON."""
    return {
        "machine": {
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "versions": dict(versions),
        "skipped": dict(skipped),
        "rows": {
            work: {name: _figures(rounds) for name, rounds in row.items()} for work, row in rows.items()
        },
        "goals": [
            {
                "what": goal.what,
                "most": goal.most,
                "unit": goal.unit,
                "found": found.as_json() if (found := spread(goal.values)) else None,
                "met": goal.met,
            }
            for goal in goals
        ],
    }


def _figures(rounds: Sequence[Measured]) -> dict[str, object]:
    good = [one for one in rounds if sound(one)]
    parts = {
        "cpu_ms": [one.cpu * 1000 for one in good],
        "wall_ms": [one.ran.seconds * 1000 / one.ran.sessions for one in good],
        "p50_ms": [one.ran.p50 / 1000 for one in good],
        "p99_ms": [one.ran.p99 / 1000 for one in good],
        "generator_cpu_ms": [one.ran.cpu * 1000 / one.ran.sessions for one in good],
    }
    figures: dict[str, object] = {
        name: found.as_json() if (found := spread(values)) else None for name, values in parts.items()
    }
    return figures | {
        "rounds": len(good),
        "failed": sum(one.ran.failed for one in rounds),
        "lost": sum(one.lost for one in rounds),
    }
