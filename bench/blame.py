"""Whose failure it is: connections that failed, held against those that a killed worker had.

A worker is stopped before it is killed: from then on it takes no connection, and /proc tells which it has. A
connection that fails within moments of the kill with one of these ends is that worker's own. Whatever else
fails is nobody's, and there must be none of that.
"""

import ipaddress
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MOMENTS: Final = 2.0  # seconds from a kill in which its peers must have heard of it
STOPS: Final = 1.0  # seconds for a process to stop

End = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Failure:
    """A connection that failed: when (of the monotonic clock), its own end, and what it heard."""

    when: float
    end: End
    what: str


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker that was killed: when, and the far ends of its peers' connections."""

    when: float
    pid: int
    ends: frozenset[End]


@dataclass
class Blame:
    """All kills and all failures of a run."""

    kills: list[Kill] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def kill(self, pid: int, port: int) -> None:
        """Kill the worker, and remember who was connected with it at *port*."""
        os.kill(pid, signal.SIGSTOP)
        wait_stopped(pid)
        ends = ends_of(pid, port)
        self.kills.append(Kill(time.monotonic(), pid, ends))
        os.kill(pid, signal.SIGKILL)

    def killer_of(self, failure: Failure) -> Kill | None:
        """Return the kill that the failure comes from, or None: then it is nobody's."""
        for kill in self.kills:
            if failure.end in kill.ends and kill.when <= failure.when <= kill.when + MOMENTS:
                return kill
        return None

    def nobodys(self) -> list[Failure]:
        """Return the failures that no kill explains."""
        return [failure for failure in self.failures if self.killer_of(failure) is None]


def parse_failures(text: str) -> list[Failure]:
    """Return what the load generator said of those that failed: `failed WHEN ADDRESS PORT WHAT` a line."""
    cut = [line.split(" ", 4) for line in text.splitlines() if line.startswith("failed ")]
    return [Failure(float(when), (address, int(port)), what) for _, when, address, port, what in cut]


def wait_stopped(pid: int) -> None:
    """Wait until the process has stopped. Raises `TimeoutError` where it does not."""
    until = time.monotonic() + STOPS
    while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "T":
        if time.monotonic() > until:
            raise TimeoutError(f"process {pid} does not stop")
        time.sleep(0.001)


def ends_of(pid: int, port: int) -> frozenset[End]:
    """Return the far ends of the process's connections whose near end is *port*."""
    own = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return frozenset(
        _end(row[2])
        for row in rows
        if f"socket:[{row[9]}]" in own and _end(row[1])[1] == port and _end(row[2])[1]
    )


def _end(text: str) -> End:
    """Return an end as /proc writes it: the address as a word of this machine, the port; in hexadecimal."""
    address, _, port = text.partition(":")
    number = int.from_bytes(bytes.fromhex(address), sys.byteorder)
    return str(ipaddress.IPv4Address(number)), int(port, 16)
