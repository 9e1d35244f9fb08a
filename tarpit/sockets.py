"""What sockets of the standard library say, in our words: where their ends are, and what went wrong.

Reading and writing them is `wire`.
"""

import errno
import ssl
from collections.abc import Callable
from typing import Final

PLAINLY: Final = {
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection closed",
    errno.ETIMEDOUT: "connection timed out",
    errno.ECONNREFUSED: "refused",
}


def end_of(ask: Callable[[], object]) -> tuple[str, int]:
    """Return the address and port that `getpeername` or `getsockname` tells; ("", 0) if there is none."""
    try:
        name = ask()
    except OSError:
        return ("", 0)
    return (name[0], name[1]) if isinstance(name, tuple) else ("", 0)


def reason_of(error: OSError) -> str:
    """Return what a socket means by *error*, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if reason := getattr(error, "reason", None):  # OpenSSL's
        return str(reason).replace("_", " ").lower()
    return PLAINLY.get(error.errno or 0, error.strerror or str(error))
