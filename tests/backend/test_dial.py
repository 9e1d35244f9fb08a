"""Dialling a backend: banner, introduction, and every failure as `BackendUnavailable`."""

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock

from scoring.verdict import HostName, HostState
from tarpit.backend.dial import Line, NoSocket, dial, greet
from tarpit.backend.guest import Known
from tarpit.backend.introduce import Introduction
from tarpit.backend.places import Place, Places
from tarpit.backend.pool import Pool, connect
from tarpit.backend.server import Backend
from tarpit.choices import BackendTls, Introduce
from tarpit.destinations import BackendAddress
from tarpit.errors import BackendUnavailable
from tarpit.handshake import Handshakes
from tarpit.poller import Poller
from tarpit.tls import Certificate, Trust
from tests.support.backend import Answer, Does, fake_backend
from tests.support.certificates import Authority
from tests.support.wires import DIALLING, running, wire_pair

PEER = Introduction(ip_address("192.0.2.7"), 4025, HostName("peer.example", HostState.CONFIRMED))
OURS = ("192.0.2.2", 25)
OFFERS = {"EHLO": b"250-backend.example\r\n250 XCLIENT NAME ADDR PORT HELO PROTO\r\n"}


async def greeted(how: str, answers: Mapping[str, Answer], *, proxied: bool = False) -> tuple[bytes, bytes]:
    """Return the banner, and what the backend received (of a PROXY header all, else the commands)."""
    poller = Poller()
    async with running(poller.run), fake_backend(answers, proxied=proxied) as backend:
        line = await dial(poller, Places(*backend.address), DIALLING, trio.current_time())
        try:
            await greet(line, Known(PEER, OURS), how)
        finally:
            await line.quit()
        await backend.wait_closed(1)
        return line.banner, bytes(backend.connections[0].received)


async def test_the_banner_is_kept() -> None:
    """The peer may be shown the backend's own banner, byte for byte."""
    assert await greeted("off", {"BANNER": b"220-two\r\n220 lines\r\n"}) == (
        b"220-two\r\n220 lines\r\n",
        b"QUIT\r\n",
    )


@pytest.mark.parametrize("how", ["off", "xclient"])
@pytest.mark.parametrize("more", [b"421 4.3.2 busy\r\n", b"250 2.0.0 Ok\r\n", b"x"])
async def test_more_than_a_banner(how: str, more: bytes) -> None:
    """BE-16 What comes right behind the last greeting is lost on nobody: such a backend is not used."""
    verb, poller = "XCLIENT" if how == "xclient" else "BANNER", Poller()
    answers = {**OFFERS, verb: b"220 backend.example\r\n" + more}
    async with running(poller.run), fake_backend(answers) as backend:
        line = await dial(poller, Places(*backend.address), DIALLING, trio.current_time())
        with pytest.raises(BackendUnavailable, match=r"unasked|said 421"):
            await greet(line, Known(PEER, OURS), how)
        line.wire.close()


async def test_xclient() -> None:
    """A backend is told the peer's address last; the banner after that is the one that counts."""
    banner, received = await greeted("xclient", OFFERS)
    assert banner == b"220 backend.example ESMTP again\r\n"
    assert received == (b"EHLO mx.example\r\nXCLIENT NAME=peer.example PORT=4025 ADDR=192.0.2.7\r\nQUIT\r\n")


async def test_proxy_v2() -> None:
    """The PROXY header comes before everything else."""
    _, received = await greeted("proxy-v2", {}, proxied=True)
    assert received.startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x02")


async def test_proxy_v1() -> None:
    """So does one of version 1."""
    _, received = await greeted("proxy-v1", {}, proxied=True)
    assert received == b"PROXY TCP4 192.0.2.7 192.0.2.2 4025 25\r\nQUIT\r\n"


@pytest.mark.parametrize(
    ("how", "answers", "why"),
    [
        ("off", {"BANNER": b"554 5.7.1 no\r\n"}, "refused us at its banner: 554 5.7.1 no"),
        ("off", {"BANNER": Does.CLOSE}, "closed the connection"),
        ("off", {"BANNER": b"HTTP/1.1 200 OK\r\n"}, "does not speak SMTP"),
        ("xclient", {}, "does not offer XCLIENT ADDR"),
        ("xclient", OFFERS | {"XCLIENT": b"550 5.7.0 no\r\n"}, "refused us at XCLIENT"),
        ("off", {"BANNER": Does.SILENT}, "no answer in time"),
    ],
)
async def test_unusable(how: str, answers: Mapping[str, Answer], why: str) -> None:
    """A backend that cannot be used says why."""
    with pytest.RaisesGroup(pytest.RaisesExc(BackendUnavailable, match=why), flatten_subgroups=True):
        await greeted(how, answers)


