"""`tarpit check`: what would keep the proxy from working, before it is started. A line a check.

Exit code 0 when nothing fails (a WARN works, but not as well as it could), 1 when something does, 78 when the
settings are wrong. Nothing is changed, no mail is sent. The relay test is made by `run`, not here.
"""

import errno
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from itertools import groupby
from typing import Final

import trio
import typer

from scoring.resolve import Resolver
from scoring.testpoints import Health
from tarpit.choices import BackendTls, Introduce, TlsMode
from tarpit.cli import zone
from tarpit.cli.options import EnvFile, Json
from tarpit.defaults import SPARE_DESCRIPTORS, descriptor_limit
from tarpit.destinations import BackendAddress
from tarpit.errors import SettingsError
from tarpit.observe.log import safe
from tarpit.settings import Settings, load
from tarpit.tls import DAY, SOON, Certificate, Trust
from tarpit.units import Address, format_address

LONGEST_BANNER: Final = 4096
# PROXY protocol v2, command LOCAL: a connection of our own, for nobody
PROXY_OURSELVES: Final = {  # a PROXY header that names nobody
    Introduce.PROXY_V1: b"PROXY UNKNOWN\r\n",
    Introduce.PROXY_V2: b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
}


class State(StrEnum):
    """How a check has ended."""

    OK = "ok"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `message` says what was found, and where it is not well, what to do."""

    what: str
    state: State
    message: str


def command(env_file: EnvFile = None, json_: Json = False) -> None:
    """Check settings, ports, descriptors, backends and DNSBL zones; say what to do about what is wrong."""
    checks = trio.run(look, load(os.environ, env_file))
    if json_:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        print("\n".join(f"{check.state:<4}  {check.what}: {check.message}" for check in checks))
    raise typer.Exit(int(any(check.state is State.FAIL for check in checks)))


async def look(settings: Settings) -> list[Check]:
    """Return all checks: first what is here, then what is elsewhere, all of that at once."""
    resolver = Resolver(settings.dns_servers)
    far: list[Callable[[], Awaitable[Check]]] = [
        partial(look_at_backend, backend, settings) for backend in settings.all_backends
    ]
    return [
        *look_at_settings(settings),
        *(look_at_port(address) for address in settings.listen),
        look_at_descriptors(settings),
        *await _all(far),
        *await look_at_zones(settings, resolver),
    ]


async def _all(looks: list[Callable[[], Awaitable[Check]]]) -> list[Check]:
    found: dict[int, Check] = {}

    async def one(number: int, look_: Callable[[], Awaitable[Check]]) -> None:
        found[number] = await look_()

    async with trio.open_nursery() as nursery:
        for number, look_ in enumerate(looks):
            nursery.start_soon(one, number, look_)
    return [found[number] for number in range(len(looks))]


def look_at_settings(settings: Settings) -> list[Check]:
    """Return a check for all settings, and one for each that is odd."""
    checks = [Check("settings", State.OK, f"{len(settings.model_fields_set)} set, all right")]
    checks += [Check(fault.name, State.WARN, fault.message) for fault in settings.warnings()]
    checks += [
        Check(name, State.WARN, "is not in this version yet and has no effect") for name in settings.pending()
    ]
    return checks + look_at_tls(settings)


def look_at_tls(settings: Settings) -> list[Check]:
    """Return what is to be said of our certificate, or of being blind, and of whom backends are known by."""
    checks = []
    if settings.starttls is TlsMode.PASS:
        blind = (
            "passed through: behind it there is no SPF, no recipient or message is seen, nothing is slowed"
        )
        checks.append(Check("STARTTLS", State.WARN, f"{blind}. Better end it here (TARPIT_TLS_CERT, _KEY)"))
    if settings.starttls is TlsMode.TERMINATE and settings.tls_cert and settings.tls_key:
        try:
            certificate = Certificate.load(settings.tls_cert, settings.tls_key)
        except SettingsError as wrong:
            checks += [Check(fault.name, State.FAIL, fault.message) for fault in wrong.faults]
        else:
            checks.append(judge_certificate(certificate, settings.hostname))
    required = any(backend.tls is BackendTls.REQUIRE for backend in settings.all_backends)
    try:
        Trust(settings.backend_ca, required=required)
    except SettingsError as wrong:
        checks += [Check(fault.name, State.FAIL, fault.message) for fault in wrong.faults]
    return checks


def judge_certificate(certificate: Certificate, hostname: str) -> Check:
    """Return whether a certificate is for us, and for how long."""
    days = (certificate.ends - time.time()) / DAY
    found = f"for {safe(' '.join(certificate.names), 200)}, {days:.0f} days"
    if days < SOON:
        return Check("STARTTLS", State.WARN, f"{found}: renew it, then `kill -HUP`")
    if hostname not in certificate.names:
        hint = f"TARPIT_HOSTNAME, {hostname}, is not in it: is the name in your MX record?"
        return Check("STARTTLS", State.WARN, f"{found}; {hint}")
    return Check("STARTTLS", State.OK, found)


def look_at_port(address: Address) -> Check:
    """Return whether we could listen there."""
    what, (host, port) = f"listen {format_address(address)}", address
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(place)
            sock.listen()
    except OSError as error:
        return _unusable_port(what, port, error)
    return Check(what, State.OK, "free")


def _unusable_port(what: str, port: int, error: OSError) -> Check:
    match error.errno:
        case errno.EADDRINUSE:
            hint = f"in use, by this proxy or another server: `ss -ltnp 'sport = :{port}'` says which"
            return Check(what, State.WARN, hint)
        case errno.EACCES:
            hint = "not allowed: AmbientCapabilities=CAP_NET_BIND_SERVICE, or a port above 1023"
            return Check(what, State.FAIL, hint)
        case errno.EADDRNOTAVAIL:
            return Check(what, State.FAIL, "not an address of this machine: see `ip address`")
    return Check(what, State.FAIL, error.strerror or str(error))


def look_at_descriptors(settings: Settings) -> Check:
    """Return whether the descriptor limit has room for all sessions and all backends' caps."""
    caps, spare = sum(backend.max for backend in settings.all_backends), SPARE_DESCRIPTORS * settings.workers
    limit = descriptor_limit() * settings.workers
    need = settings.max_sessions + caps + spare
    what = "descriptors"
    sum_ = f"{settings.max_sessions} sessions + {caps} to backends + {spare}"
    if need > limit:
        hint = "raise it (LimitNOFILE=, ulimit -n) or lower TARPIT_MAX_SESSIONS"
        state = State.FAIL if caps + spare >= limit else State.WARN
        return Check(what, state, f"{sum_} is more than the limit of {limit}: {hint}")
    return Check(what, State.OK, f"{sum_} is within the limit of {limit}")


