"""Mail servers for `bench.backends`, each a process of its own that can be stopped or killed, and comes back.

`python -m bench.sinks PORT SECONDS` takes every message, and needs SECONDS for the reply to its end. It
counts its own connections: a datagram to the same port is answered with how many are open, how many were at
most, how many sessions there have been, and how many messages. TERM ends it when its last session is over.
"""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final, cast

import trio

from bench.surroundings import ROOT
from tests.support.servers import LOOPBACK, answers, free_port, wait_until

BACKLOG: Final = 1000


@dataclass(frozen=True, slots=True)
class Counts:
    """What a sink says of itself."""

    open: int
    most: int
    sessions: int
    messages: int


class Sink:
    """A running sink."""

    def __init__(self, seconds: float) -> None:
        self.port = free_port()
        self._seconds = seconds
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "bench.sinks", str(self.port), str(self._seconds)]
        process = subprocess.Popen(command, cwd=ROOT)
        wait_until(lambda: answers((LOOPBACK, self.port)), "a sink answers")
        return process

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; with TERM its open sessions may finish."""
        self._process.send_signal(how)
        self._process.wait(60)

    def start_again(self) -> None:
        """Start it again on the same port; it counts from nothing."""
        self._process = self._start()

    async def counts(self) -> Counts:
        """Ask it for its counts."""
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            await sock.sendto(b"?", (LOOPBACK, self.port))
            with trio.fail_after(10):
                return Counts(**json.loads(await sock.recv(1000)))


@contextmanager
def sinks(count: int, *, seconds: float) -> Iterator[Sequence[Sink]]:
    """Run so many sinks."""
    with ExitStack() as stack:
        running = [Sink(seconds) for _ in range(count)]
        for one in running:
            stack.callback(one.stop, signal.SIGKILL)
        yield running


# --- inside the process


@dataclass
class Server:
    """The sink itself."""

    seconds: float
    open: int = 0
    most: int = 0
    sessions: int = -1  # the first was whoever looked whether we answer
    messages: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        self.sessions += 1
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self._over.set()
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink.test ESMTP\r\n")
        while not (line := (await reader.readuntil(b"\r\n")).upper()).startswith(b"QUIT"):
            if line.startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                await asyncio.sleep(self.seconds)
                self.messages += 1
            writer.write(b"250 ok\r\n")
        writer.write(b"221 bye\r\n")
        await writer.drain()

    async def finish(self) -> None:
        """Wait until nobody is served any more."""
        while self.open:
            self._over.clear()
            await self._over.wait()


class Teller(asyncio.DatagramProtocol):
    """Answers questions about a sink."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: ARG002
        """Answer."""
        one = self._server
        told = {"open": one.open, "most": one.most, "sessions": one.sessions, "messages": one.messages}
        self._transport.sendto(json.dumps(told).encode(), addr)


async def serve(port: int, seconds: float) -> None:
    """Serve until TERM, then until the last session is over."""
    server, loop = Server(seconds), asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await loop.create_datagram_endpoint(lambda: Teller(server), (LOOPBACK, port))
    listening = await asyncio.start_server(server.serve, LOOPBACK, port, backlog=BACKLOG)
    await stop.wait()
    listening.close()
    await server.finish()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
