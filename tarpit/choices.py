"""The closed choices among the settings, and values with a form of their own: a zone, a store, a field name.

Not here: plain units (`tarpit.units`), backends and routes (`tarpit.destinations`), which variable takes
which (`tarpit.variables`).
"""

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from pydantic import SecretStr

from scoring.weights import parse_weights
from scoring.zones import format_masks, format_zone, parse_masks, parse_zone
from tarpit.units import ADDRESS, PATH, SERVER, Unit, listed, parse_count

T = TypeVar("T")
C = TypeVar("C", bound=StrEnum)


class Mode(StrEnum):
    """One switch for all delays."""

    ENFORCE = "enforce"
    OBSERVE = "observe"  # score, log the treatment it would have had, slow nobody
    OFF = "off"  # pure proxy


class Balance(StrEnum):
    """Which of several backends gets the next connection."""

    LEAST = "least"
    ROUND_ROBIN = "round-robin"
    PEER = "peer"
    FIRST = "first"


class Introduce(StrEnum):
    """How a backend is told who the peer is."""

    OFF = "off"
    XCLIENT = "xclient"
    PROXY_V1 = "proxy-v1"
    PROXY_V2 = "proxy-v2"


class RelayTest(StrEnum):
    """What a backend that relays for everybody who comes from our address leads to."""

    REFUSE = "refuse"
    WARN = "warn"
    OFF = "off"


class BackendTls(StrEnum):
    """Whether the way to a backend is encrypted."""

    OFF = "off"
    MAY = "may"
    REQUIRE = "require"


class TlsMode(StrEnum):
    """Who speaks TLS with the peer: `pass` the backend, `terminate` this proxy, `off` nobody."""

    AUTO = "auto"
    PASS = "pass"  # noqa: S105
    TERMINATE = "terminate"
    OFF = "off"


class RoutesMixed(StrEnum):
    """What becomes of a message whose recipients have different routes."""

    DEFER = "defer"
    FANOUT = "fanout"


class BareNewline(StrEnum):
    """What becomes of a message with a bare CR or LF in it."""

    NORMALIZE = "normalize"
    REFUSE = "refuse"


class LogFormat(StrEnum):
    """How events are written; `auto` is text on a terminal, JSON lines elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The least grave events that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def choice(choices: type[C]) -> Unit[C]:
    """Return the unit of a closed choice."""
    names = [member.value for member in choices]

    def parse(text: str) -> C:
        try:
            return choices(text.lower())
        except ValueError:
            raise ValueError(f"{text!r} is not one of {', '.join(names)}") from None

    return Unit(" ".join(f"`{name}`" for name in names), parse, str)


def parse_hold_code(text: str) -> int:
    """Return 450 (come back later) or 550 (never)."""
    if text not in {"450", "550"}:
        raise ValueError(f"{text!r} is not one of 450, 550")
    return int(text)


def optional(unit: Unit[T], *, word: str) -> Unit[T | None]:
    """Return the unit of a value that may be absent, which is written as *word*."""
    return Unit(
        f"{unit.name} or `{word}`",
        lambda text: None if text == word else unit.parse(text),
        lambda value: word if value is None else unit.format(value),
    )


def parse_workers(text: str) -> int:
    """Return a number of processes; `auto` is one for each core that we may use."""
    return len(os.sched_getaffinity(0)) if text == "auto" else parse_count(text)


def parse_user(text: str) -> str:
    """Return the name of a user of this machine; whether there is one is found out when it is needed."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", text):
        raise ValueError(f"{text!r} is not a user's name")
    return text


def parse_store(text: str) -> SecretStr:
    """Return a store's URL, which may hold a password."""
    if not re.fullmatch(r"memory:|sqlite:///.+|rediss?://.+", text):
        raise ValueError("is not a store: write memory:, sqlite:///path or redis://host:6379/0")
    return SecretStr(text)


def format_store(store: SecretStr) -> str:
    """Return the store's URL with the password, if it has one, masked."""
    return re.sub(r"//[^/@]*@", "//***@", store.get_secret_value())


def parse_header(text: str) -> str:
    """Return the name of a header field."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,60}", text):
        raise ValueError(f"{text!r} is not a header field's name: write X-Tarpit or off")
    return text


def parse_recipient(text: str) -> str:
    """Return a local part or an address, in lower case."""
    if not re.fullmatch(r"[!-?A-~]{1,64}(?:@[A-Za-z0-9.-]{1,253})?", text):
        raise ValueError(f"{text!r} is neither a local part nor an address")
    return text.lower()


def format_weights(weights: Mapping[str, float]) -> str:
    """Return *weights* as they are read."""
    return " ".join(f"{signal}={points:g}" for signal, points in weights.items())


MODE: Final = choice(Mode)
BALANCE: Final = choice(Balance)
INTRODUCE: Final = choice(Introduce)
RELAY_TEST: Final = choice(RelayTest)
BACKEND_TLS: Final = choice(BackendTls)
TLS_MODE: Final = choice(TlsMode)
ROUTES_MIXED: Final = choice(RoutesMixed)
BARE_NEWLINE: Final = choice(BareNewline)
LOG_FORMAT: Final = choice(LogFormat)
LOG_LEVEL: Final = choice(LogLevel)
HOLD_CODE: Final = Unit("`450` `550`", parse_hold_code, str)
RECIPIENT: Final = Unit("recipient", parse_recipient, str)
RECIPIENTS: Final = listed(RECIPIENT)
ZONES: Final = listed(Unit("zone", parse_zone, format_zone))
MASKS: Final = Unit(
    "list of zone=shown", lambda text: parse_masks("" if text.strip() == "none" else text), format_masks
)
WEIGHTS: Final = Unit("list of signal=points", parse_weights, format_weights)
WORKERS: Final = Unit("count or `auto`", parse_workers, str)
USER: Final = optional(Unit("user name", parse_user, str), word="none")
STORE: Final = Unit("URL", parse_store, format_store)
HEADER: Final = optional(Unit("field name", parse_header, str), word="off")
ADMIN: Final = optional(ADDRESS, word="off")
PATH_OR_NONE: Final = optional(PATH, word="none")
SERVERS: Final = optional(listed(SERVER, needed="name server"), word="/etc/resolv.conf")
