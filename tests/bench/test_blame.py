"""Whose failure a connection is: what /proc tells, and what follows from it."""

import signal
import socket
import subprocess
import sys

from bench.blame import Blame, Failure, Kill, parse_failures, wait_stopped

END = ("127.8.0.1", 4321)
KILLED = Kill(10.0, 7, frozenset({END}))
SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
kept = [server.accept()[0] for _ in range(2)]
kept.pop().close()
other = socket.create_server(("127.0.0.1", 0))
elsewhere = socket.create_connection(other.getsockname()), other.accept()
print("accepted", flush=True)
sys.stdin.read()
"""


def test_own() -> None:
    """What a killed worker had, and fails in that moment, is that worker's own."""
    blame = Blame([KILLED], [Failure(10.1, END, "closed")])
    assert blame.killer_of(blame.failures[0]) is KILLED
    assert blame.nobodys() == []


def test_nobodys() -> None:
    """Another connection, or the same end before the kill or long after, is nobody's."""
    others = [
        Failure(10.1, ("127.8.0.1", 4322), "closed"),
        Failure(10.1, ("127.8.0.2", 4321), "closed"),
        Failure(9.9, END, "closed"),
        Failure(13.0, END, "closed"),
    ]
    assert Blame([KILLED], others).nobodys() == others


def test_parse_failures() -> None:
    """One line each, among others; the rest of the line is what was heard."""
    out = 'failed 1.500000 127.8.3.1 40000 step 2: Connection reset by peer\n{"sessions": 1}\n'
    assert parse_failures(out) == [Failure(1.5, ("127.8.3.1", 40000), "step 2: Connection reset by peer")]


def test_kill() -> None:
    """The process is dead afterwards, and which connections at that port it had is known."""
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        blame = Blame()
        # the second is closed by the server, the third waits in its queue
        with (
            socket.create_connection(("127.0.0.1", port)) as first,
            socket.create_connection(("127.0.0.1", port)),
        ):
            process.stdout.readline()
            with socket.create_connection(("127.0.0.1", port)):
                blame.kill(process.pid, port)
            assert blame.kills[0].ends == {first.getsockname()}
        assert process.wait() == -signal.SIGKILL


def test_wait_stopped() -> None:
    """A process that was told to stop has stopped afterwards."""
    with subprocess.Popen(["sleep", "60"]) as process:
        process.send_signal(signal.SIGSTOP)
        wait_stopped(process.pid)
        process.kill()