async def test_nobody_listens() -> None:
    """A closed port is a backend that cannot be used."""
    poller = Poller()
    async with running(poller.run):
        async with fake_backend() as backend:
            host, port = backend.address
        with pytest.raises(BackendUnavailable, match="refused"):
            await dial(poller, Places(host, port), DIALLING, trio.current_time())


# -- TLS

PLAIN = b"250-backend.example\r\n250 STARTTLS\r\n"
INSIDE = b"250-backend.example\r\n250 XCLIENT ADDR HELO\r\n"
SECURE: Mapping[str, Answer] = {"EHLO": PLAIN, "TLS EHLO": INSIDE, "STARTTLS": b"220 2.0.0 ready\r\n"}


class Tls(NamedTuple):
    """How a backend was reached: its commands, the banner, and why without TLS."""

    commands: list[list[bytes]]
    line: Line
    backend: Backend


async def secured(
    directory: Path,
    tls: BackendTls,
    answers: Mapping[str, Answer] = SECURE,
    *,
    name: str = "127.0.0.1",
    introduce: Introduce = Introduce.XCLIENT,
) -> Tls:
    """Connect to a backend with a certificate for *name*, as a session does."""
    authority = Authority(directory)
    issued = authority.issue(name)
    dialling = replace(DIALLING, handshakes=Handshakes(seconds=2), trust=Trust(authority.file))
    poller = Poller()
    async with running(poller.run), fake_backend(answers) as fake:
        fake.context = Certificate.load(issued.cert, issued.key).context
        if "NO CERTIFICATE" in answers:
            fake.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pool = Pool((BackendAddress(*fake.address, tls=tls, introduce=introduce),), poller, dialling, queue=1)
        line = await connect(pool, pool.backends[0], Known(PEER, OURS), trio.current_time())
        await line.quit()
        await fake.wait_closed(len(fake.connections))
        return Tls([connection.commands for connection in fake.connections], line, pool.backends[0])


async def test_tls_comes_before_the_introduction(tmp_path: Path) -> None:
    """Banner, EHLO, STARTTLS, EHLO, XCLIENT: the peer is named inside, where it is not forgotten."""
    done = await secured(tmp_path, BackendTls.REQUIRE)
    ehlo = b"EHLO mx.example"
    assert done.commands == [[ehlo, b"STARTTLS", ehlo, b"XCLIENT ADDR=192.0.2.7", b"QUIT"]]
    assert done.line.banner == b"220 backend.example ESMTP again\r\n"
    assert done.line.wire.sealed is not None
    assert done.backend.plain_because == ""


@pytest.mark.parametrize("tls", [BackendTls.MAY, BackendTls.REQUIRE])
async def test_tls_02_injected_before_tls(tls: BackendTls, tmp_path: Path) -> None:
    """TLS-02: bytes behind the 220 are an attack: the backend is not used, not even in plain text."""
    injected = {"STARTTLS": b"220 ready\r\n250 injected\r\n"}
    with pytest.RaisesGroup(pytest.RaisesExc(BackendUnavailable, match="unasked"), flatten_subgroups=True):
        await secured(tmp_path, tls, {**SECURE, **injected})


WITHOUT = [
    pytest.param({"EHLO": b"250 backend.example\r\n"}, "does not offer STARTTLS", 1, id="stripped"),
    pytest.param(
        {"STARTTLS": b"454 4.7.0 not now\r\n"}, "refused us at STARTTLS: 454 4.7.0 not now", 1, id="454"
    ),
    pytest.param({"NO CERTIFICATE": b""}, "TLS: ", 2, id="no handshake"),
]


