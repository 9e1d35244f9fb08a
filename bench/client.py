"""A peer of the proxy for measurements: says commands, hears reply codes, leaves when it wants to."""

import socket
from dataclasses import dataclass, field
from typing import Final, Self

import trio

PATIENCE: Final = 60.0  # seconds for a reply; then it is counted as none
NONE: Final = 0  # in place of a code: the connection is over, or the reply did not come


def clean(number: int) -> str:
    """Return the address of the clean peer of that *number*, which the DNSBL of these measurements spares."""
    return f"127.0.{1 + number % 200}.{1 + number // 200 % 250}"


def listed(number: int) -> str:
    """Return the address of a suspect, each in a network of its own."""
    return f"127.{128 + number % 64}.{number // 64 % 250}.1"


@dataclass(slots=True)
class Client:
    """One connection."""

    stream: trio.SocketStream
    _buffer: bytearray = field(default_factory=bytearray)

    @classmethod
    async def connect(cls, port: int, source: str) -> Self:
        """Connect from the loopback address *source*."""
        return cls(await trio.open_tcp_stream("127.0.0.1", port, local_address=source))

    async def hear(self, patience: float = PATIENCE) -> int:
        """Return the code of the next reply, or `NONE`."""
        code = NONE
        with trio.move_on_after(patience):
            while (line := await self._line()) is not None:
                code = int(line[:3])
                if line[3:4] != b"-":
                    return code
        return NONE

    async def say(self, data: bytes) -> bool:
        """Send *data*; return whether the connection took it."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    async def ask(self, line: bytes) -> int:
        """Say a line and return the code of the reply."""
        return await self.hear() if await self.say(line + b"\r\n") else NONE

    async def leave(self, *, reset: bool = False) -> None:
        """Hang up, by a reset if that is wanted."""
        if reset:
            self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.stream.socket.close()
        else:
            await self.stream.aclose()

    async def _line(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n")) < 0:
            try:
                data = await self.stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line
