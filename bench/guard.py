"""What watching a clean message costs: `python -m bench.guard [--rounds 9]`.

The search for the end of data is needed anyway. What the guard adds, the kinds of newline and the NUL, is
measured with it and without it in one run, in turns: on a message alone, in blocks as they come from the
network; and as the CPU of a process that relays sessions to a sink, with nothing around the relay that would
make the share look smaller (no verdict, no log). The best round counts.
"""

import argparse
import base64
import random
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

from bench.content import HTML
from tarpit.drip import Wheel
from tarpit.errors import BackendUnavailable, PeerGone, PeerSilent
from tarpit.pace import FULL_SPEED, Pace, Stage
from tarpit.parked import TimeOuts
from tarpit.poller import Poller
from tarpit.relay import BLOCK, Relay
from tarpit.smtp.content import END
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.guard import Guard
from tarpit.smtp.observer import Observer
from tarpit.voice import Voice
from tarpit.wire import Wire

LARGE: Final = 25 * 2**20  # bytes
SMALL: Final = 1024
LARGE_GOAL: Final = 12.0  # ms of CPU
SMALL_GOAL: Final = 8.0  # percent
SESSIONS: Final = 40  # a round: short ones in turns, since what else the machine does comes and goes
OFTEN: Final = 5  # times as many rounds of these
AT_ONCE: Final = 8
TIME_OUTS: Final = TimeOuts(60.0, 60.0, 60.0, 60.0)


class EndOnly(Guard):
    """Looks for the end of data, and at nothing else."""

    __slots__ = ()

    def _has_bare(self, _: bytes) -> bool:
        return False

    def _has_dot_nul(self, _: bytes) -> bool:
        return False


class FullSpeed:
    """Slows nobody."""

    def pace_for(self, _: Stage) -> Pace:
        """Return no pace at all."""
        return FULL_SPEED


GUARDS: Final[dict[str, type[Guard]]] = {"off": EndOnly, "on": Guard}


