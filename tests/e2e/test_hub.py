"""An e-mail hub: three departments on three real Postfix, and one more that sends to all of them through us.

Each message has a recipient in each department, and each department does to it one of five things. When the
sender's queue is empty, everybody who was to have the message has it exactly once, and nobody else has it.
"""

import itertools
import signal
import smtplib
import socketserver
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.conftest import LISTED
from tests.support.peer import Peer
from tests.support.postfix import Postfix, postfix
from tests.support.proxy import Run, Starts
from tests.support.servers import LOOPBACK, free_port, wait_until, which

pytestmark = pytest.mark.e2e

DEPARTMENTS: Final = ("a", "b", "c")
# what a department does -> whether its recipient gets the message
DONE: Final = {"yes": 1, "later": 1, "no": 0, "dotlater": 1, "dotno": 0}
AT_RCPT: Final = ("yes", "later", "no")
QUICK_RETRY: Final = {
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "1s",
    "queue_run_delay": "1s",
    "smtp_connection_cache_on_demand": "no",
    "default_destination_concurrency_failed_cohort_limit": "100",
    "transport_maps": "inline:{{sender.example = discard:}}",  # bounces
}
SLOWLY: Final = {
    "PACE_BYTE": "2ms",
    "PACE_DELAY": "50ms",
    "PACE_BANNER": "300ms",
    "PACE_REPLY": "300ms",
    "PACE_DATA": "100ms",
    "PREGREET_WAIT": "50ms",
    "SCORE_HOLD": "20",
}


class _Policy(socketserver.ThreadingTCPServer):
    """Decides for the departments, by the sender's local part: `yes-later-no-1` for a, b and c."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Decide)
        self.once: set[tuple[str, str]] = set()  # whom that department has put off already

    def decide(self, asked: Mapping[str, str]) -> str:
        """Return Postfix's action (SMTPD_POLICY_README)."""
        department, sender = asked["policy_context"], asked["sender"]
        if not sender:
            return "DUNNO"
        what = sender.split("-")[DEPARTMENTS.index(department)]
        at_dot = asked["protocol_state"] == "END-OF-MESSAGE"
        if what.startswith("dot") != at_dot or what == "yes":
            return "DUNNO"
        if what.endswith("no"):
            return "550 5.7.1 not here"
        first = (department, sender) not in self.once
        self.once.add((department, sender))
        return "450 4.2.0 not yet" if first else "DUNNO"


class _Decide(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Policy)
        asked: dict[str, str] = {}
        for line in self.rfile:
            name, equals, value = line.decode("utf-8", "replace").rstrip("\n").partition("=")
            if equals:
                asked[name] = value
                continue
            self.wfile.write(f"action={self.server.decide(asked)}\n\n".encode())
            asked = {}


