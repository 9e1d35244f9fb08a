"""From verdict, stage, load and what a peer has shown to a pace. Pure: no clock, no sockets, no state.

The one idea: a pace and a ceiling. The pace (seconds before a reply, seconds between bytes) says how bad
the peer looks; the ceiling says how long the honest clients among such peers will wait, read in their own
source. docs/policy.md derives each ceiling from the clients it protects; tests/test_zoo.py holds them
against those clients' timers. Whatever the pace, at the ceiling the rest of the reply goes out at once.

Front-loaded: spammers give up at the first replies or hardly ever. Their published patience has spikes at
10, 21 and 100 s, and a banner of 15 s with an EHLO of 25 s lies beyond the first two. The third would cost
each honest sender a minute more for every message, so later replies get half a ceiling (`PART_OF_REPLY`);
who commits offences loses that favour.

Rejected: a pace scaled down for later replies, in place of the ceiling. A backend's long reply to RCPT would
then take as long as ever, and the sum of a session would hang on the backend's turn of phrase.

`explain_pace` says all of it in words, by asking the same functions. How bytes are slowed is `drip`; who is a
suspect is `scoring`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from scoring.verdict import Result, Verdict
from tarpit.load import SPARE_ABOVE, left_of_delays
from tarpit.pace import FULL_SPEED, Pace, Stage

# KumoMTA gives RSET and STARTTLS 5 s, Postfix RSET 20 s; and a late reply to the end of data makes
# duplicates (RFC 1047).
NEVER_SLOWED: Final = frozenset({Stage.PROMPT, Stage.END})

# What is left of TARPIT_PACE_REPLY for a reply after EHLO. OTHER (errors, VRFY, HELP) is nothing that an
# honest client waits for.
PART_OF_REPLY: Final = {Stage.MAIL: 0.5, Stage.RCPT: 0.5, Stage.DATA: 0.5}

OFFENCES: Final = 3  # from so many on, a peer is not spared any more
EARNED: Final = 0.5  # what one proof of honesty leaves of every delay
PROOFS: Final = 2  # more of them count no further


class Treatment(StrEnum):
    """What a peer gets."""

    PASS = "pass"  # noqa: S105 - not a password
    SLOW = "slow"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Patience:
    """The settings that bound every pace: seconds each, but for *jitter* and *read*.

    *read* is bytes a second of a message, and *data* the seconds it may cost; 0 of either is full speed.
    """

    byte: float
    delay: float
    banner: float
    reply: float
    session: float
    hold: float
    jitter: float
    data: float = 0.0
    read: float = 0.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What a peer has shown so far, beyond what its verdict says. Counts are of this session."""

    messages: int = 0  # accepted by a backend
    good_before: int = 0  # messages that a backend accepted in earlier sessions
    offences: int = 0  # recipients refused for good, commands out of turn, junk


NOTHING_SHOWN: Final = Shown()


@dataclass(frozen=True, slots=True)
class ReadPace:
    """How a message is read: bytes a second (inf: as fast as it comes), for at most *within* seconds."""

    rate: float = inf
    within: float = 0.0

    @property
    def slow(self) -> bool:
        """Whether any time is added at all."""
        return self.within > 0 and self.rate < inf


READ_AT_ONCE: Final = ReadPace()


def choose_treatment(verdict: Verdict) -> Treatment:
    """Return what the verdict asks for."""
    score = verdict.score
    if score >= verdict.hold_at:
        return Treatment.HOLD
    return Treatment.SLOW if score >= verdict.suspect_at else Treatment.PASS


def refused_at_once(verdict: Verdict, load: float) -> bool:
    """Whether a hostile peer gets its refusal now: above the second mark nobody's time is worth a session."""
    return verdict.hostile and load > SPARE_ABOVE


def choose_pace(
    verdict: Verdict,
    stage: Stage,
    patience: Patience,
    *,
    load: float = 0.0,
    spent: float = 0.0,
    waited: float = 0.0,
    shown: Shown = NOTHING_SHOWN,
) -> Pace:
    """Return the pace of one reply.

    *load* is how full the server is, *spent* the seconds that this session has been slowed so far (for the
    banner: since the connection), *waited* the seconds since the command was read (look-ups, the backend).
    """
    if stage in NEVER_SLOWED:
        return FULL_SPEED
    share = _share(verdict, load, shown)
    if share == 0:
        return FULL_SPEED
    within = _ceiling(verdict, stage, patience, spent=spent, shown=shown) * _mercy(verdict, load, shown)
    left = max(within - waited, 0.0)
    return Pace(patience.delay * share, patience.byte * share, left, patience.jitter)


