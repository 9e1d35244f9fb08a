"""One worker: builds the objects, opens the nurseries, takes all down again in order. No logic here.

Nothing here is what only one process could do: sockets are given, signals are somebody else's.
"""

import gc
import os
import socket
from collections.abc import Sequence
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger as Log

from tarpit.bell import Bell
from tarpit.drip import Wheel
from tarpit.listen import Listener
from tarpit.observe import events
from tarpit.poller import Poller
from tarpit.services import Services, assemble
from tarpit.settings import Settings
from tarpit.watch import check_backend, watch_backends, watch_lists, watch_zones

# The collector, not the scheduler, is what makes thousands of waiting sessions late: of 10,000, bytes came
# 436 ms late with Python's own thresholds and 4 ms with it off (docs/design.md).
COLLECT_EVERY: Final = (20_000, 50, 100)


class Orders:
    """What a worker is told from outside: to read its lists again, to stop."""

    def __init__(self) -> None:
        self.reload = Bell()
        self.stop = trio.Event()


async def serve(
    settings: Settings,
    listeners: Sequence[socket.socket],
    log: Log,
    *,
    orders: Orders,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until told to stop, then drain.

    Raises `SettingsError` when a backend is an open relay or a list cannot be read.
    """
    poller, wheel = Poller(), Wheel()
    async with trio.open_nursery() as engine:
        engine.start_soon(poller.run)
        engine.start_soon(wheel.run)
        async with trio.open_nursery() as nursery:
            services = assemble(settings, log, poller=poller, wheel=wheel, nursery=nursery)
            for backend in services.pool.backends:
                await check_backend(services, backend, starting=True)
            async with trio.open_nursery() as watches:
                watches.start_soon(watch_backends, services)
                watches.start_soon(services.pool.end_idle)
                watches.start_soon(watch_lists, services, orders.reload)
                watches.start_soon(watch_zones, services)
                for sock in listeners:
                    watches.start_soon(Listener(sock, services).run)
                    host, port = sock.getsockname()[:2]
                    events.listener_opened(log, host=host, port=port)
                gc.freeze()
                gc.set_threshold(*COLLECT_EVERY)
                events.worker_started(log, worker=0, pid=os.getpid())
                task_status.started()
                await orders.stop.wait()
                watches.cancel_scope.cancel()
            await drain(services)
        engine.cancel_scope.cancel()


async def drain(services: Services) -> None:
    """Finish replies begun, tell 421 to all that transfer nothing, wait for the others (TARPIT_DRAIN)."""
    services.wheel.hurry()
    for session in tuple(services.open):
        session.wire.stop()
    with trio.move_on_after(services.settings.drain):
        await services.wait_empty()
    events.server_stopped(services.log, cut=len(services.open))
    services.nursery.cancel_scope.cancel()
