"""What an open session keeps: one small run of all of it."""

import shutil

import pytest

from bench import memory


def test_all_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    """It prints a line for each kind of session."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here, which makes the certificate")
    assert memory.main(["--sessions", "3"]) == 0
    out = capfd.readouterr().out
    assert [out.count(kind) for kind in ("clean, joined", "held", "KiB a session")] == [2, 1, 3]
