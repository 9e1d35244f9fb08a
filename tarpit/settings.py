"""The settings of one run: `load` reads, validates and holds against each other all `TARPIT_*` variables.

Everything fails shut and at once: `SettingsError` names each fault by its variable. What is odd but works is
a warning (`Settings.warnings`).

Not here: the variables themselves (`tarpit.variables`), how they are written (`tarpit.units` and
`tarpit.choices`), where their text comes from (`tarpit.environment`).
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
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
from tarpit.destinations import BackendAddress
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
NOT_YET: Final = "is not in this version yet"
CROSSED: Final = "is TLS of ours, and no peer's passes through it: TARPIT_TLS must be terminate or off"
FROM_SYSTEMD: Final = {"state_dir": "STATE_DIRECTORY", "spool_dir": "CACHE_DIRECTORY"}


class Settings(Variables):
    """All settings, valid and frozen. An attribute is a variable's name without `TARPIT_`, in lower case."""

    @property
    def starttls(self) -> TlsMode:
        """TARPIT_TLS, with `auto` decided."""
        if self.tls is not TlsMode.AUTO:
            return self.tls
        return TlsMode.TERMINATE if self.tls_cert and self.tls_key else TlsMode.PASS

    def text(self, field: str) -> str:
        """Return the value of *field* as it would be written, a password masked."""
        return unit_of(field).format(getattr(self, field))

    def pending(self) -> tuple[str, ...]:
        """Return the variables set to what this version does not do yet and is harmless to do without."""
        return tuple(
            PREFIX + field.upper()
            for field, later in _later()
            if not later.refuse and not later.quiet and self._asks_for(field, later)
        )

    def warnings(self) -> tuple[Fault, ...]:
        """Return what is odd and works all the same."""
        return tuple(_doubts(self))

    def faults(self) -> tuple[Fault, ...]:
        """Return what is wrong between variables that are right one by one."""
        return (*self._not_yet(), *_contradictions(self))

    def _not_yet(self) -> Iterator[Fault]:
        for field, later in _later():
            if later.refuse and self._asks_for(field, later):
                yield Fault(PREFIX + field.upper(), f"{self.text(field)} {NOT_YET}")

    def _asks_for(self, field: str, later: Later) -> bool:
        if later.values:
            return self.text(field) in later.values
        return (
            field in self.model_fields_set and getattr(self, field) != Variables.model_fields[field].default
        )


def load(environ: Mapping[str, str], env_file: Path | None = None) -> Settings:
    """Return what *environ* and *env_file* say. Raises SettingsError with every fault at once."""
    known = {PREFIX + field.upper(): field for field in Variables.model_fields}
    texts, faults = environment.read(environ, env_file, known)
    values = _from_systemd(environ) | {known[name]: text for name, text in texts.items()}
    settings, wrong = _validate(values)
    faults += wrong
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
    if settings.backend_checks > (cap := min(backend.max for backend in settings.backends)):
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
        for backend in settings.backends:
            if backend.tls is not BackendTls.OFF:
                yield Fault("TARPIT_BACKEND_TLS", f"{backend.name}: {backend.tls} {CROSSED}")
    for network in set(settings.allow) & set(settings.deny):
        yield Fault("TARPIT_DENY", f"{network} is in TARPIT_ALLOW too")
    for mask in idle_masks(settings.zone_masks, (*settings.dnsbl_zones, *settings.rhsbl_zones)):
        yield Fault("TARPIT_ZONE_MASKS", f"{mask} is none of TARPIT_DNSBL_ZONES or TARPIT_RHSBL_ZONES")
    yield from _places(settings)


def _places(settings: Settings) -> Iterator[Fault]:
    """Say which addresses are used twice."""
    names = [backend.name for backend in settings.backends]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Fault("TARPIT_BACKENDS", f"{name} is listed twice, which would double its cap")
    for listen in settings.listen:
        for backend in settings.backends:
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
    fits = room(settings.backends)
    if "max_sessions" in settings.model_fields_set and settings.max_sessions > fits:
        yield Fault(
            "TARPIT_MAX_SESSIONS",
            f"is more than the descriptor limit leaves room for, {fits}: raise the limit",
        )
    if "pregreet_wait" in settings.model_fields_set and settings.pregreet_wait > settings.pace_banner:
        until = format_duration(settings.pace_banner)
        yield Fault("TARPIT_PREGREET_WAIT", f"is cut short by TARPIT_PACE_BANNER, {until}")
    if settings.backend_ca and all(backend.tls is not BackendTls.REQUIRE for backend in settings.backends):
        yield Fault("TARPIT_BACKEND_CA", "has no effect: no backend has TLS `require`")
    if settings.max_held > settings.max_sessions:
        yield Fault("TARPIT_MAX_HELD", f"is more than TARPIT_MAX_SESSIONS, {settings.max_sessions}")