def choose_read_pace(
    verdict: Verdict,
    patience: Patience,
    *,
    load: float = 0.0,
    spent: float = 0.0,
    shown: Shown = NOTHING_SHOWN,
) -> ReadPace:
    """Return how a suspect's message is read, once for the message; *spent* as for a reply.

    The seconds bound the wait before the commit as well: they run on the sender's timer for the dot, which
    may have started when its kernel took the message.
    """
    share = _share(verdict, load, shown)
    if share == 0 or not patience.read or choose_treatment(verdict) is Treatment.HOLD:
        return READ_AT_ONCE
    within = min(patience.data * _mercy(verdict, load, shown), patience.session - spent)
    return ReadPace(patience.read / share, within) if within > 0 else READ_AT_ONCE


def proofs_of_honesty(verdict: Verdict, shown: Shown) -> tuple[str, ...]:
    """Return what speaks for a suspect, in words. Each shortens every delay; none makes it clean.

    A negative weight has lowered the score already; that it is there at all is a proof as well.
    """
    claims = {
        "SPF passed": any(f.signal == "spf" and f.result is Result.PASS for f in verdict.findings),
        "a list vouches for it": verdict.vouched_for,
        "a backend took its mail before": shown.good_before > 0,
        "a backend took its message just now": shown.messages > 0,
    }
    return tuple(claim for claim, holds in claims.items() if holds)


def _share(verdict: Verdict, load: float, shown: Shown) -> float:
    """Return how much of the full pace a peer gets: half at the threshold, all at twice the threshold."""
    if not verdict.suspect:
        return 0.0
    worst = 2 * verdict.suspect_at
    badness = 1.0 if verdict.hostile or worst <= 0 else min(verdict.score / worst, 1.0)
    return badness * _mercy(verdict, load, shown)


def _mercy(verdict: Verdict, load: float, shown: Shown) -> float:
    """Return what load and honesty leave of a delay. Nothing speaks for who is held."""
    proofs = 0 if verdict.hostile else min(len(proofs_of_honesty(verdict, shown)), PROOFS)
    return left_of_delays(load) * EARNED**proofs


def _ceiling(verdict: Verdict, stage: Stage, patience: Patience, *, spent: float, shown: Shown) -> float:
    """Return the seconds that one reply may take, before mercy."""
    if verdict.hostile:
        return patience.hold
    if stage is Stage.BANNER:
        return max(min(patience.banner, patience.session) - spent, 0.0)
    part = 1.0 if shown.offences >= OFFENCES else PART_OF_REPLY.get(stage, 1.0)
    return max(min(patience.reply * part, patience.session - spent), 0.0)


# Bytes of the replies of a dialogue as most servers have it: one message to one recipient.
USUAL_SIZES: Final = {Stage.BANNER: 30, Stage.HELLO: 120, Stage.MAIL: 14, Stage.RCPT: 14, Stage.DATA: 37}


def explain_pace(
    verdict: Verdict,
    patience: Patience,
    *,
    load: float = 0.0,
    shown: Shown = NOTHING_SHOWN,
    sizes: Mapping[Stage, int] = USUAL_SIZES,
) -> tuple[str, ...]:
    """Return, line by line, which signals make the pace and how long each stage of one delivery takes."""
    share = _share(verdict, load, shown)
    if share == 0:
        return (_why_not(verdict),)
    lines = [f"slowed by {_blamed(verdict)}"]
    lines += [f"spared by half: {claim}" for claim in proofs_of_honesty(verdict, shown)[:PROOFS]]
    if left_of_delays(load) < 1:
        lines.append(f"the server is {load:.0%} full: {left_of_delays(load):.0%} of every delay is left")
    lines.append(
        f"{share:.0%} of full pace: {patience.delay * share:.3g} s before a reply, "
        f"{patience.byte * share:.3g} s between bytes, ± {patience.jitter:.0%}"
    )
    spent = 0.0
    for stage, size in sizes.items():
        pace = choose_pace(verdict, stage, patience, load=load, spent=spent, shown=shown)
        seconds = pace.takes(size)
        spent += seconds
        cut = ", the rest at once" if seconds == pace.within else ""
        lines.append(f"{stage.value:<8} {seconds:5.1f} s of at most {pace.within:.3g} s{cut}")
    reading = choose_read_pace(verdict, patience, load=load, spent=spent, shown=shown)
    if reading.slow:
        spent += reading.within
        lines.append(f"{'message':<8} {reading.within:5.1f} s at most, {reading.rate:.0f} bytes a second")
    lines.append(f"{'in all':<8} {spent:5.1f} s until a message to one recipient is answered")
    return tuple(lines)


def _why_not(verdict: Verdict) -> str:
    if verdict.suspect:
        return "not slowed: the server is too full"
    return f"not slowed: {verdict.score:g} points are below {verdict.suspect_at:g}"


def _blamed(verdict: Verdict) -> str:
    worst = sorted((f for f in verdict.findings if f.points > 0), key=lambda f: -f.points)
    return ", ".join(f"{finding.signal} ({finding.points:g})" for finding in worst)
