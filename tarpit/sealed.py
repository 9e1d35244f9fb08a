"""A connected socket inside TLS, with the manners of a plain one, so that `wire` need hardly know.

OpenSSL reads and writes the descriptor itself. Where it has to wait, `BlockingIOError` is raised here, as by
a plain socket; an end without a close_notify is an error and no end, for anybody on the way can make one
(RFC 8446 section 6.1). What is decrypted already does not wake epoll: a read goes on until it has what it may
have or nothing is left, and `more` says which.

Rejected: `ssl.SSLObject` with buffers of our own. What the kernel does not take at once stays in ours with
nobody to send it on; OpenSSL takes up a write by itself where it was interrupted.

When a handshake may take place, and for how long, is `handshake`; certificates are `tls`.
"""

import contextlib
import errno
import socket
import ssl
from typing import Final

RECORD: Final = 16_384  # bytes in one record, at most (RFC 8446 section 5.1)


def seal(sock: socket.socket, context: ssl.SSLContext, host: str | None = None) -> "Sealed":
    """Return *sock* inside TLS, as the server, or as the client of *host*; it is taken over, or closed.

    Raises `OSError`: it was reset meanwhile, or *host* is no name that TLS knows.
    """
    try:
        (host or "").encode("idna")  # what cannot be a name is found after the socket has been taken apart
        sealed = context.wrap_socket(
            sock,
            server_side=host is None,
            server_hostname=host,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
    except (OSError, ValueError) as error:
        sock.close()
        raise error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error)) from None
    assert isinstance(sealed, Sealed), "a context made by `tls`"
    return sealed


class Sealed(ssl.SSLSocket):
    """What a context makes of a socket if this is its `sslsocket_class`. Nothing plain ever goes through."""

    more = False  # whether the next read may find something without epoll saying so
    suite = ""  # the cipher suite that was agreed on; empty before the end of the handshake
    _ahead = b""  # decrypted in order to see whether anything is there, and not read yet
    _version: str | None = None

    def shake(self) -> bool:
        """Go on with the handshake as far as the bytes at hand lead, and return whether it is over."""
        try:
            self.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        agreed = self.cipher()
        assert agreed is not None, "the handshake is over"
        self.suite, self._version = agreed[0], super().version()
        return True

    def version(self) -> str | None:
        """Return the version that was agreed on; OpenSSL has forgotten it once a session breaks off."""
        return self._version

    def recv(self, limit: int = RECORD, flags: int = 0) -> bytes:
        """Return up to *limit* bytes, b"" at the end. With MSG_PEEK a byte, which stays, or b""."""
        if flags & socket.MSG_PEEK:
            return self._peek()
        data, self._ahead = self._ahead[:limit], self._ahead[limit:]
        self.more = True
        while len(data) < limit:
            try:
                piece = self._record(limit - len(data))
            except OSError as error:
                self.more = not isinstance(error, BlockingIOError)
                if not data:
                    raise
                break  # what has come is heard first; the fault is found again
            if not piece:
                break
            data += piece
        return data

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]  # noqa: ARG002
        """Send what the kernel takes at once. What has blocked is half on its way: it must be tried again."""
        try:
            return self.write(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ValueError:
            raise _closed() from None

    def shutdown(self, how: int) -> None:
        """End our side: by a close_notify, if the kernel takes one, and as a plain socket does."""
        with contextlib.suppress(OSError, ValueError):
            self.unwrap()
        socket.socket.shutdown(self, how)

    def _peek(self) -> bytes:
        with contextlib.suppress(ssl.SSLEOFError):  # cut off or not: it sends no more
            self._ahead = self._ahead or self._record(RECORD)
        return self._ahead[:1]

    def _record(self, limit: int) -> bytes:
        try:
            return self.read(limit)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ValueError:
            raise _closed() from None


def _closed() -> OSError:
    return OSError(errno.ENOTCONN, "TLS is over")