@contextmanager
def policy() -> Iterator[_Policy]:
    """Run the policy server."""
    with _Policy() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Hub:
    """The departments, and the sender, whose mail all goes to `port`."""

    departments: Mapping[str, Postfix]
    sender: Postfix
    port: int
    decisions: _Policy
    used: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def variables(self) -> dict[str, str]:
        """How the proxy is set up for them."""
        places = {name: f"{LOOPBACK}:{server.address[1]}" for name, server in self.departments.items()}
        routes = [f"{name}.example={place}" for name, place in places.items()]
        return {
            "LISTEN": f"{LOOPBACK}:{self.port}",
            "BACKENDS": places["a"],
            "ROUTES": " ".join([*routes, "*=refuse"]),
            "ALLOW": LOOPBACK,  # so many refusals in a minute would make anybody a suspect
        }

    def send(self, plans: Sequence[Sequence[str]]) -> list[str]:
        """Give the sender a message for each plan; return their senders."""
        senders = [f"{'-'.join(plan)}-{next(self.used)}@sender.example" for plan in plans]
        recipients = [f"x@{name}.example" for name in DEPARTMENTS]
        with smtplib.SMTP(*self.sender.services["submit"], timeout=30) as client:
            for sender in senders:
                refused = client.sendmail(sender, recipients, f"Subject: {sender}\r\n\r\n.text\r\n")
                assert not refused, refused
        return senders

    def wait_sent(self, *, seconds: float = 60.0) -> None:
        """Wait until the sender's queue is empty."""
        end = time.monotonic() + seconds
        while self._queued() and time.monotonic() < end:
            subprocess.run([which("postqueue"), "-c", str(self.sender.directory / "etc"), "-f"], check=True)
            time.sleep(0.5)
        assert not self._queued(), self.sender.log()[-5000:]

    def _queued(self) -> list[Path]:
        queues = ("maildrop", "incoming", "active", "deferred")
        found = (self.sender.directory / "queue" / name for name in queues)
        return [path for queue in found for path in queue.rglob("*") if path.is_file()]

    def stored(self) -> Counter[tuple[str, str]]:
        """Return how often each department has each message."""
        return Counter(
            (name, str(message_from_bytes(path.read_bytes())["Subject"]))
            for name, server in self.departments.items()
            for path in (server.directory / "mail/all/new").glob("*")
        )

    def check(self, senders: Sequence[str]) -> None:
        """Hold what is stored against what each department was to do."""
        wanted = {
            (name, sender): DONE[what]
            for sender in senders
            for name, what in zip(DEPARTMENTS, sender.split("-"), strict=False)
        }
        wait_until(lambda: self._of(senders).total() >= sum(wanted.values()), "all is stored")
        found = self._of(senders)
        assert {key: found[key] for key in wanted if found[key] != wanted[key]} == {}

    def _of(self, senders: Sequence[str]) -> Counter[tuple[str, str]]:
        return Counter({key: count for key, count in self.stored().items() if key[1] in set(senders)})

    def come_from(self, address: str) -> None:
        """Have the sender come from *address* from now on."""
        etc = str(self.sender.directory / "etc")
        subprocess.run([which("postconf"), "-c", etc, "-e", f"smtp_bind_address={address}"], check=True)
        subprocess.run(
            [which("postfix"), "-c", etc, "reload"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def together(servers: Sequence[AbstractContextManager[Postfix]]) -> Iterator[list[Postfix]]:
    """Start all of them at once, and stop them so: each takes seconds, most of it waiting."""
    with ThreadPoolExecutor() as threads, ExitStack() as stack:
        started = [threads.submit(server.__enter__) for server in servers]
        for server, one in zip(servers, started, strict=True):
            if one.exception() is None:
                stack.callback(threads.submit, server.__exit__, None, None, None)
        yield [one.result() for one in started]


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """Return the departments and the sender."""
    with policy() as decisions:
        asked, port = f"check_policy_service inet:{LOOPBACK}:{decisions.server_address[1]}", free_port()
        departments = [
            postfix(
                {
                    "virtual_mailbox_domains": f"{name}.example",
                    "smtpd_recipient_restrictions": asked,
                    "smtpd_end_of_data_restrictions": asked,
                    "smtpd_policy_service_policy_context": name,
                }
            )
            for name in DEPARTMENTS
        ]
        sender = postfix(
            {"default_transport": f"smtp:[{LOOPBACK}]:{port}", **QUICK_RETRY},
            services={"submit": {"mynetworks": LOOPBACK}},
        )
        with together([*departments, sender]) as (*others, last):
            yield Hub(dict(zip(DEPARTMENTS, others, strict=True)), last, port, decisions)


def slowed(run: Run) -> int:
    """Return how many sessions were slowed."""
    return sum(one["treatment"] == "slow" for one in run.events("session.closed"))


def test_one_group_at_a_time(hub: Hub, proxy: Starts) -> None:
    """`defer`: whatever the departments do, at RCPT or at the dot, each has what it wants once."""
    run = proxy(**hub.variables)
    senders = hub.send(list(itertools.product(DONE, repeat=3)))
    hub.wait_sent()
    hub.check(senders)
    assert slowed(run) == 0
    assert run.events("message.divided") == []
    assert any("452" in str(line) for line in hub.sender.log().splitlines())


def test_fanout(hub: Hub, proxy: Starts) -> None:
    """`fanout`: whatever they do at RCPT; and at the dot, as long as the first dot decides."""
    run = proxy(**hub.variables, ROUTES_MIXED="fanout")
    plans = [*itertools.product(AT_RCPT, repeat=3), *(("dotlater", *rest) for rest in PAIRS)]
    senders = hub.send(plans)
    hub.wait_sent()
    hub.check(senders)
    assert slowed(run) == 0
    assert run.events("message.divided") == []


PAIRS: Final = tuple(itertools.product(AT_RCPT, repeat=2))


def test_a_second_dot_that_is_refused(hub: Hub, proxy: Starts) -> None:
    """`fanout` cannot help it: who was served first gets the message again, once; an event says so."""
    run = proxy(**hub.variables, ROUTES_MIXED="fanout")
    (sender,) = hub.send([("yes", "dotlater", "yes")])
    hub.wait_sent()
    stored = hub.stored()
    assert [stored[name, sender] for name in DEPARTMENTS] == [2, 1, 1]
    (divided,) = run.events("message.divided")
    assert divided["taken_by"] == ["{}:{}".format(*hub.departments["a"].address)]


def test_a_file_of_routes_is_read_again(hub: Hub, proxy: Starts, tmp_path: Path) -> None:
    """At HUP: whoever connects then has the new routes; of a file that cannot be read the old ones stay."""
    file, variables = tmp_path / "routes", hub.variables
    a, b = (f"{name}.example={LOOPBACK}:{hub.departments[name].address[1]}\n" for name in "ab")
    file.write_text(f"# departments\n{a}*=refuse\n")
    del variables["ROUTES"]
    run = proxy(**variables, ROUTES_FILE=str(file))
    assert answered(hub) == {"a": 250, "b": 550}
    file.write_text(f"{a}{b}*=refuse\n")
    run.process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(run.events("settings.reloaded")), "the settings are read again")
    assert answered(hub) == {"a": 250, "b": 452}
    file.write_text(f"{a}\nb.example\n")
    run.process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(run.events("settings.kept")), "the settings are not taken")
    assert f"{file}: line 3: 'b.example' is not a route" in str(run.events("settings.kept")[0]["message"])
    assert answered(hub) == {"a": 250, "b": 452}


def answered(hub: Hub) -> dict[str, int]:
    """Return what recipients of two departments hear in one transaction."""
    with Peer.connect((LOOPBACK, hub.port)) as peer:
        peer.hear()
        for line in (b"EHLO p.example", b"MAIL FROM:<yes-yes-yes@sender.example>"):
            assert peer.ask(line).code == 250
        codes = {name: peer.ask(f"RCPT TO:<x@{name}.example>".encode()).code for name in "ab"}
        peer.ask(b"QUIT")
        return codes


@pytest.mark.parametrize("mixed", ["defer", "fanout"])
def test_a_suspect(hub: Hub, proxy: Starts, mixed: str) -> None:
    """The same holds for a sender that is slowed."""
    run = proxy(**hub.variables, **SLOWLY, ROUTES_MIXED=mixed)
    hub.come_from(LISTED)
    try:
        plans = [*itertools.product(("yes", "no"), repeat=3), ("later", "yes", "later")]
        senders = hub.send(plans)
        hub.wait_sent()
    finally:
        hub.come_from(LOOPBACK)
    hub.check(senders)
    # a client process of Postfix may live through the reload, and come from where it came before
    assert slowed(run) > len(senders) / 2