async def look_at_backend(backend: BackendAddress, settings: Settings) -> Check:
    """Return whether *backend* takes a connection and greets."""
    what = f"backend {backend.name}"
    try:
        with trio.fail_after(settings.timeout_dial):
            stream = await trio.open_tcp_stream(backend.host, backend.port)
        async with stream:
            with trio.fail_after(settings.timeout_banner):
                banner = await _greeting(stream, backend)
    except trio.TooSlowError:
        return Check(what, State.FAIL, "does not answer in time (TARPIT_TIMEOUT_DIAL, TARPIT_TIMEOUT_BANNER)")
    except (OSError, trio.BrokenResourceError) as error:
        return Check(what, State.FAIL, f"cannot be reached: {_reason(error)}")
    if not banner.startswith(b"220"):
        return Check(what, State.FAIL, f"does not greet: {safe(banner) or 'it closed the connection'}")
    if backend.introduce is Introduce.OFF:
        loses = "it sees our address in the place of each peer's (TARPIT_BACKEND_INTRODUCE)"
        return Check(what, State.WARN, f"{safe(banner)}; {loses}")
    return Check(what, State.OK, safe(banner))


def _reason(error: BaseException) -> str:
    """Return why the last address of a host could not be reached: trio tells of all of them together."""
    if isinstance(cause := error.__cause__, BaseExceptionGroup):
        return _reason(cause.exceptions[-1])
    return safe(str(error.__cause__ or error), 200)


async def _greeting(stream: trio.SocketStream, backend: BackendAddress) -> bytes:
    if header := PROXY_OURSELVES.get(backend.introduce):
        await stream.send_all(header)
    heard = b""
    while b"\n" not in heard and len(heard) < LONGEST_BANNER and (more := await stream.receive_some(1024)):
        heard += more
    banner = heard.splitlines()[0] if heard else b""
    if banner.startswith(b"220"):
        await stream.send_all(b"QUIT\r\n")
    return banner


async def look_at_zones(settings: Settings, resolver: Resolver) -> list[Check]:
    """Return for each zone whether it would be asked: it must pass its own test (RFC 5782, section 5)."""
    # imported here: the other commands do not need the path of a session
    from tarpit.classify import scoring_config  # noqa: PLC0415

    tested = await zone.look(scoring_config(settings), resolver)
    groups = groupby(tested, key=lambda result: result.zone)
    return [judge_zone(shown, list(results)) for shown, results in groups]


def judge_zone(shown: str, results: Sequence[zone.Outcome]) -> Check:
    """Return what the tests of one zone come to. A silent one is as good as none, and does no harm."""
    what = f"zone {shown}"
    if not zone.failed(results):
        return Check(what, State.OK, next(result.why for result in results if result.usable))
    told = "; ".join(dict.fromkeys(result.why for result in results if not result.usable))
    if any(result.health is Health.SILENT for result in results):
        return Check(what, State.WARN, f"{told}: it has no opinion on anybody; see TARPIT_DNS_SERVERS")
    return Check(what, State.FAIL, f"{told}: take it out of the settings, or see why it does so")
