"""`tarpit backend`: what is asked of the server, and what is printed of its answer."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tarpit.cli import app
from tarpit.cli.backend import as_text, state
from tests.support.control import answering

UP = {
    "name": "mx1.example:25",
    "up": True,
    "usable": True,
    "reason": "",
    "since": 61.2,
    "taken": 7,
    "cap": 100,
    "weight": 3.0,
    "drained": False,
    "routes": ["a.example", "*.a.example"],
}
DOWN = UP | {
    "name": "mx2.example:25",
    "up": False,
    "reason": "connection refused",
    "weight": 0.3,
    "taken": 0,
    "routes": [],
}


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (["list"], {"do": "backends"}),
        (["drain", "mx1.example:25"], {"do": "drain", "backend": "mx1.example:25"}),
        (["enable", "mx1.example:25"], {"do": "enable", "backend": "mx1.example:25"}),
    ],
)
def test_commands(tmp_path: Path, command: list[str], asked: dict[str, str]) -> None:
    """Each asks one thing, and prints the backends of the answer."""
    with answering(tmp_path, {"backends": [UP, DOWN]}) as heard:
        result = CliRunner().invoke(app, ["backend", *command], env={"TARPIT_STATE_DIR": str(tmp_path)})
    assert (result.exit_code, heard) == (0, [asked])
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [
        ["mx1.example:25", "up", "7/100", "3", "61", "s"],
        ["for", "a.example,", "*.a.example"],
        ["mx2.example:25", "down", "0/100", "0.3", "61", "s", "connection", "refused"],
    ]


def test_json(tmp_path: Path) -> None:
    """The list is there for a program, as the server gave it."""
    with answering(tmp_path, {"backends": [UP]}):
        result = CliRunner().invoke(
            app, ["backend", "list", "--json"], env={"TARPIT_STATE_DIR": str(tmp_path)}
        )
    assert json.loads(result.stdout) == [UP]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "up"),
        ({"up": None}, "unknown"),
        ({"up": False}, "down"),
        ({"usable": False}, "unusable"),
        ({"usable": False, "drained": True, "up": False}, "drained"),
    ],
)
def test_state(changes: dict[str, object], word: str) -> None:
    """One word says whether it gets mail, and why not."""
    assert state(UP | changes) == word


def test_columns_stand_in_line() -> None:
    """Heading and lines have their columns at the same places."""
    heading, first, _routes, second = as_text([UP, DOWN]).splitlines()
    assert heading.index("state") == first.index("up") == second.index("down")
