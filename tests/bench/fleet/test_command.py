"""`python -m bench fleet`, as it is called."""

import json
from pathlib import Path

import pytest

from bench.fleet.command import UNUSABLE, main

SMALL = ["--sessions", "60", "--only", "none", "ours"]


def test_json_is_the_same_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """Byte for byte, with the figures that are promised."""
    said = []
    for _ in range(2):
        assert main([*SMALL, "--json"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    report = json.loads(said[0])
    assert (report["preset"], report["seed"], report["sessions"]) == ("busy-day", 1, 60)
    assert list(report["policies"]) == ["none", "ours"]
    promised = {
        *("honest_sent", "honest_lost", "honest_delay_p50", "honest_delay_p99", "clean_delay_p99"),
        *("bots", "bots_gone_before_rcpt", "spam_delivered", "backend_connections_peak", "backend_seconds"),
    }
    assert promised <= set(report["policies"]["ours"])


def test_a_recorded_set_of_settings_is_one_more_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What in it says where things are is left out, and named; records are written where wanted."""
    (tmp_path / "mild.env").write_text("TARPIT_PACE_BANNER=2s\nTARPIT_LISTEN=0.0.0.0:25\n")
    arguments = [*SMALL[:3], "none", "--settings", str(tmp_path / "mild.env"), "--records", str(tmp_path)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "mild" in out
    assert "TARPIT_LISTEN" in err
    rows = (tmp_path / "mild.jsonl").read_text().splitlines()
    assert {json.loads(row)["model"] for row in rows} >= {"site", "bot-3s"}
    assert (tmp_path / "mild.gauges.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--preset", "lazy-day"], "lazy-day"),
        (["--only", "wishes"], "wishes"),
        (["--settings", "nowhere.env"], "nowhere.env"),
    ],
)
def test_what_cannot_be_used_is_named(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is run, as `tarpit` does it."""
    assert main(arguments) == UNUSABLE
    assert why in capsys.readouterr().err


def test_wrong_settings_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By variable."""
    (tmp_path / "wrong.env").write_text("TARPIT_PACE_BANNER=soon\n")
    assert main([*SMALL, "--settings", str(tmp_path / "wrong.env")]) == UNUSABLE
    assert "TARPIT_PACE_BANNER" in capsys.readouterr().err
