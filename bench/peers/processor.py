"""CPU seconds of a process and of all that it has started, those that have ended included."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int) -> float:
    """Return the seconds used by *root* and all its descendants so far.

    Of those alive by the clock of each process, to the nanosecond and with all threads; of those that have
    ended by what their parent was told of them, in ticks of 10 ms: of all of them together, so that many
    short ones lose nothing.
    """
    return sum(_own(pid) + _ended(pid) for pid in descendants(root))


def times(pid: int) -> tuple[int, int]:
    """Return what a process itself has used so far, in ticks: in its own code, and in the kernel for it."""
    fields = _stat(pid)
    return (int(fields[11]), int(fields[12])) if fields else (0, 0)


def descendants(root: int) -> list[int]:
    """Return *root* and all its descendants that are alive."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:  # grows while it is walked
        found += children.get(pid, [])
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and (fields := _stat(int(directory.name))):
            yield int(directory.name), int(fields[1])


def _own(pid: int) -> float:
    try:
        return time.clock_gettime(
            ~pid << 3 | 2
        )  # CPUCLOCK_SCHED of another process: see clock_getcpuclockid(3)
    except OSError:  # it has just ended: its parent will know
        return 0.0


def _ended(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[13]) + int(fields[14])) / _TICK if fields else 0.0


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; none of a process that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []
