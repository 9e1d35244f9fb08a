"""Twelve independent senders deliver the same hard bodies: plain and inside TLS, clean and slowed.

What a sink has stored behind the proxy has the digest of what was handed over. The body is 50 MiB large, has
lines of a MiB (where the sender has them), octets of 8 bits, leading dots, and no end of its last line. All
ways of a sender are gone at once: most of the time is waiting.

Senders that are slowed for long, all at once, are in tests/e2e/test_real_senders.py.
"""

import smtplib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pytest

from tests.support.certificates import NAME, Authority
from tests.support.oddities import all_in_one, as_arrives, long_lines
from tests.support.proxy import Event, Run
from tests.support.senders import LISTED, SENDERS, Delivery, header_of, sender_or_skip
from tests.support.servers import LOOPBACK, Address, directory_for, rbldnsd, wait_until
from tests.support.sink import Sink, Stored, digest, sink

pytestmark = pytest.mark.e2e

CLEAN: Final = "127.0.0.3"
PACE: Final = {
    "PACE_BYTE": "2ms",
    "PACE_DELAY": "50ms",
    "PACE_BANNER": "500ms",
    "PACE_REPLY": "500ms",
    "PACE_DATA": "500ms",
    "PREGREET_WAIT": "100ms",
}


@dataclass(frozen=True, slots=True)
class Way:
    """How a message goes: from a clean address or a listed one, inside TLS or not."""

    slowed: bool
    secure: bool

    def __str__(self) -> str:
        return f"{'slowed' if self.slowed else 'clean'}-{'tls' if self.secure else 'plain'}"


WAYS: Final = tuple(Way(slowed, secure) for slowed in (False, True) for secure in (False, True))


@dataclass(frozen=True, slots=True)
class Scene:
    """A proxy that ends TLS, and the sink behind it."""

    run: Run
    sink: Sink

    def deliver(self, name: str, way: Way, body: bytes) -> tuple[Stored, Event]:
        """Deliver *body* by the sender of that name; return what was stored, and the session's event."""
        stored = self.send(name, way, body, self.run.address)
        return stored, self._closed(_path(name, way, body))

    def send(self, name: str, way: Way, body: bytes, to: Address) -> Stored:
        """Have *body* sent to the proxy or straight to the sink, and return what was stored."""
        path = _path(name, way, body)
        SENDERS[name].send(
            Delivery(
                to,
                path,
                header_of(name) + body,
                arrived=lambda: path in self.sink.stored,
                source=LISTED if way.slowed else CLEAN,
                secure=way.secure,
            )
        )
        (stored,) = self.sink.stored.pop(path)
        return stored

    def _closed(self, path: str) -> Event:
        wait_until(lambda: any(self._of(path)), "the session is over")
        (event,) = self._of(path)
        return event

    def _of(self, path: str) -> list[Event]:
        return [event for event in self.run.events("session.closed") if event["reverse_path"] == path]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """Return a proxy that slows whom its DNSBL lists."""
    with (
        rbldnsd({"bl.test": [f"{LISTED} :127.0.0.2:seen sending spam"]}) as zone,
        sink() as stored,
        directory_for("senders") as directory,
    ):
        variables = {
            "BACKENDS": "{}:{}".format(*stored.address),
            "RELAY_TEST": "off",
            "DNS_SERVERS": str(zone),
            "DNSBL_ZONES": "bl.test*7",
            "SPOOL_MESSAGE": "64m",
            **Authority(directory).issue(NAME).variables,
            **PACE,
        }
        run = Run.start(LOOPBACK, variables)
        try:
            assert not run.ended, run.output
            yield Scene(run, stored)
        finally:
            run.close()


@pytest.mark.parametrize("name", SENDERS)
def test_sender(name: str, scene: Scene, record_property: Callable[[str, object], None]) -> None:
    """G8 What is stored is what was handed over, by SHA-256, on each of the four ways."""
    body = all_in_one(sender_or_skip(name).longest)
    whole = as_arrives(body)
    with ThreadPoolExecutor(len(WAYS)) as pool:
        outcomes = list(pool.map(lambda way: scene.deliver(name, way, body), WAYS))
    for way, (stored, closed) in zip(WAYS, outcomes, strict=True):
        assert (stored.digest, stored.size) == (digest(whole), len(whole)), way
        assert closed["treatment"] == ("slow" if way.slowed else "pass"), way
        assert bool(closed["tls"]) == way.secure, way
        assert (float(str(closed["held_seconds"])) > 1) == way.slowed, way
    record_property("G8", f"{len(WAYS)} bodies of 50 MiB or more by {name}, equal by SHA-256")


def test_lines_that_phpmailer_folds(scene: Scene) -> None:
    """G8 Lines beyond 1,000 octets are folded before we see them: the sink gets the same without us."""
    sender = sender_or_skip("php")
    body, way = long_lines(sender.longest + 1), Way(slowed=False, secure=False)
    straight = scene.send("php", way, body, scene.sink.address)
    assert scene.deliver("php", way, body)[0].digest == straight.digest != digest(body)


def test_lines_that_opensmtpd_does_not_take(scene: Scene) -> None:
    """Lines beyond 65,534 octets are refused to whoever hands them to it: nothing is ever sent."""
    sender = sender_or_skip("opensmtpd")
    body, way = long_lines(sender.longest + 1), Way(slowed=False, secure=False)
    with pytest.raises(smtplib.SMTPDataError, match="500"):
        scene.deliver("opensmtpd", way, body)


def _path(name: str, way: Way, body: bytes) -> str:
    return f"{name}-{way}-{len(body)}@example.org"
