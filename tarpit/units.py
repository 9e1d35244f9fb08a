"""The units that settings are written in: text to value, and value back to the same text.

`500ms 30s 5m 1h`, `512 64k 10m`, `host:port`, `[::]:25`, CIDR, `30/m`. Each unit is one `Unit`, a parser
with its formatter; it stands in a field's annotation (`tarpit.variables`), where pydantic calls it. A parser
raises ValueError with what is wrong and what to write instead; `tarpit.settings` adds the variable's name.

Not here: the choices (`enforce`, `xclient`) and a backend with its options, which are in `tarpit.choices`.
Pydantic's own types were not used: their errors speak of fields and inputs, and know none of these units.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final, Generic, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")
Network = IPv4Network | IPv6Network
Address = tuple[str, int]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)([kmg]?)", re.ASCII | re.IGNORECASE)
_BYTES: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_RATE = re.compile(r"(\d+)/([smh])", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unit(Generic[T]):
    """How a kind of value is written. `name` is what the documentation calls it."""

    name: str
    parse: Callable[[str], T]
    format: Callable[[T], str]

    def validate(self, value: object) -> object:
        """Read *value* if it is text; a value that is typed already (a default) is itself."""
        return self.parse(value) if isinstance(value, str) else value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic that the parser alone decides."""
        return core_schema.no_info_plain_validator_function(self.validate)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds; a count of 0 is no limit."""

    count: int
    seconds: float = 60.0


# --- time, amounts


def parse_duration(text: str) -> float:
    """Return seconds. A bare 0 needs no unit."""
    if text == "0":
        return 0.0
    if match := _DURATION.fullmatch(text):
        return round(float(match[1]) * _SECONDS[match[2]], 6)
    raise ValueError(f"{text!r} is not a duration: write 500ms, 30s, 5m, 1h or 0")


def format_duration(seconds: float) -> str:
    """Return the shortest text that `parse_duration` reads back as *seconds*."""
    if seconds == 0:
        return "0"
    if seconds < 1:
        return f"{_plain(seconds * 1000)}ms"
    unit = next(unit for unit in ("h", "m", "s") if seconds % _SECONDS[unit] == 0 or unit == "s")
    return f"{_plain(seconds / _SECONDS[unit])}{unit}"


def parse_patience(text: str) -> float:
    """Return seconds; 0 is without end."""
    return parse_duration(text) or math.inf


def format_patience(seconds: float) -> str:
    """Return *seconds* as text; without end is 0."""
    return format_duration(0 if math.isinf(seconds) else seconds)


def parse_size(text: str) -> int:
    """Return bytes; k, m and g are powers of 1,024."""
    if match := _SIZE.fullmatch(text):
        return int(match[1]) * _BYTES[match[2].lower()]
    raise ValueError(f"{text!r} is not a size: write 512, 64k, 10m, 1g or 0")


def format_size(size: int) -> str:
    """Return the shortest text that `parse_size` reads back as *size*."""
    unit = next(unit for unit in ("g", "m", "k", "") if (size and size % _BYTES[unit] == 0) or not unit)
    return f"{size // _BYTES[unit]}{unit}"


def parse_rate(text: str) -> Rate:
    """Return so many a second, minute or hour. A bare 0 is no limit."""
    if text == "0":
        return Rate(0)
    if match := _RATE.fullmatch(text):
        return Rate(int(match[1]), _SECONDS[match[2]])
    raise ValueError(f"{text!r} is not a rate: write 10/s, 30/m, 600/h or 0 for no limit")


def format_rate(rate: Rate) -> str:
    """Return *rate* as `parse_rate` reads it."""
    units = {seconds: unit for unit, seconds in _SECONDS.items()}
    return f"{rate.count}/{units[rate.seconds]}" if rate.count else "0"


def parse_count(text: str) -> int:
    """Return a whole number of at least 1: none of a thing that the proxy lives on makes no sense."""
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ValueError(f"{text!r} is not a whole number")
    if not int(text):
        raise ValueError("must be at least 1")
    return int(text)


def parse_number(text: str) -> float:
    """Return a plain decimal number."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def parse_points(text: str) -> float:
    """Return points to reach: more than 0, or everybody would have reached them."""
    if (points := parse_number(text)) <= 0:
        raise ValueError(f"{text!r} must be more than 0, or everybody would have reached it")
    return points


