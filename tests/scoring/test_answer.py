"""What an answer is worth later."""

import pytest

from scoring.answer import Answer, Status, found_life, nothing, unknown


@pytest.mark.parametrize(("ttl", "life"), [(-1, 60), (0, 60), (61, 61), (3600, 3600), (2**31 - 1, 3600)])
def test_found_life(ttl: float, life: float) -> None:
    """DNS-13: records hold for their time to live, at least a minute and at most an hour."""
    assert found_life(ttl) == life


@pytest.mark.parametrize(("ttl", "life"), [(0, 60), (61, 61), (2**31 - 1, 300)])
def test_nothing(ttl: float, life: float) -> None:
    """That there is nothing holds for five minutes at most: a peer gets listed any minute."""
    answer = nothing("no such name", ttl=ttl)
    assert (answer.status, answer.why, answer.life) == (Status.NOTHING, "no such name", life)


def test_unknown() -> None:
    """Trouble passes within seconds."""
    assert (unknown("SERVFAIL").status, unknown("SERVFAIL").life) == (Status.UNKNOWN, 5)


def test_after() -> None:
    """An answer grows older, and says the same; it never holds for less than nothing."""
    answer = Answer(Status.FOUND, "", ("192.0.2.1",), (b"text",), ("name",), ((10, "mx"),), life=60)
    assert answer.after(20).after(5) == answer
    assert (answer.after(20).after(5).age, answer.after(20).after(5).life) == (25, 35)
    assert answer.after(100).life == 0
