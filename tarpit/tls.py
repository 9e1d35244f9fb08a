"""What TLS is spoken with: our certificate towards peers, and whom we believe towards backends.

    TARPIT_TLS_CERT, _KEY ─► Certificate.load ─► a context for all sessions, until the next HUP
    TARPIT_BACKEND_CA     ─► Trust ─► a context for backends that may be anybody, and one for the others

TLS 1.2 and later, no renegotiation (a peer could have us do the dear half of a handshake over and over), no
compression (CRIME). There is one certificate: whatever name a client asks for by SNI, it is shown that one,
as RFC 8461 section 4.1 wants of whoever has no better. No session tickets: the key that all tickets of a
process hang on would have to be changed daily, without one nothing can be taken from this service to another
with the same certificate, and tickets cost more than they bring: 0.57 ms of CPU a handshake with them (RSA
2048, TLS 1.3), 0.50 ms without, 0.27 ms when resumed, and few mail servers ever resume. (Of TLS 1.2 OpenSSL
itself remembers sessions that ended in order, for two hours: at most 20,480 of 1.1 KB, by context.)

Rejected: reading dates out of the certificate ourselves. We shake hands with ourselves in memory, as a client
that trusts this certificate alone; OpenSSL finds what is wrong, and what it found right is what clients see.

When handshakes are made is `handshake`; where a bad certificate is told, `watch` and `services`.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tarpit.errors import Fault, SettingsError
from tarpit.sealed import Sealed
from tarpit.sockets import reason_of

CERT: Final = "TARPIT_TLS_CERT"
KEY: Final = "TARPIT_TLS_KEY"
CA: Final = "TARPIT_BACKEND_CA"
DAY: Final = 86_400.0  # seconds
SOON: Final = 14.0  # days to the end of a certificate: whoever renews it should have done so by then
_COMMON: Final = ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that can be used. `names` are those it is for, `ends` seconds since the epoch."""

    context: ssl.SSLContext
    names: tuple[str, ...]
    ends: float

    @classmethod
    def load(cls, cert: Path, key: Path) -> "Certificate":
        """Read a chain and its key. Raises `SettingsError`: missing, not PEM, not a pair, not valid now."""
        texts = [_read(CERT, cert), _read(KEY, key)]
        context = _context(ssl.PROTOCOL_TLS_SERVER)
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_TICKET
        context.num_tickets = 0
        try:
            context.load_cert_chain(cert, key, password=_no_password)
        except (OSError, ValueError) as error:
            raise _bad_pair(texts[0], error) from None
        names, ends = _examine(context, texts[0])
        return cls(context, names, ends)


class Certificates:
    """The certificate in use. Sessions under way keep the one that they began with."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Load it; raises `SettingsError` where it cannot be used."""
        self._files = cert, key
        self.now = Certificate.load(cert, key)

    def renew(self) -> None:
        """Read the files again. Raises `SettingsError`, and the one from before stays in use."""
        self.now = Certificate.load(*self._files)


class Trust:
    """Whom we believe to be a backend: `may` anybody, `require` who has the right name from an authority."""

    def __init__(self, authorities: Path | None = None, *, required: bool = True) -> None:
        """*authorities*: a PEM file, None for the system's. A backend's own certificate in it is pinned.

        Those are read only where `require` is *required*. Raises `SettingsError`.
        """
        self.may = _context(ssl.PROTOCOL_TLS_CLIENT)
        self.may.check_hostname = False
        self.may.verify_mode = ssl.CERT_NONE
        self.require = _context(ssl.PROTOCOL_TLS_CLIENT)
        if not required:
            return
        if authorities is None:
            self.require.load_default_certs()
            return
        text = _read(CA, authorities)
        if not _is_pem(text):
            raise _fault(CA, f"{authorities} holds no certificates in PEM")
        self.require.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self.require.load_verify_locations(cadata=text)


def _context(side: int) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= _COMMON
    context.sslsocket_class = Sealed
    return context


def _examine(context: ssl.SSLContext, chain: str) -> tuple[tuple[str, ...], float]:
    """Shake hands with ourselves; return the names and the end of the certificate that was shown."""
    client = _context(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=chain)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(up, down, server_side=True)
    theirs = client.wrap_bio(down, up)
    try:
        while not (_goes_on(theirs) & _goes_on(ours)):
            pass
    except OSError as error:
        raise _fault(CERT, f"cannot be used: {reason_of(error)}") from None
    shown = theirs.getpeercert()
    assert shown, "it was verified"
    names = tuple(str(name[1]) for name in shown.get("subjectAltName", ()))
    return names, ssl.cert_time_to_seconds(str(shown["notAfter"]))


def _goes_on(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _bad_pair(chain: str, error: OSError | ValueError) -> SettingsError:
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    if reason == "KEY_VALUES_MISMATCH":
        return _fault(KEY, f"is not the key of {CERT}")
    if not _is_pem(chain):
        return _fault(CERT, "is no certificate chain in PEM")
    if reason:
        return _fault(CERT, f"cannot be used: {reason_of(error)}")  # type: ignore[arg-type]
    return _fault(KEY, "is no key in PEM that can be read without a password")


def _is_pem(text: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError as error:
        raise _fault(name, f"{path} cannot be read: {error.strerror or error}") from None


def _no_password() -> str:
    """Be asked for a key's password, instead of the terminal."""
    return ""


def _fault(name: str, why: str) -> SettingsError:
    return SettingsError([Fault(name, why)])
