"""What is watched of TLS: a certificate that changes, backends that go plain or would believe anybody."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from trio.testing import MockClock

from tarpit.errors import SettingsError
from tarpit.tls import Certificate
from tarpit.watch import check_backend
from tarpit.watch_tls import renew_certificate, tell_tls
from tests.support.backend import Answer, FakeBackend, fake_backend
from tests.support.certificates import Authority
from tests.support.dns_zone import FakeResolver
from tests.support.wires import Surroundings, load, stage

PLAIN = b"250-backend.example\r\n250 STARTTLS\r\n"
REFUSED: Mapping[str, Answer] = {"RCPT": b"554 5.7.1 no relaying\r\n", "STARTTLS": b"220 2.0.0 ready\r\n"}


@asynccontextmanager
async def scene(
    answers: Mapping[str, Answer], *, inside: Authority | None = None, **variables: str
) -> AsyncIterator[tuple[Surroundings, FakeBackend]]:
    """Yield what sessions share, and a backend; with *inside* it has a certificate."""
    async with fake_backend({**REFUSED, **answers}) as backend:
        if inside:
            issued = inside.issue("127.0.0.1", file="backend")
            backend.context = Certificate.load(issued.cert, issued.key).context
        settings = load(BACKENDS="{}:{}".format(*backend.address), **variables)
        async with stage(settings, FakeResolver({}), dialling=None) as around:
            yield around, backend


def told(around: Surroundings, event: str) -> list[Mapping[str, object]]:
    """Return the events of one name."""
    return [entry for entry in around.events.entries if entry["event"] == event]


# -- our certificate


async def test_tls_09_renewed_at_hup(tmp_path: Path, autojump_clock: MockClock) -> None:
    """TLS-09: a good certificate is used from then on, a bad one is told and changes nothing."""
    authority = Authority(tmp_path)
    pair = authority.issue("old.example", days=13)
    async with scene({}, TLS_CERT=str(pair.cert), TLS_KEY=str(pair.key)) as (around, _):
        tell_tls(around.services)
        authority.issue("new.example")
        await renew_certificate(around.services)
        pair.cert.write_text("oops")
        await renew_certificate(around.services)
        terminator = around.services.terminator
        assert terminator is not None
        assert terminator.certificates.now.names == ("new.example",)
    assert [entry["names"] for entry in told(around, "certificate.loaded")] == [
        ["old.example"],
        ["new.example"],
    ]
    assert len(told(around, "certificate.ending")) == 1
    assert [str(entry["message"])[:16] for entry in told(around, "certificate.kept")] == ["TARPIT_TLS_CERT:"]


async def test_tls_09_no_start(tmp_path: Path, autojump_clock: MockClock) -> None:
    """TLS-09: with a certificate that cannot be used nothing starts."""
    pair = Authority(tmp_path).issue(begins=-5, days=-1)
    with pytest.RaisesGroup(
        pytest.RaisesExc(SettingsError, match="TARPIT_TLS_CERT: .*expired"), flatten_subgroups=True
    ):
        async with scene({}, TLS_CERT=str(pair.cert), TLS_KEY=str(pair.key)):
            pass


@pytest.mark.parametrize(("mode", "lines"), [("pass", 1), ("auto", 1), ("off", 0)])
async def test_blindness_is_told(mode: str, lines: int, autojump_clock: MockClock) -> None:
    """Who passes STARTTLS on is told what that costs, once."""
    async with scene({}, TLS=mode) as (around, _):
        tell_tls(around.services)
        await renew_certificate(around.services)
    assert len(told(around, "tls.passed")) == lines
    assert not told(around, "certificate.loaded")


# -- backends


@pytest.mark.parametrize("keyword", [b"XCLIENT NAME ADDR", b"XFORWARD NAME ADDR"])
@pytest.mark.parametrize("inside", [False, True], ids=["in the open", "inside TLS"])
async def test_tls_12_refused_at_the_start(
    inside: bool, keyword: bytes, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """TLS-12: a backend that would believe any peer inside TLS that we pass on stops the start."""
    offers = b"250-backend.example\r\n250-STARTTLS\r\n250 " + keyword + b"\r\n"
    answers = {"EHLO": PLAIN, "TLS EHLO": offers} if inside else {"EHLO": offers, "STARTTLS": b"454 no\r\n"}
    async with scene(answers, inside=Authority(tmp_path), RELAY_TEST="refuse") as (around, fake):
        (backend,) = around.services.pool.backends
        with pytest.raises(SettingsError, match=r"TARPIT_TLS: pass .*" + keyword.split()[0].decode()):
            await check_backend(around.services, backend, starting=True)
        assert backend.exposed
        fake.answers |= {"EHLO": PLAIN, "TLS EHLO": PLAIN}
        backend.untested = True
        await check_backend(around.services, backend)
        assert (backend.usable, len(told(around, "backend.exposed"))) == (True, 1)


@pytest.mark.parametrize(
    ("variables", "events"),
    [
        ({"RELAY_TEST": "warn"}, 1),
        ({"RELAY_TEST": "off"}, 0),
        ({"RELAY_TEST": "refuse", "TLS": "off"}, 0),
        ({"RELAY_TEST": "refuse", "BACKEND_INTRODUCE": "xclient"}, 0),
    ],
)
async def test_tls_12_where_it_does_no_harm(
    variables: dict[str, str], events: int, autojump_clock: MockClock
) -> None:
    """TLS-12: where nobody is blind, or we name the peer, or the operator insists, the start goes on."""
    offers = {"EHLO": b"250-backend.example\r\n250 XCLIENT NAME ADDR\r\n"}
    async with scene(offers, inside=None, **variables) as (around, _):
        (backend,) = around.services.pool.backends
        await check_backend(around.services, backend, starting=True)
        assert backend.usable
    assert len(told(around, "backend.exposed")) == events


async def test_plain_text_is_told(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Mail that begins to go to a backend unencrypted is told once, and once when that is over."""
    authority = Authority(tmp_path)
    pair = authority.issue()
    files = {"TLS_CERT": str(pair.cert), "TLS_KEY": str(pair.key)}
    answers = {"EHLO": PLAIN, "STARTTLS": b"454 4.7.0 not now\r\n"}
    async with scene(answers, inside=authority, BACKEND_TLS="may", **files) as (around, fake):
        (backend,) = around.services.pool.backends
        for answer in (
            b"454 4.7.0 not now\r\n",
            b"454 4.7.0 not now\r\n",
            b"220 ready\r\n",
            b"220 ready\r\n",
        ):
            fake.answers["STARTTLS"] = answer
            await check_backend(around.services, backend)
            assert backend.up
    reasons = [entry["reason"] for entry in told(around, "backend.unsecured")]
    assert reasons == ["refused us at STARTTLS: 454 4.7.0 not now", ""]


async def test_required_and_not_had(autojump_clock: MockClock) -> None:
    """A backend that has to speak TLS and does not is down, and the event says why."""
    async with scene({}, BACKEND_TLS="require", TLS="off") as (around, _):
        (backend,) = around.services.pool.backends
        await check_backend(around.services, backend)
        assert not backend.up
    (probed,) = told(around, "backend.probed")
    assert probed["reason"] == "does not offer STARTTLS"
