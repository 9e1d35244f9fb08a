"""Certificates: what can be used, what stops the start, and what a client of ours believes."""

import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from tarpit.errors import SettingsError
from tarpit.sealed import seal
from tarpit.tls import DAY, Certificate, Certificates, Trust
from tests.support.certificates import NAME, Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return who signs."""
    return Authority(tmp_path)


def shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = NAME) -> ssl.SSLObject:
    """Let *client* and *server* shake hands in memory, and return the client's end."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(down, up, server_hostname=name)
    ours = server.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for end in (theirs, ours):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert theirs.version()
    return theirs


def test_what_is_loaded(authority: Authority) -> None:
    """A certificate knows its names and its end; with a chain as well."""
    pair = authority.issue(NAME, "*.example.org", days=30)
    certificate = Certificate.load(pair.cert, pair.key)
    assert certificate.names == (NAME, "*.example.org")
    assert 29 < (certificate.ends - time.time()) / DAY < 31
    shake(certificate.context, authority.client())


def missing_cert(authority: Authority, pair: Pair) -> Pair:
    return Pair(authority.directory / "none", pair.key)


def missing_key(authority: Authority, pair: Pair) -> Pair:
    return Pair(pair.cert, authority.directory / "none")


def other_key(authority: Authority, pair: Pair) -> Pair:
    return Pair(pair.cert, authority.issue(file="other").key)


def no_pem(authority: Authority, pair: Pair) -> Pair:
    return Pair(pair.key, pair.key)


def no_key(authority: Authority, pair: Pair) -> Pair:
    return Pair(pair.cert, pair.cert)


def with_password(authority: Authority, pair: Pair) -> Pair:
    locked = authority.directory / "locked.key"
    command = ["openssl", "pkey", "-aes128", "-passout", "pass:secret", "-in", str(pair.key)]
    locked.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return Pair(pair.cert, locked)


def expired(authority: Authority, pair: Pair) -> Pair:
    return authority.issue(begins=-3, days=-1)


def early(authority: Authority, pair: Pair) -> Pair:
    return authority.issue(begins=1)


def weak(authority: Authority, pair: Pair) -> Pair:
    made = Pair(authority.directory / "weak.pem", authority.directory / "weak.key")
    subject = ["-subj", "/CN=x", "-days", "9", "-keyout", str(made.key), "-out", str(made.cert)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", *subject]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (missing_cert, r"^TARPIT_TLS_CERT: .*none cannot be read: No such file"),
        (missing_key, r"^TARPIT_TLS_KEY: .*none cannot be read: No such file"),
        (other_key, r"^TARPIT_TLS_KEY: is not the key of TARPIT_TLS_CERT$"),
        (no_pem, r"^TARPIT_TLS_CERT: is no certificate chain in PEM$"),
        (no_key, r"^TARPIT_TLS_KEY: is no key in PEM that can be read without a password$"),
        (with_password, r"^TARPIT_TLS_KEY: is no key in PEM that can be read without a password$"),
        (expired, r"^TARPIT_TLS_CERT: cannot be used: certificate has expired$"),
        (early, r"^TARPIT_TLS_CERT: cannot be used: certificate is not yet valid$"),
        (weak, r"^TARPIT_TLS_CERT: cannot be used: ee key too small$"),
    ],
)
def test_tls_09_what_cannot_be_used(
    spoil: Callable[[Authority, Pair], Pair], told: str, authority: Authority
) -> None:
    """TLS-09: each fault is told by its variable; no password is ever asked for on a terminal."""
    pair = spoil(authority, authority.issue())
    with pytest.raises(SettingsError, match=told):
        Certificates(pair.cert, pair.key)


