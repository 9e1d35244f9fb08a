"""Dialling a backend: banner, introduction, and every failure as `BackendUnavailable`."""

from collections.abc import Mapping
from ipaddress import ip_address

import pytest

from scoring.verdict import HostName, HostState
from tarpit.backend.dial import dial, greet
from tarpit.backend.introduce import Introduction
from tarpit.errors import BackendUnavailable
from tarpit.poller import Poller
from tests.support.backend import Answer, Does, fake_backend
from tests.support.wires import DIALLING, running

PEER = Introduction(ip_address("192.0.2.7"), 4025, HostName("peer.example", HostState.CONFIRMED))
OURS = ("192.0.2.2", 25)
OFFERS = {"EHLO": b"250-backend.example\r\n250 XCLIENT NAME ADDR PORT HELO PROTO\r\n"}


async def greeted(how: str, answers: Mapping[str, Answer], *, proxied: bool = False) -> tuple[bytes, bytes]:
    """Return the banner, and what the backend received (of a PROXY header all, else the commands)."""
    poller = Poller()
    async with running(poller.run), fake_backend(answers, proxied=proxied) as backend:
        line = await dial(poller, *backend.address, DIALLING)
        try:
            await greet(line, PEER, how, ours=OURS)
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


async def test_xclient() -> None:
    """A backend is told the peer's address last; the banner after that is the one that counts."""
    banner, received = await greeted("xclient", OFFERS)
    assert banner == b"220 backend.example ESMTP again\r\n"
    assert received == (b"EHLO mx.example\r\nXCLIENT NAME=peer.example PORT=4025 ADDR=192.0.2.7\r\nQUIT\r\n")


async def test_proxy_v2() -> None:
    """The PROXY header comes before everything else."""
    _, received = await greeted("proxy-v2", {}, proxied=True)
    assert received.startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x02")


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
            await dial(poller, host, port, DIALLING)
