"""The events about TLS: certificates, and ways that are not encrypted or that we cannot see into.

They are written as those in `events`, of which this is the second page.
"""

from collections.abc import Iterable
from typing import Annotated

from structlog.typing import FilteringBoundLogger as Log

from tarpit.observe.events import BackendName, Error, Info, Warn
from tarpit.observe.log import safe


def certificate_loaded(
    log: Log,
    *,
    names: Annotated[Iterable[str], "names in it; the MX name must be one of them"],
    days: Annotated[float, "until it ends"],
) -> Info:
    """The certificate has been read, at the start or again at HUP; new sessions are shown it."""
    log.info("certificate.loaded", names=[safe(name) for name in names], days=round(days, 1))


def certificate_ending(log: Log, *, days: Annotated[float, "until it ends"]) -> Warn:
    """The certificate that was read ends soon: renew it, and send HUP."""
    log.warning("certificate.ending", days=round(days, 1))


def certificate_kept(log: Log, *, message: Annotated[str, "what is wrong with which variable"]) -> Error:
    """The certificate could not be read again; the one from before stays in use."""
    log.error("certificate.kept", message=message)


def tls_passed(log: Log, *, loses: Annotated[str, "what does not exist for such peers"]) -> Warn:
    """STARTTLS is passed to the backend (TARPIT_TLS is `pass`): who uses it is not seen from there on."""
    log.warning("tls.passed", loses=loses)


def backend_unsecured(
    log: Log,
    *,
    backend: BackendName,
    reason: Annotated[str, "why, bounded and escaped; empty: it is encrypted again"],
) -> Warn:
    """Mail goes to a backend unencrypted, although TLS was wanted where it can be had (`may`)."""
    log.warning("backend.unsecured", backend=backend, reason=safe(reason, 200))


def backend_exposed(
    log: Log,
    *,
    backend: BackendName,
    keywords: Annotated[Iterable[str], "of XCLIENT and XFORWARD those it offers us"],
) -> Error:
    """A peer could give itself any address inside TLS that is passed through; such a backend is not used."""
    log.error("backend.exposed", backend=backend, keywords=[safe(word) for word in keywords])