def message(size: int) -> bytes:
    """Return a message of about *size* bytes, in base64, with its end."""
    head = b"Subject: 1\r\n\r\n"
    body = base64.encodebytes(random.Random(5).randbytes((size - len(head)) * 57 // 79))
    return head + body.replace(b"\n", b"\r\n") + END[2:]


def lines(size: int) -> bytes:
    """Return a message of about *size* bytes, in short lines with dots in them, with its end."""
    return HTML * (size // len(HTML)) + END[2:]


def blocks(data: bytes) -> list[bytes]:
    """Return *data* as it comes from the network."""
    return [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]


def watch(guard: Guard, pieces: Sequence[bytes]) -> float:
    """Return the seconds of CPU that *guard* takes for a message."""
    began = time.process_time()
    for piece in pieces:
        guard.receive(piece)
    taken = time.process_time() - began
    assert guard.ended
    return taken


def watched(data: bytes, rounds: int) -> dict[str, float]:
    """Return the seconds that each guard takes for the message *data*, of the best of *rounds*."""
    pieces, times = blocks(data), max(1, 200_000 // len(data))
    taken = {name: float("inf") for name in GUARDS}
    for name, kind in [*GUARDS.items()] * rounds:
        taken[name] = min(taken[name], sum(watch(kind(), pieces) for _ in range(times)) / times)
    return taken


# -- the backend, in threads of this process: it looks at no more than it must, for the processor is shared


class _Take(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        sock: socket.socket = self.request
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"220 sink.test ESMTP\r\n")
        end = b"\r\n"
        while self._wait_for(end):
            sock.sendall(b"354 go on\r\n" if self._last.startswith(b"DATA") else b"250 ok\r\n")
            end = END if self._last.startswith(b"DATA") else b"\r\n"

    def _wait_for(self, end: bytes) -> bool:
        self._last = b""
        while not self._last.endswith(end):
            if not (data := self.request.recv(2**20)):
                return False
            self._last = self._last[-len(end) :] + data
        return True


@contextmanager
def sink() -> Iterator[int]:
    """Run a server that takes everything, and return its port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Take) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


# -- the relay, a process of its own


async def relay(listener: socket.socket, port: int, guard: Callable[[], Guard]) -> None:
    """Relay each connection to *port*, until cancelled."""
    poller, wheel = Poller(), Wheel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        nursery.start_soon(wheel.run)
        accepting = trio.socket.from_stdlib_socket(listener)
        while True:
            sock, _ = await accepting.accept()
            near = socket.socket(fileno=sock.detach())
            nursery.start_soon(_session, Wire(poller, near), poller, wheel, port, guard)


async def _session(wire: Wire, poller: Poller, wheel: Wheel, port: int, guard: Callable[[], Guard]) -> None:
    dialogue = Dialogue()
    voice = Voice(wire, wheel, dialogue, pacer=FullSpeed(), patience=60.0)
    try:
        backend = await _dial(poller, port)
        await voice.say(await backend.receive(512), Stage.BANNER)
        await Relay(voice, backend, Observer(dialogue), TIME_OUTS, guard=guard).run()
        backend.close()
    except (PeerGone, PeerSilent, BackendUnavailable) as gone:
        sys.exit(f"a session ended early: {gone}")
    await wire.close_gently()


async def _dial(poller: Poller, port: int) -> Wire:
    sock = socket.socket()
    sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect_ex(("127.0.0.1", port))
    wire = Wire(poller, sock, gone=BackendUnavailable, silent=BackendUnavailable)
    await wire.connected(trio.current_time() + 5.0)
    return wire


class Relaying:
    """A process that relays, and how to use it."""

    def __init__(self, process: "subprocess.Popen[bytes]", address: tuple[str, int]) -> None:
        self._process = process
        self._address = address

    @property
    def seconds(self) -> float:
        """CPU it has used."""
        return int(Path(f"/proc/{self._process.pid}/schedstat").read_text("ascii").split()[0]) / 1e9

    def cost(self, data: bytes, sessions: int) -> float:
        """Return the seconds of CPU of a session that sends *data*, of so many."""
        before = self.seconds
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda _: deliver(self._address, data), range(sessions)))
        return (self.seconds - before) / sessions


def deliver(address: tuple[str, int], data: bytes) -> None:
    """Send one message."""
    with socket.create_connection(address) as sock, sock.makefile("rb") as replies:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        said = (b"", b"EHLO p.test\r\n", b"MAIL FROM:<a@p.test>\r\n", b"RCPT TO:<b@mx.test>\r\n", b"DATA\r\n")
        for line in (*said, data, b"QUIT\r\n"):
            sock.sendall(line)
            code = replies.readline()[:1]
            assert code in b"23", code


@contextmanager
def relaying(guard: str, port: int) -> Iterator[Relaying]:
    """Run a relay to *port*."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        command = [sys.executable, "-m", "bench.guard", "--relay", guard, str(listener.fileno()), str(port)]
        process = subprocess.Popen(command, pass_fds=[listener.fileno()])
        try:
            yield Relaying(process, listener.getsockname())
        finally:
            process.terminate()
            process.wait(10)


def relayed(size: int, sessions: int, rounds: int) -> dict[str, float]:
    """Return the seconds of CPU that a session takes with each guard, of the best of *rounds*."""
    data, taken = message(size), dict[str, list[float]]((name, []) for name in GUARDS)
    with sink() as port, relaying("off", port) as off, relaying("on", port) as on:
        for number in range(rounds + 1):
            for name, one in (("off", off), ("on", on)):
                cost = one.cost(data, sessions)
                if number:  # the first round is for warming up
                    taken[name].append(cost)
    return {name: min(costs) for name, costs in taken.items()}


def tell(what: str, taken: dict[str, float], goal: str) -> None:
    """Print a row."""
    added = taken["on"] - taken["off"]
    share = 100 * added / taken["off"]
    times = "".join(f"{1e3 * one:12.4f}" for one in (taken["off"], taken["on"], added))
    print(f"{what:34}{times}{share:8.1f} %   {goal}")


def main() -> None:
    """Print a table; or be the relay."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--relay", nargs=3, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.relay:
        guard, fd, port = chosen.relay
        trio.run(relay, socket.socket(fileno=int(fd)), int(port), GUARDS[guard])
    print(f"{'ms of CPU':34}{'end only':>12}{'guarded':>12}{'added':>12}{'':>10}   goal")
    for kind, data in {"base64": message(LARGE), "HTML": lines(LARGE)}.items():
        tell(f"25 MiB of {kind}, alone", watched(data, chosen.rounds), f"added <= {LARGE_GOAL:g} ms")
    tell("25 MiB, relayed", relayed(LARGE, 1, chosen.rounds), "")
    tell("1 KiB, alone", watched(message(SMALL), chosen.rounds), "")
    sessions = relayed(SMALL, SESSIONS, OFTEN * chosen.rounds)
    tell("1 KiB, a relayed session", sessions, f"<= {SMALL_GOAL:g} %")


if __name__ == "__main__":
    main()
