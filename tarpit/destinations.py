"""Where mail goes: a backend with its options, and a route of recipients to backends.

Not here: which route a recipient takes, and which backend gets a connection (`tarpit.backend`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Final
from unicodedata import normalize

from tarpit.choices import BACKEND_TLS, INTRODUCE, BackendTls, Introduce
from tarpit.smtp.addresses import Mailbox, parse_reverse_path
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

    def following(
        self, *, maximum: int | None, introduce: Introduce | None, tls: BackendTls | None
    ) -> "BackendAddress":
        """Return this backend with the options that it does not say itself taken from here, if they are."""
        return replace(
            self,
            max=self.max if "max" in self.own or maximum is None else maximum,
            introduce=self.introduce if "introduce" in self.own or introduce is None else introduce,
            tls=self.tls if "tls" in self.own or tls is None else tls,
        )


@dataclass(frozen=True, slots=True)
class Route:
    """Recipients that match `pattern`, which is folded, go to `backends`; without any they are refused."""

    pattern: str
    backends: tuple[BackendAddress, ...]

    def following(
        self, *, maximum: int | None, introduce: Introduce | None, tls: BackendTls | None
    ) -> "Route":
        """Return this route with the options that its backends do not say themselves taken from here."""
        backends = (one.following(maximum=maximum, introduce=introduce, tls=tls) for one in self.backends)
        return replace(self, backends=tuple(backends))


def every(backends: Sequence[BackendAddress], routes: Sequence[Route]) -> tuple[BackendAddress, ...]:
    """Return each backend once that mail may go to: of *backends* none where a route takes all the rest."""
    rest = any(route.pattern == "*" and route.backends for route in routes)
    found = {} if rest else {backend.name: backend for backend in backends}
    for route in routes:
        for backend in route.backends:
            found.setdefault(backend.name, backend)
    return tuple(found.values())


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
    local, at, rest = text.rpartition("@")
    domain, equals, target = rest.partition("=")
    pattern = _pattern(local, domain) if at else _domain_pattern(domain)
    if not equals or pattern is None:
        raise ValueError(f"{text!r} is not a route: write example.org=192.0.2.1:25 or *=refuse")
    if target == "refuse":
        return Route(pattern, ())
    backends = tuple(parse_backend(part) for part in target.split(","))
    names = [backend.name for backend in backends]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{text!r} has {name} twice, which would double its cap")
    return Route(pattern, backends)


def _domain_pattern(text: str) -> str | None:
    """Return `*`, `*.domain` or `domain`, folded; None of what is neither."""
    if text == "*":
        return text
    star, domain = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    domain = domain.removesuffix(".")
    if parse_reverse_path(f"<x@{domain}>".encode()) is None or (star and domain.startswith("[")):
        return None
    return star + fold_domain(domain)


def _pattern(local: str, domain: str) -> str | None:
    """Return an address, folded; None of what is none."""
    path = parse_reverse_path(f"<{local}@{domain}>".encode())
    return None if path is None or path.mailbox is None or path.route else fold(path.mailbox)


def fold(mailbox: Mailbox) -> str:
    """Return *mailbox* in the one form in which addresses are compared; unlike RFC 5321, without case."""
    return str(Mailbox(mailbox.local.lower(), fold_domain(mailbox.domain)))


def fold_domain(domain: str) -> str:
    """Return a domain or address literal in the one form in which domains are compared: A-labels, no case.

    Nothing is mapped that IDNA2008 (RFC 5891) does not map: what looks like a domain is not that domain.
    """
    if domain.startswith("["):
        inner = domain[1:-1]
        return f"[ipv6:{ip_address(inner[5:])}]" if ":" in inner else domain
    return ".".join(label.lower() if label.isascii() else _a_label(label) for label in domain.split("."))


def _a_label(label: str) -> str:
    return "xn--" + normalize("NFC", label.lower()).encode("punycode").decode("ascii")


def format_route(route: Route) -> str:
    """Return *route* as `parse_route` reads it."""
    return f"{route.pattern}={','.join(map(format_backend, route.backends)) or 'refuse'}"


def parse_routes(text: str) -> tuple[Route, ...]:
    """Return routes, apart by blanks or newlines; what follows a `#` that begins a word is a comment.

    Raises ValueError with every fault, and the line of each where there are several lines.
    """
    routes, places = dict[str, Route](), dict[str, int]()
    faults, lines = list[str](), text.splitlines()
    for number, line in enumerate(lines, 1):
        where = f"line {number}: " if len(lines) > 1 else ""
        for word in _WORD.findall(_COMMENT.sub("", line)):
            try:
                route = parse_route(word)
            except ValueError as wrong:
                faults.append(f"{where}{wrong}")
                continue
            if route.pattern in routes:
                before = f", in line {places[route.pattern]}" if where else ""
                faults.append(f"{where}{route.pattern} has a route already{before}")
            routes[route.pattern], places[route.pattern] = route, number
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(routes.values())


def format_routes(routes: tuple[Route, ...]) -> str:
    """Return *routes* as `parse_routes` reads them."""
    return " ".join(map(format_route, routes)) or "none"


_WORD: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s"]|")+')
_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#.*")

BACKENDS: Final = listed(Unit("backend", parse_backend, format_backend), needed="backend")
ROUTES: Final = Unit(
    "list of route", lambda text: () if text.strip() == "none" else parse_routes(text), format_routes
)
