"""From verdict, stage and load to a pace. Pure: no clock, no sockets, no state.

The budgets are ceilings that honest clients were read or measured to survive: a whole banner
within 15 s (Barracuda waits 45 s, E-MailRelay 20 s, nodemailer and mox 30 s), any other reply within 25 s
(mox 30 s, KumoMTA 30 s to DATA), a session within 240 s. STARTTLS, RSET, NOOP and QUIT are never
slowed (KumoMTA gives RSET and STARTTLS 5 s), and the reply to the end of data neither: delaying it
makes duplicates (RFC 1047).

How bytes are slowed is `drip`; who is a suspect is `scoring`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scoring.verdict import Verdict
from tarpit.load import SHRINK_ABOVE, SPARE_ABOVE
from tarpit.pace import FULL_SPEED, Pace, Stage

NEVER_SLOWED: Final = frozenset({Stage.PROMPT, Stage.END})


class Treatment(StrEnum):
    """What a peer gets."""

    PASS = "pass"  # noqa: S105 - not a password
    SLOW = "slow"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Patience:
    """The settings that bound every pace: seconds each."""

    byte: float
    delay: float
    banner: float
    reply: float
    session: float
    hold: float
    jitter: float


def choose_treatment(verdict: Verdict) -> Treatment:
    """Return what the verdict asks for."""
    if verdict.hostile:
        return Treatment.HOLD
    return Treatment.SLOW if verdict.suspect else Treatment.PASS


def choose_pace(
    verdict: Verdict, stage: Stage, patience: Patience, *, load: float = 0.0, spent: float = 0.0
) -> Pace:
    """Return the pace of one reply, given how full the server is and the seconds already *spent*.

    For the banner *spent* counts from the connection; for all other replies it is what this session
    has been slowed so far. A suspect at twice the threshold is served at full pace, one just above it
    at half of that. Above 0.7 of the sessions delays shrink; above 0.9 nobody is slowed.
    """
    treatment = choose_treatment(verdict)
    if treatment is Treatment.PASS or stage in NEVER_SLOWED or load > SPARE_ABOVE:
        return FULL_SPEED
    share = 1.0 if load <= SHRINK_ABOVE else (SPARE_ABOVE - load) / (SPARE_ABOVE - SHRINK_ABOVE)
    if treatment is Treatment.HOLD:
        within = patience.hold
    else:
        share *= min(verdict.score / (2 * verdict.suspect_at), 1.0)
        within = _budget(stage, patience, spent)
    return Pace(patience.delay * share, patience.byte * share, within, patience.jitter)


def _budget(stage: Stage, patience: Patience, spent: float) -> float:
    if stage is Stage.BANNER:
        return max(min(patience.banner, patience.session) - spent, 0.0)
    return max(min(patience.reply, patience.session - spent), 0.0)
