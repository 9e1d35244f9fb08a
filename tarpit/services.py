"""What all sessions of a worker share, and which of them are open."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio
from structlog.typing import FilteringBoundLogger as Log

from tarpit import load
from tarpit.backend.pool import Pool
from tarpit.classify import Classifier
from tarpit.drip import Wheel
from tarpit.policy import Patience
from tarpit.relay import TimeOuts
from tarpit.settings import Settings

if TYPE_CHECKING:
    from tarpit.session import Session


@dataclass
class Services:
    """What all sessions of a worker share."""

    settings: Settings
    log: Log
    classifier: Classifier
    pool: Pool
    wheel: Wheel
    patience: Patience
    time_outs: TimeOuts
    nursery: trio.Nursery
    open: set["Session"] = field(default_factory=set)
    changed: trio.Event = field(default_factory=trio.Event)  # set, and made anew, when a session ends

    @property
    def load(self) -> float:
        """How full this worker is."""
        return load.share(len(self.open), self.settings.max_sessions)

    def ended(self, session: "Session") -> None:
        """Take note that *session* is over."""
        self.open.discard(session)
        self.changed.set()
        self.changed = trio.Event()

    async def wait_empty(self) -> None:
        """Wait until no session is open."""
        while self.open:
            await self.changed.wait()
