"""Our own policy on the simulator's stage: the real code, from accepted connections down to the backend.

What stands in for what: `memory.MemoryWire` for sockets, `memory.Deadlines` for epoll, `wheel.WholeReplies`
for the drip, `names.Names` for DNS, `mailserver` for the mail server. Accepting is what `tarpit.listen` does.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
import trio
from dotenv.parser import parse_stream
from structlog.typing import EventDict, WrappedLogger

from bench.fleet.mailserver import Conversation, Processes
from bench.fleet.memory import Deadlines, End, MemoryWire, pair
from bench.fleet.names import BLOCKLIST, POOLS, WELCOME, Names
from bench.fleet.wheel import WholeReplies
from tarpit import settings as settings_of
from tarpit.backend.dial import Dialling
from tarpit.backend.health import probe
from tarpit.backend.places import Place
from tarpit.environment import PREFIX
from tarpit.errors import BackendUnavailable, Fault, SettingsError
from tarpit.poller import Poller
from tarpit.services import Services, assemble
from tarpit.session import Session
from tarpit.settings import Settings

PORT: Final = 4321
# What is not a policy: where things are, and what a simulation has no use for.
SURROUNDINGS: Final = {
    "TARPIT_HOSTNAME": "mx.example.net",
    "TARPIT_BACKENDS": "192.0.2.1:25",
    "TARPIT_DNS_SERVERS": "192.0.2.53",
    "TARPIT_DNSBL_ZONES": f"{BLOCKLIST}*5 {POOLS}*2 {WELCOME}*-3",
    "TARPIT_MAX_SESSIONS": "4000",
    "TARPIT_RELAY_TEST": "off",
    "TARPIT_STORE": "memory:",
    "TARPIT_STATE_DIR": "/dev/null",
}


# What of recorded settings is policy; the rest says where things are, which is somewhere else here.
POLICY: Final = ("PACE_", "SCORE_", "RATE_", "MAX_", "HOLD_", "SPOOL_MESSAGE", "SPOOL_TOTAL", "TIMEOUT_")
POLICY_NAMES: Final = frozenset(
    {
        *("MODE", "PREGREET_WAIT", "GREET_WAIT", "WEIGHTS", "EXEMPT_RCPT", "BARE_NEWLINE"),
        *("BACKEND_MAX", "BACKEND_CHECKS", "BACKEND_QUEUE"),
    }
)


def policy_of_file(path: Path) -> tuple[dict[str, str], list[str]]:
    """Return what of an env-file is policy, and the names of the rest. Raises `SettingsError`."""
    texts: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as stream:
            texts = {line.key: line.value or "" for line in parse_stream(stream) if line.key}
    except OSError as error:
        raise SettingsError([Fault(str(path), f"cannot be read: {error.strerror}")]) from None
    kept = {name: text for name, text in texts.items() if _is_policy(name.removeprefix(PREFIX))}
    return kept, sorted(set(texts) - set(kept))


def _is_policy(name: str) -> bool:
    return name in POLICY_NAMES or name.startswith(POLICY)


def settings_for(variables: Mapping[str, str]) -> Settings:
    """Return the settings of a day; *variables* with their whole names. Raises `SettingsError`."""
    return settings_of.load(SURROUNDINGS | dict(variables))


class Bugs:
    """The log of a day: nothing is written but bugs, which are kept."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        """Keep one event."""
        self.found.append(repr(event.get("exc_info") or event))
        raise structlog.DropEvent


class Ours:
    """The proxy. `serve` takes one connection."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def serve(self, end: End, address: str) -> None:
        """Take in *address*, or turn it away, as `tarpit.listen` does."""
        services = self.services
        refusal = services.caps.admit(address)
        if refusal is not None:
            end.put(refusal.reply.encode())
            end.shut()
            return
        wire = MemoryWire(services.pool.poller, end, (address, PORT))
        session = Session(wire, services, next(services.numbers))
        services.began(session)
        services.nursery.start_soon(session.run, name="session")


@asynccontextmanager
async def running(settings: Settings, names: Names, processes: Processes, bugs: Bugs) -> AsyncIterator[Ours]:
    """Yield the proxy in motion."""
    log = structlog.wrap_logger(
        None, processors=[bugs], wrapper_class=structlog.make_filtering_bound_logger(40)
    )
    poller, wheel = Deadlines(), WholeReplies()
    async with trio.open_nursery() as nursery:

        async def reach(poller: Poller, _place: Place) -> MemoryWire:
            near, far = pair()
            nursery.start_soon(Conversation(far, processes).run)
            return MemoryWire(
                poller, near, ("192.0.2.1", 25), gone=BackendUnavailable, silent=BackendUnavailable
            )

        dialling = Dialling(
            settings.hostname,
            settings.timeout_dial,
            settings.timeout_banner,
            settings.timeout_reply,
            reach=reach,
        )
        services = assemble(
            settings, log, poller=poller, wheel=wheel, nursery=nursery, resolver=names, dialling=dialling
        )
        nursery.start_soon(poller.run)
        nursery.start_soon(wheel.run)
        nursery.start_soon(services.classifier.watch_zones, lambda _: None)
        nursery.start_soon(services.pool.end_idle)
        for backend in services.pool.backends:
            await probe(services.pool, backend)
        yield Ours(services)
        nursery.cancel_scope.cancel()
