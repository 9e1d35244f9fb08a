"""G1: proxy and backend agree where a message ends, whatever is spelled in its place.

Every spelling of the grid, the first header line ending in CRLF and in bare LF, goes through the proxy to
stock Postfix, Exim and OpenSMTPD: from a clean peer and from a slowed one, whole and in single bytes. Behind
each stands a second message as a smuggler would write it, which must not come out as one; where each byte is
sent alone only a word, which would be an unknown command.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice, product
from typing import Final

import pytest

from tarpit.smtp.content import END
from tests.e2e.conftest import LISTED
from tests.support.backends import BACKENDS, FIRST_LINE, RECIPIENT, RealBackend
from tests.support.framing import GRID, text_of
from tests.support.framing import singly as bytes_of
from tests.support.peer import Peer
from tests.support.proxy import Run, Starts
from tests.support.servers import LOOPBACK, Address, wait_until

pytestmark = pytest.mark.e2e

AT_ONCE: Final = 8  # sessions
ENVELOPE: Final = (b"MAIL FROM:<a@example.org>", b"RCPT TO:<" + RECIPIENT.encode() + b">")
A_SESSION: Final = 20  # messages
# a server would add these otherwise
HEADERS: Final = b"From: a@b.c\r\nDate: d\r\nMessage-ID: <%d@e>\r\n\r\nbody"
SMUGGLED: Final = b"MAIL FROM:<>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n" + FIRST_LINE + b"\r\nsmuggled\r\n"
BRISKLY: Final = {  # slowed, by as little as makes no difference to what is done
    "PACE_BYTE": "1ms",
    "PACE_DELAY": "1ms",
    "PACE_BANNER": "20ms",
    "PACE_REPLY": "5ms",
    "PACE_DATA": "5ms",
    "PREGREET_WAIT": "0",
    "WEIGHTS": "refused-data=0 bad-before=0",  # what is refused makes nobody hostile
    "RATE_PEER": "0",
    "RATE_NETWORK": "0",
}
_TO_NUL: Final = re.compile(rb"\0[^\r]*")  # what OpenSMTPD leaves out of a line


@dataclass(frozen=True, slots=True)
class Case:
    """One spelling, in one message, sent in one way."""

    number: int
    first: bytes  # the end of the first header line
    spelling: bytes
    listed: bool
    singly: bool

    @property
    def wire(self) -> bytes:
        """The message as it is sent, its end included."""
        wire = FIRST_LINE.removesuffix(b"\r\n") + self.first + HEADERS % self.number + self.spelling
        behind = b"tail" if self.singly else SMUGGLED
        return wire if wire.endswith(END) else wire + behind + END

    @property
    def refused(self) -> bool:
        """Whether OpenSMTPD would end it: it is taken by nobody."""
        return b"\n.\0" in self.wire


@pytest.fixture(scope="module")
def backends() -> Iterator[Mapping[str, RealBackend]]:
    """Return the servers, as Debian ships them, by name."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(start()) for name, start in BACKENDS.items()}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, backends: Mapping[str, RealBackend]) -> RealBackend:
    """Return each of them."""
    return backends[request.param]


def cases() -> list[Case]:
    """Return all of them: what is sent in the same way is together."""
    ways = product((False, True), (False, True), (b"\r\n", b"\n"), GRID)
    return [
        Case(number, first, start + b"." + end, listed, singly)
        for number, (listed, singly, first, (start, end)) in enumerate(ways)
    ]


def test_no_spelling_misleads(
    backends: Mapping[str, RealBackend], proxy: Starts, record_property: Callable[[str, object], None]
) -> None:
    """EOD-02..21: each message is stored once and says what was sent; what is refused is not stored."""
    assert len(cases()) == 2 * 2 * 2 * 107
    with ThreadPoolExecutor(len(backends)) as pool:  # each of the servers waits for something else
        for agreed in [pool.submit(assert_agreed, *named, proxy) for named in backends.items()]:
            agreed.result()
    for name in backends:
        record_property("G1", f"{len(cases())} messages to {name}, half slowed, half in single bytes")


def assert_agreed(name: str, backend: RealBackend, proxy: Starts) -> None:
    """Send all of them to one server, and hold what it stored against them."""
    run = proxy(BACKENDS=f"{backend.address[0]}:{backend.address[1]}", **BRISKLY)
    everything = cases()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for codes in pool.map(lambda some: deliver(run.address, some), sessions(everything)):
            for case, code in codes.items():
                assert code == (550 if case.refused else 250), (name, case)
    sent = sorted(text_of(case.wire) for case in everything if not case.refused)
    if name == "opensmtpd":
        sent = sorted(_TO_NUL.sub(b"", text) for text in sent)
    end = time.monotonic() + 60
    while len(stored := sorted(backend.stored())) < len(sent) and time.monotonic() < end:
        time.sleep(0.5)  # all of them are read each time
    assert len(stored) == len(sent)
    assert stored == sent
    assert_slowed(run)


def sessions(everything: list[Case]) -> Iterator[list[Case]]:
    """Yield the cases of one session each: none goes on behind a message that was refused."""
    for listed, singly in product((False, True), (False, True)):
        waiting = iter([case for case in everything if (case.listed, case.singly) == (listed, singly)])
        while some := list(islice(waiting, A_SESSION)):
            while some:
                last = next((at for at, case in enumerate(some) if case.refused), A_SESSION)
                yield some[: last + 1]
                some = some[last + 1 :]


