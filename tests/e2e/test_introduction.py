"""Who a peer is stands in each backend's own log: address, port and HELO name, over IPv4 and IPv6."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.support.backends import (
    HEADER,
    RECIPIENT,
    RealBackend,
    exim_backend,
    opensmtpd_backend,
    postfix_backend,
)
from tests.support.peer import Peer
from tests.support.proxy import Starts
from tests.support.servers import LOOPBACK, Address, ipv6_or_skip, wait_until

pytestmark = pytest.mark.e2e

CLEAN, LISTED, IPV6 = "127.0.0.3", "127.0.0.9", "::1"
HELO = b"mail.peer.example"
QUICK = {"PACE_BYTE": "1ms", "PACE_DELAY": "1ms", "PREGREET_WAIT": "0", "PACE_DATA": "0"}


@dataclass(frozen=True, slots=True)
class Introduced:
    """A backend, how peers are introduced to it, and what it writes of them, as far as it writes anything."""

    introduce: str
    backend: RealBackend
    written: str

    @property
    def name(self) -> str:
        """The backend as TARPIT_BACKENDS has it."""
        return "{}:{}".format(*self.backend.address)

    def quiet_log(self) -> str:
        """Return its log once nothing more is written."""
        before, now = None, self.backend.log()
        while now != before:
            time.sleep(0.5)
            before, now = now, self.backend.log()
        return now

    def wrote(self, address: str, port: int) -> bool:
        """Whether its log has that peer."""
        what = self.written.format(address=re.escape(address), port=port, helo=re.escape(HELO.decode()))
        return re.search(what, self.backend.log()) is not None


POSTFIX = r"END-OF-MESSAGE from unknown\[{address}\]:{port}: .* helo=<{helo}>"
EXIM = r"<= \S+ H=\({helo}\) \[{address}\]:{port} "
OPENSMTPD = r"smtp connected address=\[?{address}\]? "  # neither port nor HELO name is in its log
XCLIENT = partial(postfix_backend, {"smtpd_authorized_xclient_hosts": LOOPBACK})
PROXIED = partial(postfix_backend, {"smtpd_upstream_proxy_protocol": "haproxy"})
KINDS = {
    "postfix, xclient": ("xclient", XCLIENT, POSTFIX),
    "postfix, proxy-v1": ("proxy-v1", PROXIED, POSTFIX),
    "postfix, proxy-v2": ("proxy-v2", PROXIED, POSTFIX),
    "exim, proxy-v1": ("proxy-v1", partial(exim_backend, proxied=True), EXIM),
    "exim, proxy-v2": ("proxy-v2", partial(exim_backend, proxied=True), EXIM),
    "opensmtpd, proxy-v2": ("proxy-v2", partial(opensmtpd_backend, proxied=True), OPENSMTPD),
}


@pytest.fixture(scope="module", params=KINDS)
def introduced(request: pytest.FixtureRequest) -> Iterator[Introduced]:
    """Return each of the backends."""
    introduce, kind, written = KINDS[request.param]
    with kind() as backend:
        yield Introduced(introduce, backend, written)


@pytest.mark.parametrize("source", [CLEAN, LISTED, IPV6])
def test_the_backend_logs_the_peer(introduced: Introduced, proxy: Starts, source: str) -> None:
    """A clean peer that is joined, a slowed one whose message is handed over, and one that comes by IPv6."""
    if source == IPV6:
        ipv6_or_skip()
    names = {"BACKENDS": introduced.name, "BACKEND_INTRODUCE": introduced.introduce}
    run = proxy(IPV6 if source == IPV6 else LOOPBACK, **names, **QUICK)
    assert not run.ended, run.output
    port = deliver(run.address, source)
    (closed,) = run.closed()
    assert closed["treatment"] == ("slow" if source == LISTED else "pass")
    wait_until(lambda: introduced.wrote(source, port), f"{source} is in the log")


def test_each_backend_in_its_own_way(proxy: Starts) -> None:
    """Side by side, one is told by XCLIENT and the other by a PROXY header."""
    with XCLIENT() as one, exim_backend(proxied=True) as other:
        both = Introduced("xclient", one, POSTFIX), Introduced("proxy-v2", other, EXIM)
        names = " ".join(f"{each.name};introduce={each.introduce}" for each in both)
        run = proxy(BACKENDS=names, BALANCE="round-robin")
        ports = [deliver(run.address, CLEAN) for _ in both]
        for each in both:
            wait_until(lambda each=each: any(each.wrote(CLEAN, port) for port in ports), "it has a peer")  # type: ignore[misc]


@pytest.mark.parametrize(
    "introduced", ["postfix, xclient", "exim, proxy-v2", "opensmtpd, proxy-v2"], indirect=True
)
def test_probes_are_whole_sessions(introduced: Introduced, proxy: Starts) -> None:
    """What we ask of a backend for ourselves is introduced, too, and leaves nothing broken in its log."""
    before = len(introduced.quiet_log())
    names = {"BACKENDS": introduced.name, "BACKEND_INTRODUCE": introduced.introduce}
    run = proxy(**names, HEALTH_EVERY="1s")
    time.sleep(2.5)
    assert run.stop() == 0
    log = introduced.quiet_log()[before:]
    assert len(re.findall(r" smtp connected|disconnect from|closed by QUIT", log)) >= 3
    assert "192.0.2.1" in log
    assert not re.search("lost|timeout|unexpected|synchroni[sz]ation|reason=(?!quit)", log, re.IGNORECASE)


def deliver(address: Address, source: str) -> int:
    """Deliver a message from *source*, and return the port it came from."""
    with Peer.connect(address, source=source) as peer:
        port = peer.sock.getsockname()[1]
        assert peer.hear().code == 220
        lines = (b"EHLO " + HELO, b"MAIL FROM:<a@example.org>", b"RCPT TO:<" + RECIPIENT.encode() + b">")
        for line in lines:
            assert peer.ask(line).code == 250
        assert peer.ask(b"DATA").code == 354
        peer.say(HEADER + b"\r\nhello\r\n.\r\n")
        assert peer.hear().code == 250
        peer.ask(b"QUIT")
    return int(port)
