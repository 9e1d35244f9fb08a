"""The real servers themselves: what the other tests here take for granted."""

import re
from ipaddress import ip_address

import dns.message
import dns.query
import pytest
import trio

from scoring.verdict import HostName, HostState
from tarpit.backend.introduce import Introduction, proxy_v2_header, xclient_commands
from tests.support.backend import Does, fake_backend
from tests.support.peer import Peer
from tests.support.postfix import Postfix
from tests.support.servers import rbldnsd, wait_until

pytestmark = pytest.mark.e2e

CONTENT = b"Subject: x\r\n\r\nhello\r\n..dot\r\n\xff\r\n"


def test_postfix_stores(mx: Postfix) -> None:
    """A message is stored octet for octet, once what Postfix prepends is taken off."""
    mx.clear()
    with Peer.connect(mx.address) as peer:
        peer.play("""
            S: 220 mx.example.net ESMTP Postfix
            C: EHLO peer.example
            S: 250-mx.example.net...
            C: MAIL FROM:<a@example.org>
            S: 250 2.1.0 Ok
            C: RCPT TO:<b@example.net>
            S: 250 2.1.5 Ok
            C: DATA
            S: 354 ...
        """)
        peer.say(CONTENT)
        assert peer.ask(b".").code == 250
        assert peer.ask(b"QUIT").code == 221
    (stored,) = mx.wait_for_messages(1)
    assert stored == CONTENT.replace(b"\r\n..", b"\r\n.")


def test_postfix_relays_nothing(mx: Postfix) -> None:
    """A foreign recipient is refused, and the log says so."""
    with Peer.connect(mx.address) as peer:
        peer.play("""
            S: 220 ...
            C: HELO peer.example
            S: 250 mx.example.net
            C: MAIL FROM:<a@example.org>
            S: 250 2.1.0 Ok
            C: RCPT TO:<b@example.com>
            S: 454 4.7.1 <b@example.com>: Relay access denied
        """)
    wait_until(lambda: "Relay access denied" in mx.log(), "the refusal in the log")


@pytest.mark.parametrize(("door", "code"), [("trusting", 250), ("xclient", 250), ("stranger", 454)])
def test_doors(mx: Postfix, door: str, code: int) -> None:
    """One Postfix, several ports: where it trusts loopback it relays, once told of a stranger it does not."""
    with Peer.connect(mx.services["xclient" if door == "stranger" else door]) as peer:
        peer.play("S: 220 ...")
        assert peer.ask(b"EHLO peer.example").code == 250
        if door == "stranger":
            assert peer.ask(b"XCLIENT NAME=[UNAVAILABLE] PORT=25 ADDR=192.0.2.9").code == 220
            assert peer.ask(b"EHLO peer.example").code == 250
        assert peer.ask(b"MAIL FROM:<a@example.org>").code == 250
        assert peer.ask(b"RCPT TO:<b@example.com>").code == code


@pytest.mark.parametrize(
    "introduction",
    [
        Introduction(ip_address("192.0.2.9"), 1, HostName("m_x.example", HostState.CONFIRMED), "m x\r\n+="),
        Introduction(ip_address("2001:db8::9"), 65535, helo="h" * 600, esmtp=False),
    ],
    ids=["hostile", "long"],
)
def test_postfix_takes_our_xclient(mx: Postfix, introduction: Introduction) -> None:
    """What we make of hostile and long names is XCLIENT as Postfix understands it."""
    with Peer.connect(mx.services["xclient"]) as peer:
        peer.play("S: 220 ...")
        (offer,) = re.findall(rb"250.XCLIENT (.*)\r", peer.ask(b"EHLO proxy.example").reply)
        for command in xclient_commands(introduction, frozenset(offer.decode().split())):
            assert peer.ask(command.removesuffix(b"\r\n")).code == 220
        assert peer.ask(b"EHLO peer.example").code == 250
        assert peer.ask(b"RSET").code == 250
        assert peer.ask(b"QUIT").code == 221
    wait_until(lambda: f"[{introduction.address}]" in mx.log(), "the address in the log")


def test_postfix_takes_our_proxy_header(mx: Postfix) -> None:
    """The PROXY header says who the peer is."""
    with Peer.connect(mx.services["proxy"]) as peer:
        peer.say(proxy_v2_header(("192.0.2.77", 4711), mx.services["proxy"]))
        peer.play("S: 220 ...")
        peer.ask(b"QUIT")
    wait_until(lambda: "connect from unknown[192.0.2.77]" in mx.log(), "the address in the log")


def test_rbldnsd_lists() -> None:
    """A listed address is found, with its reason; another is not; the zone has its test points."""
    with rbldnsd({"zen.test": ["127.0.0.9 :127.0.0.4:seen sending spam"]}) as server:
        host, port = server.address

        def ask(name: str, kind: str) -> list[str]:
            answer = dns.query.udp(dns.message.make_query(name, kind), host, port=port, timeout=5)
            return [str(record) for rrset in answer.answer for record in rrset]

        assert ask("9.0.0.127.zen.test", "A") == ["127.0.0.4"]
        assert ask("9.0.0.127.zen.test", "TXT") == ['"seen sending spam"']
        assert ask("2.0.0.127.zen.test", "A") == ["127.0.0.2"]
        assert ask("1.0.0.127.zen.test", "A") == []


async def test_fake_backend() -> None:
    """The scripted backend keeps what it hears, and does what it is told."""
    async with fake_backend({"MAIL": b"451 4.3.0 not now\r\n", "RCPT": Does.CLOSE}) as backend:
        await trio.to_thread.run_sync(_talk, backend.address)
        await backend.wait_closed(1)
    (connection,) = backend.connections
    assert connection.commands == [b"EHLO peer.example", b"MAIL FROM:<>", b"DATA", b"RCPT TO:<a@b.example>"]
    assert connection.contents == [b"a\r\n..b\r\n"]


def _talk(address: tuple[str, int]) -> None:
    with Peer.connect(address) as peer:
        replies = peer.play("""
            S: 220 backend.example ESMTP hello from the backend
            C: EHLO peer.example
            S: 250-backend.example...
            C: MAIL FROM:<>
            S: 451 4.3.0 not now
            C: DATA
            S: 354 Go ahead
            C: a
            C: ..b
            C: .
            S: 250 2.0.0 Ok: queued as 1
            C: RCPT TO:<a@b.example>
        """)
        assert [reply.code for reply in replies] == [220, 250, 451, 354, 250]
        assert peer.hear().reply == b""
