"""The measurement of `bench.budgets`, small: suspects send more than there is room for, all at once."""

import pytest

from bench import budgets

pytestmark = pytest.mark.e2e


def test_budgets_hold() -> None:
    """40 messages of 2 MiB, room for 8: what fits is delivered, the rest hears 452, all room comes back."""
    report = budgets.measure(suspects=40, megabytes=2, room=16 * budgets.MEGABYTE)
    assert report.kept, dict(budgets.table(report))
    assert report.codes[452] >= 32
    assert report.spooled > 4 * budgets.MEGABYTE  # it was the disk that was measured
