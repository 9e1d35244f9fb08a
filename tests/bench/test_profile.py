"""Where time goes: the arithmetic of it. The load itself is that of `bench.peers`, and tested there."""

from typing import Final

import pytest

from bench.peers.contestants import Contestant
from bench.peers.works import WORKS, Work
from bench.profile import compare, shares

FOLDED: Final = [
    "main (a.py:1);run (b.py:7);send (c.py:3) 6",
    "main (a.py:1);run (b.py:9) 3",
    "main (a.py:1) 1",
]


def test_shares() -> None:
    """A function has all that it calls, once a stack, whatever the line; and what it does itself."""
    total, _, *rows = shares(FOLDED, rows=10)
    assert total == "10 samples"
    assert [row.split() for row in rows] == [
        ["90.0%", "30.0%", "run", "(b.py)"],
        ["60.0%", "60.0%", "send", "(c.py)"],
    ]
    assert len(shares(FOLDED, rows=1)) == 3


def test_compare() -> None:
    """Ratios are taken within a round, after one that does not count, and nobody is always the first."""
    asked: list[str] = []
    trees = {"ours": Contestant("ours", 1), "other": Contestant("other", 2)}

    def cpu(contestant: Contestant, work: Work) -> float:
        asked.append(contestant.name)
        slow = 1 + (len(asked) - 1) // 2  # the machine's mood, the same for both of a round
        return slow * (1.0 if contestant.name == "ours" else 2.0)

    said = compare(trees, WORKS[0], 3, cpu)
    assert asked == ["ours", "other", "other", "ours"] * 2
    assert float(said.partition("ratio ")[2].split()[0]) == pytest.approx(0.5, abs=0.1)
