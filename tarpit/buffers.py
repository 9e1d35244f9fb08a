"""How much the kernel keeps for a suspect: little while it is slowed, the usual once it is not.

`Wire.hold_small` narrows when a peer turns out a suspect, before its dialogue begins; `Wire.hold_usual`
widens before anything of its is read at full speed. Measured on Linux (segments of 1,460 bytes, a peer that
sends all it can while nobody reads): 119 KB wait for us by default, 7 KB once narrowed, so the sender's own
write blocks; a peer that reads nothing is queued 8 KB of replies, not 2.1 MB. A message of 20 MB read after
widening comes at 94 MB/s, left narrow at 63 MB/s on loopback, and at 7 KB a round trip elsewhere.

Rejected: a small buffer on the listener. It holds a peer from its first byte, but clean peers inherit it,
and with it a window scale that no later option brings back. So clean peers are not touched at all.
"""

import contextlib
import socket
from typing import Final

SMALL: Final = 4096  # bytes; the kernel takes twice that
DEAD_AFTER: Final = 120.0  # seconds
USUAL: Final = 262_144  # bytes; the kernel caps it at net.core.rmem_max and wmem_max


def narrow(sock: socket.socket) -> None:
    """Keep little for this peer, and end the connection when it acknowledges nothing for two minutes.

    RFC 5482 calls that the user time-out: a host that has vanished is noticed after it, not after the
    quarter of an hour that retransmissions take.
    """
    segment = 0
    with contextlib.suppress(OSError):
        segment = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    # less than a segment (65,483 bytes on loopback) leaves the window shut but for probes, 5 a second
    _set(sock, (socket.SOL_SOCKET, socket.SO_RCVBUF, max(SMALL, segment)))
    _set(sock, (socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL))
    _set(sock, (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(DEAD_AFTER * 1000)))


def widen(sock: socket.socket) -> None:
    """Let this peer's bytes flow."""
    _set(sock, (socket.SOL_SOCKET, socket.SO_RCVBUF, USUAL))
    _set(sock, (socket.SOL_SOCKET, socket.SO_SNDBUF, USUAL))


def _set(sock: socket.socket, option: tuple[int, int, int]) -> None:
    # a socket that refuses is not TCP, or broken already, which the next read will tell
    with contextlib.suppress(OSError):
        sock.setsockopt(*option)
