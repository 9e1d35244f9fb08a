"""A flood of suspects while a clean sender delivers; `python -m bench.flood` is the same, ten times over."""

import pytest

from bench.flood import percentile, run

pytestmark = pytest.mark.e2e

SESSIONS = 400


def test_mail_arrives_in_a_flood() -> None:
    """Of 2,000 suspects that keep coming only so many get in; every message arrives; nothing is left over."""
    report = run(connections=2000, messages=100, sessions=SESSIONS, rate=400, patience=4)
    assert report.delivered == report.wanted == 100
    assert percentile(report.banners, 50) < 3.0  # TARPIT_SCORE_WAIT; a banner that is slowed takes longer
    refused = sum(count for what, count in report.told.items() if what.startswith("421 4."))
    assert report.told.total() == 2000
    assert refused > 500
    assert 0 <= refused + report.deferred.total() - report.refused <= 5
    most = max(descriptors for descriptors, _ in report.usage)
    assert most <= SESSIONS + 100 + report.before[0]
    assert report.after[0] <= report.before[0] + 5
    assert report.events["sessions.full"] <= 10
