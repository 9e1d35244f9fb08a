"""How a command asks the server, and what it says where there is none."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tarpit.cli import app
from tarpit.cli.asking import ask, rows
from tests.support.control import answering

COMMANDS = [
    ["status"],
    ["mode"],
    ["mode", "off"],
    ["allow"],
    ["deny", "192.0.2.1"],
    ["forget", "192.0.2.1"],
    ["backend", "list"],
    ["backend", "drain", "mx:25"],
    ["backend", "enable", "mx:25"],
]


@contextmanager
def saying(path: Path, answer: bytes) -> Iterator[None]:
    """Serve one connection on *path* with whatever answer."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_server(command: list[str], tmp_path: Path) -> None:
    """Without a server every command says where it looked, by which variable, and ends with 1."""
    result = CliRunner().invoke(app, command, env={"TARPIT_STATE_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"{tmp_path}/control (TARPIT_STATE_DIR): there is no such socket" in result.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_wrong_settings(command: list[str]) -> None:
    """Wrong settings are told as everywhere."""
    assert CliRunner().invoke(app, command, env={"TARPIT_X": "1"}).exit_code == 78


def test_env_file(tmp_path: Path) -> None:
    """The directory may stand in the file that the server was started with."""
    path = tmp_path / "env"
    path.write_text(f"TARPIT_STATE_DIR={tmp_path}\n")
    with answering(tmp_path, {"mode": "off", "settings": "off"}) as asked:
        result = CliRunner().invoke(app, ["mode", "--env-file", str(path)])
    assert (result.exit_code, result.stdout) == (0, "off\n")
    assert asked == [{"do": "mode"}]


def test_a_dead_server(tmp_path: Path) -> None:
    """A socket that was left behind is told from none."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "control"))
    result = CliRunner().invoke(app, ["status"], env={"TARPIT_STATE_DIR": str(tmp_path)})
    assert (result.exit_code, "nobody listens there any more" in result.stderr) == (1, True)


def test_a_refusal(tmp_path: Path) -> None:
    """What the server refuses is printed as it says it."""
    with answering(tmp_path, {"error": "mx:25 is not a backend"}):
        result = CliRunner().invoke(
            app, ["backend", "drain", "mx:25"], env={"TARPIT_STATE_DIR": str(tmp_path)}
        )
    assert (result.exit_code, result.stderr) == (1, "mx:25 is not a backend\n")


@pytest.mark.parametrize("answer", [b"", b"220 mx ESMTP\r\n", b"[]\n"])
def test_no_tarpit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    """Silence, or anything but an object, is nobody we know."""
    monkeypatch.setenv("TARPIT_STATE_DIR", str(tmp_path))
    with saying(tmp_path / "control", answer), pytest.raises(typer.Exit) as raised:
        ask(None, do="status")
    assert raised.value.exit_code == 1


def test_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of an answer is a list of objects."""
    monkeypatch.setenv("TARPIT_STATE_DIR", str(tmp_path))
    with answering(tmp_path, {"rulings": [{"network": "::/0"}]}) as asked:
        assert rows(ask(None, do="rulings", seconds=None), "rulings") == [{"network": "::/0"}]
    assert asked == [{"do": "rulings", "seconds": None}]
