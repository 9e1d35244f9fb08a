"""What all sessions of a worker share, and which of them are open."""

import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Final

import trio
from structlog.typing import FilteringBoundLogger as Log

from scoring import Lookup, Resolver, Scorer
from scoring.verdict import to_address
from scoring.watch import Watch
from tarpit import limits, load
from tarpit.backend.dial import Dialling
from tarpit.backend.pool import Pool
from tarpit.backend.routes import Routes
from tarpit.backend.server import Backend
from tarpit.backend.splits import Splits
from tarpit.caps import Caps, Standing
from tarpit.classify import Classifier, Lists, scoring_config
from tarpit.deliver import Means
from tarpit.drip import Wheel
from tarpit.handshake import Handshakes
from tarpit.observe import events
from tarpit.parked import TimeOuts
from tarpit.policy import Patience
from tarpit.poller import Poller
from tarpit.recipients import Recipients
from tarpit.settings import BackendTls, BareNewline, Mode, Settings, TlsMode
from tarpit.smtp.limits import Limits
from tarpit.smtp.server import Server
from tarpit.spool import Room, Shelf
from tarpit.starttls import Terminator
from tarpit.store import Store
from tarpit.store.memory import MemoryStore
from tarpit.tls import Certificates, Trust

if TYPE_CHECKING:
    from tarpit.session import Session

MOST_SERVERS: Final = 16  # what is shown changes with the backends only


