"""What each piece costs: one small run of all of them."""

import pytest

from bench import pieces


def test_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Each is done by the objects of a worker, and has its line; the sum is the last."""
    assert pieces.main(["--loops", "2"]) == 0
    *rows, total = capsys.readouterr().out.splitlines()
    assert len(rows) > 10
    assert total.startswith("all of them")
