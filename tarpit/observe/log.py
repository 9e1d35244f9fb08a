"""How events are written: JSON lines off a terminal, text on one. And `safe`, for what a stranger has said.

`configure` returns the logger that everything is bound from. Nothing global is set up, and no context
variables are merged: a session binds its id once and keeps its logger (a filtered debug event costs 0.1 µs).

Not here: which events there are (`tarpit.observe.events`).
"""

import sys
from typing import Final, TextIO

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from tarpit.choices import LogFormat, LogLevel

LIMIT: Final = 100
CUT: Final = "..."


def safe(text: str | bytes, limit: int = LIMIT) -> str:
    r"""Return what a peer or backend said as at most *limit* printable ASCII characters.

    All other bytes, and the backslash itself, are written as `\xNN`, so no two texts look alike and nothing
    in a log, terminal or page can be forged. What is cut off shows as `...`.
    """
    raw = text if isinstance(text, bytes) else text[: limit + 1].encode("utf-8", "surrogatepass")
    parts = [_escaped(byte) for byte in raw[: limit + 1]]
    if len(whole := "".join(parts)) <= limit:
        return whole
    while sum(map(len, parts)) > limit - len(CUT):
        parts.pop()
    return "".join(parts) + CUT


def _escaped(byte: int) -> str:
    return chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}"


def configure(
    form: LogFormat = LogFormat.AUTO, level: LogLevel = LogLevel.INFO, stream: TextIO | None = None
) -> FilteringBoundLogger:
    """Return the logger. Events go to *stream*, else to the standard output."""
    out = stream or sys.stdout
    as_text = form is LogFormat.TEXT or (form is LogFormat.AUTO and out.isatty())
    logger = structlog.wrap_logger(
        structlog.WriteLogger(out),
        processors=_text(colors=out.isatty()) if as_text else _json(),
        wrapper_class=structlog.make_filtering_bound_logger(level.value),
        cache_logger_on_first_use=True,
    )
    bound: FilteringBoundLogger = logger.bind()
    return bound


def _json() -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(),
        _render_json,
    ]


def _text(*, colors: bool) -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
        ),
    ]


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return one line: when, how grave, what; then the event's fields in the order of their documentation."""
    first = {"time": event.pop("timestamp"), "level": event.pop("level"), "event": event.pop("event")}
    return orjson.dumps({**first, **event}, default=str).decode()
