"""TLS that ends with the proxy, with real clients and servers, and TLS to a real Postfix behind it."""

import os
import smtplib
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import LISTED
from tests.support.certificates import NAME, Authority
from tests.support.postfix import Postfix, postfix
from tests.support.proxy import Event, Run, Starts
from tests.support.senders import BODY, RECIPIENT
from tests.support.servers import LOOPBACK, directory_for, server_or_skip, wait_until, which

pytestmark = pytest.mark.e2e

PACE = {
    "PACE_BYTE": "20ms",
    "PACE_DELAY": "200ms",
    "PACE_BANNER": "2s",
    "PACE_REPLY": "3s",
    "PACE_DATA": "1s",
    "PREGREET_WAIT": "200ms",
}
MESSAGE = b"From: a@example.org\r\nSubject: inside\r\n\r\n" + BODY


@dataclass(frozen=True)
class Behind:
    """A Postfix with TLS of its own, and who signed what there is."""

    postfix: Postfix
    authority: Authority


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    """Return a Postfix with three ports: TLS offered, TLS demanded, and one that lets us say who comes."""
    with directory_for("tls") as directory:
        authority = Authority(directory)
        pair = authority.issue("127.0.0.1", file="backend")
        tls = {
            "smtpd_tls_cert_file": str(pair.cert),
            "smtpd_tls_key_file": str(pair.key),
            "smtpd_tls_loglevel": "1",
        }
        xclient = {"smtpd_authorized_xclient_hosts": "127.0.0.1", "smtpd_tls_security_level": "may"}
        services = {
            "may": {"smtpd_tls_security_level": "may"},
            "encrypt": {"smtpd_tls_security_level": "encrypt"},
            "xclient": xclient,
            "exposed": xclient,
        }
        with postfix(main=tls, services=services) as server:
            yield Behind(server, authority)


@pytest.fixture
def secured(proxy: Starts, behind: Behind, tmp_path: Path) -> Starts:
    """Return a function that starts a proxy that ends TLS; its backend is plain Postfix unless said."""

    def start(host: str = LOOPBACK, **variables: str) -> Run:
        pair = Authority(tmp_path).issue(NAME, "localhost")
        files = {"TLS_CERT": str(pair.cert), "TLS_KEY": str(pair.key)}
        run = proxy(host, **{"BACKENDS": place(behind.postfix.address), **files, **PACE, **variables})
        assert not run.ended, run.output
        return run

    return start


