"""What is watched while we serve: backends, DNSBL zones, the operator's lists.

Each backend is probed at the start and every TARPIT_HEALTH_EVERY, or every second while it is down or in
doubt, and tested for relaying at the start and whenever it comes back. Its name is looked up again when the
time to live of its addresses is over. Zones test themselves (`scoring.watch`); what they find is told here.

How a backend is probed is `backend.health`.
"""

import random
from typing import Final

import trio

from scoring.watch import ZoneChange
from tarpit.backend.health import Relays, probe, test_relay
from tarpit.backend.server import Backend
from tarpit.bell import Bell
from tarpit.errors import Fault, SettingsError
from tarpit.observe import events
from tarpit.services import Services
from tarpit.settings import Introduce, RelayTest
from tarpit.watch_tls import renew_certificate, tell_tls, tell_unsecured, test_exposure

DOUBTFUL_EVERY: Final = 0.75  # seconds: two probes are enough to come back, so that takes less than two
JITTER: Final = 0.1  # share of every pause
OPEN_RELAY: Final = (
    "{backend} takes mail for {recipient} from a stranger that comes through us: an open relay. Set "
    "TARPIT_BACKEND_INTRODUCE=xclient (and smtpd_authorized_xclient_hosts in Postfix), or take our address "
    "out of its mynetworks; TARPIT_RELAY_TEST=warn starts all the same"
)
LOSES: Final = "its own SPF, DNSBL, rate limits and greylisting see the proxy's address"


async def watch_backends(services: Services) -> None:
    """Look at every backend again and again, at once when somebody has found one changed."""
    async with trio.open_nursery() as nursery:
        for backend in services.pool.backends:
            nursery.start_soon(_watch, services, backend)
            nursery.start_soon(_watch_name, services, backend)


async def _watch(services: Services, backend: Backend) -> None:
    while True:
        await trio.sleep(_jittered(DOUBTFUL_EVERY))
        with trio.move_on_after(_pause(services.settings.health_every, backend)):
            await backend.probe_wanted.wait()
        backend.probe_wanted.still()
        await check_backend(services, backend)


def _pause(every: float, backend: Backend) -> float:
    """Return for how many more seconds nothing need be looked at."""
    unsure = backend.marks.doubtful or (backend.up and backend.untested)
    return 0.0 if unsure else max(_jittered(every) - DOUBTFUL_EVERY, 0.0)


def _jittered(seconds: float) -> float:
    """Return about so many *seconds*: many proxies do not probe one backend in step."""
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)


async def _watch_name(services: Services, backend: Backend) -> None:
    while True:
        await trio.sleep_until(backend.places.look_again)
        await backend.places.look_up(services.lookup)


async def watch_lists(services: Services, reload: Bell) -> None:
    """Read the files of TARPIT_ALLOW and TARPIT_DENY, and the certificate, again whenever told to."""
    tell_lists(services)
    tell_tls(services)
    while True:
        await reload.wait()
        await read_lists_again(services)
        await renew_certificate(services)


async def read_lists_again(services: Services) -> None:
    """Read the lists again; if they cannot be read, those from before stay in force."""
    try:
        await trio.to_thread.run_sync(services.classifier.lists.reload)
    except SettingsError as wrong:
        events.lists_kept(services.log, message="; ".join(map(str, wrong.faults)))
    else:
        tell_lists(services)


def tell_lists(services: Services) -> None:
    """Tell how long the operator's lists are."""
    lists = services.classifier.lists
    events.lists_loaded(services.log, allow=len(lists.allow), deny=len(lists.deny))


async def watch_zones(services: Services) -> None:
    """Have the DNSBL zones tested, and tell of those that are set aside or are back."""

    def tell(change: ZoneChange) -> None:
        events.zone_tested(services.log, zone=change.zone, usable=change.usable, reason=change.reason)

    await services.classifier.watch_zones(tell)


async def check_backend(services: Services, backend: Backend, *, starting: bool = False) -> None:
    """Probe one backend; test it for relaying at the start and whenever it comes back.

    Raises `SettingsError` at the *starting* of a server that would be an open relay.
    """
    could = backend.takes_mail()
    try:
        await _check(services, backend, starting=starting)
    finally:
        if backend.takes_mail() is not could:
            services.pool.reconsider(backend)


async def _check(services: Services, backend: Backend, *, starting: bool) -> None:
    refuse = services.settings.relay_test is RelayTest.REFUSE
    was_up = backend.up
    backend.untested = backend.untested or (refuse and (starting or not was_up))
    await probe(services.pool, backend)
    tell_unsecured(services, backend)
    if starting and backend.address.introduce is Introduce.OFF:
        events.backend_unintroduced(services.log, backend=backend.name, loses=LOSES)
    if services.settings.relay_test is RelayTest.OFF:
        return
    if not backend.up:
        backend.untested = refuse
    elif backend.untested or not was_up:
        await test_exposure(services, backend, starting=starting)
        await _test_relay(services, backend)
        if backend.open_relay and starting:
            recipient = services.settings.relay_test_rcpt
            message = OPEN_RELAY.format(backend=backend.name, recipient=recipient)
            raise SettingsError([Fault("TARPIT_BACKEND_INTRODUCE", message)])


async def _test_relay(services: Services, backend: Backend) -> None:
    settings = services.settings
    answer = await test_relay(services.pool, backend, settings.relay_test_rcpt)
    refuse = settings.relay_test is RelayTest.REFUSE
    if answer.answered or answer.reply != backend.relay_told:  # one that is tried each second is told once
        events.backend_relay_tested(
            services.log,
            backend=backend.name,
            result=answer.result.value,
            recipient=settings.relay_test_rcpt,
            reply=answer.reply,
        )
    backend.relay_told = "" if answer.answered else answer.reply
    backend.open_relay = answer.result is Relays.FAILED and refuse
    backend.untested = refuse and not answer.answered
