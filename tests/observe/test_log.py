"""How events are written, and how strangers' text is made harmless."""

import ast
import errno
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import Finding, Result
from tarpit.choices import LogFormat, LogLevel
from tarpit.observe import events, log
from tarpit.observe.__main__ import functions, name_of

ROOT: Final = Path(__file__).parent.parent.parent


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


HOSTILE: Final = [
    "EHLO x\r\nNov 24 12:00:00 mx tarpit: client=1.2.3.4",
    "\x1b]0;owned\x07\x1b[2J",
    "\u2028\u2029\x85\x9b31m\u202e",
    "n" * 10_240,
    '","peer":"127.0.0.1","x":"',
    "%s%s%s%n {0.__class__} {peer} ${HOME}",
    "\ud800 a lone surrogate",
    'Traceback (most recent call last):\n  File x\n{"event":"session.closed"}',
]
TEXTS: Final = st.sampled_from(HOSTILE) | st.text(max_size=300)
KINDS: Final[Mapping[object, st.SearchStrategy[object]]] = {
    str: TEXTS,
    bytes: st.binary(max_size=300),
    bool: st.booleans(),
    int: st.integers(0, 9),
    float: st.floats(0, 9),
    type(None): st.none(),
    BaseException: TEXTS.map(ValueError),
}
LONGEST_LINE: Final = 12_000


def strange(hint: object) -> st.SearchStrategy[object]:
    """Return values for a field of that type, as a stranger would have them."""
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if "Iterable" in str(hint):
        (kind,) = get_args(hint)
        return st.lists(FINDINGS if Finding in get_args(kind) else KINDS[kind], max_size=5)
    return st.one_of([KINDS[kind] for kind in get_args(hint) or (hint,)])


FINDINGS: Final = st.tuples(
    st.builds(
        Finding, st.text(max_size=300), st.sampled_from(Result), st.floats(0, 9), st.text(max_size=300)
    ),
    st.floats(0, 9),
)


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.TEXT])
@pytest.mark.parametrize("event", functions(), ids=name_of)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_line_is_forged(form: LogFormat, event: Callable[..., None], data: st.DataObject) -> None:
    """LOG-01 LOG-02 Whatever stands in any field of any event: one line, bounded, printable ASCII."""
    fields = {name: data.draw(strange(hint), name) for name, hint in hints_of(event).items()}
    out = io.StringIO()
    event(log.configure(form, LogLevel.DEBUG, out), **fields)
    assert out.getvalue().endswith("\n")
    first, *rest = out.getvalue().removesuffix("\n").split("\n")
    assert first.isascii()
    assert first.isprintable()
    assert len(first) <= LONGEST_LINE
    assert all(line.startswith("    ") and line.isascii() and line.isprintable() for line in rest)
    assert not rest or (event is events.session_failed and form is LogFormat.TEXT)
    if form is LogFormat.JSON:
        assert json.loads(first)["event"] == name_of(event)


@given(TEXTS | st.binary(max_size=40).flatmap(lambda text: st.sampled_from([text, text + b"\r\n"])))
def test_safe_is_the_same_by_any_way(text: str | bytes) -> None:
    r"""Its short ways say what the definition says: printable ASCII as it is, all else as `\xNN`."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    whole = "".join(chr(n) if 0x20 <= n < 0x7F and n != 0x5C else f"\\x{n:02x}" for n in raw)
    shown = log.safe(text)
    assert shown == whole if len(whole) <= log.LIMIT else whole.startswith(shown.removesuffix(log.CUT))


@given(st.lists(TEXTS | st.text('\\"nu\x7f\n', max_size=6)))
@settings(deadline=None)
def test_what_nobody_has_escaped(texts: list[str]) -> None:
    """What a caller forgot to escape is escaped all the same, though JSON's own escapes were ASCII."""
    out = io.StringIO()
    log.configure(LogFormat.JSON, stream=out).info("forgotten", story={"said": texts})
    said = json.loads(out.getvalue())["said"]
    assert all(text.isascii() and text.isprintable() for text in said)
    assert all(after == text for after, text in zip(said, texts, strict=True) if is_plain(text))


def is_plain(text: str) -> bool:
    """Whether it may be written as it is."""
    return text.isascii() and text.isprintable() and len(text) <= log.ENDLESS


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.TEXT])
def test_a_story_stands_in_its_place(form: LogFormat) -> None:
    """An event that brings its fields as one dictionary is written as if each had been said."""
    out = io.StringIO()
    logger = log.configure(form, stream=out).bind(worker=1)
    logger.info("session.closed", story={"peer": "192.0.2.1", "port": 25})
    logger.info("session.closed", peer="192.0.2.1", port=25)
    one, other = out.getvalue().splitlines()
    time = len('{"time":"2026-11-24T16:15:53.735590Z"') if form is LogFormat.JSON else len("16:15:53")
    assert one[time:] == other[time:]
    assert "192.0.2.1" in one


def hints_of(event: Callable[..., None]) -> dict[str, object]:
    """Return the type of each field."""
    hints = get_type_hints(event)
    return {name: hint for name, hint in hints.items() if name not in {"log", "return"}}


def test_no_stranger_chooses_a_format() -> None:
    """LOG-02 What is written first is always a literal, and nobody but `events` writes."""
    packages = [path for name in ("tarpit", "scoring") for path in (ROOT / name).rglob("*.py")]
    calls = [(path, call) for path in packages for call in log_calls(path)]
    assert len(calls) > 20
    for path, call in calls:
        assert path.parent.name == "observe"
        assert len(call.args) == 1
        assert isinstance(call.args[0], ast.Constant)


def log_calls(path: Path) -> Iterator[ast.Call]:
    """Yield the calls that write an event."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.args[0] if node.args else None, ast.Constant):
            target = node.func.body if isinstance(node.func, ast.IfExp) else node.func
            if isinstance(target, ast.Attribute) and target.attr in {"debug", "info", "warning", "error"}:
                yield node


def test_what_cannot_be_written_is_lost() -> None:
    """A full disk ends no session; when there is room again, events are written again."""

    class Disk(io.StringIO):
        full = False

        def flush(self) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")

    disk = Disk()
    logger = log.configure(LogFormat.JSON, stream=disk)
    for disk.full in (True, False):
        logger.info("one.event")
        logger.error("another.event")
    assert "another.event" in disk.getvalue().splitlines()[-1]
