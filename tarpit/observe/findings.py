"""A finding as an event has it, a dictionary.

The one idea: what is remembered of a peer is told again with each of its sessions, and nothing in it has
changed but its age. So all the rest is made once.
"""

from functools import lru_cache
from typing import Final

from scoring.verdict import Finding, Result
from tarpit.observe.log import safe

KEPT: Final = 4096  # findings; 3 MB


def told(finding: Finding, remembered: float) -> dict[str, str | float]:
    """Return *finding*, which was *remembered* for so many seconds."""
    said = _said(finding.signal, finding.result, finding.points, finding.why, finding.seconds)
    return {**said, "age": round(finding.age + remembered, 1)}


@lru_cache(KEPT, typed=True)  # by type: 3 and 3.0 are written differently
def _said(signal: str, result: Result, points: float, why: str, seconds: float) -> dict[str, str | float]:
    return {
        "signal": safe(signal),
        "result": str(result),
        "points": points,
        "why": safe(why, 200),
        "ms": round(seconds * 1000, 1),
    }
