"""One worker: builds the objects, opens the nurseries, takes all down again in order. No logic here.

Nothing here is what only one process could do: sockets are given, signals are somebody else's. What makes a
process of a worker is `underling`.
"""

import gc
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger as Log

from tarpit.bell import Bell
from tarpit.drip import Wheel
from tarpit.listen import Listener
from tarpit.observe import events, processes
from tarpit.policy import Treatment
from tarpit.poller import Poller
from tarpit.processes.shift import Shift
from tarpit.services import Services, assemble
from tarpit.settings import Settings
from tarpit.watch import check_backend, watch_backends, watch_lists, watch_zones

# The collector, not the scheduler, is what makes thousands of waiting sessions late: of 10,000, bytes came
# 436 ms late with Python's own thresholds and 4 ms with it off (docs/design.md).
COLLECT_EVERY: Final = (20_000, 50, 100)
FIRST_LOOK: Final = 30.0  # seconds for the backends, before peers are served all the same
LAST_WORDS: Final = 0.5  # seconds beyond TARPIT_DRAIN, for a 421


class Orders:
    """What a worker is told from outside: to accept (unless it has to *wait* for that), to stop."""

    def __init__(self, *, wait: bool = False) -> None:
        self.ready = trio.Event()  # by the worker: everything is in place
        self.accept = trio.Event()
        self.reload = Bell()
        self.stop = trio.Event()  # accept no more
        self.finish = trio.Event()  # and nobody accepts in our place: who is here is told, too
        self.cut = 0  # by the worker: sessions that were cut when the time was over
        if not wait:
            self.accept.set()

    def end(self, *, replaced: bool = False) -> None:
        """Tell it to stop, whether it has begun or not; where it is *replaced* peers may go on a while."""
        if not replaced:
            self.finish.set()
        self.accept.set()
        self.stop.set()


async def serve(
    settings: Settings,
    listeners: Sequence[socket.socket],
    log: Log,
    *,
    orders: Orders,
    number: int = 0,
    starting: bool = True,
    shift: Shift | None = None,
    attending: Callable[[Services], Awaitable[None]] | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until told to stop, then drain.

    Raises `SettingsError` when a list cannot be read, or a backend is an open relay and we are *starting*;
    of a worker that takes a dead one's place such a backend gets no mail.
    """
    poller, wheel = Poller(), Wheel()
    async with trio.open_nursery() as engine:
        engine.start_soon(poller.run)
        engine.start_soon(wheel.run)
        async with trio.open_nursery() as nursery:
            services = assemble(settings, log, poller=poller, wheel=wheel, nursery=nursery)
            if shift is not None:
                shift.begin(services)
                engine.start_soon(shift.run, services)
            await look_at_backends(services, starting=starting)
            orders.ready.set()
            await orders.accept.wait()
            async with trio.open_nursery() as watches:
                watches.start_soon(watch_backends, services)
                watches.start_soon(services.pool.end_idle)
                watches.start_soon(watch_lists, services, orders.reload)
                watches.start_soon(watch_zones, services)
                if attending is not None:
                    engine.start_soon(services.alone, partial(attending, services))  # while we drain, too
                for sock in listeners:
                    watches.start_soon(Listener(sock, services).run)
                    host, port = sock.getsockname()[:2]
                    events.listener_opened(log, host=host, port=port)
                gc.freeze()
                gc.set_threshold(*COLLECT_EVERY)
                events.worker_started(log, worker=number, pid=os.getpid())
                task_status.started()
                await orders.stop.wait()
                watches.cancel_scope.cancel()
            # Who comes now waits for whoever else has the socket. If the supervisor is dead that is nobody,
            # and by holding on to it we would keep another server from the port.
            for sock in listeners:
                sock.close()
            if shift is not None:
                shift.end()
            orders.cut = await drain(services, orders.finish, number)
        engine.cancel_scope.cancel()


async def look_at_backends(services: Services, *, starting: bool) -> None:
    """Check all backends at once. Who lets us wait is as one that was not seen yet, and is looked at again.

    Raises `SettingsError`, in a group, as `check_backend` does.
    """
    with trio.move_on_after(FIRST_LOOK):
        async with trio.open_nursery() as nursery:
            for backend in services.pool.backends:
                nursery.start_soon(partial(check_backend, services, backend, starting=starting))


async def drain(services: Services, finish: trio.Event, number: int = 0) -> int:
    """Finish replies begun, tell 421 to all that transfer nothing, wait for the others (TARPIT_DRAIN).

    Before *finish* only suspects are told. Clean peers go on as if nothing had happened; who is still here
    when the time is over is told then. Return how many were cut in the end.
    """
    services.wheel.hurry()
    for session in tuple(services.open):
        if session.judgement.treatment is not Treatment.PASS:
            session.wire.stop()
    with trio.move_on_after(services.settings.drain):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell_all, services, finish)
            await services.wait_empty()
            nursery.cancel_scope.cancel()
    _stop_all(services)
    with trio.move_on_after(LAST_WORDS):
        await services.wait_empty()
    cut = len(services.open)
    processes.worker_stopped(services.log, worker=number, pid=os.getpid(), cut=cut)
    services.nursery.cancel_scope.cancel()
    return cut


async def _tell_all(services: Services, when: trio.Event) -> None:
    await when.wait()
    _stop_all(services)


def _stop_all(services: Services) -> None:
    for session in tuple(services.open):
        session.wire.stop()
