"""The main job on real input: real clients through the proxy into a real Postfix, and a real DNSBL."""

import signal
import smtplib
import subprocess
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
import trio

from tests.support.backend import Does, FakeBackend, fake_backend
from tests.support.peer import Heard, Peer
from tests.support.postfix import Postfix
from tests.support.proxy import Run, Starts
from tests.support.servers import LOOPBACK, Address, free_port, ipv6_or_skip, server_or_skip, which

pytestmark = pytest.mark.e2e

CLEAN = "127.0.0.3"
LISTED = "127.0.0.9"
INTERVAL = 0.15
DRIP = {
    "PACE_BYTE": "150ms",
    "PACE_DELAY": "0",
    "PACE_BANNER": "3s",
    "PACE_REPLY": "2s",
    "PREGREET_WAIT": "300ms",
}
LINES = [
    b"Subject: first light",
    b"From: a@example.org",
    b"",
    b".",
    b"..two dots",
    *200 * [b"line after line"],
]
CONTENT = b"".join(line + b"\r\n" for line in LINES)


@pytest.mark.parametrize("introduce", ["off", "xclient", "proxy-v1", "proxy-v2"])
@pytest.mark.parametrize("client", ["swaks", "smtplib"])
def test_real_clients(mx: Postfix, proxy: Starts, tmp_path: Path, client: str, introduce: str) -> None:
    """A message arrives octet for octet, and Postfix knows the peer's address when it is introduced."""
    mx.clear()
    door = {"off": "", "xclient": "xclient"}.get(introduce, "proxy")
    run = proxy(BACKENDS=_at(mx.services[door]), BACKEND_INTRODUCE=introduce)
    before = len(mx.quiet_log())
    {"swaks": _swaks, "smtplib": _smtplib}[client](run.address, tmp_path)
    (stored,) = mx.wait_for_messages(1)
    assert sha256(stored).hexdigest() == sha256(CONTENT).hexdigest()
    address = LOOPBACK if introduce == "off" else CLEAN
    assert f"[{address}]" in next(line for line in mx.quiet_log()[before:].splitlines() if "client=" in line)
    (closed,) = run.closed()
    assert closed["verdict"] == "clean"
    assert closed["ended"] == "quit"
    assert closed["messages_accepted"] == 1


async def test_clean_peer_is_joined(proxy: Starts) -> None:
    """The backend gets a clean peer's bytes as they were said; the peer gets the backend's own banner."""
    async with fake_backend() as backend:
        run = await _start(proxy, BACKENDS=_at(backend.address), RELAY_TEST="off")
        probes = len(backend.connections)
        peer = await trio.to_thread.run_sync(_pipeline, run.address)
        await backend.wait_closed(probes + 1)
    connection = backend.connections[-1]
    assert bytes(connection.received) == bytes(peer.said)
    said = ["BANNER", "EHLO", "MAIL", "RCPT", "RCPT", "DATA", "DOT", "NOOP", "QUIT"]
    assert peer.all_heard == b"".join(_bytes(backend, verb) for verb in said)


def test_listed_peer_is_dripped_and_delivered(mx: Postfix, proxy: Starts) -> None:
    """A listed peer hears a byte an interval; no backend hears of it before RCPT; its message arrives."""
    mx.clear()
    run = proxy(BACKENDS=_at(mx.address), **DRIP)
    with Peer.connect(run.address, source=LISTED) as peer:
        before = mx.quiet_log()
        dripped = [peer.hear(), peer.ask(b"EHLO p.example"), peer.ask(b"MAIL FROM:<a@example.org>")]
        assert mx.log() == before
        dripped += [peer.ask(b"RCPT TO:<b@example.net>"), peer.ask(b"DATA")]
        assert [heard.code for heard in dripped] == [220, 250, 250, 250, 354]
        peer.say(CONTENT.replace(b"\n.", b"\n.."))
        done = peer.ask(b".")
        assert done.code == 250
        assert peer.ask(b"QUIT").code == 221
    for heard in dripped:
        _assert_dripped(heard)
    assert len(done.pieces) == 1
    assert mx.wait_for_messages(1) == [CONTENT]
    (closed,) = run.closed()
    assert (closed["verdict"], closed["treatment"], closed["peer"]) == ("suspect", "slow", LISTED)
    assert closed["messages_accepted"] == 1
    assert "seen sending spam" in str(closed["findings"])


