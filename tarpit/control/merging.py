"""One answer out of those of all workers: what is counted is added up, of the rest the first speaks for all.

A backend is up where any worker finds it so, and usable where any may use it. Zones are set aside by each
worker for itself, and told once.

Pure. What is asked, and what a worker answers, is `errands`.
"""

from collections.abc import Iterable, Mapping
from typing import Final, cast

from tarpit.control.server import Answer

ADDED: Final = ("sessions", "held", "max_sessions", "waiting")

Row = dict[str, object]


def merged(answers: Mapping[int, Answer]) -> Answer:
    """Return the answer of all workers, by slot; an error only where all of them have one."""
    good = {slot: answer for slot, answer in answers.items() if "error" not in answer}
    if not good:
        return next(iter(answers.values()))
    one = dict(next(iter(good.values())))
    for name in ADDED:
        if name in one:
            one[name] = sum(cast("int", answer[name]) for answer in good.values())
    if "backends" in one:
        one["backends"] = _backends(_rows(good, "backends"))
    if "zones_set_aside" in one:
        zones = {(zone["zone"], zone["form"]): zone for zone in _rows(good, "zones_set_aside")}
        one["zones_set_aside"] = list(zones.values())
    if "load" in one:
        one["load"] = round(cast("int", one["sessions"]) / max(cast("int", one["max_sessions"]), 1), 3)
        one["workers"] = [
            {"worker": slot, "pid": answer["pid"], "sessions": answer["sessions"], "load": answer["load"]}
            for slot, answer in good.items()
        ]
    return one


def _rows(answers: Mapping[int, Answer], name: str) -> list[Row]:
    return [row for answer in answers.values() for row in cast("list[Row]", answer[name])]


def _backends(rows: Iterable[Row]) -> list[Row]:
    one: dict[object, Row] = {}
    for row in rows:
        known = one.get(row["name"])
        one[row["name"]] = dict(row) if known is None else _both(known, row)
    return list(one.values())


def _both(known: Row, other: Row) -> Row:
    """Return what two workers know of a backend: the rest as that one does which finds it up."""
    first, second = (other, known) if other["up"] and not known["up"] else (known, other)
    counts = {name: cast("int", known[name]) + cast("int", other[name]) for name in ("taken", "cap")}
    return first | counts | {"usable": first["usable"] or second["usable"]}
