"""The benchmark of held peers: its arithmetic, and one small run of all of it."""

import shutil
import sys
from array import array

import pytest

from bench import hold
from bench.crowd import lateness
from bench.hold import Figures, line, row

OURS = Figures(held=2, late_p50=1.0, late_p99=2.0, byte_cpu=12.0, memory=3000, accepted=900, clean=3, idle=2)
THEIRS = Figures(held=2, late_p50=0.5, late_p99=4.0, byte_cpu=10.0, memory=60, accepted=3000)


@pytest.mark.parametrize(
    ("arrivals", "late"),
    [
        ([], []),
        ([5.0], [0.0]),
        ([5.0, 6.0, 7.0], [0.0, 0.0, 0.0]),
        ([5.0, 6.5, 7.0], [0.0, 0.5, 0.0]),
        ([5.5, 6.0, 7.0], [0.5, 0.0, 0.0]),
        ([5.0, 5.0, 7.0], [1.0, 0.0, 1.0]),
    ],
)
def test_lateness(arrivals: list[float], late: list[float]) -> None:
    """A byte is late as measured by the most punctual one of its session, and never early."""
    assert list(lateness(array("d", arrivals))) == late


def test_row() -> None:
    """Each figure has the C program's behind it, and the goals are ratios."""
    cells = row(OURS, THEIRS)
    assert cells == (
        "2", "1.0 / 0.5", "2.0 / 4.0", "12.0 / 10.0", "1.20",
        "3000 / 60", "900 / 3000", "3.00", "2.00", "1.50",
    )  # fmt: skip
    assert len(line(cells)) == len(line(hold.COLUMNS))


def test_row_without_a_compiler() -> None:
    """Where nothing was compared there is no ratio."""
    assert row(OURS, None)[4] == "-"


@pytest.mark.e2e
@pytest.mark.skipif(shutil.which("cc") is None, reason="compares with a C program, and there is no compiler")
def test_a_small_run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Thirty peers are held to the end by both, and the table has a line for them."""
    monkeypatch.setattr(sys, "argv", ["bench.hold", "--sessions", "30", "--seconds", "2"])
    monkeypatch.setattr(hold, "CLEAN_SESSIONS", 5)
    monkeypatch.setattr(hold, "NEWCOMERS", 10)
    assert hold.main() == 0
    assert "\n             30" in capfd.readouterr().out
