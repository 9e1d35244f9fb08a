"""`tarpit tune`: what is printed of a log."""

import json
from pathlib import Path

from typer.testing import CliRunner

from tarpit.cli import app
from tests.support.logbook import fleet
from tests.tuning.test_outlook import CURRENT, MEDIANS

ENV = {"TARPIT_PACE_JITTER": "0", "TARPIT_DNS_SERVERS": "127.0.0.1:53"}


def log_of(tmp_path: Path, sessions: int) -> str:
    """Return the path of a log."""
    path = tmp_path / "log"
    path.write_text("\n".join(fleet(CURRENT, MEDIANS, sessions=sessions, seed=1)))
    return str(path)


def test_a_report(tmp_path: Path) -> None:
    """Patience by signal with its band, the frontier, and that nothing was changed."""
    result = CliRunner().invoke(app, ["tune", log_of(tmp_path, 2000)], env=ENV)
    assert result.exit_code == 0, result.output
    assert "2000 sessions, 2000 of them slowed" in result.output
    assert "dnsbl:bl.example" in result.output
    assert "in force" in result.output
    assert "Nothing has been changed." in result.output


def test_too_little(tmp_path: Path) -> None:
    """Of 50 sessions nothing follows, and that is what is said: of each signal, and of settings."""
    result = CliRunner().invoke(app, ["tune", log_of(tmp_path, 50)], env=ENV)
    assert result.exit_code == 0
    assert "Not enough data: 50 sessions were slowed" in result.output
    assert result.output.lower().count("not enough data") == 1 + len(MEDIANS)


def test_json(tmp_path: Path) -> None:
    """The same in plain values; what is not known is null."""
    report = json.loads(CliRunner().invoke(app, ["tune", "--json", log_of(tmp_path, 2000)], env=ENV).stdout)
    assert report["enough"] is True
    band = report["patience"]["dnsbl:bl.example"]["median"]
    assert band["low"] <= MEDIANS["dnsbl:bl.example"] <= band["high"]
    assert {one["in_force"] for one in report["frontier"]} == {True, False}
    little = json.loads(CliRunner().invoke(app, ["tune", "--json", log_of(tmp_path, 50)], env=ENV).stdout)
    assert (little["enough"], little["frontier"]) == (False, [])
    assert little["patience"]["no-rdns"]["median"] is None


def test_from_standard_input(tmp_path: Path) -> None:
    """A dash is the standard input."""
    lines = Path(log_of(tmp_path, 50)).read_text()
    result = CliRunner().invoke(app, ["tune", "-"], input=lines, env=ENV)
    assert "50 sessions, 50 of them slowed" in result.output


def test_no_such_file(tmp_path: Path) -> None:
    """The file that is not there is named."""
    result = CliRunner().invoke(app, ["tune", str(tmp_path / "none")], env=ENV)
    assert result.exit_code == 1
    assert "No such file" in result.output
