"""How wrong settings are told by every command."""

import pytest
import typer

from tarpit.cli.options import telling_faults
from tarpit.errors import Fault, SettingsError


def test_faults_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A line a fault on standard error, exit code 78."""

    def command() -> None:
        raise SettingsError([Fault("TARPIT_A", "is wrong"), Fault("TARPIT_B", "is too")])

    with pytest.raises(typer.Exit) as caught:
        telling_faults(command)()
    assert caught.value.exit_code == 78
    assert capsys.readouterr().err == "TARPIT_A: is wrong\nTARPIT_B: is too\n"


def test_a_command_without_faults() -> None:
    """Right settings change nothing about a command, and its signature stays."""
    heard: list[int] = []
    telling_faults(heard.append)(7)
    assert heard == [7]
