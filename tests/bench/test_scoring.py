"""The scoring benchmark runs, and all who ask find the same."""

import pytest

from bench.scoring import main
from tests.support.servers import server_or_skip

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:please use dns.resolver.resolve:DeprecationWarning"),  # in pyspf
]


def test_scoring(capsys: pytest.CaptureFixture[str]) -> None:
    """Cold and warm, scoring and dnspython have a line each, and find the same about 40 peers."""
    server_or_skip("rbldnsd")
    assert main(["--peers", "40"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("8 zones")]
    assert [line[-5] for line in lines] == ["scoring", "dnspython"] * 5
    assert [float(line[-1]) for line in lines if line[-5] == "scoring"] == [1.0] * 5