def parse_share(text: str) -> float:
    """Return a share between 0 and 1; 20% is 0.2."""
    share = parse_number(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= share <= 1:
        raise ValueError(f"{text!r} is not between 0 and 1")
    return share


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


# --- places


def parse_host(text: str) -> str:
    """Return a host name or an address, in lower case, without brackets or a final dot."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(inner))
    except ValueError:
        if inner is not text or not _HOST.fullmatch(text) or len(text) > 253 or _all_digits(text):
            raise ValueError(f"{text!r} is neither a host name nor an address") from None
    return text.rstrip(".").lower()


def _all_digits(text: str) -> bool:
    """Whether *text* is a mistyped IPv4 address, such as 192.0.2.256 or 192.0.2."""
    return re.fullmatch(r"[\d.]+", text) is not None


def parse_address(text: str, *, port: int | None = None) -> Address:
    """Return (host, port). An IPv6 address stands in brackets. *port* is the one that may be left out."""
    host, colon, given = text.rpartition(":")
    if port is not None and (not colon or text.endswith("]") or _is_ip(text)):
        host, given = text, str(port)
    if not host or (":" in host and not host.startswith("[") and not (port and _is_ip(text))):
        raise ValueError(f"{text!r} is not host:port: write 192.0.2.1:25, mx.example.org:25 or [::]:25")
    if not re.fullmatch(r"\d{1,5}", given, re.ASCII) or not 0 < int(given) < 65536:
        raise ValueError(f"{text!r} has no port between 1 and 65535")
    return parse_host(host), int(given)


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def format_address(address: Address) -> str:
    """Return host:port, an IPv6 address in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_server(text: str) -> Address:
    """Return a name server's (address, port); port 53 may be left out."""
    address = parse_address(text, port=53)
    if not _is_ip(address[0]):
        raise ValueError(f"{text!r} is not the address of a name server: write 127.0.0.1 or 127.0.0.1:5353")
    return address


def parse_network(text: str) -> Network:
    """Return a network; a single address is the network of itself."""
    try:
        return ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            network = ip_network(text, strict=False)
            raise ValueError(f"{text!r} has host bits set: did you mean {network}?") from None
        raise ValueError(
            f"{text!r} is not a network: write 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1"
        ) from None


def format_network(network: Network) -> str:
    """Return *network* in CIDR; a single address without its length."""
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def parse_source(text: str) -> Network | Path:
    """Return a network, or the path of a file that lists networks."""
    return parse_path(text) if text.startswith(("/", "~")) else parse_network(text)


def format_source(source: Network | Path) -> str:
    """Return *source* as `parse_source` reads it."""
    return str(source) if isinstance(source, Path) else format_network(source)


def parse_path(text: str) -> Path:
    """Return an absolute path; ~ is the home directory."""
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise ValueError(f"{text!r} is not an absolute path")
    return path


# --- words


def parse_line(text: str) -> str:
    """Return text that may stand in a reply: one line of at most 200 printable ASCII characters."""
    if not re.fullmatch(r"[\x20-\x7e]{1,200}", text):
        raise ValueError("must be one line of at most 200 printable ASCII characters")
    return text


def listed(unit: Unit[T], *, separators: str = r"[\s,]+", needed: str = "") -> Unit[tuple[T, ...]]:
    """Return the unit of a list of *unit*, separated by blanks or commas; `none` is the empty one.

    *needed* says what there must be one of; without it the list may be empty.
    """

    def parse(text: str) -> tuple[T, ...]:
        if text.strip() == "none" and needed:
            raise ValueError(f"needs at least one {needed}")
        parts = [] if text.strip() == "none" else re.split(separators, text.strip())
        return tuple(dict.fromkeys(unit.parse(part) for part in parts if part))

    def format_(values: tuple[T, ...]) -> str:
        return " ".join(map(unit.format, values)) or "none"

    return Unit(f"list of {unit.name}", parse, format_)


DURATION: Final = Unit("duration", parse_duration, format_duration)
PATIENCE: Final = Unit("duration", parse_patience, format_patience)
SIZE: Final = Unit("size", parse_size, format_size)
RATE: Final = Unit("rate", parse_rate, format_rate)
COUNT: Final = Unit("count", parse_count, str)
POINTS: Final = Unit("points", parse_points, _plain)
SHARE: Final = Unit("share", parse_share, _plain)
HOST: Final = Unit("host name", parse_host, str)
ADDRESS: Final = Unit("host:port", parse_address, format_address)
SERVER: Final = Unit("address", parse_server, format_address)
NETWORK: Final = Unit("network", parse_network, format_network)
SOURCE: Final = Unit("network or path", parse_source, format_source)
PATH: Final = Unit("path", parse_path, str)
LINE: Final = Unit("text", parse_line, str)
WORD: Final = Unit("word", str.lower, str)
