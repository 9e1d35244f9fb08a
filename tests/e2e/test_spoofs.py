"""G5: nobody becomes somebody else, in the open or inside TLS, whatever a real server would believe from us.

Each backend takes our word for who comes: Postfix by XCLIENT, Exim and OpenSMTPD by a PROXY header. 500 ways
to claim another identity go through the proxy, a third before each; a tap has what the backend was told.
"""

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle, product
from pathlib import Path
from typing import Final

import pytest

from tarpit.proxied import Header, read
from tests.e2e.conftest import LISTED
from tests.e2e.test_framing import BRISKLY
from tests.support.backends import RECIPIENT, exim_backend, opensmtpd_backend, postfix_backend
from tests.support.certificates import NAME, Authority
from tests.support.framing import singly
from tests.support.peer import Peer
from tests.support.proxy import UNCAPPED, Starts
from tests.support.servers import LOOPBACK, Address, wait_until
from tests.support.spoofs import spoofs
from tests.support.tap import tap

pytestmark = pytest.mark.e2e

CLEAN: Final = "127.0.0.3"
AT_ONCE: Final = 24  # sessions
TESTING: Final = "192.0.2.1"  # as who we test a backend ourselves
CLAIMS: Final = (b"XCLIENT", b"XFORWARD", b"PROXY")
KINDS: Final = {
    "postfix": ("xclient", partial(postfix_backend, {"smtpd_authorized_xclient_hosts": LOOPBACK})),
    "exim": ("proxy-v1", partial(exim_backend, proxied=True)),
    "opensmtpd": ("proxy-v2", partial(opensmtpd_backend, proxied=True)),
}


@dataclass(frozen=True, slots=True)
class Way:
    """From where, inside TLS or not, and in which pieces."""

    source: str
    secure: bool
    cut: bool


WAYS: Final = tuple(Way(*way) for way in product((CLEAN, LISTED), (False, True), (False, True)))


@pytest.mark.parametrize("name", KINDS)
def test_nobody_becomes_somebody_else(
    name: str, proxy: Starts, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """ID-01 ID-06 ID-07 G5 None of the claims is passed on or taken; each peer is introduced as itself."""
    introduce, kind = KINDS[name]
    authority = Authority(tmp_path)
    trust = authority.client()
    variables = authority.issue(NAME).variables | {"BACKEND_INTRODUCE": introduce, **BRISKLY}
    variables |= {"EXEMPT_RCPT": RECIPIENT}  # who is hostile by now may write to it
    variables |= UNCAPPED
    mine = spoofs()[list(KINDS).index(name) :: len(KINDS)]
    claims = list(zip(mine, cycle(WAYS), strict=False))
    with kind() as backend, tap(backend.address) as line:
        run = proxy(BACKENDS="{}:{}".format(*line.address), **variables)
        assert not run.ended, run.output
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda one: claim(run.address, trust, *one), claims))
        wait_until(lambda: len(run.events("session.closed")) == len(claims), "all sessions are over")
        told = [introduced(bytes(one)) for one in line.sent]
        closed = run.events("session.closed")
    assert set(told) == {(CLEAN,), (LISTED,), (TESTING,)}
    assert {event["peer"] for event in closed} == {CLEAN, LISTED}
    assert len(claims) // 2 - 2 <= sum(bool(event["tls"]) for event in closed) <= len(claims) // 2 + 2
    assert all(event["proxy"] is None for event in closed)
    record_property("G5", f"{len(claims)} attempts at another identity before {name}, half inside TLS")


def claim(address: Address, trust: ssl.SSLContext, said: bytes, way: Way) -> None:
    """Say *said* between EHLO and a transaction; all of it that is no command is refused."""
    with Peer.connect(address, source=way.source) as peer:
        assert peer.hear().code == 220
        assert peer.ask(b"EHLO p.example").code == 250
        if way.secure:
            assert peer.ask(b"STARTTLS").code == 220
            peer.sock = trust.wrap_socket(peer.sock, server_hostname=NAME)
            assert peer.ask(b"EHLO p.example").code == 250
        behind = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<" + RECIPIENT.encode() + b">\r\nQUIT\r\n"
        with suppress(OSError):  # it may be over before all is said
            for piece in [*(singly(said) if way.cut else [said]), behind]:
                peer.sock.sendall(piece)
        with suppress(OSError):
            peer.wait_closed()
        codes = {line[:3] for line in peer.all_heard.split(b"\r\n")}
        assert codes & {b"500", b"501", b"502"}, said


def introduced(sent: bytes) -> tuple[str, ...]:
    """Return each address that was told on one connection: in its header, or by XCLIENT."""
    header = read(sent)
    if isinstance(header, Header):
        assert header.peer is not None
        return (str(header.peer[0]), *said_to_be(sent[header.size :]))
    return tuple(said_to_be(sent))


def said_to_be(sent: bytes) -> Iterator[str]:
    """Yield what commands claim; of each only an address, and what is not known of its name."""
    for line in sent.split(b"\r\n"):
        if line.upper().startswith(CLAIMS):
            words = dict(word.split("=") for word in line.decode().split(" ")[1:])
            assert set(words) <= {"NAME", "ADDR", "PORT", "HELO", "PROTO"}
            assert words.get("HELO", "p.example") in {"p.example", "stranger.invalid"}
            assert words["NAME"] in {"[UNAVAILABLE]", "[TEMPUNAVAIL]"}
            yield words["ADDR"]
