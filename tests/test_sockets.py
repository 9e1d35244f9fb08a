"""What sockets say, in our words."""

import socket
import ssl

import pytest

from tarpit.sockets import end_of, reason_of

UNKNOWN = ssl.SSLCertVerificationError()
UNKNOWN.verify_message = "certificate has expired"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionResetError(104, "x"), "connection reset"),
        (OSError(113, "No route to host"), "No route to host"),
        (OSError("strange"), "strange"),
        (UNKNOWN, "certificate has expired"),
        (
            ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
            "EOF occurred in violation of protocol",
        ),
    ],
)
def test_reasons_are_plain(error: OSError, reason: str) -> None:
    """What went wrong is said in a few words."""
    assert reason_of(error) == reason


def test_a_reason_of_tls() -> None:
    """What OpenSSL shouts is said quietly."""
    near, far = socket.socketpair()
    far.sendall(b"no TLS at all")
    with far, pytest.raises(ssl.SSLError) as caught:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(near, server_side=True)
    near.close()
    assert reason_of(caught.value) == "wrong version number"


def test_ends() -> None:
    """An end is an address and a port; a socket that has none, or is no longer there, has neither."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert end_of(sock.getsockname) == sock.getsockname()
        assert end_of(sock.getpeername) == ("", 0)
    with socket.socket(socket.AF_UNIX) as unnamed:
        assert end_of(unnamed.getsockname) == ("", 0)
