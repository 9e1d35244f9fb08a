"""`python -m tarpit.observe` prints docs/events.md, made of `events` and its further pages."""

import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Literal, get_args, get_origin, get_type_hints

from tarpit.observe import events, orders, processes, routing, tls

INTRODUCTION = """\
# Events

Made by `python -m tarpit.observe`; do not edit.

Off a terminal every event is one JSON line on the standard output, on a terminal a line of text
(`TARPIT_LOG_FORMAT`). Each has `time` (ISO 8601, UTC), `level` and `event`, then the fields below. What a
peer or a backend said is bounded to 100 characters, and all of it but printable ASCII is written as `\\xNN`.
With several workers (`TARPIT_WORKERS`) each event of one has its number, too, as `worker`.
"""


def main() -> None:
    """Print the page."""
    sys.stdout.write("\n".join(page()) + "\n")


def functions() -> list[Callable[..., None]]:
    """Return the functions that are events, in the order of the files."""
    return [
        function
        for page in (events, tls, routing, orders, processes)
        for name, function in vars(page).items()
        if inspect.isfunction(function) and function.__module__ == page.__name__ and not name.startswith("_")
    ]


def name_of(function: Callable[..., None]) -> str:
    """Return the event's name: `backend_relay_tested` writes `backend.relay-tested`."""
    noun, participle = function.__name__.split("_", 1)
    return f"{noun}.{participle.replace('_', '-')}"


def level_of(function: Callable[..., None]) -> str:
    """Return how grave the event is as a rule."""
    return str(get_args(get_type_hints(function, include_extras=True)["return"])[1])


def fields_of(function: Callable[..., None]) -> Iterator[tuple[str, str, str]]:
    """Return each field's name, type and meaning."""
    for name, hint in get_type_hints(function, include_extras=True).items():
        if name not in {"log", "return"}:
            kind, meaning = get_args(hint)
            yield name, _kind(kind), meaning


def page() -> Iterator[str]:
    """Return the lines of the page."""
    yield INTRODUCTION
    for function in functions():
        yield f"## {name_of(function)}\n"
        yield f"*{level_of(function)}.* {inspect.getdoc(function)}\n"
        fields = list(fields_of(function))
        yield "| field | type | meaning |\n|---|---|---|"
        yield from (f"| {name} | {kind} | {meaning} |" for name, kind, meaning in fields)
        yield ""


def _kind(hint: object) -> str:
    if get_origin(hint) is Literal:
        return "string"
    names = {
        str: "string",
        bytes: "string",
        bool: "boolean",
        int: "number",
        float: "number",
        BaseException: "string",
    }
    kinds = [
        names.get(part, "list") if part is not type(None) else "null" for part in get_args(hint) or (hint,)
    ]
    return "list" if "Iterable" in str(hint) else " or ".join(dict.fromkeys(kinds))


if __name__ == "__main__":
    main()
