"""`tarpit explain`: the findings about an address, and the treatment."""

import json

import pytest
from typer.testing import CliRunner, Result

from tarpit.cli import app

# nobody answers at the discard port: every look-up ends without an opinion
ENV = {
    "TARPIT_DNS_SERVERS": "127.0.0.1:9",
    "TARPIT_SCORE_WAIT": "100ms",
    "TARPIT_DNSBL_ZONES": "zen.example*3",
}


def explained(*arguments: str, **variables: str) -> Result:
    env = ENV | {f"TARPIT_{name}": text for name, text in variables.items()}
    return CliRunner().invoke(app, ["explain", *arguments], env=env)


def test_silence() -> None:
    """Without an answer there is no opinion, and the peer passes."""
    result = explained("192.0.2.1")
    assert result.exit_code == 0
    assert "dnsbl:zen.example" in result.stdout
    assert "192.0.2.1 is no-opinion with 0 points (suspect from 3, hostile from 8): pass" in result.stdout
    assert result.stdout.splitlines()[-1].strip() == "not slowed: 0 points are below 3"


def test_denylist() -> None:
    """Who is in TARPIT_DENY is held, without any look-up."""
    answer = json.loads(explained("192.0.2.1", "--json", DENY="192.0.2.0/24").stdout)
    assert (answer["verdict"], answer["treatment"]) == ("hostile", "hold")
    assert [finding["signal"] for finding in answer["findings"]] == ["denylist"]


def test_allowlist() -> None:
    """Who is in TARPIT_ALLOW passes, even if denied."""
    answer = json.loads(explained("127.0.0.1", "--json", DENY="127.0.0.1").stdout)
    assert (answer["treatment"], answer["score"]) == ("pass", 0)


def test_mail_from_asks_spf() -> None:
    """With a HELO name or reverse-path SPF is asked too."""
    answer = json.loads(
        explained("192.0.2.1", "--json", "--helo", "mx.example", "--mail-from", "a@b.example").stdout
    )
    assert any(finding["signal"].startswith("spf") for finding in answer["findings"])
    assert all(finding["ms"] >= 0 for finding in answer["findings"])


def test_observe() -> None:
    """In observe mode the treatment is told, and that nobody gets it."""
    assert "TARPIT_MODE is observe: nobody is slowed" in explained("192.0.2.1", MODE="observe").stdout


@pytest.mark.parametrize("text", ["mx.example", "192.0.2", ""])
def test_no_address(text: str) -> None:
    """What is no address is wrong usage."""
    assert explained(text).exit_code == 2
