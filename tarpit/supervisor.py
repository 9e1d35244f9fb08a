"""The process around the worker: sockets, signals, exit codes. No SMTP here.

One worker runs inside this process.
"""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version

import trio
from structlog.typing import FilteringBoundLogger as Log

from tarpit import worker
from tarpit.errors import Fault, SettingsError
from tarpit.observe import events
from tarpit.settings import Settings

BACKLOG = 1024


def run(settings: Settings, log: Log) -> int:
    """Run until TERM or INT; return the exit code. Raises `SettingsError` when the start is refused."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(sock) for sock in open_listeners(settings)]
        events.server_starting(
            log, version=version("tarpit-mx"), mode=settings.mode.value, max_sessions=settings.max_sessions
        )
        for doubt in settings.warnings():
            events.settings_doubtful(log, name=doubt.name, message=doubt.message)
        for name in settings.pending():
            events.settings_pending(log, name=name)
        refused: list[SettingsError] = []
        try:
            trio.run(partial(_run, settings, listeners, log))
        except* SettingsError as group:
            refused = list(_leaves(group))
        if refused:
            raise SettingsError([fault for error in refused for fault in error.faults])
    return 0


def _leaves(group: BaseExceptionGroup[SettingsError]) -> Iterator[SettingsError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _run(settings: Settings, listeners: list[socket.socket], log: Log) -> None:
    orders = worker.Orders()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pass_on_signals, settings, log, orders, nursery.cancel_scope)
        await worker.serve(settings, listeners, log, orders=orders)
        nursery.cancel_scope.cancel()


async def _pass_on_signals(
    settings: Settings, log: Log, orders: worker.Orders, everything: trio.CancelScope
) -> None:
    """HUP: read the lists again. TERM or INT: stop; a second one ends at once."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            told = signal.Signals(number)
            if told is signal.SIGHUP:
                orders.reload.ring()
            elif orders.stop.is_set():
                everything.cancel()
            else:
                events.server_stopping(log, signal=told.name, sessions=0, within=settings.drain)
                orders.stop.set()


def open_listeners(settings: Settings) -> list[socket.socket]:
    """Return a listening socket for each address of TARPIT_LISTEN. Raises `SettingsError`."""
    opened: list[socket.socket] = []
    faults: list[Fault] = []
    for host, port in settings.listen:
        try:
            opened.append(_listen(host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            faults.append(Fault("TARPIT_LISTEN", f"cannot listen on {host}:{port}: {reason}"))
    if faults:
        for sock in opened:
            sock.close()
        raise SettingsError(faults)
    return opened


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=False)
