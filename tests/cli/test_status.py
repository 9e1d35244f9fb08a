"""`tarpit status`: what is printed of the server's answer."""

import json
from pathlib import Path

from typer.testing import CliRunner

from tarpit.cli import app
from tests.cli.test_backend import UP
from tests.support.control import answering

STATUS = {
    "version": "0.1.0",
    "pid": 4711,
    "mode": "enforce",
    "sessions": 123,
    "held": 45,
    "max_sessions": 1000,
    "load": 0.123,
    "waiting": 2,
    "backends": [UP],
    "zones_set_aside": [{"zone": "zen.example", "form": "IPv4", "reason": "silent"}],
    "allowed": 1,
    "denied": 2,
}


def test_status(tmp_path: Path) -> None:
    """A few lines say what an operator asks first; JSON has the same."""
    env = {"TARPIT_STATE_DIR": str(tmp_path)}
    with answering(tmp_path, STATUS) as asked:
        result = CliRunner().invoke(app, ["status"], env=env)
        as_json = CliRunner().invoke(app, ["status", "--json"], env=env)
    assert asked == [{"do": "status"}] * 2
    lines = result.stdout.splitlines()
    assert lines[:4] == [
        "tarpit 0.1.0, process 4711, mode enforce",
        "123 of 1000 sessions (load 12%), 45 slowed, 2 waiting for a backend",
        "1 networks allowed and 2 denied beyond the settings",
        "zone zen.example is set aside for IPv4: silent",
    ]
    assert lines[5].split()[:3] == ["mx1.example:25", "up", "7/100"]
    assert json.loads(as_json.stdout) == STATUS


def test_several_workers(tmp_path: Path) -> None:
    """Where there are several, each has a line of its own; a single one is not worth it."""
    workers: list[dict[str, object]] = [
        {"worker": number, "pid": 4711 + number, "sessions": 7, "load": 0.5, "leaves": number == 1}
        for number in range(2)
    ]
    printed = []
    for some in (workers, workers[:1]):
        with answering(tmp_path, STATUS | {"workers": some}):
            result = CliRunner().invoke(app, ["status"], env={"TARPIT_STATE_DIR": str(tmp_path)})
        printed.append([line for line in result.stdout.splitlines() if line.startswith("worker")])
    lines = [f"worker {n}, process {4711 + n}: 7 sessions (load 50%)" for n in range(2)]
    assert printed == [[lines[0], lines[1] + " and leaves"], []]
