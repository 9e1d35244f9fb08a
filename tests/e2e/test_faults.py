"""The sweep of `bench.faults`, small: nothing is lost, made twice or refused while either side fails."""

from functools import partial

import pytest
import trio

from bench import faults
from bench.books import table

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("seed", [5])
def test_books_agree(seed: int) -> None:
    """Whatever dies at whatever byte: what was acknowledged is stored, once, and every doubt is told."""
    work = partial(faults.sweep, messages=60, concurrency=30, every=1.5, seed=seed)
    books = trio.run(work)
    assert [promise for promise in books.wrong() if promise[1]] == [], dict(table(books))
    assert books.kills >= 15
    assert len(books.acknowledged()) == 60
    closed = [event for event in books.events if event["event"] == "session.closed"]
    assert {event["treatment"] for event in closed} == {"pass", "slow"}
    # each visit has its one event
    assert len(closed) == len(books.attempts)
