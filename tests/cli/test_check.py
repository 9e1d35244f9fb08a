"""`tarpit check`: each check against a real socket, or an answer as a value."""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock
from typer.testing import CliRunner

from scoring.testpoints import Form, Health
from tarpit.cli import app
from tarpit.cli.check import (
    Check,
    State,
    judge_zone,
    look,
    look_at_backend,
    look_at_descriptors,
    look_at_port,
    look_at_settings,
    look_at_tls,
)
from tarpit.cli.zone import Outcome
from tarpit.settings import Settings, load
from tests.support.certificates import Authority

Backend = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def serving(backend: Backend) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, backend, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def loaded(port: int, **variables: str) -> Settings:
    given = {f"TARPIT_{name}": text for name, text in variables.items()}
    return load({"TARPIT_BACKENDS": f"127.0.0.1:{port}", **given})


@dataclass(slots=True)
class Speaker:
    """A backend that says one thing and notes what it hears."""

    banner: bytes
    heard: bytes = b""

    async def serve(self, stream: trio.SocketStream) -> None:
        await stream.send_all(self.banner)
        async for data in stream:
            self.heard += data


async def looked_at(backend: Backend, **variables: str) -> Check:
    async with serving(backend) as port:
        settings = loaded(port, **variables)
        return await look_at_backend(settings.backends[0], settings)


async def test_backend_that_greets() -> None:
    """A backend that greets is well, and is taken leave of."""
    speaker = Speaker(b"220 mx.example ESMTP\r\n")
    check = await looked_at(speaker.serve, BACKEND_INTRODUCE="xclient")
    assert (check.state, check.message) == (State.OK, "220 mx.example ESMTP")


async def test_backend_without_introduction() -> None:
    """A backend that is not told who the peer is works, but it should be told."""
    check = await looked_at(Speaker(b"220 mx ESMTP\r\n").serve)
    assert check.state is State.WARN
    assert "TARPIT_BACKEND_INTRODUCE" in check.message


@pytest.mark.parametrize(
    ("introduce", "header"),
    [("proxy-v1", b"PROXY UNKNOWN\r\n"), ("proxy-v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")],
)
async def test_backend_that_expects_a_proxy_header(introduce: str, header: bytes) -> None:
    """A backend that expects a PROXY header gets one that speaks for nobody; it would not greet without."""
    heard: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        heard.append(await stream.receive_some(16))
        await stream.send_all(b"220 mx ESMTP\r\n")

    check = await looked_at(serve, BACKEND_INTRODUCE=introduce)
    assert check.state is State.OK
    assert heard == [header]


async def test_backend_that_is_busy() -> None:
    """A backend that greets with 421 or 554 fails, and its words are harmless."""
    check = await looked_at(Speaker(b"421 \x1b[0m busy\r\n").serve)
    assert check.state is State.FAIL
    assert check.message == r"does not greet: 421 \x1b[0m busy"


async def test_backend_that_closes() -> None:
    """A backend that closes without a word fails."""

    async def serve(_stream: trio.SocketStream) -> None:
        return

    check = await looked_at(serve)
    assert check.message == "does not greet: it closed the connection"


async def test_backend_that_is_silent(autojump_clock: MockClock) -> None:
    """A backend that is silent for TARPIT_TIMEOUT_BANNER fails."""
    check = await looked_at(Speaker(b"").serve, TIMEOUT_BANNER="20s", TIMEOUT_DIAL="0")
    assert check.state is State.FAIL
    assert "does not answer in time" in check.message
    assert trio.current_time() == pytest.approx(20)


async def test_backend_that_is_not_there() -> None:
    """A backend that refuses the connection fails, with the system's reason."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        settings = loaded(sock.getsockname()[1])
        check = await look_at_backend(settings.backends[0], settings)
    assert check.state is State.FAIL
    assert "Connection refused" in check.message


def test_free_port() -> None:
    """A port that nobody has is well."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = sock.getsockname()
    assert look_at_port(address).state is State.OK


def test_port_in_use() -> None:
    """A port in use may be ours: who has it is not known, and how to find out is said."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        check = look_at_port(sock.getsockname())
    assert check.state is State.WARN
    assert "ss -ltnp" in check.message


def test_foreign_address() -> None:
    """An address that is not this machine's fails."""
    check = look_at_port(("192.0.2.1", 2525))
    assert check.state is State.FAIL
    assert "not an address of this machine" in check.message


