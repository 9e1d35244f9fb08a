"""The exceptions of the proxy, by who must act.

A peer's misdeeds are values, not exceptions; they are in `tarpit.smtp`. What is raised here:

- `SettingsError`: the operator must act, before we listen.
- `BackendUnavailable`: the peer must come again later; it becomes a 421 or 451, never a 5xx.
- `PeerGone`, `PeerSilent`, `Stopping`: nobody must act; the session ends.

Everything else is a bug and keeps its traceback.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DESERTED: Final = "left before a backend was free"  # why a peer is gone for whom one was waited for


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong setting: the variable's name, what is wrong with it and what to do."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


class SettingsError(Exception):
    """The settings cannot be used. All faults are named at once; exit code 78."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class BackendUnavailable(Exception):  # noqa: N818 - named for what happened
    """The backend cannot be used now: not reached, lost, silent, or not speaking SMTP. `str()` says which."""


class PeerGone(Exception):  # noqa: N818
    """The peer has closed or reset the connection."""


class PeerSilent(Exception):  # noqa: N818
    """The peer let a time-out pass."""


class Stopping(Exception):  # noqa: N818
    """The server is stopping, and this session was at a point where it may be ended with 421."""
