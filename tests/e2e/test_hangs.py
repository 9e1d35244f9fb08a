"""Processes of ours that stand still: they are noticed, killed and replaced."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from tests.support.crowd import OPEN_ENDED, deliver, running
from tests.support.proxy import QUICK, ROOT, RUN, Run
from tests.support.servers import answers, free_port, wait_until
from tests.support.sink import sink

HASTY: Final = (
    "from tarpit.processes import crew, lead; crew.LOOK, crew.STILL, lead.BEAT = 0.3, 4, 0.1; "
    "import sys; sys.argv = ['tarpit', 'run']; from tarpit.cli import app; app()"
)
PAGE: Final = 4096  # bytes, a pipe at its smallest: a few events


@pytest.fixture
def hasty() -> Iterator[Run]:
    """Return a proxy of two workers whose supervisor loses patience soon."""
    with running(command=(sys.executable, "-c", HASTY)) as run:
        yield run


def test_a_worker_hangs(hasty: Run) -> None:
    """Its peers are served by another one, and events tell why."""
    first = hasty.workers[0]
    os.kill(first, signal.SIGSTOP)
    deliver(hasty.address, "127.0.0.9")
    (hung,) = hasty.events("process.hung")
    assert (hung["worker"], hung["pid"], hung["serving"]) == (0, first, True)
    (lost,) = hasty.events("worker.lost")
    assert (lost["pid"], lost["how"]) == (first, "SIGKILL")
    assert len(hasty.workers) == 3


def test_who_can_be_reached_by_a_signal_says_where_it_stands(hasty: Run) -> None:
    """A traceback is written; where it has only been slow, that is all that happens."""
    os.kill(hasty.workers[1], signal.SIGQUIT)
    wait_until(lambda: "most recent call first" in hasty.output, "a traceback is written")
    deliver(hasty.address, "127.0.1.9")
    assert not hasty.events("worker.lost")


def test_an_office_hangs(hasty: Run) -> None:
    """Another one has the control socket then, and tells later workers what was ordered before."""
    wait_until(lambda: bool(hasty.events("control.opened")), "the control socket is there")
    order(hasty, "mode", "off")
    wait_until(lambda: len(hasty.events("mode.changed")) == 2, "both workers have heard")
    (office,) = set(children_of(hasty.process.pid)) - set(hasty.workers)
    os.kill(office, signal.SIGSTOP)
    wait_until(lambda: len(hasty.events("control.opened")) == 2, "there is another one")
    (hung,) = hasty.events("process.hung")
    assert (hung["worker"], hung["pid"]) == (-1, office)
    os.kill(hasty.workers[1], signal.SIGKILL)
    wait_until(lambda: len(hasty.events("mode.changed")) == 3, "the new worker has heard")
    assert len(hasty.workers) == 3


@pytest.mark.parametrize("dead", [pytest.param(True, id="dead"), pytest.param(False, id="asleep")])
def test_nobody_reads_the_log(*, dead: bool) -> None:
    """Whoever read the pipe has died, or stopped reading: mail goes on, and workers are still replaced."""
    port = free_port()
    with sink() as behind, TemporaryDirectory() as directory:
        ours = OPEN_ENDED | QUICK | {"BACKENDS": "{}:{}".format(*behind.address), "STATE_DIR": directory}
        environment = os.environ | {f"TARPIT_{name}": text for name, text in ours.items()}
        environment |= {"TARPIT_LISTEN": f"127.0.0.1:{port}"}
        process = subprocess.Popen(RUN, cwd=ROOT, env=environment, stdout=subprocess.PIPE)
        assert process.stdout is not None
        started = 0
        while started < int(OPEN_ENDED["WORKERS"]):
            started += b'"worker.started"' in process.stdout.readline()
        if dead:
            process.stdout.close()
        else:  # what is waiting must be less than the new size
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PAGE)
        for network in range(4):
            deliver(("127.0.0.1", port), f"127.0.{network}.9")
        before = set(children_of(process.pid))
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: bool(set(children_of(process.pid)) - before), "there is another one")
        for network in range(4):
            deliver(("127.0.0.1", port), f"127.0.{network}.9")
        if dead:
            process.terminate()
            process.wait(15)
        else:  # it wakes
            process.terminate()
            events = [json.loads(line)["event"] for line in process.stdout]
            process.stdout.close()
            assert process.wait(15) == 0
            assert events.count("session.closed") >= 4  # who was killed had some that it could not write
            assert events[-1] == "server.stopped"
        assert len(behind.stored["a@p.example"]) == 8


def test_no_standard_streams() -> None:
    """Where they are closed no connection gets their numbers, and with them the log; mail goes on."""
    port = free_port()
    with sink() as behind, TemporaryDirectory() as directory:
        ours = OPEN_ENDED | QUICK | {"BACKENDS": "{}:{}".format(*behind.address), "STATE_DIR": directory}
        environment = os.environ | {f"TARPIT_{name}": text for name, text in ours.items()}
        environment |= {"TARPIT_LISTEN": f"127.0.0.1:{port}"}
        process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *RUN], cwd=ROOT, env=environment
        )
        wait_until(lambda: answers(("127.0.0.1", port)), "the proxy accepts")
        deliver(("127.0.0.1", port), "127.0.0.9")
        for pid in (process.pid, *children_of(process.pid)):
            taken = {str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)}
            assert taken == {os.devnull}
        process.terminate()
        assert process.wait(15) == 0
        assert len(behind.stored["a@p.example"]) == 1


def order(run: Run, *words: str) -> None:
    """Give an order as an operator does."""
    environment = os.environ | {"TARPIT_STATE_DIR": run.files.name}
    subprocess.run(
        [sys.executable, "-m", "tarpit", *words], cwd=ROOT, env=environment, check=True, timeout=30
    )


def children_of(pid: int) -> list[int]:
    """Return the process ids of all children of *pid*."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
