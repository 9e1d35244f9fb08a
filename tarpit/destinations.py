"""Where mail goes: a backend with its options, and a route of recipients to backends.

Not here: which backend gets a connection (`tarpit.backend`).
"""

import re
from dataclasses import dataclass, field, replace
from typing import Final

from tarpit.choices import BACKEND_TLS, INTRODUCE, BackendTls, Introduce
from tarpit.units import Unit, format_address, listed, parse_address, parse_count


@dataclass(frozen=True, slots=True)
class BackendAddress:
    """A mail server behind us. `own`: options said for it alone; the others follow `TARPIT_BACKEND_*`."""

    host: str
    port: int
    weight: int = 1
    max: int = 100
    introduce: Introduce = Introduce.OFF
    tls: BackendTls = BackendTls.OFF
    own: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @property
    def name(self) -> str:
        """host:port, as in the settings and in events."""
        return format_address((self.host, self.port))

    def following(self, *, maximum: int, introduce: Introduce, tls: BackendTls) -> "BackendAddress":
        """Return this backend with the options that it does not say itself taken from here."""
        return replace(
            self,
            max=self.max if "max" in self.own else maximum,
            introduce=self.introduce if "introduce" in self.own else introduce,
            tls=self.tls if "tls" in self.own else tls,
        )


@dataclass(frozen=True, slots=True)
class Route:
    """Recipients that match `pattern` go to `backends`; without any they are refused."""

    pattern: str
    backends: tuple[BackendAddress, ...]


def parse_backend(text: str) -> BackendAddress:
    """Return a backend from `host:port[*weight][;max=N][;introduce=xclient][;tls=require]`."""
    place, *options = text.split(";")
    where, star, weight = place.partition("*")
    host, port = parse_address(where)
    backend = BackendAddress(host, port, weight=parse_count(weight) if star else 1)
    for option in options:
        backend = _with_option(backend, option)
    return backend


def _with_option(backend: BackendAddress, option: str) -> BackendAddress:
    name, _, value = option.partition("=")
    own = backend.own | {name}
    match name:
        case "max":
            return replace(backend, max=parse_count(value), own=own)
        case "introduce":
            return replace(backend, introduce=INTRODUCE.parse(value), own=own)
        case "tls":
            return replace(backend, tls=BACKEND_TLS.parse(value), own=own)
    raise ValueError(
        f"{option!r} is not an option of a backend: write max=N, introduce=xclient or tls=require"
    )


def format_backend(backend: BackendAddress) -> str:
    """Return *backend* as `parse_backend` reads it, with the options that it says itself."""
    weight = f"*{backend.weight}" if backend.weight != 1 else ""
    options = [("max", backend.max), ("introduce", backend.introduce), ("tls", backend.tls)]
    return f"{backend.name}{weight}" + "".join(
        f";{name}={value}" for name, value in options if name in backend.own
    )


def parse_route(text: str) -> Route:
    """Return a route from `domain=host:port*2,host:port`; `*.domain`, `user@domain` and `*=refuse` too."""
    pattern, equals, target = text.partition("=")
    if not equals or not re.fullmatch(r"\*|(?:\*\.|[!-?A-~]+@)?[A-Za-z0-9.-]+", pattern):
        raise ValueError(f"{text!r} is not a route: write example.org=192.0.2.1:25 or *=refuse")
    if target == "refuse":
        return Route(pattern.lower(), ())
    return Route(pattern.lower(), tuple(parse_backend(part) for part in target.split(",")))


def format_route(route: Route) -> str:
    """Return *route* as `parse_route` reads it."""
    return f"{route.pattern}={','.join(map(format_backend, route.backends)) or 'refuse'}"


BACKENDS: Final = listed(Unit("backend", parse_backend, format_backend), needed="backend")
ROUTES: Final = listed(Unit("route", parse_route, format_route), separators=r"\s+")
