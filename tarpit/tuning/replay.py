"""What a candidate would have done to the sessions of a log.

A session's delay under other settings is asked of `policy` itself, for a dialogue as most servers have it.
What the peer would have done then:

    it left after 8 s      it leaves at any delay of 8 s and more, and waits for less
    it was still there     it waits for as much again; for more, as the curve of its kind says of those that
    after 30 s             have waited 30 s
    it was not slowed      as the curve of its kind says

Its kind is the signal that weighed most against it. Where too few of a kind were ever slowed, its answer is
not known, and is counted as such.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from scoring.verdict import Basis, Finding, Result, Verdict
from tarpit.policy import USUAL_SIZES, choose_pace, choose_read_pace
from tarpit.tuning.candidates import Candidate
from tarpit.tuning.past import Past
from tarpit.tuning.survival import Band, Curve

GONE: Final = Band(0.0, 0.0, 0.0)
THERE: Final = Band(1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a candidate does to the sessions of a log. Counts are expected ones, so they have fractions."""

    candidate: Candidate
    gave_up: Band  # sessions without a message taken, of those that reached for one or left while slowed
    lost: Band  # sessions that did deliver, and might not have waited: legitimate, or spam with patience
    unknown: int  # sessions of which nothing can be said under this candidate
    mean_delay: float  # seconds, over all sessions that did deliver
    delays: tuple[float, ...]  # seconds, ascending, of those sessions that did deliver and would be slowed

    def delay_at(self, share: float) -> float:
        """Return the delay that *share* of the delivered that would be slowed stay within."""
        return self.delays[min(int(share * len(self.delays)), len(self.delays) - 1)] if self.delays else 0.0


def replay(sessions: Iterable[Past], candidate: Candidate, curves: Mapping[str, Curve]) -> Effect:
    """Return what *candidate* would have made of *sessions*. *curves* are of the kinds that are known."""
    gave_up, lost, unknown, delays = [0.0] * 3, [0.0] * 3, 0, list[float]()
    delivered, known_delays = 0, dict[tuple[float, float, bool], float]()
    for past in sessions:
        key = past.score, past.vouched, past.spf_passed
        if (delay := known_delays.get(key)) is None:
            delay = known_delays[key] = delay_of(past, candidate)
        if past.delivered:
            delivered += 1
            if delay:
                delays.append(delay)
        stays = chance_to_stay(past, delay, curves.get(past.blamed))
        if stays is None:
            unknown += 1
        elif past.delivered:
            _add(lost, stays)
        elif past.left:
            _add(gave_up, stays)
    mean = sum(delays) / delivered if delivered else 0.0
    return Effect(candidate, Band(*gave_up), Band(*lost), unknown, mean, tuple(sorted(delays)))


def _add(sums: list[float], stays: Band) -> None:
    """Add the chance to leave, its lower end and its upper end."""
    for place, share in enumerate((stays.value, stays.high, stays.low)):
        sums[place] += 1 - share


def chance_to_stay(past: Past, delay: float, curve: Curve | None) -> Band | None:
    """Return how likely the peer of *past* waits for *delay* seconds; None: it is not known."""
    if past.left:
        return GONE if delay and delay >= past.held else THERE
    if delay <= past.held or not delay:
        return THERE
    if curve is None or delay > curve.longest:
        return None
    now, then = curve.at(past.held), curve.at(delay)
    if not now.value:
        return None
    return Band(*(min(share / now.value, 1.0) for share in (then.value, then.low, then.high)))


def delay_of(past: Past, candidate: Candidate) -> float:
    """Return the seconds until the reply to one message to one recipient that *candidate* adds for a peer."""
    verdict, patience = verdict_of(past, candidate), candidate.patience
    if not verdict.suspect:
        return 0.0
    spent = min(candidate.pregreet_wait, patience.banner)
    for stage, size in USUAL_SIZES.items():
        pace = choose_pace(verdict, stage, patience, spent=spent)
        spent += pace.takes(size)
    return spent + choose_read_pace(verdict, patience, spent=spent).within


def verdict_of(past: Past, candidate: Candidate) -> Verdict:
    """Return a verdict of the same score that *candidate* holds against its own thresholds."""
    findings = [Finding("score", Result.LISTED, past.score - past.vouched, "of the log", basis=Basis.CONDUCT)]
    if past.vouched:
        findings.append(Finding("dnswl", Result.LISTED, past.vouched, "of the log", basis=Basis.CONDUCT))
    if past.spf_passed:
        findings.append(Finding("spf", Result.PASS, 0.0, "of the log"))
    return Verdict(tuple(findings), candidate.suspect_at, candidate.hold_at)
