"""G2: nothing that the proxy has not parsed reaches a backend, and no side is in data mode alone.

25 spellings of DATA, 31 of BDAT, all lines that are refused: from a clean peer and from a slowed one, whole
and in single bytes, with stock Postfix, Exim and OpenSMTPD behind the proxy and a tap between them.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Final

import pytest

from tests.e2e.conftest import LISTED
from tests.e2e.test_framing import BRISKLY
from tests.security.test_commands import REFUSED
from tests.support.backends import BACKENDS, FIRST_LINE, RECIPIENT, RealBackend
from tests.support.framing import singly as bytes_of
from tests.support.peer import Peer
from tests.support.proxy import UNCAPPED, Starts
from tests.support.servers import LOOPBACK, Address, wait_until
from tests.support.spellings import BDAT, CHUNK, DATA, SOUND
from tests.support.tap import tap

pytestmark = pytest.mark.e2e

AT_ONCE: Final = 16  # sessions
COMMANDS: Final = tuple(param.values[0] for param in REFUSED if isinstance(param.values[0], bytes))
MAIL: Final = b"MAIL FROM:<a@example.org>"
RCPT: Final = b"RCPT TO:<" + RECIPIENT.encode() + b">"
# all that a backend may hear of these sessions; the rest of a message is looked at in what it has stored
KNOWN: Final = {b"EHLO p.example", MAIL, RCPT, b"DATA", b"DATA ", b"dAtA", b"NOOP", b"RSET", b"QUIT"}
CONTENT: Final = FIRST_LINE + b"From: a@b.c\r\nDate: d\r\nMessage-ID: <%d@e>\r\n\r\nbody\r\n"
OURS: Final = (b"EHLO 127.0.0.1", b"EHLO a.test", b"EHLO stranger.invalid", b"MAIL FROM:<>", b"RCPT TO:<")


@dataclass(frozen=True, slots=True)
class Case:
    """One spelling, sent in one way."""

    number: int
    spelling: bytes
    listed: bool
    singly: bool

    @property
    def content(self) -> bytes:
        """What is sent where 354 was said."""
        return CONTENT % self.number


def cases() -> list[Case]:
    """Return all of them."""
    ways = product((False, True), (False, True), (*DATA, *BDAT, *COMMANDS))
    return [Case(number, spelling, listed, singly) for number, (listed, singly, spelling) in enumerate(ways)]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[RealBackend]:
    """Return each of the servers, as Debian ships them."""
    with BACKENDS[request.param]() as server:
        yield server


def test_no_side_is_in_data_mode_alone(
    backend: RealBackend, proxy: Starts, record_property: Callable[[str, object], None]
) -> None:
    """CMD-03..06 CMD-10 BD-06..11 G2 What was 354 is stored; else both are at commands, or it is over."""
    assert (len(DATA), len(BDAT)) == (25, 31)
    everything = cases()
    with tap(backend.address) as line:
        run = proxy(BACKENDS="{}:{}".format(*line.address), **UNCAPPED, **BRISKLY)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            begun = list(pool.map(lambda case: into_data_mode(run.address, case), everything))
        contents = [case.content for case, one in zip(everything, begun, strict=True) if one]
        wait_until(lambda: len(backend.stored()) >= len(contents), "all is stored")
        assert sorted(backend.stored()) == sorted(contents)
        lines = {line for content in contents for line in content.split(b"\r\n")} | {b"."}
        unparsed = [
            said for said in line.lines if not (said in KNOWN or said in lines or said.startswith(OURS))
        ]
        assert unparsed == []
        assert line.lines.count(MAIL) >= len(everything) / 2  # of each clean peer, at least
    for case, one in zip(everything, begun, strict=True):
        assert not one or case.spelling in SOUND, case
    record_property("G2", f"{4 * len(DATA)} sessions of {len(DATA)} spellings of DATA with each real server")
    record_property("G2", f"{4 * len(BDAT)} sessions of {len(BDAT)} spellings of BDAT with each real server")
    record_property("G2", f"{4 * len(COMMANDS)} sessions of {len(COMMANDS)} bad lines with each real server")


def into_data_mode(address: Address, case: Case) -> bool:
    """Say *case* where DATA may come; return whether its content was asked for, and taken."""
    with Peer.connect(address, source=LISTED if case.listed else LOOPBACK) as peer:
        assert peer.hear().code == 220
        for line in (b"EHLO p.example", MAIL, RCPT):
            assert peer.ask(line).code == 250, case
        chunked = case.spelling in BDAT
        said = case.spelling + (CHUNK if chunked else b"")
        for piece in bytes_of(said) if case.singly else [said]:
            try:
                peer.sock.sendall(piece)
            except ConnectionError:
                break  # it is over already
        code = peer.hear().code
        if code == 354:
            peer.say(case.content + b".\r\n")
            assert peer.hear().code == 250, case
            assert peer.ask(b"QUIT").code == 221
            return True
        assert 500 <= code < 600, case
        try:
            after = peer.ask(b"NOOP").reply
        except ConnectionError:
            after = b""  # closed: nothing behind it is a command
        assert after == b"" or (after.startswith(b"250 ") and not chunked), case  # or both are at commands
    return False
