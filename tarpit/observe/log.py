"""How events are written: JSON lines off a terminal, text on one. And `safe`, for what a stranger has said.

`safe` is called where an event is written (`events`). Behind it every string of every event is looked at
once more before it becomes a line: what is not printable ASCII is escaped all the same, and what is endless
is cut, the text of an exception too. So a caller that forgot can make a line ugly, and no more.

`configure` returns the logger that everything is bound from. Nothing global is set up, and no context
variables are merged: a session binds its id once and keeps its logger (a filtered debug event costs 0.1 µs).

An event of many fields brings them in one dictionary, as its one field `story`: what is handed on by keyword
is copied three times on its way through structlog, which for the forty of `session.closed` was 4 µs.

Not here: which events there are (`tarpit.observe.events`), and what becomes of a line (`outlet`).
"""

import contextlib
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from io import StringIO
from typing import Final, TextIO

import orjson
import structlog
from structlog.typing import EventDict, ExcInfo, FilteringBoundLogger, Processor, WrappedLogger

from tarpit.choices import LogFormat, LogLevel
from tarpit.observe.outlet import Outlet

LIMIT: Final = 100
CUT: Final = "..."
SAID: Final = 1024  # texts; 0.5 MB
ENDLESS: Final = 2000  # characters of a field, of a line of a traceback
_with_traceback: Final = structlog.processors.ExceptionRenderer()
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
_LINE_END: Final = r"\x0d\x0a"
_AS_TEXT: Final = [chr(n) if 0x20 <= n < 0x7F and n != 0x5C else f"\\x{n:02x}" for n in range(256)]


def safe(text: str | bytes, limit: int = LIMIT) -> str:
    r"""Return what a peer or backend said as at most *limit* printable ASCII characters.

    All other bytes, and the backslash itself, are written as `\xNN`, so no two texts look alike and nothing
    in a log, terminal or page can be forged. What is cut off shows as `...`.
    """
    if isinstance(text, str):
        if len(text) <= limit and text.isascii() and text.isprintable() and "\\" not in text:
            return text  # nearly always
        raw = text[: limit + 1].encode("utf-8", "surrogatepass")
    else:
        raw = text
        if raw.endswith(b"\r\n") and raw.isascii() and len(raw) <= limit - len(_LINE_END):  # so are replies
            line = raw[:-2].decode()
            if line.isprintable() and "\\" not in line:
                return line + _LINE_END
    parts = list(map(_AS_TEXT.__getitem__, raw[: limit + 1]))
    if len(whole := "".join(parts)) <= limit:
        return whole
    while sum(map(len, parts)) > limit - len(CUT):
        parts.pop()
    return "".join(parts) + CUT


known: Final = lru_cache(SAID)(safe)  # for what is said in most sessions: names, paths, a backend's goodbye


class Lines:
    """Writes a line an event to a stream of text. One that cannot be written is lost, and nothing else is."""

    def __init__(self, stream: TextIO) -> None:
        self._write, self._flush = stream.write, stream.flush

    def msg(self, message: bytes | str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError):
            self._write(
                (message if isinstance(message, str) else message.decode("ascii", "backslashreplace")) + "\n"
            )
            self._flush()

    debug = info = warning = error = critical = msg


def configure(
    form: LogFormat = LogFormat.AUTO, level: LogLevel = LogLevel.INFO, stream: TextIO | Outlet | None = None
) -> FilteringBoundLogger:
    """Return the logger. Events go to *stream*, else to the standard output."""
    out = sys.stdout if stream is None else stream
    as_text = form is LogFormat.TEXT or (form is LogFormat.AUTO and out.isatty())
    logger = structlog.wrap_logger(
        out if isinstance(out, Outlet) else Lines(out),
        processors=_text(colors=out.isatty()) if as_text else [_render_json],
        wrapper_class=structlog.make_filtering_bound_logger(level.value),
        cache_logger_on_first_use=True,
    )
    bound: FilteringBoundLogger = logger.bind()
    return bound


def _text(*, colors: bool) -> list[Processor]:
    return [
        unfold,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        _defuse,
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=_indented_traceback, pad_event_to=24
        ),
    ]


def unfold(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put the fields of a `story` in its place."""
    story = event.pop("story", None)
    return event if story is None else event | story


def _defuse(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what nobody has escaped yet; what is harmless already stays as it is."""
    harmless = {field: _harmless(value) for field, value in event.items()}
    if isinstance(traceback := event.get("exception"), str):
        harmless["exception"] = "\n".join(
            map(_one_line, traceback.split("\n"))
        )  # one line all the same in JSON
    return harmless


def _harmless(value: object) -> object:
    if isinstance(value, str):
        return _one_line(value)
    if isinstance(value, dict):
        return {key: _harmless(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(one) for one in value] if value else value
    return value


def _one_line(text: str) -> str:
    if len(text) <= ENDLESS and text.isascii() and text.isprintable():
        return text
    escaped = _UNPRINTABLE.sub(_escaped_character, text[:ENDLESS])
    return escaped if len(escaped) <= ENDLESS else escaped[:ENDLESS] + CUT


def _escaped_character(match: re.Match[str]) -> str:
    return "".join(map(_AS_TEXT.__getitem__, match[0].encode("utf-8", "surrogatepass")))


def _indented_traceback(out: TextIO, error: ExcInfo) -> None:
    """Write a traceback whose lines cannot be taken for events."""
    plain = StringIO()
    structlog.dev.plain_traceback(plain, error)
    out.write("\n".join(f"    {_one_line(line)}" for line in plain.getvalue().rstrip("\n").split("\n")))


def _render_json(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
    """Return one line: when, how grave, what; then the event's fields in the order of their documentation.

    Whether everything in it is harmless is seen at the line as a whole: forty fields one by one took half
    the time of telling a session's story. Only where it is not, each is made so.
    """
    fields = {"time": datetime.now(UTC), "level": method, "event": event.pop("event")}
    if "exc_info" in event:
        event = _with_traceback(logger, method, event)
    story = event.pop("story", ())
    fields.update(event)
    fields.update(story)
    try:
        line = orjson.dumps(fields, str, orjson.OPT_UTC_Z)
        if _is_harmless(line):
            return line
    except TypeError:  # a lone surrogate
        pass
    return orjson.dumps(_defuse(logger, method, fields), str, orjson.OPT_UTC_Z)


def _is_harmless(line: bytes) -> bool:
    """Whether no string in a line of JSON has, as it is or escaped, what is not printable, or is endless.

    Of what is ASCII and not printable, JSON has all escaped but DEL.
    """
    if not line.isascii() or b"\x7f" in line:
        return False
    first = line.find(b"\\")  # mostly in one of the last fields: to look for pairs is slow
    if first >= 0 and b"\\" in line[first:].replace(b"\\\\", b"").replace(b'\\"', b""):
        return False
    return len(line) <= ENDLESS or max(map(len, line.split(b'"'))) <= ENDLESS
