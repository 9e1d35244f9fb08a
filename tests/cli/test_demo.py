"""`tarpit demo`: the whole of it once, for a few real seconds, and what ends it before it begins."""

import pytest
import typer
from typer.testing import CliRunner

from tarpit.cli import demo
from tarpit.cli.options import telling_faults


@pytest.fixture
def app() -> typer.Typer:
    alone = typer.Typer()
    alone.command()(telling_faults(demo.command))
    return alone


def test_wrong_settings_exit_with_78(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault goes to standard error."""
    monkeypatch.setenv("TARPIT_PACE_BYTE", "slow")
    result = CliRunner().invoke(app, ["--seconds", "1"])
    assert result.exit_code == 78
    assert result.stderr.startswith("TARPIT_PACE_BYTE: ")


def test_seconds_must_be_positive(app: typer.Typer) -> None:
    """`--seconds 0` is a mistake in the command line."""
    assert CliRunner().invoke(app, ["--seconds", "0"]).exit_code == 2


def test_demo(app: typer.Typer) -> None:
    """For six seconds: clean mail is delivered, suspects are held, and a table ends it."""
    result = CliRunner().invoke(app, ["--seconds", "6"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert any("backend got  <ann@good.demo.test>" in line for line in lines)
    assert any(
        "spammer, 3 s patience" in line and "dnsbl 4" in line and "slow, held" in line for line in lines
    )
    assert any(line.startswith("polite sender") and "1 delivered" in line for line in lines)
    assert not any("Pills" in line or "warning:" in line or "error:" in line for line in lines)
    assert "at most" in lines[-1]
