"""The page: one HTML file with tables, plots and the settings that made it; no script, nothing loaded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Final

from bench.fleet.records import Day, Ended, Record
from bench.report import charts

STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
svg { max-width: 100%; height: auto } pre { background: #f6f6f6; padding: .8rem; overflow-x: auto }
p.about { color: #555; margin-top: -.6rem }
"""


def page(
    days: Sequence[Day], figures: Mapping[str, Mapping[str, object]], *, preset: str, seed: int, sessions: int
) -> str:
    """Return the page about *days*; *figures* are by policy, in the same order."""
    body = "\n".join(_body(days, figures))
    facts = f"preset {escape(preset)}, seed {seed}, {sessions} senders"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Fleets: {facts}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>Fleets against a mail server</h1>"
        f"<p>One day in virtual time: {facts}, the same under each policy.</p>\n{body}\n</body></html>\n"
    )


def _body(days: Sequence[Day], figures: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    yield from _section("Policies", "Each column is one policy's day.", _table(figures))
    yield from _section(
        "Bots: how long they stay",
        "Kaplan and Meier's estimate with 95 % bands; who was served or sent away is censored then.",
        charts.survival(days, honest=False),
        charts.phases(days, honest=False),
    )
    yield from _section(
        "Honest senders: how long they stay",
        "The same. What hangs up here is mail that comes again, or is lost.",
        charts.survival(days, honest=True),
        charts.phases(days, honest=True),
    )
    yield from _section(
        "What spam reached the mail server, and what it cost its senders",
        "Messages accepted from bots, and hours for which bots were connected.",
        charts.bars([(day.policy, _spam(day)) for day in days], label="messages"),
        charts.bars([(day.policy, _bot_hours(day)) for day in days], label="hours of bots"),
    )
    yield from _section(
        "What the mail server had to bear",
        "Connections at once, and seconds of connections in all; read once a minute.",
        charts.over_time(days, lambda reading: reading.backend, label="connections"),
        charts.over_time(days, lambda reading: reading.backend_seconds, label="connection seconds"),
    )
    yield from _section(
        "Sessions that are slowed",
        "At once, with this proxy.",
        charts.over_time(days, lambda reading: reading.held, label="sessions"),
    )
    yield from _section("Kinds of senders", "Connections, by who connects and how it ends.", *_kinds(days))
    yield from _section(
        "What it took",
        "CPU and memory of the process that lived through the day, senders and mail server included; "
        "the only figures here that another run does not repeat.",
        _as_table([["", "CPU s", "MiB at most"], *map(_cost, days)]),
    )
    yield from _section("Settings", "What differs from the defaults.", *_settings(days))


def _section(title: str, about: str, *parts: str) -> Iterator[str]:
    yield f'<h2>{escape(title)}</h2><p class="about">{escape(about)}</p>'
    yield from parts


def _table(figures: Mapping[str, Mapping[str, object]]) -> str:
    names = [name for name, value in next(iter(figures.values()), {}).items() if _is_plain(value)]
    rows = [["", *figures]]
    rows += [[name.replace("_", " "), *(_text(one.get(name)) for one in figures.values())] for name in names]
    return _as_table(rows)


def _kinds(days: Sequence[Day]) -> Iterator[str]:
    for day in days:
        kinds: dict[str, list[Record]] = {}
        for record in day.records:
            kinds.setdefault(record.model, []).append(record)
        rows = [["", "connections", "delivered", "gave up", *(ended.value for ended in _others())]]
        rows += [_kind(name, records) for name, records in sorted(kinds.items())]
        yield f"<details><summary>{escape(day.policy)}</summary>{_as_table(rows)}</details>"


def _kind(name: str, records: Sequence[Record]) -> list[str]:
    counted = [
        sum(one.ended is how for one in records) for how in (Ended.DELIVERED, Ended.GAVE_UP, *_others())
    ]
    return [name, str(len(records)), *map(str, counted)]


def _others() -> list[Ended]:
    return [how for how in Ended if how not in {Ended.DELIVERED, Ended.GAVE_UP}]


def _settings(days: Sequence[Day]) -> Iterator[str]:
    for day in days:
        lines = [f"{name}={value}" for name, value in sorted(day.settings.items())]
        if lines:
            yield f"<h3>{escape(day.policy)}</h3><pre>{escape(chr(10).join(lines))}</pre>"


def _cost(day: Day) -> list[str]:
    return [day.policy, f"{day.cpu_seconds:.1f}", f"{day.memory / 2**20:.0f}"]


def _spam(day: Day) -> float:
    return sum(one.delivered for one in day.records if not one.honest)


def _bot_hours(day: Day) -> float:
    return sum(one.seconds for one in day.records if not one.honest) / charts.HOUR


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, int | float | str)


def _text(value: object) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _as_table(rows: Iterable[Sequence[str]]) -> str:
    head, *others = rows
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in others]
    return "<table>" + "\n".join(lines) + "</table>"
