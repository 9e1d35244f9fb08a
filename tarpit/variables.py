"""Every `TARPIT_*` variable, one entry each: type, unit, default, meaning. docs/settings.md is made of this.

The variable's name is the field's in capitals. A default is a value, not text; one that is worked out at load
says how (`Computed`), and `Later` marks what this version does not do yet. The order matters where a default
follows from other fields: pydantic validates from top to bottom.

Not here: where the text comes from (`tarpit.environment`), what must hold between variables and how faults
are told (`tarpit.settings`).
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, TypeVar

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from scoring.weights import DEFAULT_WEIGHTS
from scoring.zones import Zone, masked
from tarpit import choices, defaults, units
from tarpit.destinations import BACKENDS, ROUTES, BackendAddress, Route
from tarpit.environment import PREFIX
from tarpit.units import Address, Network, Rate, listed


@dataclass(frozen=True, slots=True)
class Computed:
    """A default that is worked out at load: what it is, for the documentation."""

    what: str


@dataclass(frozen=True, slots=True)
class Later:
    """Not in this version yet, and harmless to do without. `values` narrows that to some values, as text."""

    values: frozenset[str] = frozenset()


Duration = Annotated[float, units.DURATION]
Patience = Annotated[float, units.PATIENCE]
Size = Annotated[int, units.SIZE]
Count = Annotated[int, units.COUNT]
Points = Annotated[float, units.POINTS]
Networks = Annotated[tuple[Network, ...], listed(units.NETWORK)]
NetworkSources = Annotated[tuple[Network | Path, ...], listed(units.SOURCE)]
File = Annotated[Path | None, choices.PATH_OR_NONE]
Follower = TypeVar("Follower", BackendAddress, Route)


class Variables(BaseSettings):
    """The typed variables. Seconds are float, sizes int bytes."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - as pydantic-settings calls it
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave reading to `tarpit.environment`: the readers here let a mistyped name pass in silence."""
        return (init_settings,)

    # --- who talks to whom
    workers: Annotated[int, choices.WORKERS] = Field(
        1,
        description="processes that serve peers, each network always the same one; `auto`: one a core."
        " What is limited for all is divided among them",
    )
    mode: Annotated[choices.Mode, choices.MODE] = Field(
        choices.Mode.ENFORCE,
        description="one switch for all delays. `observe`: score, log the treatment a session would have"
        " had, slow nobody. `off`: pure proxy",
    )
    listen: Annotated[tuple[Address, ...], listed(units.ADDRESS, needed="address to listen on")] = Field(
        (("127.0.0.1", 2525),), description="where peers connect"
    )
    hostname: Annotated[str, units.HOST, Computed("the host's full name")] = Field(
        default_factory=defaults.hostname, description="our name in banner and replies"
    )
    backend_introduce: Annotated[choices.Introduce, choices.INTRODUCE] = Field(
        choices.Introduce.OFF, description="how a backend is told who the peer is"
    )
    backend_max: Count = Field(100, description="connections a backend ever sees at once")
    backend_tls: Annotated[choices.BackendTls, choices.BACKEND_TLS] = Field(
        choices.BackendTls.OFF,
        description="TLS to the backend. `may`: where it is offered, by whomever. `require`: or no mail goes"
        " there; its certificate must be for the host in TARPIT_BACKENDS",
    )
    backends: Annotated[tuple[BackendAddress, ...], BACKENDS] = Field(
        (BackendAddress("127.0.0.1", 10025),),
        description="the mail servers behind: `host:port[*weight][;max=N][;introduce=xclient][;tls=require]`",
        validate_default=True,
    )
    routes: Annotated[tuple[Route, ...], ROUTES] = Field(
        (),
        description="recipients to backends: `domain=host:port*2,host:port`, `*.domain=...`,"
        " `user@domain=...`, `*=refuse`; all others go to TARPIT_BACKENDS",
    )
    routes_mixed: Annotated[choices.RoutesMixed, choices.ROUTES_MIXED] = Field(
        choices.RoutesMixed.DEFER,
        description="recipients of one message with different routes. `defer`: those of the first one now,"
        " the others hear 452 and are sent to again. `fanout`: one message to all",
    )
    backend_ca: Annotated[Path | None, choices.optional(units.PATH, word="system")] = Field(
        None,
        description="whom `require` believes, a PEM file: an authority, or the backend's own certificate",
    )
    backend_checks: Annotated[Count, Computed("a tenth of the smallest cap")] = Field(
        default_factory=defaults.backend_checks,
        description="of a backend's connections, at most so many for suspects; clean peers go first",
    )
    backend_queue: Duration = Field(10.0, description="longest wait for a connection to a backend, then 421")
    balance: Annotated[choices.Balance, choices.BALANCE] = Field(
        choices.Balance.LEAST,
        description="which of several backends gets the next connection: the one with the fewest for its"
        " weight, each in turn, always the same for a network, the first that has room",
    )
    health_every: Patience = Field(
        10.0, description="probe of each backend; 0: only at the start, and while it is down or in doubt"
    )
    health_rise: Count = Field(2, description="probes in a row that bring a backend up again, one a second")
    health_fall: Count = Field(
        3, description="failures in a row, of probes or of sessions to reach it, that make a backend down"
    )
    relay_test: Annotated[choices.RelayTest, choices.RELAY_TEST] = Field(
        choices.RelayTest.REFUSE,
        description="at the start a foreign recipient is tried as a stranger. A backend that takes it (it"
        " trusts our address) would make us an open relay: `refuse` to start, `warn`, `off` (sinks, tests)",
    )
    relay_test_rcpt: Annotated[str, choices.RECIPIENT] = Field(
        "relay-test@iana.org", description="that recipient: at a domain that exists and is not yours"
    )
    proxy_from: Networks = Field(
        (),
        description="load balancers that name the peer in a PROXY header, version 1 or 2; whoever comes from"
        " there without one is not served",
    )

    # --- who is suspect
    allow: NetworkSources = Field(
        (ip_network("127.0.0.0/8"), ip_network("::1")),
        description="networks never scored, never slowed; a path is a file of them, read again at HUP",
    )
    deny: NetworkSources = Field((), description="networks always hostile; paths as in TARPIT_ALLOW")
    allow_names: Annotated[tuple[str, ...], listed(units.HOST)] = Field(
        (),
        description="as TARPIT_ALLOW, by forward-confirmed name or SPF-passed domain, and all below it",
    )
    exempt_rcpt: Annotated[tuple[str, ...], choices.RECIPIENTS] = Field(
        ("postmaster", "abuse"),
        description="recipients that are never held: the way out for a false positive",
    )
    trap_rcpt: Annotated[tuple[str, ...], choices.RECIPIENTS] = Field(
        (), description="recipients that only a harvester knows: whoever asks for one is hostile soon"
    )
    dns_servers: Annotated[tuple[Address, ...] | None, choices.SERVERS] = Field(
        None, description="name servers for look-ups; a DNSBL wants your own, not a public one"
    )
    zone_masks: Annotated[Mapping[str, str], choices.MASKS] = Field(
        default_factory=lambda: MappingProxyType({}),
        description="how a zone with a key in its name is shown: `key.zen.example=zen.example`",
    )
    dnsbl_zones: Annotated[tuple[Zone, ...], choices.ZONES] = Field(
        (),
        description="as in postscreen, `zen.example=127.0.0.[2..11]*3`; weights may be negative",
    )
    rhsbl_zones: Annotated[tuple[Zone, ...], choices.ZONES] = Field(
        (),
        description="lists of names, asked for HELO name, reverse name and the reverse-path's domain",
    )
    score_suspect: Points = Field(3.0, description="points from which a peer is suspect, and slowed")
    score_hold: Points = Field(8.0, description="points from which a peer is hostile, and held")
    score_wait: Duration = Field(
        3.0, description="look-ups may hold the banner so long; then they have no opinion"
    )
    weights: Annotated[Mapping[str, float], choices.WEIGHTS] = Field(
        default_factory=lambda: DEFAULT_WEIGHTS,
        description="points of a signal; signals that are not named keep theirs",
    )
    greet_wait: Duration = Field(
        0.0,
        description="silence before the banner for a clean peer not met before; 2s finds bots no list knows",
    )
    pregreet_wait: Duration = Field(6.0, description="the same for suspects, within TARPIT_PACE_BANNER")
    rate_peer: Annotated[Rate, units.RATE] = Field(
        Rate(60),
        description="connections of a peer; above, points that alone make no suspect; 0: no limit",
    )
    rate_network: Annotated[Rate, units.RATE] = Field(
        Rate(600), description="the same of its network, /24 or /64"
    )

    # --- how slow
    pace_byte: Duration = Field(1.0, description="between two bytes of a reply at full pace")
    pace_delay: Duration = Field(2.0, description="silence before each reply at full pace")
    pace_banner: Duration = Field(15.0, description="the whole banner is out by then, look-ups included")
    pace_reply: Duration = Field(25.0, description="each reply to EHLO, MAIL, RCPT and DATA is out by then")
    pace_data: Duration = Field(10.0, description="what slow reading may cost one message")
    pace_session: Duration = Field(240.0, description="all added delay of a session")
    pace_hold: Duration = Field(240.0, description="each reply to a hostile peer is out by then")
    pace_jitter: Annotated[float, units.SHARE] = Field(0.2, description="± share of every wait")
    pace_read: Size = Field(
        1024,
        description="bytes a second read from a suspect's message, within TARPIT_PACE_DATA; 0: full speed",
    )
    hold_code: Annotated[int, choices.HOLD_CODE] = Field(450, description="how a hold ends, at RCPT")
    hold_text: Annotated[str, units.LINE] = Field(
        "if this is a mistake, write to postmaster here, who is never refused",
        description="the last words of that reply: whom to turn to",
    )

    # --- how many
    max_sessions: Annotated[
        Count, Computed("descriptor limit - 100, for each worker, - all backends' caps")
    ] = Field(default_factory=defaults.max_sessions, description="sessions at once; more hear 421")
    max_sessions_peer: Count = Field(50, description="of these, from one address")
    max_sessions_network: Count = Field(
        200, description="of these, from one network, /24 or /64; four times as many from a /20 or /48"
    )
    max_held: Annotated[Count, Computed("75 % of TARPIT_MAX_SESSIONS")] = Field(
        default_factory=defaults.max_held,
        description="slowed sessions at once; more are not slowed",
    )

    # --- messages
    bare_newline: Annotated[choices.BareNewline, choices.BARE_NEWLINE] = Field(
        choices.BareNewline.NORMALIZE, description="a message with a bare CR or LF: mended, or 550 5.6.11"
    )
    spool_message: Size = Field(50 * 1024**2, description="largest message of a suspect")
    spool_total: Size = Field(1024**3, description="all of them together")
    spool_dir: Annotated[
        Path,
        units.PATH,
        Computed("$CACHE_DIRECTORY, else the system's temporary directory"),
    ] = Field(default_factory=lambda: Path(tempfile.gettempdir()), description="where they are beyond memory")
    header: Annotated[str | None, choices.HEADER] = Field(
        None, description="header field with score and findings for the filter behind"
    )

    # --- TLS with the peer
    tls: Annotated[choices.TlsMode, choices.TLS_MODE] = Field(
        choices.TlsMode.AUTO,
        description="STARTTLS: `terminate` when TARPIT_TLS_CERT and TARPIT_TLS_KEY are set, else `pass`",
    )
    tls_cert: File = Field(None, description="certificate and chain, a PEM file, read again at HUP")
    tls_key: File = Field(None, description="its key, a PEM file without a password, read again at HUP")

    # --- patience with both sides
    timeout_command: Patience = Field(300.0, description="a peer's next command; 0: for ever")
    timeout_block: Patience = Field(180.0, description="the next piece of a peer's message; 0: for ever")
    timeout_send: Patience = Field(300.0, description="either side takes what we send; 0: for ever")
    timeout_tls: Patience = Field(30.0, description="a TLS handshake, with either side; 0: for ever")
    timeout_dial: Patience = Field(10.0, description="connection to a backend; 0: for ever")
    timeout_banner: Patience = Field(30.0, description="a backend's banner; 0: for ever")
    timeout_reply: Patience = Field(300.0, description="a backend's reply; 0: for ever")
    timeout_dot: Patience = Field(600.0, description="a backend's reply to the end of data; 0: for ever")

    # --- running it
    drain: Duration = Field(30.0, description="after TERM, how long transfers may finish")
    user: Annotated[str | None, choices.USER] = Field(
        None, description="whom to become once the sockets are open, where we are started as root"
    )
    state_dir: Annotated[Path, units.PATH, Computed("$STATE_DIRECTORY, else ~/.local/state/tarpit")] = Field(
        default_factory=defaults.state_dir,
        description="where the socket of `tarpit status` and its like is, and what outlives a restart",
    )
    store: Annotated[SecretStr, choices.STORE, Computed("sqlite in TARPIT_STATE_DIR"), Later()] = Field(
        default_factory=defaults.store,
        description="memory of peers: `memory:`, `sqlite:///path`, `redis://...`",
    )
    admin: Annotated[Address | None, choices.ADMIN, Later()] = Field(
        ("127.0.0.1", 9525), description="page, metrics, health"
    )
    log_format: Annotated[choices.LogFormat, choices.LOG_FORMAT] = Field(
        choices.LogFormat.AUTO, description="`auto`: text on a terminal, JSON lines elsewhere"
    )
    log_level: Annotated[choices.LogLevel, choices.LOG_LEVEL] = Field(
        choices.LogLevel.INFO, description="the least grave events that are written"
    )

    @field_validator("dnsbl_zones", "rhsbl_zones", mode="after")
    @classmethod
    def _mask(cls, zones: tuple[Zone, ...], info: ValidationInfo) -> tuple[Zone, ...]:
        """Have each zone shown as TARPIT_ZONE_MASKS says."""
        return masked(zones, info.data.get("zone_masks", {}))

    @field_validator("backends", "routes", mode="after")
    @classmethod
    def _follow(cls, values: tuple[Follower, ...], info: ValidationInfo) -> tuple[Follower, ...]:
        """Give each backend the options that it does not say itself."""
        maximum, introduce, tls = (info.data.get(f"backend_{one}") for one in ("max", "introduce", "tls"))
        return tuple(value.following(maximum=maximum, introduce=introduce, tls=tls) for value in values)