class Bugs:
    """`with`: a bug is told and ends here. The one place that catches what nobody expected.

    It stands around each session, and around what a session sets going beside it. A context, not a coroutine
    around another: thousands of sessions wait inside, and a coroutine takes 250 bytes.
    """

    __slots__ = ("_log",)

    def __init__(self, log: Log) -> None:
        self._log = log

    async def around(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work* so that a bug in it is told and ends here, and nothing else does."""
        with self:
            await work()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        events.session_failed(self._log, error=error)
        return True


@dataclass
class Services:
    """What all sessions of a worker share."""

    settings: Settings
    log: Log
    classifier: Classifier
    store: Store
    caps: Caps
    pool: Pool
    routes: Routes
    means: Means
    wheel: Wheel
    patience: Patience
    time_outs: TimeOuts
    exempt: Recipients
    traps: Recipients
    lookup: Lookup
    nursery: trio.Nursery
    terminator: Terminator | None = None  # None: TLS does not end with us
    open: set["Session"] = field(default_factory=set)
    run: str = field(default_factory=lambda: secrets.token_hex(4))  # tells this run of the server from others
    numbers: Iterator[int] = field(default_factory=count)
    bugs: Bugs = field(init=False)
    passes_tls: bool = field(init=False)  # whether STARTTLS is the backend's affair
    mode: Mode = field(init=False)  # TARPIT_MODE, until the operator says otherwise (`errands`)
    clock: Callable[[], float] = trio.current_time
    tally: Callable[[int], None] = lambda _: None  # is told how many are open, whenever that changes
    _strained_from: int = field(init=False)  # how many open sessions change the limits: asked four times each
    _waited: trio.Event | None = None  # set when a session ends, where anybody waits for that
    _servers: dict[tuple[bytes, ...], Server] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bugs = Bugs(self.log)
        self._strained_from = limits.strained_from(self.settings.max_sessions)
        self.passes_tls = self.settings.starttls is TlsMode.PASS
        self.mode = self.settings.mode

    @property
    def load(self) -> float:
        """How full this worker is."""
        return load.share(len(self.open), self.settings.max_sessions)

    def limits(self) -> Limits:
        """Return how much of what leads to no message a peer may say."""
        return limits.limits_at(len(self.open), self._strained_from)

    def idle(self) -> float:
        """Return the seconds that a suspect may take for a command: few when we are nearly full."""
        return limits.idle_at(self.load, self.settings.timeout_command)

    def server(self, keywords: tuple[bytes, ...]) -> Server:
        """Return our half of a dialogue that shows *keywords*: the same one to all who are shown the same."""
        if (server := self._servers.get(keywords)) is None:
            if len(self._servers) >= MOST_SERVERS:
                self._servers.clear()
            server = self._servers[keywords] = Server(hostname=self.settings.hostname, keywords=keywords)
        return server

    async def alone(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work* so that a bug in it is told and ends here, and nothing else does."""
        await self.bugs.around(work)

    def began(self, session: "Session") -> None:
        """Take note that *session* is open."""
        self.open.add(session)
        self.tally(len(self.open))
        self.caps.entered(session.wire.peer[0])

    def ended(self, session: "Session") -> None:
        """Take note that *session* is over."""
        self.open.discard(session)
        self.tally(len(self.open))
        self.caps.left(session.wire.peer[0])
        if self._waited is not None:
            self._waited.set()
            self._waited = None

    async def wait_empty(self) -> None:
        """Wait until no session is open."""
        while self.open:
            if self._waited is None:
                self._waited = trio.Event()
            await self._waited.wait()


def assemble(
    settings: Settings,
    log: Log,
    *,
    poller: Poller,
    wheel: Wheel,
    nursery: trio.Nursery,
    resolver: Lookup | None = None,
    dialling: Dialling | None = None,
) -> Services:
    """Build all that sessions share. Raises `SettingsError` for lists or certificates that cannot be used."""
    clock = trio.lowlevel.current_clock().current_time  # the same time as trio's, by one call and not three
    store = MemoryStore(clock=clock)
    lists = Lists(settings)
    lookup, config = resolver or Resolver(settings.dns_servers), scoring_config(settings)
    scorer = Scorer(config, lookup, watch=Watch(config.zones, config.name_zones, lookup), clock=clock)
    time_outs = TimeOuts(
        settings.timeout_command, settings.timeout_block, settings.timeout_reply, settings.timeout_dot
    )
    handshakes = Handshakes(seconds=settings.timeout_tls)
    pool = Pool(
        settings.all_backends,
        poller,
        dialling or dialling_of(settings, handshakes),
        queue=settings.backend_queue,
        checks=settings.backend_checks,
        largest=settings.spool_message,
        balance=settings.balance,
        rise=settings.health_rise,
        fall=settings.health_fall,
        tell=partial(_tell, log),
    )
    bugs = Bugs(log)
    return Services(
        settings=settings,
        log=log,
        classifier=Classifier(lists, scorer, store),
        store=store,
        caps=Caps(
            sessions=settings.max_sessions,
            peer=settings.max_sessions_peer,
            network=settings.max_sessions_network,
            held=settings.max_held,
            workers=settings.workers,
            standing=partial(_standing, lists, store),
        ),
        pool=pool,
        routes=Routes(settings.routes, [backend.name for backend in settings.backends]),
        means=Means(
            pool=pool,
            shelf=Shelf(Room(settings.spool_total), settings.spool_message, settings.spool_dir),
            splits=Splits(),
            time_outs=time_outs,
            spawn=lambda work: nursery.start_soon(bugs.around, work),
            probe_again=lambda backend: backend.probe_wanted.ring(),
            refuse_bare=settings.bare_newline is BareNewline.REFUSE,
        ),
        wheel=wheel,
        patience=patience_of(settings),
        time_outs=time_outs,
        exempt=Recipients(settings.exempt_rcpt),
        traps=Recipients(settings.trap_rcpt),
        lookup=lookup,
        nursery=nursery,
        clock=clock,
        terminator=_terminator(settings, handshakes),
    )


def _tell(log: Log, backend: Backend) -> None:
    """Tell that *backend* has gone up or down."""
    words = [word.decode("ascii", "replace") for word in backend.keywords]
    up, seconds = backend.up is True, backend.probe_seconds
    events.backend_probed(
        log,
        backend=backend.name,
        up=up,
        reason=backend.marks.reason,
        keywords=words,
        milliseconds=seconds * 1000 if up else 0.0,
    )


def _terminator(settings: Settings, handshakes: Handshakes) -> Terminator | None:
    if settings.starttls is not TlsMode.TERMINATE:
        return None
    assert settings.tls_cert is not None
    assert settings.tls_key is not None
    return Terminator(Certificates(settings.tls_cert, settings.tls_key), handshakes)


def dialling_of(settings: Settings, handshakes: Handshakes) -> Dialling:
    """Return how backends are reached. Raises `SettingsError` for a TARPIT_BACKEND_CA that cannot be used."""
    required = any(backend.tls is BackendTls.REQUIRE for backend in settings.all_backends)
    return Dialling(
        settings.hostname,
        settings.timeout_dial,
        settings.timeout_banner,
        settings.timeout_reply,
        handshakes=handshakes,
        trust=Trust(settings.backend_ca, required=required),
    )


def _standing(lists: Lists, store: Store, address: str) -> Standing:
    known = to_address(address)
    if lists.allows(known):
        return Standing.ALLOWED
    return Standing.GOOD if store.knows(known) else Standing.STRANGER


def patience_of(settings: Settings) -> Patience:
    """Return what *settings* say of how slow anybody may be served."""
    return Patience(
        byte=settings.pace_byte,
        delay=settings.pace_delay,
        banner=settings.pace_banner,
        reply=settings.pace_reply,
        session=settings.pace_session,
        hold=settings.pace_hold,
        jitter=settings.pace_jitter,
        data=settings.pace_data,
        read=settings.pace_read,
    )
