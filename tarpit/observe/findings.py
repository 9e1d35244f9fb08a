"""Findings as an event has them, each a dictionary.

The one idea: what is remembered of a peer is told again with each of its sessions, and nothing in it has
changed but its age. So all the rest is made once. What was found just now is not kept: the seconds that it
took come never again, and a flood of strangers would push out what is told of everybody else.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from scoring.verdict import Finding, Result
from tarpit.observe.log import safe

Told = dict[str, str | float]

KEPT: Final = 4096  # findings; 3 MB


def told(findings: Iterable[tuple[Finding, float]]) -> list[Told]:
    """Return *findings*, each with the seconds for which it was remembered.

    What has tenths is rounded as a whole number: to so many places a float is written out and read again.
    """
    story = []
    for finding, remembered in findings:
        say = _said_again if remembered > 0 else _said
        said = say(finding.signal, finding.result, finding.points, finding.why, finding.seconds)
        story.append({**said, "age": round((finding.age + remembered) * 10) / 10})
    return story


def _said(signal: str, result: Result, points: float, why: str, seconds: float) -> Told:
    return {
        "signal": safe(signal),
        "result": str(result),
        "points": points,
        "why": safe(why, 200),
        "ms": round(seconds * 1000, 1),
    }


_said_again: Final = lru_cache(KEPT, typed=True)(_said)  # by type: 3 and 3.0 are written differently
