"""The commands that speak to a running proxy, each as a process, as an operator runs them."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.peer import Peer
from tests.support.proxy import ROOT, Run, Starts
from tests.support.servers import wait_until
from tests.support.sink import Sink, sink

pytestmark = pytest.mark.e2e

CLEAN, LISTED = "127.0.0.8", "127.0.0.9"
MESSAGE = b"Subject: hello\r\n\r\nhello\r\n.\r\n"
# A suspect's banner takes a minute, and no more than that: who gets it at once is not slowed.
MINUTE = {"PACE_BYTE": "60s", "PACE_BANNER": "60s", "PACE_DELAY": "0", "PREGREET_WAIT": "0"}


@dataclass(frozen=True, slots=True)
class Command:
    """What a command came to."""

    code: int
    out: str
    err: str


class Operator:
    """Runs commands beside one proxy."""

    def __init__(self, directory: str | Path) -> None:
        self._environment = {name: text for name, text in os.environ.items() if name[:7] != "TARPIT_"}
        self._environment["TARPIT_STATE_DIR"] = str(directory)

    def tells(self, *words: str) -> Command:
        """Run `tarpit` with *words*."""
        done = subprocess.run(
            [sys.executable, "-m", "tarpit", *words],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return Command(done.returncode, done.stdout, done.stderr)

    def hears(self, *words: str) -> str:
        """Run `tarpit` with *words*, which works, and return what it prints."""
        done = self.tells(*words)
        assert (done.code, done.err) == (0, ""), done
        return done.out


@contextmanager
def standing(
    proxy: Starts, count: int = 1, /, **variables: str
) -> Iterator[tuple[Run, Operator, list[Sink]]]:
    """Yield a proxy before *count* sinks, of which the first is used, and an operator beside it."""
    with ExitStack() as stack:
        sinks = [stack.enter_context(sink()) for _ in range(count)]
        names = " ".join(map(name_of, sinks))
        run = proxy(BACKENDS=names, BALANCE="first", RELAY_TEST="off", **variables)
        assert not run.ended, run.output
        operator = Operator(run.files.name)
        wait_until(lambda: bool(run.events("control.opened")), "the control socket is there")
        wait_until(lambda: operator.tells("status").code == 0, "the server answers")
        yield run, operator, sinks


def name_of(backend: Sink) -> str:
    """Return a sink as TARPIT_BACKENDS has it."""
    return "{}:{}".format(*backend.address)


def deliver(peer: Peer, sender: str) -> int:
    """Send a message, its EHLO and its QUIT included, and return the code of the reply to its end."""
    for line in (b"EHLO p.example", b"MAIL FROM:<" + sender.encode() + b">", b"RCPT TO:<b@example.net>"):
        assert peer.ask(line).code == 250
    assert peer.ask(b"DATA").code == 354
    peer.say(MESSAGE)
    code = peer.hear().code
    peer.ask(b"QUIT")
    return code


def states(operator: Operator) -> list[tuple[object, ...]]:
    """Return what `tarpit backend list` shows: whether each is up, usable and drained."""
    backends = json.loads(operator.hears("backend", "list", "--json"))
    return [(one["up"], one["usable"], one["drained"]) for one in backends]


def test_drain_and_enable(proxy: Starts) -> None:
    """A joined session ends its work on a drained backend; whoever comes then is served by the other one."""
    up, drained = (True, True, False), (True, False, True)
    with standing(proxy, 2) as (run, operator, (first, second)), Peer.connect(run.address) as early:
        assert early.hear().code == 220
        assert states(operator) == [up, up]
        assert "drained" in operator.hears("backend", "drain", name_of(first))
        assert states(operator) == [drained, up]
        with Peer.connect(run.address) as late:
            assert late.hear().code == 220
            assert deliver(late, "late@example.org") == 250
        assert deliver(early, "early@example.org") == 250
        assert [list(one.stored) for one in (first, second)] == [["early@example.org"], ["late@example.org"]]
        operator.hears("backend", "drain", name_of(second))
        with Peer.connect(run.address) as nobodys:
            assert nobodys.hear().code == 421
        operator.hears("backend", "enable", name_of(first))
        with Peer.connect(run.address) as again:
            assert again.hear().code == 220
            assert deliver(again, "again@example.org") == 250
        assert list(first.stored) == ["early@example.org", "again@example.org"]
        wrong = operator.tells("backend", "drain", "nobody.example:25")
        assert wrong.code == 1
        assert name_of(second) in wrong.err
        told = [(event["event"], event["uid"]) for event in run.events() if event.get("uid") is not None]
    uid = os.geteuid()
    assert told == [("backend.drained", uid), ("backend.drained", uid), ("backend.enabled", uid)]


def test_a_customer_is_let_in(proxy: Starts) -> None:
    """A listed peer is slow, until the operator says otherwise: then it is served at once."""
    with standing(proxy, **MINUTE) as (run, operator, (backend,)):
        with Peer.connect(run.address, source=LISTED) as waiting:
            wait_until(lambda: json.loads(operator.hears("status", "--json"))["held"] == 1, "one is held")
            said = operator.hears("allow", f"{LISTED}/32", "--for", "1d")
            assert said.split() == ["allow", f"{LISTED}/32", "for", "24h"]
            assert waiting.hear().code == 220
            with Peer.connect(run.address, source=LISTED) as customer:
                assert customer.hear().code == 220
                assert deliver(customer, "customer@example.org") == 250
            assert list(backend.stored) == ["customer@example.org"]
            assert "127.0.0.9/32" in operator.hears("allow")
            assert operator.hears("forget", LISTED).startswith("forgotten: allow")
            again = operator.tells("forget", LISTED)
            assert (again.code, "nothing was said" in again.err) == (1, True)
        (closed,) = [event for event in run.closed(2) if event["messages_accepted"]]
        assert (closed["treatment"], closed["score"]) == ("pass", 0)
        assert [finding["signal"] for finding in findings(closed)] == ["allowlist"]


def test_somebody_is_shut_out(proxy: Starts) -> None:
    """A peer that nothing speaks against is refused at RCPT, as whoever is in TARPIT_DENY."""
    quick = {"PACE_BYTE": "1ms", "PACE_DELAY": "1ms", "PREGREET_WAIT": "0", "PACE_HOLD": "0"}
    with standing(proxy, **quick) as (run, operator, (backend,)):
        operator.hears("deny", "127.0.0.8")
        with Peer.connect(run.address, source=CLEAN) as peer:
            assert peer.hear().code == 220
            for line in (b"EHLO p.example", b"MAIL FROM:<a@example.org>"):
                assert peer.ask(line).code == 250
            assert peer.ask(b"RCPT TO:<b@example.net>").code == 450
        operator.hears("forget", "127.0.0.0/8")
        with Peer.connect(run.address, source=CLEAN) as peer:
            assert peer.hear().code == 220
            assert deliver(peer, "a@example.org") == 250
        assert list(backend.stored) == ["a@example.org"]


def test_all_delays_are_switched_off(proxy: Starts) -> None:
    """A banner that would take a minute is said at once when the mode changes, and the next one as well."""
    with standing(proxy, **MINUTE) as (run, operator, _):
        with Peer.connect(run.address, source=LISTED) as peer:
            wait_until(lambda: json.loads(operator.hears("status", "--json"))["held"] == 1, "one is held")
            assert operator.hears("mode", "observe") == "observe (TARPIT_MODE is enforce)\n"
            assert peer.hear().code == 220
            assert deliver(peer, "a@example.org") == 250
            assert peer.heard[-1][0] < 40
        with Peer.connect(run.address, source=LISTED) as peer:
            assert peer.hear().code == 220
            assert deliver(peer, "b@example.org") == 250
        assert operator.hears("mode", "enforce") == operator.hears("mode") == "enforce\n"
        treatments = {(event["treatment"], event["would_be"]) for event in run.closed(2)}
        assert treatments == {("slow", "slow"), ("pass", "slow")}


def test_status(proxy: Starts) -> None:
    """How things stand, for readers and as JSON; nobody else may ask, and none answers after the end."""
    with standing(proxy) as (run, operator, (backend,)), Peer.connect(run.address) as peer:
        assert peer.hear().code == 220
        assert name_of(backend) in operator.hears("status")
        found = json.loads(operator.hears("status", "--json"))
        assert (found["sessions"], found["held"], found["mode"]) == (1, 0, "enforce")
        assert [one["taken"] for one in found["backends"]] == [1]
        socket_ = Path(run.files.name, "control")
        assert stat.S_IMODE(socket_.stat().st_mode) == 0o600
        peer.ask(b"QUIT")
        assert run.stop() == 0
        wait_until(lambda: not socket_.exists(), "the socket is gone")
        late = operator.tells("status")
        assert (late.code, late.out) == (1, "")
        assert "TARPIT_STATE_DIR" in late.err


def test_other_users_are_not_heard(proxy: Starts) -> None:
    """Not even where somebody has opened the directory and the socket for them."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with standing(proxy) as (run, _, _):
        socket_ = Path(run.files.name, "control")
        assert asked_by_nobody(socket_) == "PermissionError"
        Path(run.files.name).chmod(0o711)
        socket_.chmod(0o666)
        assert asked_by_nobody(socket_) in {"b''", "ConnectionResetError", "BrokenPipeError"}
        (refused,) = run.events("control.refused")
        assert refused["uid"] == NOBODY