def test_descriptors() -> None:
    """The default always fits; more sessions than fit are a warning; caps that do not fit fail."""
    assert look_at_descriptors(load({})).state is State.OK
    assert look_at_descriptors(load({"TARPIT_MAX_SESSIONS": "99999999"})).state is State.WARN
    assert look_at_descriptors(load({"TARPIT_BACKEND_MAX": "99999999"})).state is State.FAIL


def test_odd_settings() -> None:
    """Each odd setting is a warning by its name."""
    checks = look_at_settings(load({"TARPIT_STORE": "memory:", "TARPIT_TLS": "off"}))
    assert [(check.what, check.state) for check in checks] == [
        ("settings", State.OK),
        ("TARPIT_STORE", State.WARN),
    ]


def test_passing_tls_on_is_blind() -> None:
    """TARPIT_TLS=pass is a warning that recommends the other way."""
    (check,) = look_at_tls(load({}))
    assert (check.what, check.state) == ("STARTTLS", State.WARN)
    assert "TARPIT_TLS_CERT" in check.message


@pytest.mark.parametrize(
    ("days", "name", "state", "told"),
    [
        (90, "mx.example", State.OK, "for mx.example, 90 days"),
        (13, "mx.example", State.WARN, "renew it"),
        (90, "other.example", State.WARN, "mx.example, is not in it"),
    ],
)
def test_our_certificate(days: int, name: str, state: State, told: str, tmp_path: Path) -> None:
    """A certificate that ends soon, or is for another name than ours, is a warning."""
    pair = Authority(tmp_path).issue(name, days=days + 0.1)
    variables = {"TARPIT_HOSTNAME": "mx.example", "TARPIT_TLS_CERT": str(pair.cert)}
    (check,) = look_at_tls(load(variables | {"TARPIT_TLS_KEY": str(pair.key)}))
    assert (check.what, check.state) == ("STARTTLS", state)
    assert told in check.message


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    """A certificate, or an authority for backends, that cannot be read fails by its variable."""
    none = str(tmp_path / "none")
    variables = {"TARPIT_TLS_CERT": none, "TARPIT_TLS_KEY": none, "TARPIT_BACKEND_TLS": "require"}
    checks = look_at_tls(load(variables | {"TARPIT_BACKEND_CA": none}))
    assert [(check.what, check.state) for check in checks] == [
        ("TARPIT_TLS_CERT", State.FAIL),
        ("TARPIT_BACKEND_CA", State.FAIL),
    ]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        pytest.param(Outcome("z", Form.IPV4, Health.GOOD, True, "in order"), State.OK, id="works"),
        pytest.param(Outcome("z", Form.IPV4, Health.WRONG, False, "lists all"), State.FAIL, id="the world"),
        pytest.param(Outcome("z", Form.IPV4, Health.SILENT, False, "silent"), State.WARN, id="silent"),
    ],
)
def test_zone(outcome: Outcome, state: State) -> None:
    """What a zone's test points tell of it (RFC 5782, section 5) is told of the zone."""
    check = judge_zone("z", [outcome])
    assert (check.what, check.state) == ("zone z", state)
    assert outcome.why in check.message


async def test_zones_and_backends_at_once(autojump_clock: MockClock) -> None:
    """Zones that nobody answers for are looked at together, and cost their patience once."""
    settings = loaded(
        9,
        DNSBL_ZONES="a.example b.example=127.0.0.2 b.example=127.0.0.3",
        DNS_SERVERS="127.0.0.1:9",
        LISTEN="127.0.0.1:2",
    )
    checks = await look(settings)
    assert [check.what for check in checks if check.what.startswith("zone")] == [
        "zone a.example",
        "zone b.example",
    ]
    assert trio.current_time() <= 60


def test_command() -> None:
    """The command prints a line a check, or JSON, and exits with 1 when one fails."""
    env = {"TARPIT_BACKENDS": "127.0.0.1:9"}
    result = CliRunner().invoke(app, ["check"], env=env)
    assert result.exit_code == 1
    assert "FAIL  backend 127.0.0.1:9: cannot be reached" in result.stdout
    states = {
        check["state"] for check in json.loads(CliRunner().invoke(app, ["check", "--json"], env=env).stdout)
    }
    assert states <= {"ok", "WARN", "FAIL"}
