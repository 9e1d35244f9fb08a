"""Figures from records: who counts as lost, late and gone."""

from dataclasses import replace
from math import inf

from bench.fleet.figures import by_sender, figures, quantile
from bench.fleet.records import Day, Ended, Reading, Record

SENT = Record(
    model="site",
    honest=True,
    clean=True,
    apart=False,
    sender=1,
    attempt=1,
    began=0.0,
    seconds=1.0,
    phase="QUIT",
    ended=Ended.DELIVERED,
    code=250,
    delivered=1,
    delay=0.5,
    wanted_within=inf,
)
BOT = replace(SENT, model="bot", honest=False, clean=False, sender=2, delay=0.0)
GONE = replace(BOT, phase="EHLO", ended=Ended.GAVE_UP, delivered=0, seconds=10.0)


def day(*records: Record) -> Day:
    return Day("it", records, (Reading(0.0, 3, 2, 1, 4.0),), 5, 60.0, 7, cpu_seconds=1.0, memory=0)


def test_a_message_is_delivered_by_any_attempt_and_lost_without() -> None:
    """What one attempt came to does not matter, only whether one delivered, and when."""
    deferred = replace(SENT, attempt=1, ended=Ended.DEFERRED, delivered=0, delay=0.0)
    came_again = replace(SENT, attempt=2, began=300.0, delay=300.5)
    lost = replace(deferred, sender=3, ended=Ended.REFUSED, clean=False)
    found = figures(day(deferred, lost, came_again))
    assert (found["honest_sent"], found["honest_lost"]) == (2, 1)
    assert found["honest_delay_p50"] == found["clean_delay_p99"] == 300.5
    assert found["connections"] == 3


def test_a_code_is_late_after_its_time_or_never_there() -> None:
    """A code in time is none of either."""
    code = replace(SENT, wanted_within=60.0)
    late = replace(code, sender=3, delay=61.0)
    never = replace(code, sender=4, ended=Ended.GAVE_UP, delivered=0, delay=0.0)
    found = figures(day(code, late, never))
    assert (found["codes_sent"], found["codes_late"]) == (3, 2)


def test_a_bot_is_gone_before_rcpt_if_it_never_came_so_far() -> None:
    """One attempt of several that did is enough to be counted as there."""
    other = replace(GONE, sender=3)
    there = replace(other, attempt=2, phase="RCPT", ended=Ended.DEFERRED)
    found = figures(day(BOT, GONE, other, there))
    assert (found["bots"], found["spam_delivered"], found["bots_gone_before_rcpt"]) == (2, 1, 0)
    assert figures(day(GONE))["bots_gone_before_rcpt"] == 1
    assert figures(day(GONE))["bot_seconds"] == 10.0


def test_who_is_reported_apart_is_in_no_other_figure() -> None:
    """Neither sent nor lost."""
    apart = replace(SENT, apart=True, ended=Ended.GAVE_UP, delivered=0)
    found = figures(day(apart, BOT))
    assert (found["honest_sent"], found["honest_lost"]) == (0, 0)
    assert (found["apart_sent"], found["apart_lost"]) == (1, 1)


def test_attempts_are_put_together_by_sender() -> None:
    """In the order in which they were made."""
    second = replace(SENT, attempt=2)
    assert by_sender([SENT, BOT, second]) == [[SENT, second], [BOT]]


def test_quantiles_are_values_that_were_there() -> None:
    """Nearest rank; of nobody it is 0."""
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.99) == 4.0
    assert quantile([], 0.5) == 0.0
