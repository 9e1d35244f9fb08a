"""Each event writes exactly what is documented of it."""

import inspect
import io
import json
from collections.abc import Callable
from typing import get_args

import pytest

from scoring.verdict import Finding, Result
from tarpit.choices import LogLevel
from tarpit.observe import events, log
from tarpit.observe.__main__ import fields_of, functions, level_of, name_of

RENDERED = {"session.failed": {"exception"}}
VALUES: dict[str, object] = {"string": "x", "boolean": True, "number": 1, "list": ()}


def written(function: Callable[..., None], **fields: object) -> dict[str, object]:
    out = io.StringIO()
    function(log.configure(level=LogLevel.DEBUG, stream=out), **fields)
    line: dict[str, object] = json.loads(out.getvalue())
    return line


def sample(function: Callable[..., None]) -> dict[str, object]:
    fields = {name: VALUES[kind.split(" or ")[0]] for name, kind, _ in fields_of(function)}
    literals = {"ended": "quit", "result": "passed", "error": ValueError("x")}
    return fields | {name: value for name, value in literals.items() if name in fields}


@pytest.mark.parametrize("function", functions(), ids=name_of)
def test_event(function: Callable[..., None]) -> None:
    """An event has the documented name, level and fields, in the documented order."""
    line = written(function, **sample(function))
    extra = RENDERED.get(name_of(function), set())
    assert (line["event"], line["level"]) == (name_of(function), level_of(function))
    assert [name for name in line if name not in {"time", "level", "event", *extra}] == [
        name for name, _, _ in fields_of(function)
    ]


@pytest.mark.parametrize("function", functions(), ids=name_of)
def test_event_is_documented(function: Callable[..., None]) -> None:
    """Each event says what has happened, each field what it holds."""
    assert inspect.getdoc(function)
    assert all(meaning for _, _, meaning in fields_of(function))


def test_session_closed_tells_the_whole_story() -> None:
    """The findings are there with their points, and what the peer said is harmless."""
    line = written(
        events.session_closed,
        id="7f",
        peer="192.0.2.1",
        port=4711,
        helo=b"evil\r\nhost",
        reverse_path="",
        findings=[(Finding("dnsbl:zen.example", Result.LISTED, 4.0, "127.0.0.2", 0.0123), 30.04)],
        ended="peer-left",
    )
    assert line["helo"] == r"evil\x0d\x0ahost"
    assert line["reverse_path"] == ""
    assert line["findings"] == [
        {
            "signal": "dnsbl:zen.example",
            "result": "listed",
            "points": 4.0,
            "why": "127.0.0.2",
            "ms": 12.3,
            "age": 30.0,
        }
    ]


def test_backend_that_is_down_is_a_warning() -> None:
    """A backend that goes down is graver than one that comes up, and its words are harmless."""
    line = written(events.backend_probed, backend="mx:25", up=False, reason="554 \x1b[0m")
    assert (line["level"], line["reason"]) == ("warning", r"554 \x1b[0m")


def test_open_relay_is_an_error() -> None:
    """A relay test that failed is an error."""
    line = written(
        events.backend_relay_tested, backend="mx:25", result="failed", recipient="a@b", reply="250 ok"
    )
    assert line["level"] == "error"


def test_how_sessions_end() -> None:
    """Each way in which a session ends is explained in its field."""
    meaning = next(text for name, _, text in fields_of(events.session_closed) if name == "ended")
    assert all(f"`{ended}`" in meaning for ended in get_args(events.Ended))
