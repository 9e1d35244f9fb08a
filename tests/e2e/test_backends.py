"""Real Postfix, Exim and OpenSMTPD as backends: a suspect hears their own words, they get its bytes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from tests.support.backends import BACKENDS, FULL, HEADER, RECIPIENT, RealBackend
from tests.support.peer import Peer
from tests.support.proxy import Run, Starts
from tests.support.servers import Address, wait_until

pytestmark = pytest.mark.e2e

LISTED: Final = "127.0.0.9"
STRANGER: Final = "nobody@example.net"
MEGABYTES: Final = 50
SLOWLY: Final = {
    "PACE_BYTE": "20ms",
    "PACE_DELAY": "100ms",
    "PACE_BANNER": "1s",
    "PACE_REPLY": "1s",
    "PACE_DATA": "500ms",
    "PREGREET_WAIT": "100ms",
    "SPOOL_MESSAGE": "64m",
}
# no line that a server would alter: short, and a bare dot among them
LINES: Final = b".\r\n..two\r\n\xe4\xf6\xfc 8 bits\r\n" + b"line after line of 7-bit text, and so on\r\n" * 20
STUFFED: Final = b"." + LINES.replace(b"\n.", b"\n..")


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[RealBackend]:
    """Return each of the servers."""
    with BACKENDS[request.param]() as server:
        yield server


@pytest.fixture
def run(backend: RealBackend, proxy: Starts) -> Run:
    """Return a proxy before it; the relay test has passed."""
    started = proxy(BACKENDS=f"{backend.address[0]}:{backend.address[1]}", **SLOWLY)
    (tested,) = started.events("backend.relay-tested")
    assert tested["result"] == "passed"
    return started


def test_recipients_hear_the_backend(backend: RealBackend, run: Run) -> None:
    """Who is refused is refused in the backend's own words, while the session is slowed; others stand."""
    with opened(run.address) as peer:
        refused = peer.ask(b"RCPT TO:<" + STRANGER.encode() + b">")
        taken = peer.ask(b"RCPT TO:<" + RECIPIENT.encode() + b">")
        peer.ask(b"QUIT")
    with opened(backend.address) as peer:
        assert peer.ask(b"RCPT TO:<" + STRANGER.encode() + b">").reply == refused.reply
        assert peer.ask(b"RCPT TO:<" + RECIPIENT.encode() + b">").reply == taken.reply
    assert (refused.code, taken.code) == (550, 250)
    assert len(refused.pieces) > 10
    (closed,) = run.closed()
    assert (closed["treatment"], closed["recipients_refused"], closed["recipients_accepted"]) == (
        "slow",
        1,
        1,
    )


def test_a_full_backend_says_so_itself(backend: RealBackend, run: Run) -> None:
    """452 to the end of a message passes unchanged, at once, and nothing is stored."""
    with opened(run.address, sender=FULL) as peer:
        heard = send(peer)
    with opened(backend.address, sender=FULL) as peer:
        assert send(peer) == heard
    assert heard.startswith(b"452 4.3.1")
    assert backend.stored() == []
    (closed,) = run.closed()
    assert (closed["treatment"], closed["messages_accepted"]) == ("slow", 0)


def test_a_large_message_is_whole(backend: RealBackend, run: Run) -> None:
    """G8 50 MiB from a suspect are stored octet for octet, and the proxy does not grow by them."""
    repeated = MEGABYTES * 2**20 // len(LINES) + 1
    with watched(run.workers[0]) as sizes, opened(run.address) as peer:
        assert send(peer, repeated).startswith(b"250")
    wait_until(lambda: bool(backend.stored()), "the message is stored", seconds=60)
    (stored,) = backend.stored()
    content = HEADER + b"\r\n" + LINES * repeated
    assert len(stored) == len(content)
    assert sha256(stored).digest() == sha256(content).digest()
    assert max(sizes) - sizes[0] < 12 * 2**20
    (closed,) = run.closed()
    assert (closed["treatment"], closed["messages_accepted"]) == ("slow", 1)


@contextmanager
def opened(address: Address, *, sender: str = "a@example.org") -> Iterator[Peer]:
    """Yield a peer that has said MAIL."""
    with Peer.connect(address, source=LISTED) as peer:
        assert peer.hear().code == 220
        for line in (b"EHLO p.example", b"MAIL FROM:<" + sender.encode() + b">"):
            assert peer.ask(line).code == 250
        yield peer


def send(peer: Peer, repeated: int = 1) -> bytes:
    """Send a message of so many lines over and over, and return the reply to its end."""
    assert peer.ask(b"RCPT TO:<" + RECIPIENT.encode() + b">").code == 250
    assert peer.ask(b"DATA").code == 354
    peer.sock.sendall(HEADER + b"\r\n" + STUFFED * repeated + b".\r\n")
    reply = peer.hear().reply
    peer.ask(b"QUIT")
    return reply


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """Yield a list that gets the resident bytes of a process, again and again; the first: before."""
    over = threading.Event()
    sizes = [_resident(pid)]

    def watch() -> None:
        while not over.wait(0.02):
            sizes.append(_resident(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield sizes
        time.sleep(0.05)
    finally:
        over.set()
        thread.join()


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * 4096