def test_pregreet_is_found_out(mx: Postfix, proxy: Starts) -> None:
    """Who speaks before the banner is a suspect, and is served all the same."""
    run = proxy(BACKENDS=_at(mx.address), GREET_WAIT="500ms", PACE_BYTE="1ms", PACE_DELAY="0")
    with Peer.connect(run.address, source=CLEAN) as peer:
        peer.say(b"EHLO hasty.example\r\n")
        assert [peer.hear().code, peer.hear().code] == [220, 250]
        assert peer.ask(b"QUIT").code == 221
    (closed,) = run.closed()
    assert closed["pregreet"] is True
    assert closed["verdict"] == "suspect"
    assert closed["helo"] == "hasty.example"


@pytest.mark.parametrize("source", [CLEAN, LISTED], ids=["clean", "listed"])
def test_backend_down(proxy: Starts, source: str) -> None:
    """Without a backend a peer is told to come again, never that its mail is refused."""
    run = proxy(BACKENDS=f"{LOOPBACK}:{free_port()}", PACE_BYTE="1ms", PACE_DELAY="0", PREGREET_WAIT="0")
    assert _last_code(run.address, source) in {421, 451}
    (closed,) = run.closed()
    assert closed["messages_accepted"] == 0


@pytest.mark.parametrize("source", [CLEAN, LISTED], ids=["clean", "listed"])
@pytest.mark.parametrize("verb", ["BANNER", "EHLO", "MAIL", "RCPT"])
async def test_backend_hangs_up(proxy: Starts, source: str, verb: str) -> None:
    """Nor is it refused when the backend hangs up on us, at whatever command."""
    async with fake_backend() as backend:
        run = await _start(
            proxy,
            BACKENDS=_at(backend.address),
            RELAY_TEST="off",
            PACE_BYTE="1ms",
            PACE_DELAY="0",
            PREGREET_WAIT="0",
        )
        backend.answers[verb] = Does.CLOSE
        assert await trio.to_thread.run_sync(_last_code, run.address, source) in {421, 451}


def test_trusting_backend_stops_the_start(mx: Postfix, proxy: Starts) -> None:
    """Behind us, a Postfix that trusts our address would relay for everybody: we do not start."""
    run = proxy(BACKENDS=_at(mx.services["trusting"]))
    assert run.process.wait(20) == 78
    assert "TARPIT_BACKEND_INTRODUCE" in run.output
    assert "mynetworks" in run.output


@pytest.mark.parametrize(("door", "introduce"), [("xclient", "xclient"), ("proxy", "proxy-v2")])
def test_introduced_stranger_cannot_relay(mx: Postfix, proxy: Starts, door: str, introduce: str) -> None:
    """Told who comes, the same Postfix does not relay. (It trusts 127/8, so he comes by IPv6.)"""
    ipv6_or_skip()
    run = proxy(host="::1", BACKENDS=_at(mx.services[door]), BACKEND_INTRODUCE=introduce)
    with Peer.connect(run.address, source="::1") as peer:
        peer.play("""
            S: 220 mx.example.net ESMTP Postfix
            C: EHLO peer.example
            S: 250-mx.example.net...
            C: MAIL FROM:<a@example.org>
            S: 250 2.1.0 Ok
            C: RCPT TO:<b@example.com>
            S: 454 4.7.1 <b@example.com>: Relay access denied
            C: RCPT TO:<b@example.net>
            S: 250 2.1.5 Ok
            C: QUIT
            S: 221 2.0.0 Bye
        """)


