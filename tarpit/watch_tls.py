"""What is watched of TLS while we serve: our certificate, and backends that could not be trusted inside it.

When all this is done is `watch`; what a certificate must be is `tls`.
"""

import time
from typing import Final

import trio

from tarpit.backend.health import exposure
from tarpit.backend.server import Backend
from tarpit.errors import Fault, SettingsError
from tarpit.observe import tls as events
from tarpit.services import Services
from tarpit.settings import Introduce, RelayTest, TlsMode
from tarpit.tls import DAY, SOON

EXPOSED: Final = (
    "pass leaves TLS to {backend}, which offers us {keywords}: inside, a peer could give itself any "
    "address, unseen by us. Set TARPIT_BACKEND_INTRODUCE=xclient, TARPIT_TLS=terminate or off, or take our "
    "address out of its smtpd_authorized_xclient_hosts (TARPIT_RELAY_TEST=warn starts all the same)"
)
BLIND: Final = (
    "behind STARTTLS we see no SPF, no recipient and no message, and slow nothing: with TARPIT_TLS_CERT and "
    "TARPIT_TLS_KEY it ends here"
)


async def renew_certificate(services: Services) -> None:
    """Read the certificate again; one that cannot be used is told, and the one from before stays in use."""
    if services.terminator is None:
        return
    try:
        await trio.to_thread.run_sync(services.terminator.certificates.renew)
    except SettingsError as wrong:
        events.certificate_kept(services.log, message="; ".join(map(str, wrong.faults)))
    else:
        tell_tls(services)


def tell_tls(services: Services) -> None:
    """Tell for whom our certificate is, or that we are blind behind STARTTLS."""
    if services.settings.starttls is TlsMode.PASS:
        events.tls_passed(services.log, loses=BLIND)
    if services.terminator is not None:
        certificate = services.terminator.certificates.now
        days = (certificate.ends - time.time()) / DAY
        events.certificate_loaded(services.log, names=certificate.names, days=days)
        if days < SOON:
            events.certificate_ending(services.log, days=days)


def tell_unsecured(services: Services, backend: Backend) -> None:
    """Tell when mail begins, or ceases, to go to *backend* unencrypted although TLS was wanted."""
    if backend.up and backend.plain_because != backend.plain_told:
        backend.plain_told = backend.plain_because
        events.backend_unsecured(services.log, backend=backend.name, reason=backend.plain_because)


async def test_exposure(services: Services, backend: Backend, *, starting: bool) -> None:
    """Find out whether peers could introduce themselves to *backend* inside TLS that we pass on.

    Raises `SettingsError` at the *starting* of a server of whose backend that is true.
    """
    if services.settings.starttls is not TlsMode.PASS or backend.address.introduce is not Introduce.OFF:
        return
    offered = sorted(word.decode() for word in await exposure(services.pool, backend))
    backend.exposed = bool(offered) and services.settings.relay_test is RelayTest.REFUSE
    if offered:
        events.backend_exposed(services.log, backend=backend.name, keywords=offered)
    if backend.exposed and starting:
        message = EXPOSED.format(backend=backend.name, keywords=" and ".join(offered))
        raise SettingsError([Fault("TARPIT_TLS", message)])
