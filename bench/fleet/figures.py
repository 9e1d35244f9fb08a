"""What a policy's day came to, in figures: the same ones for all, and none that differs between two runs.

A *message* is an honest sender's, whatever it took to deliver it; a *bot* is one sender of spam. Delays run
from a sender's first connection to the acceptance of its message, in seconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, inf
from typing import Final

from bench.clients import Step
from bench.fleet.records import Day, Ended, Record

Number = int | float
Figures = dict[str, object]

BEFORE_RCPT: Final = frozenset({Step.BANNER.value, Step.EHLO.value, Step.MAIL.value})


def figures(day: Day) -> Figures:
    """Return the figures of *day*; those of each model under `models`."""
    senders = by_sender(day.records)
    honest = [attempts for attempts in senders if attempts[0].honest and not attempts[0].apart]
    bots = [attempts for attempts in senders if not attempts[0].honest]
    delays = sorted(one.delay for attempts in honest if (one := delivery(attempts)))
    clean = sorted(one.delay for attempts in honest if attempts[0].clean and (one := delivery(attempts)))
    codes = [attempts for attempts in honest if attempts[0].wanted_within < inf]
    apart = [attempts for attempts in senders if attempts[0].apart]
    return {
        "honest_sent": len(honest),
        "honest_lost": sum(delivery(attempts) is None for attempts in honest),
        "honest_delay_p50": quantile(delays, 0.5),
        "honest_delay_p95": quantile(delays, 0.95),
        "honest_delay_p99": quantile(delays, 0.99),
        "clean_delay_p50": quantile(clean, 0.5),
        "clean_delay_p99": quantile(clean, 0.99),
        "codes_sent": len(codes),
        "codes_late": sum(is_late(attempts) for attempts in codes),
        "apart_sent": len(apart),
        "apart_lost": sum(delivery(attempts) is None for attempts in apart),
        "bots": len(bots),
        "bots_gone_before_rcpt": sum(gone_before_rcpt(attempts) for attempts in bots),
        "spam_delivered": sum(one.delivered for attempts in bots for one in attempts),
        "bot_seconds": round(sum(one.seconds for attempts in bots for one in attempts), 1),
        "connections": len(day.records),
        "sessions_peak": max(reading.sessions for reading in day.readings),
        "held_peak": max(reading.held for reading in day.readings),
        "backend_connections_peak": day.backend_peak,
        "backend_seconds": round(day.backend_seconds, 1),
        "backend_messages": day.backend_messages,
        "models": {name: _of_model(rows) for name, rows in by_model(senders).items()},
        "settings": dict(sorted(day.settings.items())),
    }


def by_sender(records: Iterable[Record]) -> list[list[Record]]:
    """Return the attempts of each sender, in their order; senders as they came."""
    attempts = defaultdict[int, list[Record]](list)
    for record in records:
        attempts[record.sender].append(record)
    return [attempts[sender] for sender in sorted(attempts)]


def by_model(senders: Iterable[list[Record]]) -> dict[str, list[list[Record]]]:
    """Return the same by the names of models."""
    models = defaultdict[str, list[list[Record]]](list)
    for attempts in senders:
        models[attempts[0].model].append(attempts)
    return dict(sorted(models.items()))


def delivery(attempts: Sequence[Record]) -> Record | None:
    """Return the attempt that delivered, if one did."""
    return next((one for one in attempts if one.delivered), None)


def is_late(attempts: Sequence[Record]) -> bool:
    """Whether a message came when it was of no use any more, or never."""
    delivered = delivery(attempts)
    return delivered is None or delivered.delay > delivered.wanted_within


def gone_before_rcpt(attempts: Sequence[Record]) -> bool:
    """Whether a sender left, or was sent away, each time before it could ask for a recipient."""
    return all(one.phase in BEFORE_RCPT and not one.delivered for one in attempts)


def quantile(ascending: Sequence[float], share: float) -> float:
    """Return the value that *share* of them do not exceed (nearest rank), 0 where there are none."""
    return round(ascending[max(ceil(share * len(ascending)) - 1, 0)], 3) if ascending else 0.0


def _of_model(senders: Sequence[Sequence[Record]]) -> Mapping[str, Number]:
    records = [one for attempts in senders for one in attempts]
    delays = sorted(one.delay for attempts in senders if (one := delivery(attempts)))
    return {
        "sent": len(senders),
        "delivered": len(delays),
        "attempts": len(records),
        "gone_before_rcpt": sum(gone_before_rcpt(attempts) for attempts in senders),
        "gave_up": sum(one.ended is Ended.GAVE_UP for one in records),
        "refused": sum(one.ended in {Ended.REFUSED, Ended.DEFERRED, Ended.CLOSED} for one in records),
        "seconds": round(sum(one.seconds for one in records), 1),
        "delay_p50": quantile(delays, 0.5),
        "delay_p99": quantile(delays, 0.99),
    }
