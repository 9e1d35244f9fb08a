"""The meter: smooth, forgiving, bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.rates import Meters, Rate, any_over

KEY = b"\xc0\x00\x02\x01"


def counted(rate: Rate, times: list[float]) -> list[bool]:
    """Return for each event whether it was too fast."""
    meters = Meters(rate, 10)
    return [meters.count(KEY, now) for now in times]


def test_a_burst_of_the_whole_rate() -> None:
    """Sixty at once are within 60 a minute, one more is not."""
    assert counted(Rate(60, 60), [0.0] * 61) == [False] * 60 + [True]


def test_a_burst_of_its_own() -> None:
    """A smaller burst stops what the rate alone would let through."""
    assert counted(Rate(60, 60, burst=2), [0, 0, 0]) == [False, False, True]


def test_no_window_edge() -> None:
    """Sixty before a minute's end and sixty after it are a hundred and twenty within a second."""
    late = counted(Rate(60, 60), [59.5] * 60 + [60.5] * 60)
    assert late == [False] * 61 + [True] * 59  # one interval has passed in between


def test_exactly_the_rate_is_within() -> None:
    """One a second for an hour is never above 60 a minute, and two a second are from the second minute on."""
    assert not any(counted(Rate(60, 60), [float(second) for second in range(3600)]))
    twice = counted(Rate(60, 60), [second / 2 for second in range(600)])
    assert twice.index(True) == 119
    assert all(twice[119:])


def test_forgiveness() -> None:
    """However fast it was, after a burst's time of silence a key is within its rate again."""
    meters = Meters(Rate(60, 60), 10)
    for _ in range(100_000):
        meters.count(KEY, 0.0)
    assert meters.over(KEY, 59.9)
    assert not meters.over(KEY, 60.0)
    assert not meters.over(KEY, 1e9)
    assert not meters.over(b"nobody", 0.0)


def test_bounded() -> None:
    """A million strangers take the room of ten keys; who keeps coming is not forgotten for them."""
    meters = Meters(Rate(1, 60), 10)
    for stranger in range(1_000_000):
        if stranger % 5 == 0:
            meters.count(KEY, 0.0)
        meters.count(stranger.to_bytes(16, "big"), 0.0)
    assert len(meters) == 10
    assert meters.over(KEY, 0.0)


@given(st.lists(st.floats(0, 1000), max_size=50).map(sorted), st.integers(1, 20), st.floats(0.1, 100))
def test_never_more_than_the_rate(times: list[float], count: int, seconds: float) -> None:
    """In no stretch of time do more events pass than a burst and what the stretch allows."""
    slow = [now for now, fast in zip(times, counted(Rate(count, seconds), times), strict=True) if not fast]
    for first, start in enumerate(slow):
        for last, end in enumerate(slow[first:], start=1):
            assert last <= count + (end - start) * count / seconds + 1e-6


def test_times() -> None:
    """Ten recipients a connection are ten times its rate, and ten times its burst."""
    assert Rate(60, 60).times(10) == Rate(600, 60)
    assert Rate(60, 60, burst=5).times(10) == Rate(600, 60, burst=50)
    assert Rate(60, 60, burst=5).times(0.1) == Rate(6, 60, burst=1)
    assert str(Rate(60, 60)) == "60 in 60 s"


@pytest.mark.parametrize(("count", "seconds", "burst"), [(0, 60, None), (60, 0, None), (60, 60, 0.5)])
def test_no_rate(count: float, seconds: float, burst: float | None) -> None:
    """What lets nothing through, or everything, is no rate."""
    with pytest.raises(ValueError, match="is not a rate"):
        Rate(count, seconds, burst)


@given(st.lists(st.floats(0, 10), max_size=30).map(sorted), st.floats(0, 20))
def test_any_of_several(times: list[float], now: float) -> None:
    """Asked together, meters say what they say one by one."""
    meters = [Meters(rate, 10) for rate in (Rate(3, 1), Rate(10, 5), Rate(100, 1))]
    for time in times:
        for meter in meters:
            meter.count(KEY, time)
    over = any(meter.over(KEY, now) for meter in meters)
    assert any_over([(KEY, meters)], now) is over
    assert any_over([(b"another", meters), (KEY, meters)], now) is over
    assert not any_over([(b"another", meters)], now)
