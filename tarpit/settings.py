"""The settings of one run: `load` reads, validates and holds against each other all `TARPIT_*` variables.

Everything fails shut and at once: `SettingsError` names each fault by its variable. What is odd but works is
a warning (`Settings.warnings`).

Not here: the variables themselves (`tarpit.variables`), how they are written (`tarpit.units` and
`tarpit.choices`), where their text comes from (`tarpit.environment`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from scoring.zones import idle_masks
from tarpit import environment
from tarpit.choices import (
    BackendTls,
    Balance,
    BareNewline,
    Introduce,
    LogFormat,
    LogLevel,
    Mode,
    RelayTest,
    TlsMode,
)
from tarpit.defaults import room
from tarpit.destinations import BackendAddress, Route, every
from tarpit.environment import PREFIX
from tarpit.errors import Fault, SettingsError
from tarpit.units import Address, Unit, format_address, format_duration, format_size
from tarpit.variables import Later, Variables

__all__ = [
    "BackendAddress",
    "BackendTls",
    "Balance",
    "BareNewline",
    "Introduce",
    "LogFormat",
    "LogLevel",
    "Mode",
    "RelayTest",
    "Settings",
    "TlsMode",
    "load",
]

NAME: Final = re.compile(r"TARPIT_\w+")
HIDDEN: Final = "pass hides recipients, and TARPIT_ROUTES wants to see them: set terminate or off"
POSTMASTER: Final = "*=refuse needs TARPIT_BACKENDS, which <postmaster> without a domain goes to (RFC 5321)"
CROSSED: Final = "is TLS of ours, and no peer's passes through it: TARPIT_TLS must be terminate or off"
ONE_SERVER: Final = "has different options in two places: it is one server, with one cap and one weight"
SHARED: Final = "each worker has a share of it, of one at least"
UNSTEERED: Final = "are each met by any peer, and count it for themselves, where connections come from"
FROM_SYSTEMD: Final = {"state_dir": "STATE_DIRECTORY", "spool_dir": "CACHE_DIRECTORY"}


class Settings(Variables):
    """All settings, valid and frozen. An attribute is a variable's name without `TARPIT_`, in lower case."""

    @property
    def starttls(self) -> TlsMode:
        """TARPIT_TLS, with `auto` decided."""
        if self.tls is not TlsMode.AUTO:
            return self.tls
        if self.tls_cert and self.tls_key:
            return TlsMode.TERMINATE
        return TlsMode.OFF if self.routed else TlsMode.PASS

    @property
    def all_backends(self) -> tuple[BackendAddress, ...]:
        """Those of TARPIT_BACKENDS and of TARPIT_ROUTES, each once."""
        return every(self.backends, self.routes)

    @property
    def routed(self) -> bool:
        """Whether it takes a recipient to know where a message goes, or that it goes nowhere."""
        ways = {frozenset(backend.name for backend in route.backends) for route in self.routes}
        others = () if _has_catch_all(self.routes) else (frozenset(one.name for one in self.backends),)
        return len(ways.union(others)) > 1

    def text(self, field: str) -> str:
        """Return the value of *field* as it would be written, a password masked."""
        return unit_of(field).format(getattr(self, field))

    def pending(self) -> tuple[str, ...]:
        """Return the variables set to what this version does not do yet and is harmless to do without."""
        return tuple(PREFIX + field.upper() for field, later in _later() if self._asks_for(field, later))

    def warnings(self) -> tuple[Fault, ...]:
        """Return what is odd and works all the same."""
        return tuple(_doubts(self))

    def faults(self) -> tuple[Fault, ...]:
        """Return what is wrong between variables that are right one by one."""
        return tuple(_contradictions(self))

    def _asks_for(self, field: str, later: Later) -> bool:
        if later.values:
            return self.text(field) in later.values
        return (
            field in self.model_fields_set and getattr(self, field) != Variables.model_fields[field].default
        )


