"""What systemd is told."""

import os
import socket
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest

from tarpit.processes.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


def test_everything_is_told(manager: socket.socket) -> None:
    """Each change is a datagram; no child finds the way to it."""
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "HOME": "/"}
    notifier = Notifier(environ)
    assert environ == {"HOME": "/"}
    notifier.ready()
    assert manager.recv(1000) == b"READY=1\nSTATUS=serving"
    notifier.reloading()
    first, second, _ = manager.recv(1000).decode().split("\n")
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0
    notifier.stopping(7)
    assert manager.recv(1000) == b"STOPPING=1\nSTATUS=stopping, 7 sessions are open"
    notifier.alive()
    assert manager.recv(1000) == b"WATCHDOG=1"


def test_an_abstract_address() -> None:
    """An address that begins with @ is no file."""
    name = f"tarpit-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert sock.recv(1000).startswith(b"READY=1")


def test_nobody_is_there() -> None:
    """Without systemd, and without anybody at its address, nothing happens."""
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": "/nonexistent/notify"}).ready()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, inf),
        ({"WATCHDOG_USEC": "soon"}, inf),
        ({}, inf),
    ],
)
def test_how_often_it_wants_to_hear_of_us(environ: dict[str, str], seconds: float) -> None:
    """Twice within its time; never where that is somebody else's."""
    assert Notifier({"NOTIFY_SOCKET": "/x"} | environ).alive_every == seconds