def test_wrong_settings_are_named_at_once(proxy: Starts) -> None:
    """All faults in one go, with the name that was meant."""
    run = proxy(PACE_BYT="1s", MAX_SESSIONS="0")
    assert run.process.wait(10) == 78
    assert "TARPIT_PACE_BYT:" in run.output
    assert "TARPIT_PACE_BYTE" in run.output
    assert "TARPIT_MAX_SESSIONS" in run.output


def test_clean_stop(mx: Postfix, proxy: Starts) -> None:
    """TERM: the reply begun is finished at once, a held peer hears 421, the exit code is 0."""
    run = proxy(BACKENDS=_at(mx.address), PACE_BYTE="1s", PACE_DELAY="0", PREGREET_WAIT="0")
    with Peer.connect(run.address, source=LISTED) as peer:
        peer.sock.recv(1)
        run.process.send_signal(signal.SIGTERM)
        assert peer.hear().reply.startswith(b"20 ")
        assert peer.hear().code == 421
        peer.wait_closed()
    assert run.stop() == 0
    (closed,) = run.closed()
    assert closed["ended"] == "stopped"


def _at(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


async def _start(proxy: Starts, **variables: str) -> Run:
    """Start a proxy whose backend runs in this very process."""
    return await trio.to_thread.run_sync(partial(proxy, **variables))


def _swaks(server: Address, directory: Path) -> None:
    server_or_skip("swaks")
    message = directory / "message"
    message.write_bytes(b"\n".join(LINES))  # swaks ends the last line itself
    host, port = server
    sides = ["--server", host, "--port", str(port), "--local-interface", CLEAN, "--ehlo", "peer.example"]
    mail = ["--from", "a@example.org", "--to", "b@example.net", "--data", f"@{message}", "--timeout", "30s"]
    ended = subprocess.run([which("swaks"), *sides, *mail], capture_output=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout.decode() + ended.stderr.decode()


def _smtplib(server: Address, _directory: Path) -> None:
    with smtplib.SMTP(
        *server, local_hostname="peer.example", timeout=30, source_address=(CLEAN, 0)
    ) as client:
        client.sendmail("a@example.org", ["b@example.net"], CONTENT)


def _pipeline(server: Address) -> Peer:
    """Say a session as a pipelining client does: odd case and spacing are the peer's own, and stay."""
    with Peer.connect(server, source=CLEAN) as peer:
        peer.hear()
        peer.ask(b"ehlo Peer.Example")
        peer.say(
            b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nrcpt to:<c@Example.net>\r\nDATA\r\n"
        )
        assert [peer.hear().code for _ in range(4)] == [250, 250, 250, 354]
        peer.say(b"Subject: x\r\n\r\n..\r\n\xff\xfe\ttext\r\n.\r\nNOOP\r\nQUIT\r\n")
        assert [peer.hear().code for _ in range(3)] == [250, 250, 221]
        peer.wait_closed()
        return peer


def _bytes(backend: FakeBackend, verb: str) -> bytes:
    answer = backend.answers[verb]
    assert isinstance(answer, bytes)
    return answer


def _last_code(server: Address, source: str) -> int:
    """Return the first reply that is not 2xx, up to RCPT; no 5xx may be among them."""
    with Peer.connect(server, source=source) as peer:
        code = peer.hear().code
        for line in (b"EHLO p.example", b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.net>"):
            if code >= 300:
                break
            code = peer.ask(line).code
        return code


def _assert_dripped(heard: Heard) -> None:
    """One byte a piece, each at least 0.8 of an interval after the last; the rest may come at once.

    A reply of several lines that is too long for its budget comes line by line.
    """
    *single, _rest = heard.pieces
    if heard.reply.count(b"\n") > 1:
        assert len(single) >= 1
        assert all(data.endswith(b"\r\n") for _, data in single)
        return
    assert len(single) >= 5
    assert {len(data) for _, data in single} == {1}
    assert min(heard.gaps()[:-1]) >= 0.8 * INTERVAL