def test_tls_09_renewed(authority: Authority) -> None:
    """TLS-09: a new certificate is used from then on; a bad one leaves the one before in use."""
    pair = authority.issue("old.example")
    certificates = Certificates(pair.cert, pair.key)
    authority.issue("new.example")
    certificates.renew()
    assert certificates.now.names == ("new.example",)
    pair.key.write_text("oops")
    with pytest.raises(SettingsError, match="TARPIT_TLS_KEY"):
        certificates.renew()
    assert certificates.now.names == ("new.example",)


@pytest.mark.parametrize("name", [NAME, "unknown.example", "sub.mx.example", None])
def test_tls_10_whatever_name_is_asked_for(name: str | None, authority: Authority) -> None:
    """TLS-10: a client that asks for an unknown name, or for none, is shown the one certificate there is."""
    pair = authority.issue()
    client = authority.client()
    client.check_hostname = False
    end = shake(Certificate.load(pair.cert, pair.key).context, client, name)
    shown = end.getpeercert()
    assert shown is not None
    assert ("DNS", NAME) in shown["subjectAltName"]


def test_nothing_older_than_1_2(authority: Authority) -> None:
    """TLS 1.1 is refused, and so is compression."""
    pair = authority.issue()
    context = Certificate.load(pair.cert, pair.key).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    client = authority.client()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        shake(context, client)


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_13_no_tickets(highest: ssl.TLSVersion, authority: Authority) -> None:
    """TLS-13: nothing is handed out with which a session could be taken to another service."""
    pair = authority.issue()
    context, client = Certificate.load(pair.cert, pair.key).context, authority.client(highest=highest)
    near, far = socket.socketpair()
    with client.wrap_socket(far, server_hostname=NAME, do_handshake_on_connect=False) as theirs:
        theirs.setblocking(False)
        near.setblocking(False)
        with seal(near, context) as ours:
            for _ in range(4):
                ours.shake()
                try:
                    theirs.do_handshake()
                except ssl.SSLWantReadError:
                    continue
            ours.send(b"x")
            assert theirs.recv(1) == b"x"
            assert theirs.session is None or not theirs.session.has_ticket


def test_tls_06_no_renegotiation(authority: Authority) -> None:
    """TLS-06: a peer cannot have us do the dear part of a handshake again."""
    pair = authority.issue()
    assert Certificate.load(pair.cert, pair.key).context.options & ssl.OP_NO_RENEGOTIATION


# -- towards backends


def test_a_pinned_authority(authority: Authority, tmp_path: Path) -> None:
    """`require` believes what was pinned and nobody else; `may` believes anybody."""
    pair = authority.issue()
    server = Certificate.load(pair.cert, pair.key).context
    trust = Trust(authority.file)
    shake(server, trust.require)
    shake(server, trust.may, "whoever.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(server, trust.require, "other.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, Trust().require)
    foreign = tmp_path / "foreign.pem"
    trustme.CA().cert_pem.write_to_path(str(foreign))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, Trust(foreign).require)


def test_a_pinned_certificate(authority: Authority) -> None:
    """A backend's own certificate may be pinned, whoever has signed it."""
    pair, other = authority.issue(), authority.issue(file="other")
    trust = Trust(pair.cert)
    shake(Certificate.load(pair.cert, pair.key).context, trust.require)
    chained = other.cert.read_bytes()
    assert chained != pair.cert.read_bytes()
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(Certificate.load(other.cert, other.key).context, trust.require)


@pytest.mark.parametrize(("text", "told"), [(None, "cannot be read"), ("junk", "holds no certificates")])
def test_authorities_that_cannot_be_used(text: str | None, told: str, tmp_path: Path) -> None:
    """A file that is missing or no PEM is told by its variable."""
    path = tmp_path / "ca.pem"
    if text:
        path.write_text(text)
    with pytest.raises(SettingsError, match=f"^TARPIT_BACKEND_CA: .*{told}"):
        Trust(path)


def test_authorities_that_nobody_needs(tmp_path: Path) -> None:
    """Where no backend has to show a certificate, no authorities are read."""
    assert not Trust(tmp_path / "none", required=False).require.get_ca_certs()