def deliver(address: Address, some: list[Case]) -> dict[Case, int]:
    """Send *some* in one session, and return the codes of the replies to their ends."""
    codes = {}
    with Peer.connect(address, source=LISTED if some[0].listed else LOOPBACK) as peer:
        assert peer.hear().code == 220
        assert peer.ask(b"EHLO p.example").code == 250
        for case in some:
            for line in (b"MAIL FROM:<a@example.org>", b"RCPT TO:<" + RECIPIENT.encode() + b">"):
                assert peer.ask(line).code == 250, case
            assert peer.ask(b"DATA").code == 354, case
            for piece in (
                [case.wire[i : i + 1] for i in range(len(case.wire))] if case.singly else [case.wire]
            ):
                peer.sock.sendall(piece)
            codes[case] = peer.hear().code
        if codes[case] == 550:
            assert peer.hear().reply == b""  # closed: nothing more is read as a command
        else:
            assert peer.ask(b"QUIT").code == 221
    return codes


def assert_slowed(run: Run) -> None:
    """Half of the sessions were."""
    closed = run.events("session.closed")
    assert {event["treatment"] for event in closed if event["peer"] == LISTED} == {"slow"}
    assert {event["treatment"] for event in closed if event["peer"] == LOOPBACK} == {"pass"}


@pytest.mark.parametrize("source", [LOOPBACK, LISTED], ids=["clean", "slowed"])
def test_refusing(backend: RealBackend, proxy: Starts, source: str) -> None:
    """With TARPIT_BARE_NEWLINE=refuse nothing is stored; 550 comes at the real end, then the connection's."""
    before = len(backend.stored())
    run = proxy(BACKENDS=f"{backend.address[0]}:{backend.address[1]}", BARE_NEWLINE="refuse", **BRISKLY)
    case = Case(0, b"\r\n", b"\n.\n", listed=source == LISTED, singly=True)
    assert deliver(run.address, [case]) == {case: 550}
    sound = Case(1, b"\r\n", b"\r\n", listed=source == LISTED, singly=True)
    assert deliver(run.address, [sound]) == {sound: 250}
    wait_until(lambda: len(backend.stored()) > before, "the other one is stored")
    assert len(backend.stored()) == before + 1
    assert text_of(sound.wire) in backend.stored()


LONGEST: Final = {"postfix": 2**20, "exim": 60_000, "opensmtpd": 60_000}  # the others change what is longer


@pytest.mark.parametrize("name", BACKENDS)
def test_sound_content_is_stored_as_sent(
    name: str,
    backends: Mapping[str, RealBackend],
    proxy: Starts,
    record_property: Callable[[str, object], None],
) -> None:
    """EOD-19 EOD-23 G8 Long lines, all octets of 8 bits, leading dots: whole and in single bytes."""
    run = proxy(BACKENDS="{}:{}".format(*backends[name].address), **BRISKLY)
    octets = bytes(octet for octet in range(1, 256) if octet not in b"\r\n")
    for number, (listed, singly) in enumerate(product((False, True), (False, True)), 10_000):
        long = octets * ((60_000 if singly else LONGEST[name]) // len(octets))
        body = b"\r\n".join([b"", b"..", b"...x", b". x", b"From x", octets, long, b"..."])
        wire = FIRST_LINE + HEADERS % number + body + b"\r\n.\r\n"
        with Peer.connect(run.address, source=LISTED if listed else LOOPBACK) as peer:
            assert peer.hear().code == 220
            for line in (b"EHLO p.example", *ENVELOPE):
                assert peer.ask(line).code == 250
            assert peer.ask(b"DATA").code == 354
            for piece in bytes_of(wire) if singly else [wire]:
                peer.sock.sendall(piece)
            assert peer.hear().code == 250
        wait_until(lambda wire=wire: text_of(wire) in backends[name].stored(), "it is stored")  # type: ignore[misc]
    record_property("G8", f"4 messages stored by {name} as sent, half slowed, half in single bytes")


def test_they_would_be_misled(backend: RealBackend) -> None:
    """EOD-21: without the proxy each of these servers takes one of the messages for two."""
    before = len(backend.stored())
    with Peer.connect(backend.address) as peer:
        assert peer.hear().code == 220
        assert peer.ask(b"EHLO p.example").code == 250
        for line in (b"MAIL FROM:<a@example.org>", b"RCPT TO:<" + RECIPIENT.encode() + b">", b"DATA"):
            assert peer.ask(line).code in {250, 354}
        message = Case(0, b"\n", b"\n.\n", listed=False, singly=False).wire
        mistaken, _, rest = message.partition(b"\n.\n")
        peer.say(mistaken + b"\n.\n")
        assert peer.hear().code == 250
        for line, code in zip(rest.split(b"\r\n", 3), (250, 250, 354, 250), strict=True):  # each in its turn
            assert peer.ask(line.removesuffix(b"\r\n")).code == code
        assert peer.ask(b"QUIT").code == 221
    wait_until(lambda: len(backend.stored()) >= before + 2, "both are stored")
