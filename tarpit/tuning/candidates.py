"""The settings that are tried: those in force, and around them what an operator might take instead.

None goes beyond what honest senders wait for (docs/policy.md): their patience is known from their source, and
no log of yours shows who among them would have given up.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from tarpit.policy import Patience
from tarpit.settings import Settings
from tarpit.units import format_duration

SUSPECT_AT: Final = (2.0, 3.0, 4.0, 5.0)
BUDGETS: Final = ((3.0, 3.0), (5.0, 5.0), (9.0, 9.0), (12.0, 15.0), (15.0, 25.0))  # seconds: banner, reply
DATA: Final = (0.0, 10.0)  # seconds


@dataclass(frozen=True, slots=True)
class Candidate:
    """Settings that can be compared: the threshold, and how slow suspects are served."""

    suspect_at: float
    hold_at: float
    pregreet_wait: float  # seconds
    patience: Patience
    current: bool = False

    def variables(self) -> dict[str, str]:
        """Return the settings as they are written."""
        return {
            "TARPIT_SCORE_SUSPECT": f"{self.suspect_at:g}",
            "TARPIT_PACE_BANNER": format_duration(self.patience.banner),
            "TARPIT_PACE_REPLY": format_duration(self.patience.reply),
            "TARPIT_PACE_DATA": format_duration(self.patience.data),
        }


def candidates(current: Candidate) -> Iterator[Candidate]:
    """Yield *current* and what is tried beside it."""
    yield replace(current, current=True)
    nearest_first = sorted(SUSPECT_AT, key=lambda suspect_at: abs(suspect_at - current.suspect_at))
    for suspect_at, (banner, reply), data in product(nearest_first, BUDGETS, DATA):
        patience = replace(current.patience, banner=banner, reply=reply, data=data)
        other = replace(current, suspect_at=suspect_at, patience=patience, current=False)
        if other != replace(current, current=False) and suspect_at + 1 <= current.hold_at:
            yield other


def candidate_of(settings: Settings, patience: Patience) -> Candidate:
    """Return what is in force."""
    return Candidate(
        settings.score_suspect, settings.score_hold, settings.pregreet_wait, patience, current=True
    )
