"""The proxy as a service: sockets from systemd, what it is told, another user, and orders to all workers."""

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support.crowd import CONTENT, begin, deliver, running, served_by
from tests.support.peer import Peer
from tests.support.proxy import ROOT, Run
from tests.support.servers import LOOPBACK, Address, directory_for, wait_until

QUICKLY: Final = {"PACE_BYTE": "1ms", "PACE_DELAY": "1ms", "PACE_HOLD": "0"}
AS_SYSTEMD: Final = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), "
    "LISTEN_FDS='1'); os.execv(sys.executable, [sys.executable, '-m', 'tarpit', 'run'])"
)


@contextmanager
def activated(number: int, **variables: str) -> Iterator[Run]:
    """Run a proxy that is given the descriptor *number* as systemd gives a socket."""
    command = (sys.executable, "-c", AS_SYSTEMD, str(number))
    with running(variables, command=command, pass_fds=(number,)) as run:
        yield run


def test_socket_activation() -> None:
    """What waits in systemd's socket while nobody runs is served by the next: a restart refuses nobody."""
    with socket.create_server((LOOPBACK, 0)) as sock:
        address: Address = sock.getsockname()
        with activated(sock.fileno()) as run:
            deliver(address, "127.0.0.1")
            assert run.events("listener.opened")[0]["port"] == address[1]
            assert "systemd" in str(run.events("peers.scattered")[0]["reason"])
            assert run.stop() == 0
        with Peer.connect(address) as waiting, activated(sock.fileno(), WORKERS="1") as run:
            assert waiting.hear().code == 220
            assert not run.events("peers.scattered")


def test_a_socket_that_is_none(tmp_path: Path) -> None:
    """A descriptor that nobody can connect to stops the start."""
    with (tmp_path / "file").open("w") as file, activated(file.fileno()) as run:
        assert run.process.wait(10) == 78
        assert "LISTEN_FDS: descriptor 3 is no listening TCP socket" in run.output


def test_what_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready once all workers are, reloading until that is over, stopping, and alive all the while."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")

        def told() -> str:
            while (text := manager.recv(1000).decode()) == "WATCHDOG=1":
                pass
            return text

        with running() as run:
            assert told() == "READY=1\nSTATUS=serving"
            assert manager.recv(1000) == b"WATCHDOG=1"
            os.kill(run.process.pid, signal.SIGHUP)
            assert told().startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert told() == "READY=1\nSTATUS=serving"
            os.kill(run.process.pid, signal.SIGTERM)
            assert told() == "STOPPING=1\nSTATUS=stopping, 0 sessions are open"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_is_given_up() -> None:
    """Every process is TARPIT_USER's once the sockets are open; a worker that is made later, too."""
    with directory_for("user") as directory:
        state = directory / "state"
        with running({"USER": "nobody", "STATE_DIR": str(state)}) as run:
            deliver(run.address, "127.0.0.1")
            os.kill(run.workers[0], signal.SIGKILL)
            wait_until(lambda: len(run.workers) == 3, "it is replaced")
            deliver(run.address, "127.0.0.1")
            wait_until((state / "control").exists, "the office is there")
            uid = pwd.getpwnam("nobody").pw_uid
            for pid in (run.process.pid, *children(run.process.pid)):
                status = Path(f"/proc/{pid}/status").read_text("ascii")
                assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in status
                assert "CapEff:\t0000000000000000\n" in status
            assert state.stat().st_uid == uid


def test_no_such_user() -> None:
    """Somebody that nobody knows stops the start."""
    with running({"USER": "no-such-user"}) as run:
        assert run.process.wait(10) == 78
        assert "TARPIT_USER: there is no user no-such-user" in run.output


def test_orders_reach_all_workers() -> None:
    """What is ordered holds in every worker, also in one that comes later; what is counted is added up."""
    with running({"BACKEND_MAX": "5", "MAX_SESSIONS": "101", "BACKEND_CHECKS": "2"}) as run:
        wait_until(lambda: bool(run.events("control.opened")), "orders are taken")
        with (
            Peer.connect(run.address, source="127.0.0.1") as one,
            Peer.connect(run.address, source="127.0.1.1") as two,
        ):
            assert (one.hear().code, two.hear().code) == (220, 220)
            status = ask(run, "status", "--json")
        assert (status["sessions"], status["max_sessions"], status["pid"]) == (2, 101, run.process.pid)
        (backend,) = rows(status, "backends")
        assert (backend["taken"], backend["cap"], backend["up"]) == (2, 5, True)
        assert [worker["sessions"] for worker in rows(status, "workers")] == [1, 1]
        command(run, "deny", "127.0.1.0/24")
        command(run, "mode", "off")
        os.kill(run.workers[1], signal.SIGKILL)
        wait_until(lambda: len(run.workers) == 3, "it is replaced")
        wait_until(lambda: len(run.events("network.denied")) == 3, "the new one is told")
        wait_until(lambda: len(run.events("mode.changed")) == 3, "of the mode, too")
        (*_, denied) = run.events("network.denied")
        assert [denied[name] for name in ("worker", "network")] == [
            1,
            "127.0.1.0/24",
        ]


