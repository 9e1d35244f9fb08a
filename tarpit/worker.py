"""One worker: builds the objects, opens the nursery, and takes all down again in order. No logic of its own.

Nothing here is what only one process could do: sockets are given, signals are somebody else's.
"""

import gc
import os
import socket
from collections.abc import Sequence
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger as Log

from scoring import Resolver, Scorer
from tarpit.backend.dial import Dialling
from tarpit.backend.health import Relays, probe, test_relay
from tarpit.backend.pool import Backend, Pool
from tarpit.classify import Classifier, scoring_config
from tarpit.drip import Wheel
from tarpit.errors import Fault, SettingsError
from tarpit.listen import Listener
from tarpit.observe import events
from tarpit.policy import Patience
from tarpit.poller import Poller
from tarpit.relay import TimeOuts
from tarpit.services import Services
from tarpit.settings import Introduce, RelayTest, Settings

UNTESTED_EVERY: Final = 10.0  # seconds
OPEN_RELAY: Final = (
    "{backend} takes mail for {recipient} from a stranger that comes through us: an open relay. Set "
    "TARPIT_BACKEND_INTRODUCE=xclient (and smtpd_authorized_xclient_hosts in Postfix), or take our address "
    "out of its mynetworks; TARPIT_RELAY_TEST=warn starts all the same"
)
LOSES = "its own SPF, DNSBL, rate limits and greylisting see the proxy's address"


async def serve(
    settings: Settings,
    listeners: Sequence[socket.socket],
    log: Log,
    *,
    stopping: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until *stopping* is set, then drain. Raises `SettingsError` when a backend is an open relay."""
    poller, wheel = Poller(), Wheel()
    async with trio.open_nursery() as engine:
        engine.start_soon(poller.run)
        engine.start_soon(wheel.run)
        pool = _pool(settings, poller)
        for backend in pool.backends:
            await check_backend(settings, pool, backend, log, starting=True)
        async with trio.open_nursery() as nursery:
            services = _services(settings, log, pool, wheel, nursery)
            health = trio.CancelScope()
            accepting = trio.CancelScope()
            nursery.start_soon(_watch_backends, health, settings, pool, log)
            for sock in listeners:
                nursery.start_soon(_accept, accepting, Listener(sock, services))
                host, port = sock.getsockname()[:2]
                events.listener_opened(log, host=host, port=port)
            gc.freeze()
            events.worker_started(log, worker=0, pid=os.getpid())
            task_status.started()
            await stopping.wait()
            accepting.cancel()
            health.cancel()
            await drain(services)
        engine.cancel_scope.cancel()


async def _accept(scope: trio.CancelScope, listener: Listener) -> None:
    with scope:
        await listener.run()


async def drain(services: Services) -> None:
    """Finish replies begun, tell 421 to all that transfer nothing, wait for the others (TARPIT_DRAIN)."""
    services.wheel.hurry()
    for session in tuple(services.open):
        session.wire.stop()
    with trio.move_on_after(services.settings.drain):
        await services.wait_empty()
    events.server_stopped(services.log, cut=len(services.open))
    services.nursery.cancel_scope.cancel()


async def check_backend(
    settings: Settings, pool: Pool, backend: Backend, log: Log, *, starting: bool
) -> None:
    """Probe one backend; test it for relaying at the start and whenever it comes back."""
    was_up = backend.up
    if starting or not was_up:
        backend.untested = settings.relay_test is RelayTest.REFUSE
    began = trio.current_time()
    reason = await probe(pool, backend)
    if backend.up is not was_up:
        events.backend_probed(
            log,
            backend=backend.name,
            up=backend.up is True,
            reason=reason,
            keywords=[word.decode("ascii", "replace") for word in backend.keywords],
            milliseconds=(trio.current_time() - began) * 1000,
        )
    if starting and backend.address.introduce is Introduce.OFF:
        events.backend_unintroduced(log, backend=backend.name, loses=LOSES)
    if settings.relay_test is RelayTest.OFF:
        return
    if not backend.up:
        backend.untested = settings.relay_test is RelayTest.REFUSE
        return
    if was_up and not backend.untested:
        return
    recipient = settings.relay_test_rcpt
    answer = await test_relay(pool, backend, recipient)
    events.backend_relay_tested(
        log, backend=backend.name, result=answer.result.value, recipient=recipient, reply=answer.reply
    )
    backend.open_relay = answer.result is Relays.FAILED and settings.relay_test is RelayTest.REFUSE
    backend.untested = False
    if backend.open_relay and starting:
        message = OPEN_RELAY.format(backend=backend.name, recipient=recipient)
        raise SettingsError([Fault("TARPIT_BACKEND_INTRODUCE", message)])


async def _watch_backends(scope: trio.CancelScope, settings: Settings, pool: Pool, log: Log) -> None:
    with scope:
        while True:
            never = settings.health_every == float("inf")
            await trio.sleep(UNTESTED_EVERY if never else settings.health_every)
            for backend in pool.backends:
                # one that is not tested yet is asked again in any case: no mail flows to it before
                if backend.untested or not never:
                    await check_backend(settings, pool, backend, log, starting=False)


def _pool(settings: Settings, poller: Poller) -> Pool:
    dialling = Dialling(
        settings.hostname, settings.timeout_dial, settings.timeout_banner, settings.timeout_reply
    )
    return Pool(settings.backends, poller, dialling, queue=settings.backend_queue)


def _services(settings: Settings, log: Log, pool: Pool, wheel: Wheel, nursery: trio.Nursery) -> Services:
    return Services(
        settings=settings,
        log=log,
        classifier=Classifier(settings, Scorer(scoring_config(settings), Resolver(settings.dns_servers))),
        pool=pool,
        wheel=wheel,
        nursery=nursery,
        patience=Patience(
            byte=settings.pace_byte,
            delay=settings.pace_delay,
            banner=settings.pace_banner,
            reply=settings.pace_reply,
            session=settings.pace_session,
            hold=settings.pace_hold,
            jitter=settings.pace_jitter,
        ),
        time_outs=TimeOuts(
            settings.timeout_command, settings.timeout_block, settings.timeout_reply, settings.timeout_dot
        ),
    )
