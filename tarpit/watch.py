"""What is watched while we serve: backends, DNSBL zones, the operator's lists.

Each backend is probed at the start and every TARPIT_HEALTH_EVERY, and tested for relaying at the start and
whenever it comes back. Zones test themselves (`scoring.watch`); what they find is told here.

How a backend is probed is `backend.health`.
"""

from typing import Final

import trio

from scoring.watch import ZoneChange
from tarpit.backend.health import Relays, probe, test_relay
from tarpit.backend.pool import Backend
from tarpit.bell import Bell
from tarpit.errors import Fault, SettingsError
from tarpit.observe import events
from tarpit.services import Services
from tarpit.settings import Introduce, RelayTest

UNTESTED_EVERY: Final = 10.0  # seconds
OPEN_RELAY: Final = (
    "{backend} takes mail for {recipient} from a stranger that comes through us: an open relay. Set "
    "TARPIT_BACKEND_INTRODUCE=xclient (and smtpd_authorized_xclient_hosts in Postfix), or take our address "
    "out of its mynetworks; TARPIT_RELAY_TEST=warn starts all the same"
)
LOSES: Final = "its own SPF, DNSBL, rate limits and greylisting see the proxy's address"


async def watch_backends(services: Services) -> None:
    """Look at every backend again and again, at once when somebody has found one changed."""
    never = services.settings.health_every == float("inf")
    while True:
        with trio.move_on_after(UNTESTED_EVERY if never else services.settings.health_every):
            await services.probe_wanted.wait()
            never = False
        for backend in services.pool.backends:
            # one that is not tested yet is asked again in any case: no mail flows to it before
            if backend.untested or not never:
                await check_backend(services, backend)
        never = services.settings.health_every == float("inf")


async def watch_lists(services: Services, reload: Bell) -> None:
    """Read the files of TARPIT_ALLOW and TARPIT_DENY again whenever told to."""
    tell_lists(services)
    while True:
        await reload.wait()
        await read_lists_again(services)


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
    refuse = services.settings.relay_test is RelayTest.REFUSE
    was_up = backend.up
    backend.untested = backend.untested or (refuse and (starting or not was_up))
    await _probe(services, backend, was_up=was_up)
    if starting and backend.address.introduce is Introduce.OFF:
        events.backend_unintroduced(services.log, backend=backend.name, loses=LOSES)
    if services.settings.relay_test is RelayTest.OFF:
        return
    if not backend.up:
        backend.untested = refuse
    elif backend.untested or not was_up:
        await _test_relay(services, backend)
        if backend.open_relay and starting:
            recipient = services.settings.relay_test_rcpt
            message = OPEN_RELAY.format(backend=backend.name, recipient=recipient)
            raise SettingsError([Fault("TARPIT_BACKEND_INTRODUCE", message)])


async def _probe(services: Services, backend: Backend, *, was_up: bool | None) -> None:
    began = trio.current_time()
    reason = await probe(services.pool, backend)
    if backend.up is not was_up:
        events.backend_probed(
            services.log,
            backend=backend.name,
            up=backend.up is True,
            reason=reason,
            keywords=[word.decode("ascii", "replace") for word in backend.keywords],
            milliseconds=(trio.current_time() - began) * 1000,
        )


async def _test_relay(services: Services, backend: Backend) -> None:
    settings = services.settings
    answer = await test_relay(services.pool, backend, settings.relay_test_rcpt)
    events.backend_relay_tested(
        services.log,
        backend=backend.name,
        result=answer.result.value,
        recipient=settings.relay_test_rcpt,
        reply=answer.reply,
    )
    backend.open_relay = answer.result is Relays.FAILED and settings.relay_test is RelayTest.REFUSE
    backend.untested = False
