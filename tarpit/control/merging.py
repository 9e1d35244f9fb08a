"""One answer out of those of all workers: what is counted is added up, of the rest the first speaks for all.

A backend is up where any worker finds it so, and usable where any may use it. Zones are set aside by each
worker for itself, and told once. A worker that leaves, since another one serves in its place, adds its
sessions and connections; how many there may be, and all the rest, those say that serve.

Pure. What is asked, and what a worker answers, is `errands`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from tarpit.control.server import Answer

ADDED: Final = ("sessions", "held", "waiting")

Row = dict[str, object]
Answers = Sequence[tuple[int, Answer]]  # each with the worker's slot


def merged(serving: Mapping[int, Answer], leaving: Answers = ()) -> Answer:
    """Return the answer of all workers, by slot; an error only where all of them have one."""
    good, going = _good(serving.items()), _good(leaving)
    if not good:
        good, going = going, []
    if not good:
        return next(iter(serving.values()), None) or leaving[0][1]
    one = dict(good[0][1])
    for name in ADDED:
        if name in one:
            one[name] = _sum([*good, *going], name)
    if "backends" in one:
        one["backends"] = _backends(_rows(good, "backends"), _rows(going, "backends"))
    if "zones_set_aside" in one:
        zones = {(zone["zone"], zone["form"]): zone for zone in _rows(good, "zones_set_aside")}
        one["zones_set_aside"] = list(zones.values())
    if "load" in one:
        one["max_sessions"] = _sum(good, "max_sessions")
        one["load"] = round(_sum(good, "sessions") / max(_sum(good, "max_sessions"), 1), 3)
        one["workers"] = [
            {"worker": slot, "leaves": leaves} | {name: answer[name] for name in ("pid", "sessions", "load")}
            for answers, leaves in ((good, False), (going, True))
            for slot, answer in answers
        ]
    return one


def _good(answers: Iterable[tuple[int, Answer]]) -> Answers:
    return [(slot, answer) for slot, answer in answers if "error" not in answer]


def _sum(answers: Answers, name: str) -> int:
    return sum(cast("int", answer[name]) for _, answer in answers)


def _rows(answers: Answers, name: str) -> list[Row]:
    return [row for _, answer in answers for row in cast("list[Row]", answer[name])]


def _backends(rows: Iterable[Row], going: Iterable[Row]) -> list[Row]:
    one: dict[object, Row] = {}
    for row in rows:
        known = one.get(row["name"])
        one[row["name"]] = dict(row) if known is None else _both(known, row)
    for row in going:  # those that are in no settings any more among them
        known = one.setdefault(row["name"], row | {"taken": 0})
        one[row["name"]] = known | {"taken": cast("int", known["taken"]) + cast("int", row["taken"])}
    return list(one.values())


def _both(known: Row, other: Row) -> Row:
    """Return what two workers know of a backend: the rest as that one does which finds it up."""
    first, second = (other, known) if other["up"] and not known["up"] else (known, other)
    counts = {name: cast("int", known[name]) + cast("int", other[name]) for name in ("taken", "cap")}
    return first | counts | {"usable": first["usable"] or second["usable"]}
