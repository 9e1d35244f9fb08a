"""The measurement of `bench.suspects`, small: suspects that give up, and some that wait, all at once."""

import pytest

from bench import suspects

pytestmark = pytest.mark.e2e

QUICKLY = {
    "PACE_BYTE": "20ms",
    "PACE_DELAY": "200ms",
    "PACE_BANNER": "1s",
    "PACE_REPLY": "1s",
    "PACE_DATA": "1s",
    "PREGREET_WAIT": "200ms",
}


def test_a_slow_session_costs_the_backend_next_to_nothing() -> None:
    """60 suspects that never get past EHLO cost it nothing, 6 patient ones moments; all of these deliver."""
    report = suspects.measure(suspects.SINK, impatient=60, patient=6, **QUICKLY)
    assert report.delivered == report.seen.messages == len(report.patient) == 6
    assert report.seen.connections == 2 * 6  # the recipient is asked for, and the message handed over
    assert report.seen.peak <= 3
    assert len(report.others) == 60
    assert sum(report.others) == 0
    # alone on a machine it is a tenth of that; here other tests run, too
    assert max(report.patient) < 0.5 < min(report.held) / 5
