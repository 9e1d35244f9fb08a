"""`tarpit run`, up to where the proxy begins."""

from pathlib import Path

from typer.testing import CliRunner

from tarpit.cli import app


def test_wrong_settings() -> None:
    """Wrong settings stop the start: each fault is named, with a suggestion, and the exit code is 78."""
    result = CliRunner().invoke(app, ["run"], env={"TARPIT_PACE_BYT": "1s", "TARPIT_MAX_SESSIONS": "0"})
    assert result.exit_code == 78
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "TARPIT_MAX_SESSIONS: must be at least 1",
        "TARPIT_PACE_BYT: is not a setting: did you mean TARPIT_PACE_BYTE?",
    ]


def test_env_file(tmp_path: Path) -> None:
    """A fault in the env-file is told in the same way."""
    path = tmp_path / "env"
    path.write_text("TARPIT_MODE=on\n")
    result = CliRunner().invoke(app, ["run", "--env-file", str(path)])
    assert result.exit_code == 78
    assert result.stderr == "TARPIT_MODE: 'on' is not one of enforce, observe, off\n"
