"""`tarpit allow`, `deny` and `forget`: what is asked of the server, and what is printed of its answer."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tarpit.cli import app
from tests.support.control import Asked, answering

ALLOWED = {"network": "192.0.2.0/24", "allowed": True, "seconds": None}
DENIED = {"network": "2001:db8::/32", "allowed": False, "seconds": 7200.4}


def run(directory: Path, *command: str) -> tuple[Result, Asked]:
    with answering(directory, {"rulings": [ALLOWED, DENIED], "sessions": 0}) as asked:
        result = CliRunner().invoke(app, command, env={"TARPIT_STATE_DIR": str(directory)})
    return result, asked


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (["allow", "192.0.2.0/24"], {"do": "allow", "network": "192.0.2.0/24", "seconds": None}),
        (
            ["allow", "192.0.2.1", "--for", "1d"],
            {"do": "allow", "network": "192.0.2.1/32", "seconds": 86400.0},
        ),
        (
            ["deny", "2001:db8::/32", "--for", "30m"],
            {"do": "deny", "network": "2001:db8::/32", "seconds": 1800.0},
        ),
        (["forget", "192.0.2.1"], {"do": "forget", "network": "192.0.2.1/32"}),
    ],
)
def test_orders(tmp_path: Path, command: list[str], asked: dict[str, object]) -> None:
    """A network is asked for as it is written, a time in seconds; what was said is printed."""
    result, heard = run(tmp_path, *command)
    assert (result.exit_code, heard) == (0, [asked])
    assert "192.0.2.0/24" in result.stdout


def test_lists(tmp_path: Path) -> None:
    """Without a network each prints its own, with what is left of their time."""
    result, asked = run(tmp_path, "allow")
    assert asked == [{"do": "rulings"}]
    assert result.stdout.split() == ["allow", "192.0.2.0/24", "until", "the", "server", "ends"]
    result, _ = run(tmp_path, "deny")
    assert result.stdout.split() == ["deny", "2001:db8::/32", "for", "2h"]
    result, _ = run(tmp_path, "deny", "--json")
    assert json.loads(result.stdout) == [DENIED]


@pytest.mark.parametrize("word", ["allow", "deny"])
def test_nothing_was_said(tmp_path: Path, word: str) -> None:
    """An empty list names the variable where the other list is."""
    with answering(tmp_path, {"rulings": []}):
        result = CliRunner().invoke(app, [word], env={"TARPIT_STATE_DIR": str(tmp_path)})
    assert result.stdout == f"nothing: see also TARPIT_{word.upper()}\n"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["allow", "192.0.2.1/24"], "did you mean"),
        (["forget", "nonsense"], "not a network"),
        (["deny", "192.0.2.1", "--for", "soon"], "not a duration"),
        (["deny", "192.0.2.1", "--for", "0"], "over at once"),
        (["deny", "--for", "1d"], "wants a network"),
    ],
)
def test_mistyped(command: list[str], why: str) -> None:
    """What is mistyped is said before any server is asked, with the exit code of a wrong call."""
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert why in " ".join(result.stderr.replace("│", " ").split())
