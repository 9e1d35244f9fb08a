"""HUP: what is changed in the settings takes effect, and no connection is lost on the way."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.crowd import CONTENT, begin, deliver, running
from tests.support.peer import Peer
from tests.support.proxy import Event, Run
from tests.support.servers import wait_until


@contextmanager
def started(env_file: Path, text: str = "", **variables: str) -> Iterator[Run]:
    """Run a proxy that reads *env_file*."""
    env_file.write_text(text, "utf-8")
    command = (sys.executable, "-m", "tarpit", "run", "--env-file", str(env_file))
    with running(variables, command=command) as run:
        yield run


def reload(run: Run, told: str = "settings.reloaded") -> Event:
    """Send HUP, and return the event that tells what came of it."""
    count = len(run.events(told))
    os.kill(run.process.pid, signal.SIGHUP)
    wait_until(lambda: len(run.events(told)) > count, f"{told} is told")
    return run.events(told)[-1]


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / "env"


def test_what_has_changed_takes_effect(env_file: Path) -> None:
    """New workers serve under the new settings; clean peers finish in the old ones, and notice nothing."""
    with (
        started(env_file, "TARPIT_DRAIN=20s\n") as run,
        Peer.connect(run.address, source="127.0.0.1") as sending,
        Peer.connect(run.address, source="127.0.1.1") as idle,
    ):
        begin(sending)
        assert idle.hear().code == 220
        env_file.write_text("TARPIT_DRAIN=20s\nTARPIT_MAX_SESSIONS_PEER=7\nTARPIT_DENY=127.0.2.0/24\n")
        assert reload(run)["changed"] == ["TARPIT_DENY", "TARPIT_MAX_SESSIONS_PEER"]
        sending.say(CONTENT)
        assert sending.hear().code == 250
        deliver(run.address, "127.0.1.1")
        begin(idle, greeted=True)
        idle.say(CONTENT)
        assert idle.hear().code == 250
        for peer in (sending, idle):
            assert peer.ask(b"QUIT").code == 221
        (closed, *_) = run.closed(3)
        assert closed["peer"] == "127.0.1.1"
        wait_until(lambda: len(run.events("worker.stopped")) == 2, "the old ones end")
        assert {event["cut"] for event in run.events("worker.stopped")} == {0}
        assert len(run.workers) == 4
        assert not run.events("worker.lost")


def test_who_stays_is_told(env_file: Path) -> None:
    """A clean peer that is still there when TARPIT_DRAIN is over hears 421; a suspect hears it at once."""
    with (
        started(
            env_file,
            DRAIN="1s",
            ALLOW="127.0.0.0/24",
            DENY="127.0.1.0/24",
            PACE_DELAY="0",
            PACE_BYTE="0",
            PREGREET_WAIT="0",
        ) as run,
        Peer.connect(run.address, source="127.0.0.1") as idle,
        Peer.connect(run.address, source="127.0.1.1") as suspect,
    ):
        assert (idle.hear().code, suspect.hear().code) == (220, 220)
        env_file.write_text("TARPIT_MAX_SESSIONS_PEER=7\n")
        reload(run)
        assert suspect.hear().reply.startswith(b"421 4.3.2 ")
        assert idle.ask(b"NOOP").code == 250
        assert idle.hear().reply.startswith(b"421 4.3.2 ")
        wait_until(lambda: len(run.events("worker.stopped")) == 2, "the old ones end")


@pytest.mark.parametrize("dies", [False, True], ids=["is told TERM", "dies"])
def test_the_supervisor_ends_meanwhile(env_file: Path, *, dies: bool) -> None:
    """Who may stay where a worker is replaced hears 421 when all of us stop."""
    with started(env_file, DRAIN="10m") as run, Peer.connect(run.address, patience=20) as idle:
        assert idle.hear().code == 220
        env_file.write_text("TARPIT_MAX_SESSIONS_PEER=7\n")
        reload(run)
        assert idle.ask(b"NOOP").code == 250
        run.process.send_signal(signal.SIGKILL if dies else signal.SIGTERM)
        assert idle.hear().reply.startswith(b"421 4.3.2 ")
        wait_until(lambda: len(run.events("worker.stopped")) == 4, "all end")


def test_nothing_has_changed(env_file: Path) -> None:
    """Then the workers stay, and read their lists and certificates again."""
    with started(env_file) as run, Peer.connect(run.address) as peer:
        assert peer.hear().code == 220
        assert reload(run)["changed"] == []
        wait_until(lambda: len(run.events("lists.loaded")) == 4, "each has read its lists")
        assert peer.ask(b"NOOP").code == 250
        assert len(run.workers) == 2


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("TARPIT_PACE_BYT=1s\n", "TARPIT_PACE_BYT: is not a setting"),
        ("TARPIT_PROXY_FROM=192.0.2.0/24\n", "TARPIT_PROXY_FROM: takes a restart"),
        ("TARPIT_DENY=/nonexistent\n", "TARPIT_DENY: /nonexistent"),
        ("TARPIT_RELAY_TEST=refuse\n", "an open relay"),
    ],
)
def test_what_cannot_be_used(env_file: Path, text: str, fault: str) -> None:
    """It is told, everything stays as it was, and what is put right then takes effect."""
    with started(env_file, "TARPIT_RELAY_TEST=off\n", RELAY_TEST="") as run:
        with Peer.connect(run.address) as peer:
            assert peer.hear().code == 220
            env_file.write_text("TARPIT_RELAY_TEST=off\n" * (fault != "an open relay") + text)
            assert fault in str(reload(run, "settings.kept")["message"])
            assert peer.ask(b"NOOP").code == 250
        deliver(run.address, "127.0.0.1")
        deliver(run.address, "127.0.1.1")
        assert len(run.workers) == 2
        env_file.write_text("TARPIT_RELAY_TEST=off\nTARPIT_MAX_SESSIONS_PEER=7\n")
        assert reload(run)["changed"] == ["TARPIT_MAX_SESSIONS_PEER"]


@pytest.mark.parametrize(
    ("text", "told", "more"),
    [
        ("TARPIT_DENY=/nonexistent\n", "settings.kept", 1),
        ("TARPIT_MAX_SESSIONS_PEER=7\n", "settings.reloaded", 2),
    ],
    ids=["refused", "obeyed"],
)
def test_hup_while_a_worker_is_missing(env_file: Path, text: str, told: str, more: int) -> None:
    """Its place is filled once, whatever becomes of the reload."""
    with started(env_file) as run:
        for count in (3, 4):
            os.kill(run.workers[0 if count == 3 else -1], signal.SIGKILL)
            wait_until(lambda: len(run.workers) == count, "it is replaced")  # noqa: B023 - waited for here
        os.kill(run.workers[-1], signal.SIGKILL)
        wait_until(lambda: len(run.events("worker.lost")) == 3, "it is missed, and another one is due")
        env_file.write_text(text)
        reload(run, told)
        due = time.monotonic() + 3
        wait_until(lambda: time.monotonic() > due, "it would have been replaced twice")
        assert len(run.workers) == 4 + more
        for network in (0, 1):
            deliver(run.address, f"127.0.{network}.1")


def test_a_cap_holds_over_a_reload(env_file: Path) -> None:
    """Old and new worker together have no more connections to a backend than one alone."""
    with (
        started(env_file, "TARPIT_BACKEND_MAX=2\n", WORKERS="1", DRAIN="20s") as run,
        Peer.connect(run.address) as first,
        Peer.connect(run.address) as second,
    ):
        begin(first)
        begin(second)
        env_file.write_text("TARPIT_BACKEND_MAX=2\nTARPIT_MAX_SESSIONS_PEER=7\n")
        reload(run)
        with Peer.connect(run.address) as third:
            third.sock.settimeout(1)
            with pytest.raises(TimeoutError):
                third.hear()
            third.sock.settimeout(20)
            first.say(CONTENT)
            assert first.hear().code == 250
            assert first.ask(b"QUIT").code == 221
            assert third.hear().code == 220
        second.say(CONTENT)
        assert second.hear().code == 250


def test_hup_again_and_again(env_file: Path) -> None:
    """HUP in the middle of a reload is obeyed after it."""
    with started(env_file) as run:
        env_file.write_text("TARPIT_MAX_SESSIONS_PEER=7\n")
        for _ in range(20):
            os.kill(run.process.pid, signal.SIGHUP)
            time.sleep(0.01)
        wait_until(lambda: len(run.events("settings.reloaded")) >= 2, "both are obeyed")
        deliver(run.address, "127.0.1.1")
        assert len(run.workers) == 4
