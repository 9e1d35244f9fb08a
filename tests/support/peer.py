"""A scripted peer: says and hears a transcript over a real socket, and notes when each byte came.

    S: 220 ...
    C: EHLO peer.example
    S: 250 ...

`S:` lines are compared as far as they go: `...` at the end stands for any rest, of any number of lines.
Blocking, on the standard library only: in an async test it runs in a thread (`trio.to_thread.run_sync`).
"""

import socket
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Self

PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Heard:
    """One reply: its bytes, and the pieces it came in as (seconds since the connect, bytes)."""

    reply: bytes
    pieces: tuple[tuple[float, bytes], ...]

    @property
    def code(self) -> int:
        """The reply code."""
        return int(self.reply[:3])

    def gaps(self) -> list[float]:
        """Return the seconds between the pieces."""
        times = [at for at, _ in self.pieces]
        return [later - earlier for earlier, later in pairwise(times)]


@dataclass
class Peer:
    """One connection to a server. `said` and `heard` are all that went over it."""

    sock: socket.socket
    began: float = field(default_factory=time.monotonic)
    said: bytearray = field(default_factory=bytearray)
    heard: list[tuple[float, bytes]] = field(default_factory=list)
    _rest: list[tuple[float, bytes]] = field(default_factory=list)

    @classmethod
    def connect(
        cls, address: tuple[str, int], *, source: str = "127.0.0.1", patience: float = PATIENCE
    ) -> Self:
        """Connect to *address* from the loopback address *source*."""
        sock = socket.create_connection(address, timeout=patience, source_address=(source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    @property
    def all_heard(self) -> bytes:
        """Every byte that came, in one."""
        return b"".join(data for _, data in self.heard)

    def say(self, data: bytes) -> None:
        """Send *data* as it is."""
        self.said += data
        self.sock.sendall(data)

    def hear(self) -> Heard:
        """Read one whole reply; an empty one at the end of the connection."""
        pieces: list[tuple[float, bytes]] = []
        while True:
            if not self._rest:
                self._rest = self._receive()
                if not self._rest:
                    return Heard(b"".join(data for _, data in pieces), tuple(pieces))
            at, data = self._rest.pop(0)
            so_far = b"".join(piece for _, piece in pieces)
            end = _end_of_reply(so_far + data)
            if end is None:
                pieces.append((at, data))
                continue
            cut = end - len(so_far)
            if data[cut:]:
                self._rest.insert(0, (at, data[cut:]))
            pieces.append((at, data[:cut]))
            return Heard(so_far + data[:cut], tuple(pieces))

    def ask(self, line: bytes) -> Heard:
        """Say one line, CRLF added, and hear the reply."""
        self.say(line + b"\r\n")
        return self.hear()

    def play(self, transcript: str) -> list[Heard]:
        """Play *transcript*, and return the replies heard. Fails at the first that is not as written."""
        heard = []
        for line in filter(None, map(str.strip, transcript.splitlines())):
            side, _, text = line.partition(":")
            if side == "C":
                self.say(text.removeprefix(" ").encode() + b"\r\n")
            else:
                assert side == "S", f"neither C: nor S: but {line!r}"
                heard.append(self._expect(text.removeprefix(" ")))
        return heard

    def wait_closed(self) -> None:
        """Read on until the server closes."""
        while self._receive():
            pass

    def _expect(self, text: str) -> Heard:
        heard = self.hear()
        reply = heard.reply.decode("utf-8", "replace").removesuffix("\r\n")
        expected = text.removesuffix("...").rstrip() if text.endswith("...") else text
        matches = reply.startswith(expected) if text.endswith("...") else reply == expected
        assert matches, f"expected {text!r}, heard {reply!r}"
        return heard

    def _receive(self) -> list[tuple[float, bytes]]:
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            return []
        piece = (time.monotonic() - self.began, data)
        self.heard.append(piece)
        return [piece]


def _end_of_reply(data: bytes) -> int | None:
    """Return where the first reply in *data* ends, None while it is not whole."""
    at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        line, at = data[at:end], end + 2
        if line[3:4] != b"-":
            return at
    return None