def test_one_directory_one_server(proxy: Starts, tmp_path: Path) -> None:
    """A second server goes without a socket and serves mail; the next one takes over from a killed one."""
    with sink() as backend:
        names = {"BACKENDS": name_of(backend), "RELAY_TEST": "off", "STATE_DIR": str(tmp_path)}
        first, second = proxy(**names), None
        wait_until(lambda: bool(first.events("control.opened")), "the first one has it")
        second = proxy(**names)
        wait_until(lambda: bool(second.events("control.missing")), "the second one goes without")
        with Peer.connect(second.address) as peer:
            assert peer.hear().code == 220
            assert deliver(peer, "a@example.org") == 250
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(10)
        operator = Operator(tmp_path)
        wait_until(lambda: operator.tells("status").code == 1, "nobody answers any more")
        third = proxy(**names)
        wait_until(lambda: bool(third.events("control.opened")), "the third one takes it over")
        wait_until(lambda: operator.tells("status").code == 0, "and answers")


NOBODY = 65534
ASK = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(sys.argv[1])
        sock.sendall(b'{"do": "status"}\\n')
        print(sock.recv(10))
except OSError as error:
    print(type(error).__name__)
"""


def asked_by_nobody(path: Path) -> str:
    """Return what the user nobody hears there, or which error it meets."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(path)], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


def findings(closed: dict[str, object]) -> list[dict[str, object]]:
    """Return the findings of a `session.closed`."""
    found = closed["findings"]
    assert isinstance(found, list)
    return found
