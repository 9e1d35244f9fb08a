"""How events are written, and how strangers' text is made harmless."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.choices import LogFormat, LogLevel
from tarpit.observe import events, log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("mx.example.org", "mx.example.org", id="plain text is itself"),
        pytest.param(b"a\r\nb\x00", r"a\x0d\x0ab\x00", id="control bytes"),
        pytest.param("\x1b[31mred", r"\x1b[31mred", id="terminal sequences"),
        pytest.param("grüß", r"gr\xc3\xbc\xc3\x9f", id="not ASCII"),
        pytest.param(b"\xff\xfe", r"\xff\xfe", id="not UTF-8"),
        pytest.param("\ud800\udcff", r"\xed\xa0\x80\xed\xb3\xbf", id="lone surrogates"),
        pytest.param("\\x0d", r"\x5cx0d", id="a backslash cannot forge an escape"),
        pytest.param("a" * 100, "a" * 100, id="as long as it may be"),
        pytest.param("a" * 101, "a" * 97 + "...", id="one too long"),
        pytest.param("\n" * 100, r"\x0a" * 24 + "...", id="an escape is not cut in two"),
    ],
)
def test_safe(text: str | bytes, shown: str) -> None:
    """What a peer said is bounded printable ASCII, from which nothing can break out."""
    assert log.safe(text) == shown


@given(st.one_of(st.text(), st.binary()), st.integers(4, 200))
def test_safe_is_always_safe(text: str | bytes, limit: int) -> None:
    """Whatever it is, it is printable, one line, and no longer than the limit."""
    shown = log.safe(text, limit)
    assert len(shown) <= limit
    assert shown.isascii()
    assert shown.isprintable()


def test_json_off_a_terminal() -> None:
    """Off a terminal an event is one JSON line: time, level, event, then its fields in order."""
    out = io.StringIO()
    events.listener_opened(log.configure(stream=out), host="::", port=25)
    (line,) = out.getvalue().splitlines()
    assert list(json.loads(line)) == ["time", "level", "event", "host", "port"]
    assert json.loads(line)["event"] == "listener.opened"


def test_text_on_a_terminal() -> None:
    """On a terminal it is a line of text."""
    out = Terminal()
    events.listener_opened(log.configure(stream=out), host="::", port=25)
    assert "listener.opened" in out.getvalue()
    assert not out.getvalue().startswith("{")


@pytest.mark.parametrize(("form", "first"), [(LogFormat.JSON, "{"), (LogFormat.TEXT, "")])
def test_format_that_was_asked_for(form: LogFormat, first: str) -> None:
    """A format that was asked for holds on a terminal and off it."""
    for out in (io.StringIO(), Terminal()):
        events.listener_opened(log.configure(form, stream=out), host="::", port=25)
        assert out.getvalue().startswith(first)
        assert out.getvalue().startswith("{") == bool(first)


def test_level() -> None:
    """What is less grave than the level is not written."""
    out = io.StringIO()
    logger = log.configure(level=LogLevel.WARNING, stream=out)
    events.listener_opened(logger, host="::", port=25)
    assert out.getvalue() == ""
    events.settings_pending(logger, name="TARPIT_STORE")
    assert "settings.pending" in out.getvalue()


def test_bound_fields() -> None:
    """What a session binds once is in each of its events."""
    out = io.StringIO()
    events.backend_lost(log.configure(stream=out).bind(id="7f"), backend="mx:25", reason="reset")
    assert json.loads(out.getvalue())["id"] == "7f"


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.TEXT])
def test_traceback(form: LogFormat) -> None:
    """A bug's traceback is in its event."""
    out = io.StringIO()
    with pytest.raises(ZeroDivisionError) as caught:
        divmod(1, 0)
    events.session_failed(log.configure(form, stream=out), error=caught.value)
    assert "Traceback" in out.getvalue()
    assert "by zero" in out.getvalue()
