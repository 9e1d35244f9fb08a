"""What a load came to, in figures and as text. Seconds."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from bench.clients import Step
from bench.fleet.figures import by_model, by_sender, delivery, quantile
from bench.fleet.records import Ended, Record
from bench.load.socketed import Notes

HANG_UPS: Final = (Ended.GAVE_UP, Ended.CLOSED)
STEPS: Final = tuple(step.value for step in Step)
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}

Figures = dict[str, object]


def hang_ups(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    """Return by phase how many connections ended there: by the client's patience, and by the server."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        if record.ended in HANG_UPS:
            found[record.phase][record.ended.value] += 1
    return {
        step: {ended.value: found[step][ended.value] for ended in HANG_UPS} for step in STEPS if step in found
    }


def figures(notes: Notes) -> Figures:
    """Return the figures of all that was noted."""
    senders = by_sender(notes.records)
    latency = {"connect": spread(notes.connects)}
    latency |= {step: spread(notes.waits[step]) for step in STEPS if step in notes.waits}
    honest = [attempts for attempts in senders if attempts[0].honest and not attempts[0].apart]
    delivered = [one for attempts in senders if (one := delivery(attempts))]
    return {
        "senders": len(notes.lateness),
        "cut_off": notes.cut,
        "connections": len(notes.records),
        "open_peak": max(notes.opened, default=0),
        "delivered": len(delivered),
        "honest_sent": len(honest),
        "honest_delivered": sum(delivery(attempts) is not None for attempts in honest),
        "bots": sum(not attempts[0].honest for attempts in senders),
        "spam_delivered": sum(one.delivered for one in notes.records if not one.honest),
        "hang_ups": hang_ups(notes.records),
        "latency": {**latency, "accepted": spread([one.delay for one in delivered])},
        "lateness": spread(notes.lateness),
        "bytes": notes.received,
        "pieces": notes.pieces,
        "drips": notes.drips,
        "replies": {str(code): count for code, count in sorted(notes.codes.items())},
        "errors": dict(sorted(notes.errors.items())),
        "generator_cpu_seconds": round(notes.cpu, 2),
        "models": {name: _of_model(rows) for name, rows in by_model(senders).items()},
    }


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Return how many there are, and some quantiles."""
    ascending = sorted(seconds)
    found: dict[str, float] = {name: quantile(ascending, share) for name, share in QUANTILES.items()}
    return {"count": len(ascending), **found}


def _of_model(senders: Sequence[Sequence[Record]]) -> Mapping[str, int]:
    records = [one for attempts in senders for one in attempts]
    ended = Counter(one.ended.value for one in records)
    return {
        "senders": len(senders),
        "delivered": sum(delivery(attempts) is not None for attempts in senders),
        "connections": len(records),
        **{one.value: ended[one.value] for one in Ended if ended[one.value] and one is not Ended.DELIVERED},
    }


def lines(head: Mapping[str, object], found: Figures) -> Iterator[str]:
    """Yield the report for a terminal."""
    yield ", ".join(f"{name} {value}" for name, value in head.items())
    yield ""
    for name, value in found.items():
        if not isinstance(value, Mapping):
            yield f"{name.replace('_', ' '):24}{value:>12}"
    yield from _table("seconds (from the moment due)", {**_rows(found["latency"]), **_late(found)})
    yield from _table("hang-ups by phase", _rows(found["hang_ups"]))
    yield from _table("by model", _rows(found["models"]))
    for name in ("replies", "errors"):
        counts = found[name]
        assert isinstance(counts, Mapping)
        yield ""
        yield f"{name}: " + (", ".join(f"{what} {count}" for what, count in counts.items()) or "none")


def _rows(table: object) -> dict[str, Mapping[str, float]]:
    assert isinstance(table, Mapping)
    return dict(table)


def _late(found: Figures) -> dict[str, Mapping[str, float]]:
    late = found["lateness"]
    assert isinstance(late, Mapping)
    return {"(ourselves late)": late}


def _table(title: str, rows: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    yield ""
    yield f"{title:32}" + "".join(f"{column:>12}" for column in columns)
    for name, row in rows.items():
        yield f"  {name:30}" + "".join(f"{row.get(column, 0):>12}" for column in columns)
    if not rows:
        yield "  none"
