"""What a log amounts to: how long peers wait, by signal, and the settings on the frontier.

On the frontier is a candidate if no other makes more peers give up at less delay of delivered mail. Where
too few sessions were slowed, or too few of them left, there is no frontier: the answer is that it is not
known, and how much more it would take.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tarpit.tuning.candidates import Candidate, candidates
from tarpit.tuning.past import Log, Past
from tarpit.tuning.replay import Effect, replay
from tarpit.tuning.survival import Curve, estimate

ENOUGH: Final = 100  # slowed sessions: with fewer, a share of one half is known to ten points at best
ENOUGH_LEFT: Final = 30  # of these, that left: the bands are for large samples
MOST_UNKNOWN: Final = 0.1  # of all sessions, under a candidate that is compared


@dataclass(frozen=True, slots=True)
class Outlook:
    """All that is printed."""

    log: Log
    patience: Mapping[str, Curve]  # by signal; a session counts for each signal that it had points from
    effects: tuple[Effect, ...]  # on the frontier, and what is in force; none: not enough data
    missing: str = ""  # what there is not enough of

    @property
    def slowed(self) -> int:
        """How many sessions were slowed."""
        return sum(past.slowed for past in self.log.sessions)


def look(log: Log, current: Candidate) -> Outlook:
    """Return what *log* says of patience and of other settings than the *current* ones."""
    slowed = [past for past in log.sessions if past.slowed]
    patience = {signal: _curve(pasts) for signal, pasts in sorted(_by_signal(slowed).items())}
    left = sum(past.left for past in slowed)
    if len(slowed) < ENOUGH or left < ENOUGH_LEFT:
        missing = (
            f"{len(slowed)} sessions were slowed and {left} of them left; "
            f"{ENOUGH} and {ENOUGH_LEFT} are the least from which anything follows"
        )
        return Outlook(log, patience, (), missing)
    kinds: dict[str, list[Past]] = {}
    for past in slowed:
        kinds.setdefault(past.blamed, []).append(past)
    curves = {kind: curve for kind, pasts in kinds.items() if is_enough(curve := _curve(pasts))}
    effects = [replay(log.sessions, one, curves) for one in candidates(current)]
    return Outlook(log, patience, tuple(frontier(effects, most_unknown=MOST_UNKNOWN * len(log.sessions))))


def is_enough(curve: Curve) -> bool:
    """Whether a curve rests on enough to be relied on."""
    return curve.tried >= ENOUGH and curve.ended >= ENOUGH_LEFT


def frontier(effects: Iterable[Effect], *, most_unknown: float) -> list[Effect]:
    """Return the effects that no other beats on both sides, by delay; what is in force is always there."""
    best: list[Effect] = []
    most = -1.0
    for effect in sorted(effects, key=lambda one: (one.mean_delay, -one.gave_up.value)):
        known = effect.unknown <= most_unknown
        if known and round(effect.gave_up.value, 3) > most:
            most = round(effect.gave_up.value, 3)
            best.append(effect)
        elif effect.candidate.current:
            best.append(effect)
    return best


def _curve(pasts: Iterable[Past]) -> Curve:
    return estimate((past.held, past.left) for past in pasts)


def _by_signal(pasts: Iterable[Past]) -> dict[str, list[Past]]:
    found: dict[str, list[Past]] = {}
    for past in pasts:
        for signal in set(past.signals):
            found.setdefault(signal, []).append(past)
    return found