def load(environ: Mapping[str, str], env_file: Path | None = None) -> Settings:
    """Return what *environ* and *env_file* say. Raises SettingsError with every fault at once."""
    known = {PREFIX + field.upper(): field for field in Variables.model_fields}
    read = environment.read(environ, env_file, known)
    values = _from_systemd(environ) | {known[name]: text for name, text in read.texts.items()}
    settings, wrong = _validate(values)
    faults = [*read.faults, *(_placed(fault, read.files.get(fault.name)) for fault in wrong)]
    # What a wrong variable would have been is not known: nothing is said of what follows from it.
    faulty = {fault.name for fault in faults}
    faults += [fault for fault in settings.faults() if faulty.isdisjoint(NAME.findall(str(fault)))]
    if faults:
        raise SettingsError(sorted(faults, key=lambda fault: fault.name))
    return settings


def unit_of(field: str) -> Unit[object]:
    """Return the unit in which *field* is written."""
    return next(unit for unit in Variables.model_fields[field].metadata if isinstance(unit, Unit))


def later_of(field: str) -> Later | None:
    """Return what this version does not do yet of *field*, if anything."""
    return next((mark for mark in Variables.model_fields[field].metadata if isinstance(mark, Later)), None)


def _later() -> Iterator[tuple[str, Later]]:
    for field in Variables.model_fields:
        if later := later_of(field):
            yield field, later


def _placed(fault: Fault, path: Path | None) -> Fault:
    """Return *fault* with the file that it is in."""
    return fault if path is None else Fault(fault.name, f"{path}: {fault.message}")


