"""What the runs of `bench.backends` share: the proxy before weighted backends, and what was found."""

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from bench.senders import Senders
from bench.surroundings import name_server, proxy

WEIGHTS: Final = (1, 2, 3, 4)
SAMPLE: Final = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one run."""

    what: str
    senders: Senders
    had: Sequence[float] = ()  # messages, or mean connections, of each backend
    most: int = 0  # connections at once, by the sink's own count

    def __str__(self) -> str:
        """Return a line of the report."""
        shares = ", ".join(f"{count:.4g}" for count in self.had)
        told = f"had {shares}, off by {off_by(self.had):.1%}; " if self.had else ""
        most = f"; at most {self.most} connections" if self.most else ""
        return f"{self.what}: {told}{self.senders.told()}{most}"


@contextmanager
def tarpit(backends: Sequence[str], **variables: str) -> Iterator[int]:
    """Run the proxy before *backends*, and yield its port."""
    with name_server() as names, tempfile.TemporaryDirectory() as directory:
        told = Path(directory, "log")
        chosen = {"BACKENDS": " ".join(backends), "RATE_PEER": "0", "RATE_NETWORK": "0", **variables}
        with proxy(8000, names=names, backend=0, log=told, **chosen) as (_, port):
            yield port


def off_by(counts: Sequence[float]) -> float:
    """Return by which share the worst of *counts* misses what its weight says."""
    whole = sum(counts) / sum(WEIGHTS)
    return max(abs(count / (whole * weight) - 1) for count, weight in zip(counts, WEIGHTS, strict=True))


def mean_of_full(seen: Sequence[Sequence[int]]) -> list[float]:
    """Return how many connections each had, of the samples in which nearly all senders were there."""
    full = [row for row in seen if sum(row) >= 30]
    return [statistics.fmean(column) for column in zip(*full, strict=True)]


def is_over(until: float) -> bool:
    """Whether *until* has passed."""
    return trio.current_time() > until
