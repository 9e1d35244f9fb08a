"""What is measured: a row is the same sessions for all that take part in it.

HAProxy and the two relays know no message, nginx passes no STARTTLS on, and whoever is not told of a peer's
STARTTLS cannot pass on what follows: so not everybody is in every row.
"""

from dataclasses import dataclass, replace
from typing import Final

from bench.peers.contestants import DIRECT, NAMES, OURS
from bench.peers.programs import Load

LARGE: Final = 25 * 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Work:
    """A row."""

    name: str
    what: str
    load: Load
    who: tuple[str, ...]

    def scaled(self, share: float) -> "Work":
        """Return the same with that share of the sessions, but no fewer than go on at once."""
        sessions = max(round(self.load.sessions * share), self.load.at_once)
        return replace(self, load=replace(self.load, sessions=sessions))


ALL: Final = tuple(name for name in NAMES if name != DIRECT)
LEAN: Final = (OURS, "haproxy", "nginx", "relay", "bare")
SESSIONS: Final = 2000  # of the first row; the others keep their proportion to it

WORKS: Final = (
    Work("small", "1 KiB, 20 at once", Load(SESSIONS, 20, 1024), ALL),
    Work("paced", "1 KiB, 200 a second", Load(SESSIONS, 500, 1024, rate=200), ALL),
    Work("crowd", "1 KiB, 500 at once", Load(3000, 500, 1024), LEAN),
    Work("alone", "1 KiB, one at a time", Load(400, 1, 1024), (DIRECT, *LEAN)),
    Work(
        "large", "25 MiB, 2 at once", Load(6, 2, LARGE), tuple(name for name in ALL if name != "postscreen")
    ),
    Work(
        "blind",
        "25 MiB behind STARTTLS, 4 at once",
        Load(16, 4, LARGE, blind=True),
        (OURS, "haproxy", "relay", "bare"),
    ),
)
