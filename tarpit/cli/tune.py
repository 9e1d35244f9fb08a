"""`tarpit tune LOG...`: what a log says of how long peers wait, and what other settings would have bought.

It reads, computes and prints. It never changes anything, and says so where there is not enough data. What it
cannot know is in docs/tuning.md.
"""

import json
import os
import sys
from collections.abc import Iterator
from math import isinf
from pathlib import Path
from typing import Annotated, Final

import typer

from tarpit.cli.options import EnvFile, Json
from tarpit.settings import load
from tarpit.tuning.candidates import candidate_of
from tarpit.tuning.outlook import Outlook, is_enough, look
from tarpit.tuning.past import Log, read
from tarpit.tuning.replay import Effect
from tarpit.tuning.survival import Band, Curve

PATIENCE: Final = "{:<32}  {:>7}  {:>6}  {:<28}  {}"
EFFECT: Final = "{:>9}  {:>7}  {:>7}  {:>6}  {:<24}  {:<22}  {:>7}  {:>8}  {:>8}  {}"
AFTER: Final = (5.0, 15.0, 30.0, 60.0)  # seconds
STANDARD_INPUT: Final = Path("-")

Logs = Annotated[
    list[Path],
    typer.Argument(metavar="LOG...", help="Files of JSON lines (TARPIT_LOG_FORMAT=json); - for stdin."),
]


def command(logs: Logs, env_file: EnvFile = None, json_: Json = False) -> None:
    """Estimate from a log how long peers wait, and print the settings worth a choice. Changes nothing."""
    # imported here: the other commands do not need the path of a session
    from tarpit.services import patience_of  # noqa: PLC0415

    settings = load(os.environ, env_file)
    outlook = look(_read(logs), candidate_of(settings, patience_of(settings)))
    print(json.dumps(as_json(outlook), indent=2) if json_ else "\n".join(as_text(outlook)))


def _read(logs: list[Path]) -> Log:
    try:
        return read(_lines(logs))
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(1) from None


def _lines(logs: list[Path]) -> Iterator[str]:
    for path in logs:
        if path == STANDARD_INPUT:
            yield from sys.stdin
        else:
            with path.open(encoding="utf-8", errors="replace") as lines:
                yield from lines


# -- for a reader


def as_text(outlook: Outlook) -> Iterator[str]:
    """Yield the report, line by line."""
    log = outlook.log
    yield (
        f"{len(log.sessions)} sessions, {outlook.slowed} of them slowed; left out: {log.hostile} hostile, "
        f"{log.blind} blind, {log.unreadable} lines that could not be read"
    )
    yield ""
    yield "How long peers wait, by what was held against them (95 % bands)"
    yield PATIENCE.format("signal", "slowed", "left", "half have left after", _heading())
    for signal, curve in outlook.patience.items():
        yield _patience_line(signal, curve)
    yield ""
    if outlook.missing:
        yield f"Not enough data: {outlook.missing}."
        return
    yield "Settings on the frontier: no other makes more peers give up at less delay of delivered mail"
    yield EFFECT.format(
        "_SUSPECT",
        "_BANNER",
        "_REPLY",
        "_DATA",
        "give up",
        "delivered, might leave",
        "mean",
        "p50",
        "p95",
        "",
    ).rstrip()
    for effect in outlook.effects:
        yield _effect_line(effect)
    yield ""
    yield "mean: seconds of delay over all delivered sessions; p50, p95: over those of them that are slowed."
    yield "_SUSPECT is TARPIT_SCORE_SUSPECT, the others are TARPIT_PACE_*. Nothing has been changed."


def _heading() -> str:
    return "still there after " + ", ".join(f"{seconds:g} s" for seconds in AFTER)


def _patience_line(signal: str, curve: Curve) -> str:
    if not is_enough(curve):
        return PATIENCE.format(signal, curve.tried, curve.ended, "not enough data", "").rstrip()
    shares = "  ".join(
        f"{curve.at(seconds).value:4.0%}" if seconds <= curve.longest else "   ?" for seconds in AFTER
    )
    return PATIENCE.format(signal, curve.tried, curve.ended, _seconds(curve.median()), shares)


def _seconds(band: Band) -> str:
    if isinf(band.value):
        return "more than half stay"
    high = "?" if isinf(band.high) else f"{band.high:.1f}"
    return f"{band.value:.1f} s ({band.low:.1f} to {high})"


def _effect_line(effect: Effect) -> str:
    suspect, banner, reply, data = effect.candidate.variables().values()
    notes = ["in force"] if effect.candidate.current else []
    if effect.unknown:
        notes.append(f"not known of {effect.unknown}")
    return EFFECT.format(
        suspect,
        banner,
        reply,
        data,
        _count(effect.gave_up),
        _count(effect.lost),
        f"{effect.mean_delay:.1f}",
        f"{effect.delay_at(0.5):.1f}",
        f"{effect.delay_at(0.95):.1f}",
        ", ".join(notes),
    ).rstrip()


def _count(band: Band) -> str:
    return f"{band.value:.0f} ({band.low:.0f} to {band.high:.0f})"


# -- for a program


def as_json(outlook: Outlook) -> dict[str, object]:
    """Return the report in plain values; a number that is not known is null."""
    log = outlook.log
    return {
        "sessions": len(log.sessions),
        "slowed": outlook.slowed,
        "left_out": {"hostile": log.hostile, "blind": log.blind, "unreadable": log.unreadable},
        "enough": not outlook.missing,
        "missing": outlook.missing or None,
        "patience": {signal: _curve_as_json(curve) for signal, curve in outlook.patience.items()},
        "frontier": [_effect_as_json(effect) for effect in outlook.effects],
    }


def _curve_as_json(curve: Curve) -> dict[str, object]:
    enough = is_enough(curve)
    return {
        "slowed": curve.tried,
        "left": curve.ended,
        "enough": enough,
        "median": _band_as_json(curve.median()) if enough else None,
        "still_there": {
            f"{seconds:g}": _band_as_json(curve.at(seconds)) for seconds in AFTER if seconds <= curve.longest
        }
        if enough
        else None,
    }


def _effect_as_json(effect: Effect) -> dict[str, object]:
    return {
        "settings": effect.candidate.variables(),
        "in_force": effect.candidate.current,
        "gave_up": _band_as_json(effect.gave_up),
        "delivered_might_leave": _band_as_json(effect.lost),
        "not_known": effect.unknown,
        "mean_delay": round(effect.mean_delay, 2),
        "delay_p50": round(effect.delay_at(0.5), 2),
        "delay_p95": round(effect.delay_at(0.95), 2),
    }


def _band_as_json(band: Band) -> dict[str, float | None]:
    named = {"value": band.value, "low": band.low, "high": band.high}
    return {name: None if isinf(value) else round(value, 3) for name, value in named.items()}
