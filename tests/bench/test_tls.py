"""The benchmark of TLS: one small run of all of it."""

import shutil

import pytest

from bench import tls


def test_all_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    """It prints what a session costs plain and inside TLS, for both kinds of certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here, which makes the certificates")
    tls.main(["--sessions", "3", "--idle", "3", "--seconds", "0.5"])
    out = capfd.readouterr().out
    assert out.count("in TLS 1.3, 1 KiB a session") == len(tls.KINDS) == 2
    assert out.count("handshakes/s") == 2
