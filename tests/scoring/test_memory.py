"""What is remembered of peers: for how long, and of how many."""

import sys

from scoring.memory import Memory
from scoring.verdict import Finding, Result, Verdict

VERDICT = Verdict((Finding("dnsbl:zen.example", Result.NONE, 0, "not listed", age=5, life=100),), 3, 8)


def test_recall() -> None:
    """A verdict is remembered for its lifetime, with findings that age; then it is forgotten."""
    memory = Memory(10)
    memory.keep("a", VERDICT, 1000)
    recalled = memory.recall("a", 1099)
    assert recalled is not None
    assert (recalled.findings[0].age, recalled.findings[0].life) == (104, 1)
    assert memory.recall("b", 1099) is None
    assert memory.recall("a", 1100) is None
    assert len(memory) == 0


def test_kept_again() -> None:
    """A newer verdict takes the place of an older one, with a time of its own."""
    memory = Memory(10)
    memory.keep("a", VERDICT, 0)
    memory.keep("a", VERDICT, 90)
    recalled = memory.recall("a", 110)
    assert recalled is not None
    assert (recalled.findings[0].age, len(memory)) == (25, 1)


def test_the_longest_unused_goes_first() -> None:
    """Who keeps coming is not pushed out by those who come once."""
    memory = Memory(3)
    memory.keep("regular", VERDICT, 0)
    for stranger in range(100):
        memory.keep(stranger, VERDICT, 0)
        assert memory.recall("regular", 1)
    assert [memory.recall(stranger, 1) is None for stranger in (97, 98, 99)] == [True, False, False]
    assert len(memory) == 3


def test_clear() -> None:
    """Everything can be forgotten at once."""
    memory = Memory(10)
    memory.keep("a", VERDICT, 0)
    memory.clear()
    assert memory.recall("a", 0) is None


def test_a_million_strangers() -> None:
    """A memory that a million strangers have passed through is as large as after ten thousand of them.

    Fed directly: to ask about a million peers takes minutes, and the resolver's memory has its own test.
    """
    memory = Memory(1000)
    blocks = []
    for strangers in (10_000, 1_000_000):
        for stranger in range(strangers):
            memory.keep(stranger, VERDICT, 0)
        blocks.append(sys.getallocatedblocks())
    assert len(memory) == 1000
    assert blocks[1] < blocks[0] + 5000