def _from_systemd(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the directories that systemd made for us; the first, where there are several."""
    return {field: environ[name].split(":")[0] for field, name in FROM_SYSTEMD.items() if environ.get(name)}


def _validate(values: Mapping[str, str]) -> tuple[Settings, list[Fault]]:
    """Return the settings, the default in the place of each wrong value, and what is wrong with those."""
    try:
        return Settings.model_validate(values), []
    except ValidationError as error:
        wrong = {
            str(details["loc"][0]): details["msg"].removeprefix("Value error, ")
            for details in error.errors(include_input=False, include_url=False)
            if details["type"] != "default_factory_not_called"  # it follows from a variable that is wrong
        }
    right = {field: text for field, text in values.items() if field not in wrong}
    return Settings.model_validate(right), [Fault(PREFIX + name.upper(), why) for name, why in wrong.items()]


def _contradictions(settings: Settings) -> Iterator[Fault]:
    if settings.score_hold < settings.score_suspect + 1:
        least = settings.score_suspect + 1
        yield Fault("TARPIT_SCORE_HOLD", f"must be at least {least:g}, 1 above TARPIT_SCORE_SUSPECT")
    if settings.backend_checks > (cap := min(backend.max for backend in settings.all_backends)):
        yield Fault(
            "TARPIT_BACKEND_CHECKS", f"is more than the smallest cap of a backend, {cap} (TARPIT_BACKEND_MAX)"
        )
    if settings.spool_message > settings.spool_total:
        least_total = format_size(settings.spool_message)
        yield Fault("TARPIT_SPOOL_TOTAL", f"must be at least TARPIT_SPOOL_MESSAGE, which is {least_total}")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        yield Fault("TARPIT_TLS_CERT", "goes together with TARPIT_TLS_KEY: set both or neither")
    if settings.tls is TlsMode.TERMINATE and settings.tls_cert is None:
        yield Fault("TARPIT_TLS", "terminate needs TARPIT_TLS_CERT and TARPIT_TLS_KEY")
    if settings.starttls is TlsMode.PASS:
        for backend in settings.all_backends:
            if backend.tls is not BackendTls.OFF:
                yield Fault("TARPIT_BACKEND_TLS", f"{backend.name}: {backend.tls} {CROSSED}")
    for network in set(settings.allow) & set(settings.deny):
        yield Fault("TARPIT_DENY", f"{network} is in TARPIT_ALLOW too")
    for mask in idle_masks(settings.zone_masks, (*settings.dnsbl_zones, *settings.rhsbl_zones)):
        yield Fault("TARPIT_ZONE_MASKS", f"{mask} is none of TARPIT_DNSBL_ZONES or TARPIT_RHSBL_ZONES")
    yield from _routing(settings)
    yield from _places(settings)
    yield from _too_many_workers(settings)


def _too_many_workers(settings: Settings) -> Iterator[Fault]:
    """Say of what not every worker could have a share, of one at least."""
    number = settings.workers
    if number > (cap := min(backend.max for backend in settings.all_backends)):
        yield Fault("TARPIT_WORKERS", f"{number} is more than the smallest cap of a backend, {cap}: {SHARED}")
    for field in ("backend_checks", "max_sessions"):
        if (most := getattr(settings, field)) < number:
            yield Fault(PREFIX + field.upper(), f"{most} is less than TARPIT_WORKERS, {number}: {SHARED}")


def _routing(settings: Settings) -> Iterator[Fault]:
    if settings.tls is TlsMode.PASS and settings.routed:
        yield Fault("TARPIT_TLS", HIDDEN)
    refused = any(route.pattern == "*" and not route.backends for route in settings.routes)
    if refused and "backends" not in settings.model_fields_set:
        yield Fault("TARPIT_ROUTES", POSTMASTER)
    everywhere = {backend.name: backend for backend in settings.all_backends}
    for backend in chain.from_iterable(route.backends for route in settings.routes):
        if everywhere[backend.name] != backend:
            yield Fault("TARPIT_ROUTES", f"{backend.name} {ONE_SERVER}")
            everywhere[backend.name] = backend


def _has_catch_all(routes: Sequence[Route]) -> bool:
    return any(route.pattern == "*" and route.backends for route in routes)


def _places(settings: Settings) -> Iterator[Fault]:
    """Say which addresses are used twice."""
    names = [backend.name for backend in settings.backends]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Fault("TARPIT_BACKENDS", f"{name} is listed twice, which would double its cap")
    for listen in settings.listen:
        for backend in settings.all_backends:
            if _same_place(listen, (backend.host, backend.port)):
                yield Fault(
                    "TARPIT_LISTEN", f"{format_address(listen)} is our own backend: mail would go in circles"
                )
        if settings.admin and _same_place(listen, settings.admin):
            yield Fault(
                "TARPIT_ADMIN", f"is where TARPIT_LISTEN has us listen for mail, {format_address(listen)}"
            )


def _same_place(listen: Address, other: Address) -> bool:
    if listen[1] != other[1]:
        return False
    ours, theirs = _literal(listen[0]), _literal(other[0])
    return ours == theirs or (_is_any(ours) and _is_here(theirs))


def _literal(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


def _is_any(host: str) -> bool:
    return host in {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound


def _is_here(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _doubts(settings: Settings) -> Iterator[Fault]:
    fits = room(settings.all_backends, settings.workers)
    if "max_sessions" in settings.model_fields_set and settings.max_sessions > fits:
        yield Fault(
            "TARPIT_MAX_SESSIONS",
            f"is more than the descriptor limit leaves room for, {fits}: raise the limit",
        )
    if "pregreet_wait" in settings.model_fields_set and settings.pregreet_wait > settings.pace_banner:
        until = format_duration(settings.pace_banner)
        yield Fault("TARPIT_PREGREET_WAIT", f"is cut short by TARPIT_PACE_BANNER, {until}")
    if settings.backend_ca and all(one.tls is not BackendTls.REQUIRE for one in settings.all_backends):
        yield Fault("TARPIT_BACKEND_CA", "has no effect: no backend has TLS `require`")
    if settings.workers > 1 and settings.proxy_from:
        yield Fault("TARPIT_WORKERS", f"{UNSTEERED} all of TARPIT_PROXY_FROM")
    if settings.spool_total // settings.workers < settings.spool_message:
        size = format_size(settings.spool_total // settings.workers)
        yield Fault("TARPIT_SPOOL_TOTAL", f"leaves each worker {size}, the largest message of a suspect then")
    if _has_catch_all(settings.routes) and "backends" in settings.model_fields_set:
        yield Fault("TARPIT_BACKENDS", "has no effect: TARPIT_ROUTES has a route for all others, *=...")
    if settings.max_held > settings.max_sessions:
        yield Fault("TARPIT_MAX_HELD", f"is more than TARPIT_MAX_SESSIONS, {settings.max_sessions}")
