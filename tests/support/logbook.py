"""Lines of a log as it is written, made by the event itself; and logs of peers whose patience is known."""

from collections.abc import Iterator, Mapping
from io import StringIO
from math import log
from random import Random

from scoring.verdict import Finding, Result
from tarpit.choices import LogFormat
from tarpit.observe import events
from tarpit.observe.log import configure
from tarpit.tuning.candidates import Candidate
from tarpit.tuning.past import Past
from tarpit.tuning.replay import delay_of


def closed(
    *,
    points: Mapping[str, float] | None = None,
    held: float = 0.0,
    ended: events.Ended = "quit",
    treatment: str = "slow",
    verdict: str = "suspect",
    messages: int = 0,
    spf: str = "none",
    blind: bool = False,
) -> str:
    """Return the line of one session; *points* are what each signal counted."""
    found = [Finding(signal, Result.LISTED, value, "so it is") for signal, value in (points or {}).items()]
    found = [one for one in found if one.signal != "spf"] + [Finding("spf", Result(spf), 0.0, "asked")]
    stream = StringIO()
    events.session_closed(
        configure(LogFormat.JSON, stream=stream),
        id="0",
        peer="192.0.2.1",
        port=4711,
        verdict=verdict,
        score=sum(one.points for one in found),
        findings=[(one, 0.0) for one in found],
        treatment=treatment,
        held_seconds=held,
        ended=ended,
        messages_accepted=messages,
        blind=blind,
    )
    return stream.getvalue().rstrip("\n")


def fleet(candidate: Candidate, medians: Mapping[str, float], *, sessions: int, seed: int) -> Iterator[str]:
    """Yield a log under the settings of *candidate*: peers whose patience halves every so many seconds.

    *medians* is by signal, each of which counts five points; peers come from them in turn.
    """
    random, signals = Random(seed), list(medians)
    for number in range(sessions):
        signal = signals[number % len(signals)]
        patience = random.expovariate(log(2) / medians[signal])
        delay = delay_of(Past(5.0, (signal,), 0.0, slowed=True, left=False, delivered=False), candidate)
        if patience < delay:
            yield closed(points={signal: 5}, held=patience, ended="peer-left")
        else:
            yield closed(points={signal: 5}, held=delay, messages=1)