def place(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


def trusting(path: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(path / "authority.pem"))
    context.check_hostname = False
    return context


def send(run: Run, context: ssl.SSLContext, *, source: str = "127.0.0.3", message: bytes = MESSAGE) -> Event:
    """Deliver a message by smtplib, inside TLS, and return the session's event."""
    where = {"local_hostname": "client.example", "source_address": (source, 0), "timeout": 60.0}
    with smtplib.SMTP(*run.address, **where) as client:  # type: ignore[arg-type]
        client.starttls(context=context)
        client.ehlo()
        assert not client.has_extn("starttls")
        client.sendmail("a@example.org", [RECIPIENT], message)
    return run.closed()[-1]


@pytest.mark.parametrize(("source", "treatment"), [("127.0.0.3", "pass"), (LISTED, "slow")])
def test_smtplib(source: str, treatment: str, secured: Starts, behind: Behind, tmp_path: Path) -> None:
    """Python's smtplib delivers inside TLS, clean and slowed; what is stored is what was sent."""
    behind.postfix.clear()
    run = secured()
    closed = send(run, trusting(tmp_path), source=source)
    assert behind.postfix.wait_for_messages(1)[0] == MESSAGE
    assert (closed["treatment"], closed["tls"], closed["messages_accepted"]) == (treatment, "TLSv1.3", 1)
    assert (float(str(closed["held_seconds"])) > 2) == (treatment == "slow")


@pytest.mark.parametrize("source", ["127.0.0.3", LISTED], ids=["clean", "suspect"])
def test_large(source: str, secured: Starts, behind: Behind, tmp_path: Path) -> None:
    """Five megabytes, with lines of a megabyte, arrive whole through TLS."""
    behind.postfix.clear()
    body = b"".join(b"%07d" % line * 150_000 + b"\r\n" for line in range(5))
    send(secured(), trusting(tmp_path), source=source, message=MESSAGE + body)
    (stored,) = behind.postfix.wait_for_messages(1)
    assert stored == MESSAGE + body


@pytest.mark.parametrize("source", ["127.0.0.3", LISTED], ids=["clean", "suspect"])
@pytest.mark.parametrize("protocol", ["tlsv1_2", "tlsv1_3"])
def test_swaks(source: str, protocol: str, secured: Starts, behind: Behind, tmp_path: Path) -> None:
    """Swaks delivers inside either version, and finds our certificate good."""
    server_or_skip("swaks")
    if subprocess.run(["perl", "-MNet::SSLeay", "-e", "1"], check=False, capture_output=True).returncode:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "swaks has no TLS: libnet-ssleay-perl"
        )
    behind.postfix.clear()
    run = secured()
    where = ["--server", run.address[0], "--port", str(run.address[1]), "--local-interface", source]
    what = ["--from", "a@example.org", "--to", RECIPIENT, "--ehlo", "client.example"]
    tls = [
        "--tls",
        "--tls-protocol",
        protocol,
        "--tls-verify",
        "--tls-ca-path",
        str(tmp_path / "authority.pem"),
    ]
    done = subprocess.run([which("swaks"), *where, *what, *tls], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    behind.postfix.wait_for_messages(1)
    assert run.closed()[-1]["tls"] == {"tlsv1_2": "TLSv1.2", "tlsv1_3": "TLSv1.3"}[protocol]


def test_openssl(secured: Starts, tmp_path: Path) -> None:
    """`openssl s_client` finds a chain that verifies, whatever name it asks for, and an orderly end."""
    run = secured()
    for name in (NAME, "unknown.example"):
        done = openssl(run, tmp_path, b"quit\n", "-servername", name)
        assert b"Verification: OK" in done
        assert b"221 2.0.0 Bye" in done


def openssl(run: Run, directory: Path, said: bytes, *options: str) -> bytes:
    """Say something by `openssl s_client`, and return all it printed."""
    command = [which("openssl"), "s_client", "-starttls", "smtp", "-connect", place(run.address), "-crlf"]
    with subprocess.Popen(
        [*command, "-CAfile", str(directory / "authority.pem"), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(said)
        process.stdin.flush()
        out = process.stdout.read()
        process.wait(30)
    return out


def test_tls_06_renegotiation_is_refused(secured: Starts, tmp_path: Path) -> None:
    """TLS-06: a client of TLS 1.2 that asks to renegotiate gets an alert, and not a second handshake."""
    out = openssl(secured(), tmp_path, b"R\nquit\n", "-tls1_2")
    assert b"RENEGOTIATING" in out
    assert b"no renegotiation" in out


def test_postfix_as_the_sender(secured: Starts, behind: Behind, tmp_path: Path) -> None:
    """Postfix with smtp_tls_security_level=encrypt delivers while it is slowed."""
    behind.postfix.clear()
    run = secured()
    main = {
        "default_transport": f"smtp:[{run.address[0]}]:{run.address[1]}",
        "virtual_mailbox_domains": "",
        "mynetworks": "127.0.0.0/8",
        "smtp_bind_address": LISTED,
        "smtp_tls_security_level": "encrypt",
        "smtp_tls_loglevel": "1",
    }
    with postfix(main=main) as sender:
        with smtplib.SMTP(*sender.address, local_hostname="user.example", timeout=30) as client:
            client.sendmail("a@example.org", [RECIPIENT], MESSAGE)
        behind.postfix.wait_for_messages(1, seconds=60)
        wait_until(lambda: "TLS connection established" in sender.log(), "Postfix tells of its TLS")
    closed = run.closed()[-1]
    assert (closed["treatment"], closed["tls"], closed["messages_accepted"]) == ("slow", "TLSv1.3", 1)


@pytest.mark.parametrize(
    ("said", "within"),
    [
        pytest.param(b"\x00\xff garbage \x00", 3, id="garbage"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", 6, id="half a ClientHello"),
        pytest.param(b"", 6, id="nothing"),
    ],
)
def test_tls_05_no_handshake(said: bytes, within: float, secured: Starts) -> None:
    """TLS-05: who does not shake hands is gone when the time is over; no traceback, and others are served."""
    run = secured(TIMEOUT_TLS="2s")
    with socket.create_connection(run.address, timeout=10) as peer:
        stream = peer.makefile("rb")
        stream.readline()
        peer.sendall(b"EHLO client.example\r\n")
        while stream.readline()[3:4] == b"-":
            pass
        peer.sendall(b"STARTTLS\r\n")
        assert stream.readline().startswith(b"220 ")
        began = time.monotonic()
        peer.sendall(said)
        (closed,) = run.closed()
        assert time.monotonic() - began < within
    assert closed["tls_failure"]
    assert not run.events("session.failed")
    assert "Traceback" not in run.output


def test_tls_09_renewed_at_hup(secured: Starts, tmp_path: Path) -> None:
    """TLS-09: HUP puts a new certificate in use without a restart; a bad one is told, and changes nothing."""
    run = secured()
    serial = certificate(run, tmp_path)
    authority = Authority(tmp_path)
    authority.issue(NAME)
    os.kill(run.process.pid, 1)
    wait_until(lambda: len(run.events("certificate.loaded")) == 2, "the certificate is read again")
    assert certificate(run, tmp_path) != serial
    serial = certificate(run, tmp_path)
    (tmp_path / "mx.pem").write_text("oops")
    os.kill(run.process.pid, 1)
    wait_until(lambda: len(run.events("certificate.kept")) == 1, "the bad one is told")
    assert certificate(run, tmp_path) == serial


def certificate(run: Run, directory: Path) -> bytes | None:
    context = trusting(directory)
    with smtplib.SMTP(*run.address, timeout=10) as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        return client.sock.getpeercert(binary_form=True)


def test_tls_09_no_start(proxy: Starts, behind: Behind, tmp_path: Path) -> None:
    """TLS-09: an expired certificate stops the start, told by its variable."""
    pair = Authority(tmp_path).issue(begins=-9, days=-1)
    files = {"TLS_CERT": str(pair.cert), "TLS_KEY": str(pair.key)}
    run = proxy(BACKENDS=place(behind.postfix.address), **files)
    assert run.process.wait(10) == 78
    assert "TARPIT_TLS_CERT: cannot be used: certificate has expired" in run.output


# -- TLS to the backend


@pytest.mark.parametrize("service", ["may", "encrypt", "xclient"])
@pytest.mark.parametrize("source", ["127.0.0.3", LISTED], ids=["clean", "suspect"])
def test_inside_tls_to_postfix(
    source: str, service: str, secured: Starts, behind: Behind, tmp_path: Path
) -> None:
    """With `require` and a pinned authority all goes on inside TLS, the introduction too."""
    introduce = "xclient" if service == "xclient" else "off"
    behind.postfix.clear()
    address = place(behind.postfix.services[service])
    run = secured(
        BACKENDS=f"{address};introduce={introduce};tls=require",
        BACKEND_CA=str(behind.authority.file),
    )
    before = len(behind.postfix.quiet_log())
    closed = send(run, trusting(tmp_path), source=source)
    (stored,) = behind.postfix.wait_for_messages(1)
    assert stored == MESSAGE
    assert closed["messages_accepted"] == 1
    log = behind.postfix.quiet_log()[before:]
    assert "TLS connection established from" in log
    assert (f"client=unknown[{source}]" in log or f"client=localhost[{source}]" in log) == (
        introduce == "xclient"
    ), log


def test_tls_11_another_authority(secured: Starts, behind: Behind, tmp_path: Path) -> None:
    """TLS-11: a backend whose certificate is not from the pinned authority gets no mail: 421, never plain."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    address = place(behind.postfix.services["may"])
    run = secured(
        BACKENDS=f"{address};tls=require", BACKEND_CA=str(Authority(foreign).file), RELAY_TEST="off"
    )
    with socket.create_connection(run.address, timeout=10) as peer:
        assert peer.recv(100).startswith(b"421 ")
    assert "unable to get local issuer certificate" in str(run.closed()[0]["errors"])


def test_tls_11_stripped(secured: Starts, behind: Behind) -> None:
    """TLS-11: a backend that does not offer STARTTLS gets no mail, where it has to; with `may` it does."""
    address = place(behind.postfix.address)
    run = secured(BACKENDS=f"{address};tls=require", RELAY_TEST="off")
    with socket.create_connection(run.address, timeout=10) as peer:
        assert peer.recv(100).startswith(b"421 ")
    run = secured(BACKENDS=f"{address};tls=may")
    with socket.create_connection(run.address, timeout=10) as peer:
        assert peer.recv(100).startswith(b"220 ")
    assert run.events("backend.unsecured")[0]["reason"] == "does not offer STARTTLS"


def test_tls_12(proxy: Starts, behind: Behind) -> None:
    """TLS-12: a proxy that would pass TLS on to a backend that lets us say XCLIENT does not start."""
    run = proxy(BACKENDS=place(behind.postfix.services["exposed"]), TLS="pass")
    assert run.process.wait(10) == 78
    assert "TARPIT_TLS: pass leaves TLS to" in run.output
    assert "XCLIENT" in run.output