@pytest.mark.parametrize("fresh", [False, True], ids=["the same office", "another office"])
def test_orders_reach_who_leaves(tmp_path: Path, *, fresh: bool) -> None:
    """A worker that was replaced is asked and told as the others are, until it ends."""
    file = tmp_path / "env"
    file.write_text("")
    program = (sys.executable, "-m", "tarpit", "run", "--env-file", str(file))
    with (
        running(QUICKLY | {"WORKERS": "1", "DRAIN": "60s"}, command=program) as run,
        Peer.connect(run.address) as peer,
    ):
        assert peer.hear().code == 220
        wait_until(lambda: bool(run.events("control.opened")), "orders are taken")
        file.write_text("TARPIT_BACKEND_MAX=7\n")
        os.kill(run.process.pid, signal.SIGHUP)
        wait_until(lambda: bool(run.events("settings.reloaded")), "it is replaced")
        if fresh:
            os.kill((set(children(run.process.pid)) - set(run.workers)).pop(), signal.SIGKILL)
            wait_until(lambda: len(run.events("control.opened")) == 2, "orders are taken again")
        wait_until(lambda: len(rows(ask(run, "status", "--json"), "workers")) == 2, "both are known")
        status = ask(run, "status", "--json")
        (backend,) = rows(status, "backends")
        assert (status["sessions"], backend["taken"], backend["cap"]) == (1, 1, 7)
        known = [(row["pid"], row["sessions"], row["leaves"]) for row in rows(status, "workers")]
        assert known == [(run.workers[1], 0, False), (run.workers[0], 1, True)]
        command(run, "deny", "127.0.0.1")
        for line, code in ((b"EHLO p.example", 250), (b"MAIL FROM:<>", 250), (b"RCPT TO:<b@b.example>", 450)):
            assert peer.ask(line).code == code
        peer.ask(b"QUIT")
        wait_until(lambda: len(run.events("worker.stopped")) == 1, "the old one has ended")
        assert len(rows(ask(run, "status", "--json"), "workers")) == 1


def test_orders_while_all_stop() -> None:
    """As long as a transfer is waited for, how things stand is told."""
    with running({"WORKERS": "1", "DRAIN": "60s"}) as run, Peer.connect(run.address) as peer:
        wait_until(lambda: bool(run.events("control.opened")), "orders are taken")
        begin(peer)
        run.process.send_signal(signal.SIGTERM)
        wait_until(lambda: bool(run.events("server.stopping")), "it stops")
        assert ask(run, "status", "--json")["sessions"] == 1
        peer.say(CONTENT)
        assert peer.hear().code == 250
        assert run.process.wait(15) == 0


def test_the_office_is_killed() -> None:
    """Mail goes on without it, and there is another one soon."""
    with running() as run:
        wait_until(lambda: bool(run.events("control.opened")), "orders are taken")
        office = (set(children(run.process.pid)) - set(run.workers)).pop()
        os.kill(office, signal.SIGKILL)
        deliver(run.address, "127.0.1.1")
        wait_until(lambda: len(run.events("control.opened")) == 2, "orders are taken again")
        assert run.events("control.lost")[0]["pid"] == office
        assert len(rows(ask(run, "status", "--json"), "workers")) == 2
        assert served_by(run, 1) == {"127.0.1": {1}}


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def command(run: Run, *words: str) -> str:
    """Run `tarpit` with *words*, under the settings of *run* as far as it needs them."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("TARPIT_")}
    return subprocess.run(
        [sys.executable, "-m", "tarpit", *words],
        cwd=ROOT,
        env=environment | {"TARPIT_STATE_DIR": run.files.name},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def ask(run: Run, *words: str) -> dict[str, object]:
    answer = json.loads(command(run, *words))
    assert isinstance(answer, dict)
    return answer


def rows(answer: dict[str, object], name: str) -> list[dict[str, object]]:
    found = answer[name]
    assert isinstance(found, list)
    return found
