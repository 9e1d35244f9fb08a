"""Several workers: which one a peer meets, and what becomes of peers when one of them dies."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.support.crowd import CONTENT, Crowd, begin, deliver, running, served_by
from tests.support.peer import Peer
from tests.support.proxy import Run
from tests.support.servers import wait_until
from tests.support.sink import sink

# What a system without it says to an option that it does not know: ENOPROTOOPT
UNSTEERED: Final = (
    "from tarpit.processes import steering; steering.SO_ATTACH_REUSEPORT_CBPF = 9999; "
    "import sys; sys.argv = ['tarpit', 'run']; from tarpit.cli import app; app()"
)


@pytest.fixture
def two() -> Iterator[Run]:
    """Return a proxy of two workers."""
    with running() as run:
        yield run


def test_a_network_meets_one_worker(two: Run) -> None:
    """All of a /24 go to the same worker; /24s side by side, to different ones."""
    for network in range(8):
        for host in (1, 77, 200):
            deliver(two.address, f"127.0.{network}.{host}")
    served = served_by(two, 24)
    assert all(len(workers) == 1 for workers in served.values())
    assert {network: workers for network, workers in served.items() if int(network[-1]) % 2} == {
        f"127.0.{network}": {1} for network in (1, 3, 5, 7)
    }
    (steered,) = two.events("peers.steered")
    assert steered["workers"] == 2


def test_limits_are_exact() -> None:
    """A peer's and a network's limits hold as with one worker."""
    limits = {"MAX_SESSIONS_PEER": "2", "MAX_SESSIONS_NETWORK": "3"}
    with running({"ALLOW": "none", "MODE": "off"} | limits) as run, ExitStack() as stack:
        for network in (1, 2):
            heard = [
                stack.enter_context(Peer.connect(run.address, source=f"127.0.{network}.{host}")).hear().code
                for host in (1, 1, 1, 2, 2)
            ]
            assert heard == [220, 220, 421, 220, 421]


def test_where_nothing_steers() -> None:
    """Where the system refuses the program all is served all the same, and an event tells of it."""
    with running(command=(sys.executable, "-c", UNSTEERED)) as run:
        for _ in range(20):
            deliver(run.address, "127.0.1.1")
        assert served_by(run, 20) == {"127.0.1": {0, 1}}
        (scattered,) = run.events("peers.scattered")
        assert "SO_ATTACH_REUSEPORT_CBPF" in str(scattered["reason"])


def test_a_worker_is_killed(two: Run) -> None:
    """The other serves on; what its sessions were is told; whoever waited is served by its replacement."""
    first = two.workers[0]
    with (
        Peer.connect(two.address, source="127.0.0.9") as lost,
        Peer.connect(two.address, source="127.0.1.9") as other,
    ):
        assert (lost.hear().code, other.hear().code) == (220, 220)
        os.kill(first, signal.SIGSTOP)  # so that nobody accepts
        with Peer.connect(two.address, source="127.0.2.9") as waiting:
            os.kill(first, signal.SIGKILL)
            assert waiting.hear().code == 220
            assert waiting.ask(b"QUIT").code == 221
        lost.wait_closed()
        assert other.ask(b"NOOP").code == 250
        assert other.ask(b"QUIT").code == 221
    (told,) = two.events("worker.lost")
    assert (told["worker"], told["pid"], told["how"], told["sessions"]) == (0, first, "SIGKILL", 1)
    assert told["seconds"] in {0.0, 0.5}
    assert len(two.workers) == 3
    assert served_by(two, 2) == {"127.0.1": {1}, "127.0.2": {0}}


def test_a_worker_that_keeps_dying(two: Run) -> None:
    """One that dies soon after its birth is replaced later, and later."""
    os.kill(two.workers[0], signal.SIGKILL)
    wait_for_workers(two, 3)
    for count in (4, 5):
        os.kill(two.workers[-1], signal.SIGKILL)
        wait_for_workers(two, count)
    assert [told["seconds"] for told in two.events("worker.lost")][1:] == [1.0, 2.0]


def test_under_load() -> None:
    """Workers are killed and settings reloaded while peers deliver: only what a killed one had is lost."""
    with running({"DRAIN": "3s"}) as run:
        crowd = Crowd(run.address)
        with crowd.coming(6):
            for round_ in range(3):
                time.sleep(1)
                os.kill(run.process.pid, signal.SIGHUP)
                wait_for(run, "settings.reloaded", round_ + 1)
                os.kill(run.workers[-1], signal.SIGKILL)
                wait_for_workers(run, 3 + round_)
        lost = sum(int(str(told["sessions"])) for told in run.events("worker.lost"))
        assert crowd.failed.total() <= lost, crowd.failed
        assert crowd.delivered > 50
        assert run.stop() == 0
        assert not run.events("session.failed")


def test_no_supervisor() -> None:
    """Workers without a supervisor stop by themselves, in order."""
    with running() as run, Peer.connect(run.address) as peer:
        assert peer.hear().code == 220
        run.process.kill()
        assert peer.hear().reply.startswith(b"421 4.3.2")
        wait_until(lambda: not any(map(alive, run.workers)), "both have ended")
        assert len(run.events("worker.stopped")) == 2


@pytest.mark.parametrize("workers", ["1", "2"])
def test_another_supervisor(workers: str) -> None:
    """Who starts after a supervisor was killed is met by all peers at once, while transfers finish."""
    with (
        running({"WORKERS": workers, "DRAIN": "20s"}) as run,
        Peer.connect(run.address, source="127.0.1.9", patience=20) as sending,
    ):
        begin(sending)
        run.process.kill()
        wait_for(run, "supervisor.lost", int(workers))
        with running({"WORKERS": workers, "LISTEN": "{}:{}".format(*run.address)}) as another:
            assert not another.ended, another.output
            for network in range(4):
                deliver(run.address, f"127.0.{network}.9")
            sending.say(CONTENT)
            assert sending.hear().code == 250
            assert len(another.closed(4)) == 4
        assert {told["within"] for told in run.events("supervisor.lost")} == {20.0}
        wait_until(lambda: not any(map(alive, run.workers)), "those before have ended")


def test_the_second_term_ends_at_once() -> None:
    """TERM lets a transfer finish; another one does not."""
    with running({"DRAIN": "60s"}) as run, Peer.connect(run.address) as peer:
        assert peer.hear().code == 220
        for line in (b"EHLO p.example", b"MAIL FROM:<>", b"RCPT TO:<b@b.example>", b"DATA"):
            peer.ask(line)
        run.process.send_signal(signal.SIGTERM)
        wait_until(lambda: bool(run.events("server.stopping")), "it stops")
        assert run.events("server.stopping")[0]["sessions"] == 1
        assert not run.ended
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(10) == 0
        peer.wait_closed()


def test_routes(tmp_path: Path) -> None:
    """Either worker leads messages to their groups, and after HUP to a new one: once each."""
    domains = ("a.example", "b.example", "c.example")
    with sink() as a, sink() as b, sink() as c:
        lines = ["{}={}:{}".format(at, *to.address) for at, to in zip(domains, (a, b, c), strict=True)]
        file = tmp_path / "routes"
        file.write_text("\n".join([*lines[:2], "*=refuse"]), "utf-8")
        routes = {"BACKENDS": "{}:{}".format(*a.address), "ROUTES_FILE": str(file), "ROUTES_MIXED": "fanout"}
        with running(routes) as run, ExitStack() as stack:
            peers = [stack.enter_context(greeted(run, f"127.0.{network}.9")) for network in (0, 1)]
            for number, peer in enumerate(peers):
                assert send(peer, f"early-{number}@p.example", *domains) == [250, 250, 550, 250]
            file.write_text("\n".join([*lines, "*=refuse"]), "utf-8")
            os.kill(run.process.pid, signal.SIGHUP)
            wait_for(run, "settings.reloaded", 1)
            peers += [stack.enter_context(greeted(run, f"127.0.{network}.8")) for network in (0, 1)]
            for number, peer in enumerate(peers):
                third = 550 if number < 2 else 250
                assert send(peer, f"late-{number}@p.example", *domains) == [250, 250, third, 250]
                assert peer.ask(b"QUIT").code == 221
            assert served_by(run, 4) == {"127.0.0": {0}, "127.0.1": {1}}
        early, late = (
            {f"early-{number}@p.example" for number in (0, 1)},
            [f"late-{n}@p.example" for n in range(4)],
        )
        assert set(a.stored) == set(b.stored) == early | set(late)
        assert set(c.stored) == set(late[2:])
        assert all(len(stored) == 1 for to in (a, b, c) for stored in to.stored.values())


def greeted(run: Run, source: str) -> Peer:
    """Connect, and say EHLO."""
    peer = Peer.connect(run.address, source=source, patience=20)
    assert peer.hear().code == 220
    assert peer.ask(b"EHLO p.example").code == 250
    return peer


def send(peer: Peer, sender: str, *domains: str) -> list[int]:
    """Send a message to somebody at each of *domains*; return the replies to RCPT and to its end."""
    peer.ask(f"MAIL FROM:<{sender}>".encode())
    codes = [peer.ask(f"RCPT TO:<x@{domain}>".encode()).code for domain in domains]
    assert peer.ask(b"DATA").code == 354
    peer.say(CONTENT)
    return [*codes, peer.hear().code]


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(run: Run, event: str, count: int) -> None:
    wait_until(lambda: len(run.events(event)) == count, f"{count} x {event}")


def wait_for_workers(run: Run, count: int) -> None:
    wait_for(run, "worker.started", count)