@pytest.mark.parametrize(("answers", "why", "_dials"), WITHOUT)
async def test_tls_11_never_plain_text(
    answers: dict[str, Answer], why: str, _dials: int, tmp_path: Path
) -> None:
    """TLS-11: `require` and no TLS is a backend that cannot be used: stripped, refused or failed."""
    with pytest.RaisesGroup(pytest.RaisesExc(BackendUnavailable, match=why), flatten_subgroups=True):
        await _without(tmp_path, BackendTls.REQUIRE, answers)


@pytest.mark.parametrize(("answers", "why", "dials"), WITHOUT)
async def test_may_is_may(answers: dict[str, Answer], why: str, dials: int, tmp_path: Path) -> None:
    """`may` goes on in plain text, over a new connection if it must, and says why."""
    done = await _without(tmp_path, BackendTls.MAY, answers)
    assert len(done.commands) == dials
    assert b"XCLIENT ADDR=192.0.2.7" in done.commands[-1]
    assert re.match(why, done.line.plain_because)
    assert done.backend.plain_because == done.line.plain_because
    assert done.line.wire.sealed is None


async def _without(directory: Path, tls: BackendTls, answers: dict[str, Answer]) -> Tls:
    plain = {"EHLO": PLAIN.replace(b"250 STARTTLS", b"250-XCLIENT ADDR\r\n250 STARTTLS")}
    if "EHLO" in answers:
        plain, answers = {"EHLO": INSIDE}, {}
    return await secured(directory, tls, {**SECURE, **plain, **answers})


async def test_tls_11_another_name(tmp_path: Path) -> None:
    """TLS-11: a certificate for another host is nobody's that we know; for `may` it does."""
    with pytest.RaisesGroup(
        pytest.RaisesExc(BackendUnavailable, match="IP address mismatch"), flatten_subgroups=True
    ):
        await secured(tmp_path, BackendTls.REQUIRE, name="other.example")
    done = await secured(tmp_path, BackendTls.MAY, name="other.example")
    assert done.line.wire.sealed is not None


async def test_the_next_address_is_tried() -> None:
    """Where a name has several, one that refuses is passed over, and comes last from then on."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        places = Places("mx.example", 25)
        places.places = (Place(socket.AF_INET, ("127.0.0.1", 9)), Place(socket.AF_INET, backend.address))
        for _ in range(3):
            line = await dial(poller, places, DIALLING, trio.current_time())
            assert line.wire.peer == backend.address
            line.wire.close()
        assert places.in_turn()[0].address == backend.address


async def test_a_name_is_looked_up_by_the_first_who_comes() -> None:
    """Nobody has to have done so before."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        line = await dial(poller, Places("localhost", backend.address[1]), DIALLING, trio.current_time())
        line.wire.close()


async def test_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a backend that cannot be used."""

    async def fail(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", fail)
    with pytest.raises(BackendUnavailable, match="nowhere is not known: Name or service not known"):
        await dial(Poller(), Places("nowhere", 25), DIALLING, trio.current_time())


async def test_an_address_without_a_way() -> None:
    """What the kernel refuses at once is a failure like any other."""
    with pytest.raises(BackendUnavailable, match=r"255\.255\.255\.255:25: E"):
        await dial(Poller(), Places("255.255.255.255", 25), DIALLING, trio.current_time())


async def test_no_socket_to_reach_it_with() -> None:
    """Out of descriptors, or without that family, we pass on to the next address; at last it is a 421."""
    async with fake_backend() as backend, running((poller := Poller()).run):
        places = Places(*backend.address)
        strange = Place(99, backend.address)
        places.places = (strange, *places.places)
        (await dial(poller, places, DIALLING, trio.current_time())).wire.close()
        places.places = (strange,)
        with pytest.raises(NoSocket, match="no socket: "):
            await dial(poller, places, DIALLING, trio.current_time())


async def test_no_word_is_waited_for_after_a_fault(autojump_clock: MockClock) -> None:
    """Who does not speak SMTP is told QUIT, and not listened to any more: its slot comes back at once."""
    poller = Poller()
    async with running(poller.run), wire_pair(poller, backend=True) as (wire, backend):
        line = Line(wire, DIALLING)
        await backend.say(b"login:\r\n")
        with pytest.raises(BackendUnavailable, match="does not speak SMTP"):
            await line.welcome()
        await line.quit()
        assert trio.current_time() == 0
        assert await backend.hear() == b"QUIT\r\n"
