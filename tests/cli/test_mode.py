"""`tarpit mode`: what is asked of the server, and what is printed of its answer."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tarpit.cli import app
from tests.support.control import answering


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [([], {"do": "mode"}), (["observe"], {"do": "mode", "mode": "observe"})],
)
def test_mode(tmp_path: Path, arguments: list[str], asked: dict[str, str]) -> None:
    """Without a mode it is asked for, with one it is switched; the settings' own is told where it differs."""
    env = {"TARPIT_STATE_DIR": str(tmp_path)}
    answer = {"mode": "observe", "settings": "enforce"}
    with answering(tmp_path, answer) as heard:
        result = CliRunner().invoke(app, ["mode", *arguments], env=env)
        as_json = CliRunner().invoke(app, ["mode", "--json"], env=env)
    assert heard[0] == asked
    assert result.stdout == "observe (TARPIT_MODE is enforce)\n"
    assert json.loads(as_json.stdout) == answer


def test_no_such_mode() -> None:
    """A mode that is none is a wrong call."""
    assert CliRunner().invoke(app, ["mode", "on"]).exit_code == 2
