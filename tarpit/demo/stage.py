"""The demo itself: put everything up, let the peers come, take everything down, and say what happened.

The proxy is the real one (`tarpit.worker`) under settings with shorter waits; only its surroundings are toys.
Its events come to a `Ledger`, which tells one line a session and every warning, and drops the rest.

Not here: how a line reads (`tarpit.demo.report`), where it is printed (`tarpit.cli.demo`).
"""

import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from tarpit import worker
from tarpit.demo import zone
from tarpit.demo.backend import Backend, Message
from tarpit.demo.peers import CAST, Outcome, Peer, visit
from tarpit.demo.report import Session, message_line, session_of, summary, table
from tarpit.observe.log import unfold
from tarpit.settings import Settings, load

UNTOLD: Final = frozenset(
    {"backend.unintroduced"}
)  # the toy backend judges nobody: it need not know its peers
NEXT_PEER: Final = 0.3  # seconds from one peer's coming to the next one's
NEXT_WAVE: Final = 15.0  # seconds from one wave of all peers to the next

PACES: Final[Mapping[str, str]] = {
    "TARPIT_PREGREET_WAIT": "1s",
    "TARPIT_PACE_BYTE": "100ms",
    "TARPIT_PACE_DELAY": "500ms",
    "TARPIT_PACE_BANNER": "4s",
    "TARPIT_PACE_REPLY": "4s",
    "TARPIT_PACE_SESSION": "30s",
    "TARPIT_PACE_HOLD": "20s",
    "TARPIT_DRAIN": "2s",
}


class Place(Protocol):
    """A bound socket, the standard library's or trio's."""

    def getsockname(self) -> tuple[str, int]:
        """Return (host, port)."""


@dataclass(slots=True)
class Ledger:
    """Everything that has happened, and the lines told about it."""

    tell: Callable[[str], None]
    messages: list[Message] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    over: bool = False

    def receive(self, message: Message) -> None:
        """Note and tell a message that the backend has got."""
        self.messages.append(message)
        self.tell(message_line(message))

    async def watch(self, address: tuple[str, int], peer: Peer) -> None:
        """Send a peer on its visit, and note what came of it, unless the demo's end has cut it short."""
        outcome = await visit(peer, address)
        if not self.over:
            self.outcomes.append(outcome)

    def log(self, _logger: object, level: str, event: MutableMapping[str, object]) -> str:
        """Take an event of the proxy's: the only processor of its logger. Nothing goes any further."""
        if event["event"] == "session.closed":
            self.sessions.append(session_of(event, CAST))
            self.tell(self.sessions[-1].line)
        elif level not in {"debug", "info"} and event["event"] not in UNTOLD:
            self.tell(f"  {level}: " + " ".join(f"{name}={value}" for name, value in event.items()))
        raise structlog.DropEvent


async def perform(seconds: float | None, environ: Mapping[str, str], tell: Callable[[str], None]) -> None:
    """Put everything up, let the peers come, take everything down, tell the table. Raises SettingsError."""
    ledger = Ledger(tell)
    backend = Backend(ledger.receive)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with ExitStack() as closing:
        closing.callback(listeners[0].socket.close)
        names = closing.enter_context(trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        await names.bind(("127.0.0.1", 0))
        door = closing.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        door.settimeout(0.0)
        settings = settings_for(environ, door=door, backend=listeners[0].socket, names=names)
        tell(opening(settings, seconds))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(zone.serve, demo_names(CAST), names)
            nursery.start_soon(backend.serve, listeners)
            await act(settings, door, ledger, seconds)
            nursery.cancel_scope.cancel()
    tell(f"\n{table(CAST, ledger.outcomes, ledger.sessions)}\n")
    tell(summary(backend.counts, ledger.messages, ledger.sessions))


async def act(settings: Settings, door: socket.socket, ledger: Ledger, seconds: float | None) -> None:
    """Run the proxy and the peers for *seconds*, or until interrupted; then stop the proxy in its own way."""
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[unfold, ledger.log]
    )
    orders = worker.Orders()
    async with trio.open_nursery() as peers:
        async with trio.open_nursery() as proxy:
            await proxy.start(partial(worker.serve, settings, [door], log, orders=orders))
            peers.start_soon(send_waves, CAST, partial(ledger.watch, door.getsockname()))
            await wait_interrupted(seconds)
            ledger.over = True
            orders.end()
        peers.cancel_scope.cancel()


async def wait_interrupted(seconds: float | None) -> None:
    """Wait for Ctrl-C or TERM, at most *seconds*."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        with trio.move_on_after(float("inf") if seconds is None else seconds):
            await anext(signals)


async def send_waves(cast: Sequence[Peer], come: Callable[[Peer], Awaitable[None]]) -> None:
    """Let all peers come, one after another, again and again; the slow ones of several waves overlap."""
    async with trio.open_nursery() as nursery:
        while True:
            for peer in cast:
                nursery.start_soon(come, peer)
                await trio.sleep(NEXT_PEER)
            await trio.sleep(NEXT_WAVE)


def demo_names(cast: Sequence[Peer]) -> zone.Zone:
    """Return the name server's table for these peers."""
    return zone.demo_zone(
        listed=[peer.source for peer in cast if peer.listed],
        hosts={peer.source: peer.host for peer in cast if peer.host},
    )


def settings_for(environ: Mapping[str, str], *, door: Place, backend: Place, names: Place) -> Settings:
    """Return the demo's settings, with the user's mode and paces. Raises SettingsError."""
    chosen = {
        name: text for name, text in environ.items() if name.startswith(("TARPIT_MODE", "TARPIT_PACE_"))
    }
    fixed = {
        "TARPIT_LISTEN": place(door),
        "TARPIT_BACKENDS": place(backend),
        "TARPIT_DNS_SERVERS": place(names),
        "TARPIT_HOSTNAME": "tarpit.demo.test",
        "TARPIT_ALLOW": "none",
        "TARPIT_TLS": "off",
        "TARPIT_DNSBL_ZONES": f"{zone.DNSBL}=127.0.0.2*4",
        "TARPIT_MAX_SESSIONS": "200",
    }
    return load({**PACES, **chosen, **fixed})


def place(sock: Place) -> str:
    """Return where a socket is bound, as host:port."""
    host, port = sock.getsockname()
    return f"{host}:{port}"


def opening(settings: Settings, seconds: float | None) -> str:
    """Return the lines that say what is going to be seen."""
    host, port = settings.listen[0]
    until = "until interrupted (Ctrl-C)" if seconds is None else f"for {seconds:g} s"
    return (
        f"tarpit stands at {host}:{port} in front of a toy mail server, {until}.\n"
        f"{len(CAST)} toy peers come in waves. A line a session when it ends, a line a message delivered:\n"
    )
