"""The events about mail for several groups of backends (TARPIT_ROUTES).

They are written as those in `events`, of which this is a further page.
"""

from collections.abc import Iterable
from typing import Annotated

from structlog.typing import FilteringBoundLogger as Log

from tarpit.observe.events import BackendName, Warn
from tarpit.observe.log import safe


def message_divided(
    log: Log,
    *,
    id: Annotated[str, "of the session"],  # noqa: A002 - as it is called in all events
    taken_by: Annotated[Iterable[str], "backends that have accepted the message"],
    refused_by: BackendName,
    reply: Annotated[bytes, "what the peer heard: if it is a 4xx, it sends to all of them again"],
) -> Warn:
    """With TARPIT_ROUTES_MIXED=fanout a message was accepted by some backends, and then not by another."""
    log.warning(
        "message.divided",
        id=id,
        taken_by=[safe(one) for one in taken_by],
        refused_by=refused_by,
        reply=safe(reply),
    )
