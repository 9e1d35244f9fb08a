"""The events about the control socket: whether it is there, what was ordered over it, and by whom.

They are written as those in `events`, of which this is a further page.
"""

from typing import Annotated

from structlog.typing import FilteringBoundLogger as Log

from tarpit.observe.events import BackendName, Info, Warn
from tarpit.observe.log import safe

Uid = Annotated[int, "user id of whoever said so"]


def control_opened(log: Log, *, path: Annotated[str, "the Unix socket"]) -> Info:
    """Orders are taken there from now on: `tarpit backend`, `allow`, `deny`, `forget`, `mode`, `status`."""
    log.info("control.opened", path=path)


def control_missing(
    log: Log, *, path: Annotated[str, "the Unix socket"], reason: Annotated[str, "what is in the way"]
) -> Warn:
    """There is no control socket (see TARPIT_STATE_DIR). Mail goes on all the same."""
    log.warning("control.missing", path=path, reason=safe(reason, 200))


def control_refused(log: Log, *, uid: Annotated[int, "user id of whoever it was"]) -> Warn:
    """Somebody who is neither root nor whom we run as has reached the control socket, and was not heard."""
    log.warning("control.refused", uid=uid)


def backend_drained(
    log: Log, *, uid: Uid, backend: BackendName, sessions: Annotated[int, "connections that may finish"]
) -> Info:
    """A backend gets no new connections of mail; probes of it go on."""
    log.info("backend.drained", uid=uid, backend=backend, sessions=sessions)


def backend_enabled(log: Log, *, uid: Uid, backend: BackendName) -> Info:
    """A backend that was drained gets mail again, as soon as it is up."""
    log.info("backend.enabled", uid=uid, backend=backend)


def network_allowed(
    log: Log,
    *,
    uid: Uid,
    network: Annotated[str, "whose peers are neither scored nor slowed"],
    seconds: Annotated[float | None, "for so long; null: until we end"] = None,
    sessions: Annotated[int, "sessions that were open, and are treated so from now on"] = 0,
) -> Info:
    """A network goes before TARPIT_ALLOW and TARPIT_DENY: it is trusted."""
    log.info("network.allowed", uid=uid, network=network, seconds=seconds, sessions=sessions)


def network_denied(
    log: Log,
    *,
    uid: Uid,
    network: Annotated[str, "whose peers are hostile"],
    seconds: Annotated[float | None, "for so long; null: until we end"] = None,
    sessions: Annotated[int, "sessions that were open, and are treated so from now on"] = 0,
) -> Info:
    """A network goes before TARPIT_ALLOW and TARPIT_DENY: it is hostile."""
    log.info("network.denied", uid=uid, network=network, seconds=seconds, sessions=sessions)


def network_forgotten(
    log: Log,
    *,
    uid: Uid,
    network: Annotated[str, "the network"],
    rulings: Annotated[int, "how many of `network.allowed` and `network.denied` are taken back"],
) -> Info:
    """What was said of a network and its parts while we ran holds no more; the settings' lists do."""
    log.info("network.forgotten", uid=uid, network=network, rulings=rulings)


def mode_changed(
    log: Log, *, uid: Uid, mode: Annotated[str, "the mode from now on"], was: Annotated[str, "and before"]
) -> Info:
    """Delays are switched on or off, for sessions that are open too, until the next such order or restart."""
    log.info("mode.changed", uid=uid, mode=mode, was=was)
