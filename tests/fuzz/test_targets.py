"""Every target against its corpus, and against some of everything. `make fuzz` goes on for longer."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, WORDS

CORPUS: Final = Path(__file__).parent / "corpus"
SEEDS: Final = sorted(path for path in CORPUS.glob("*/*") if path.is_file())
SESSIONS: Final = int(os.environ.get("FUZZ_SESSIONS", "4000"))


def streams(name: str) -> st.SearchStrategy[bytes]:
    """Return what is likely to matter to a target, among anything."""
    parts = st.lists(st.sampled_from(WORDS[name]) | st.binary(max_size=5), max_size=25).map(b"".join)
    return st.tuples(st.binary(max_size=17), parts).map(b"".join) | parts


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed.parent.name}/{seed.name}")
def test_corpus(seed: Path) -> None:
    """What has been of interest once does not come back."""
    TARGETS[seed.parent.name](seed.read_bytes())


def test_the_corpus_is_of_targets() -> None:
    """Each target has its seeds, and no seed is without a target."""
    assert {seed.parent.name for seed in SEEDS} == set(TARGETS) == set(WORDS)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=300, deadline=None)
@example(data=None)
def test_target(name: str, data: st.DataObject | None) -> None:
    """No bytes break its promise."""
    TARGETS[name](b"" if data is None else data.draw(streams(name)))


NAMED: Final = {"dialogue": "whole sessions", "commands": "command lines", "content": "messages"}


@pytest.mark.parametrize("name", NAMED)
def test_by_chance(name: str, record_property: Callable[[str, object], None]) -> None:
    """G2 In sessions by chance, clean and slowed, no side is ever in data mode alone."""
    for number in range(SESSIONS):
        TARGETS[name](chance(name, random.Random(number)))
    record_property("G2", f"{SESSIONS} {NAMED[name]} by chance")


def chance(name: str, pick: random.Random) -> bytes:
    """Return what is likely to matter to a target, by chance."""
    parts = (pick.choice(WORDS[name]) if pick.random() < 0.9 else pick.randbytes(3) for _ in range(25))
    return pick.randbytes(17) + b"".join(parts)
