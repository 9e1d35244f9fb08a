"""What all sessions of a worker share, and which of them are open."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from structlog.typing import FilteringBoundLogger as Log

from scoring import Lookup, Resolver, Scorer
from scoring.verdict import to_address
from scoring.watch import Watch
from tarpit import limits, load
from tarpit.backend.dial import Dialling
from tarpit.backend.pool import Pool
from tarpit.backend.splits import Splits
from tarpit.bell import Bell
from tarpit.caps import Caps, Standing
from tarpit.classify import Classifier, Lists, scoring_config
from tarpit.deliver import Means
from tarpit.drip import Wheel
from tarpit.observe import events
from tarpit.policy import Patience
from tarpit.poller import Poller
from tarpit.recipients import Recipients
from tarpit.relay import TimeOuts
from tarpit.settings import BareNewline, Settings
from tarpit.smtp.limits import Limits
from tarpit.smtp.server import Server
from tarpit.spool import Room, Shelf
from tarpit.store import Store
from tarpit.store.memory import MemoryStore

if TYPE_CHECKING:
    from tarpit.session import Session

MOST_SERVERS: Final = 16  # what is shown changes with the backends only


@dataclass
class Services:
    """What all sessions of a worker share."""

    settings: Settings
    log: Log
    classifier: Classifier
    store: Store
    caps: Caps
    pool: Pool
    means: Means
    wheel: Wheel
    patience: Patience
    time_outs: TimeOuts
    exempt: Recipients
    traps: Recipients
    probe_wanted: Bell
    nursery: trio.Nursery
    open: set["Session"] = field(default_factory=set)
    changed: trio.Event = field(default_factory=trio.Event)  # set, and made anew, when a session ends
    _servers: dict[tuple[bytes, ...], Server] = field(default_factory=dict)

    @property
    def load(self) -> float:
        """How full this worker is."""
        return load.share(len(self.open), self.settings.max_sessions)

    def limits(self) -> Limits:
        """Return how much of what leads to no message a peer may say."""
        return limits.limits_at(self.load)

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
        """Do *work* so that a bug in it is told and ends here, and nothing else does.

        The one `except Exception` of the program: around a session, and around what it set going beside it.
        """
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - one session, no other
            events.session_failed(self.log, error=error)

    def began(self, session: "Session") -> None:
        """Take note that *session* is open."""
        self.open.add(session)
        self.caps.entered(session.wire.peer[0])

    def ended(self, session: "Session") -> None:
        """Take note that *session* is over."""
        self.open.discard(session)
        self.caps.left(session.wire.peer[0])
        self.changed.set()
        self.changed = trio.Event()

    async def wait_empty(self) -> None:
        """Wait until no session is open."""
        while self.open:
            await self.changed.wait()


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
    """Build all that sessions share. Raises `SettingsError` for lists that cannot be read."""
    store = MemoryStore()
    lists = Lists(settings)
    lookup, config = resolver or Resolver(settings.dns_servers), scoring_config(settings)
    scorer = Scorer(config, lookup, watch=Watch(config.zones, config.name_zones, lookup))
    time_outs = TimeOuts(
        settings.timeout_command, settings.timeout_block, settings.timeout_reply, settings.timeout_dot
    )
    probe_wanted = Bell()
    pool = Pool(
        settings.backends,
        poller,
        dialling
        or Dialling(
            settings.hostname, settings.timeout_dial, settings.timeout_banner, settings.timeout_reply
        ),
        queue=settings.backend_queue,
        checks=settings.backend_checks,
        largest=settings.spool_message,
    )
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
            standing=partial(_standing, lists, store),
        ),
        pool=pool,
        means=Means(
            pool=pool,
            shelf=Shelf(Room(settings.spool_total), settings.spool_message, settings.spool_dir),
            splits=Splits(),
            time_outs=time_outs,
            nursery=nursery,
            probe_again=lambda _: probe_wanted.ring(),
            refuse_bare=settings.bare_newline is BareNewline.REFUSE,
        ),
        wheel=wheel,
        patience=patience_of(settings),
        time_outs=time_outs,
        exempt=Recipients(settings.exempt_rcpt),
        traps=Recipients(settings.trap_rcpt),
        probe_wanted=probe_wanted,
        nursery=nursery,
    )


def _standing(lists: Lists, store: Store, address: str) -> Standing:
    known = to_address(address)
    if lists.allow.find(known):
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
