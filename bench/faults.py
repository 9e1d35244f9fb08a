"""Is mail lost, made twice or refused while backends die and peers leave? `python -m bench.faults`.

The proxy runs as its own process in front of a backend that stores messages and breaks (`bench.storing`):
it kills, stops or resets the connection, or says 4xx, at every step and at random bytes. The whole of it is
killed or stopped every other second, too, and started again. Half of the peers are joined, the other half
are slowed suspects; a quarter of all attempts leave, at every step, by FIN or by RST. Each message comes
again, as from any mail server, until it is acknowledged.

Afterwards the books are compared (`bench.books`).
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

import trio

from bench.books import Attempt, Books, table
from bench.client import NONE, Client, clean, listed
from bench.surroundings import ROOT, name_server, proxy

STEPS: Final = ("connect", "banner", "EHLO", "MAIL", "RCPT", "DATA", "content", "dot", "reply")
LEAVERS: Final = 0.25  # share of attempts whose peer does not stay
ATTEMPTS: Final = 40  # three quarters of them fail
SETTINGS: Final = {
    "PACE_BYTE": "1ms",
    "PACE_DELAY": "0",
    "PACE_BANNER": "1s",
    "PACE_REPLY": "1s",
    "PACE_DATA": "200ms",
    "PREGREET_WAIT": "0",
    "TIMEOUT_BANNER": "1s",
    "TIMEOUT_REPLY": "1s",
    "TIMEOUT_DOT": "2s",
    "TIMEOUT_BLOCK": "5s",
}


class Sender:
    """All peers, and the messages they have."""

    def __init__(self, port: int, books: Books, *, messages: int, seed: int) -> None:
        self._port = port
        self._books = books
        self._left = iter(range(messages))
        self._seed = seed

    async def work(self) -> None:
        """Deliver messages, one after the other, until there are no more."""
        for number in self._left:
            for again in range(ATTEMPTS):
                one = await self._attempt(number, again)
                if one.acknowledged:
                    break
                await trio.sleep(0.02 * again)
            else:
                self._books.undelivered += 1

    async def _attempt(self, number: int, again: int) -> Attempt:
        one = Attempt(f"m{number}-{again}")
        dice = random.Random(f"{self._seed} {one.name}")
        if dice.random() < LEAVERS:
            one.leaves = dice.choice(STEPS)
        self._books.attempts[one.name] = one
        address = (clean if number % 2 else listed)(number * ATTEMPTS + again)
        client = await Client.connect(self._port, address)
        await Visit(client, one, dice).run()
        return one


class Visit:
    """One attempt."""

    def __init__(self, client: Client, one: Attempt, dice: random.Random) -> None:
        self._client = client
        self._one = one
        self._dice = dice

    async def run(self) -> None:
        """Go as far as it goes, and hang up."""
        try:
            if await self._envelope():
                await self._message()
        finally:
            await self._client.leave(reset=self._one.leaves != "" and self._dice.random() < 0.5)

    async def _envelope(self) -> bool:
        name = self._one.name.encode()
        if self._leaves("connect") or not await self._hear("banner", 220):
            return False
        steps = [
            (b"EHLO " + name + b".test", "EHLO", 250),
            (b"MAIL FROM:<a@" + name + b".test>", "MAIL", 250),
            *[(b"RCPT TO:<b@backend.test>", "RCPT", 250)] * self._dice.randint(1, 2),
            (b"DATA", "DATA", 354),
        ]
        for line, step, code in steps:
            if not await self._client.say(line + b"\r\n") or not await self._hear(step, code):
                return False
        return True

    async def _message(self) -> None:
        content = self._content()
        if self._leaves("content"):
            await self._client.say(content[: self._dice.randrange(len(content))])
            return
        if not await self._client.say(content + b".\r\n") or self._leaves("dot"):
            return
        # who leaves while waiting takes along what has come by then
        patience = self._dice.random() * 0.3 if self._leaves("reply") else 30.0
        code = await self._client.hear(patience)
        self._one.codes.append(code)
        self._one.acknowledged = code == 250
        if code != NONE and not self._one.leaves:
            await self._client.ask(b"QUIT")

    def _content(self) -> bytes:
        size = int(200 + self._dice.random() ** 6 * 300_000)  # most are small, some go to the disk
        lines = [b"..", *[self._dice.randbytes(35).hex().encode()] * (size // 72)]
        content = f"Subject: {self._one.name}\r\n\r\n".encode() + b"\r\n".join(lines) + b"\r\n"
        self._one.hash = hashlib.sha256(content).hexdigest()
        return content

    async def _hear(self, step: str, wanted: int) -> bool:
        if self._leaves(step):
            return False
        code = await self._client.hear()
        self._one.codes.append(code)
        return code == wanted

    def _leaves(self, step: str) -> bool:
        return self._one.leaves == step


class Storing:
    """The backend's processes: one that listens, and one a connection, all of one group."""

    def __init__(self, port: int, ledger: Path, seed: int) -> None:
        self._port = port
        self._ledger = ledger
        self._seed = seed
        self._process = self._start()

    def lines(self) -> list[list[str]]:
        """Return the ledger so far."""
        return [line.split() for line in self._ledger.read_text().splitlines()]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of them."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """Kill all."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        """Start again."""
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        before = Counter(words[0] for words in self.lines()) if self._ledger.exists() else Counter[str]()
        command = [sys.executable, "-E", "-s", "-m", "bench.storing"]
        arguments = [str(self._port), str(self._ledger), str(self._seed), str(before["connection"])]
        process = subprocess.Popen([*command, *arguments], cwd=ROOT, start_new_session=True)
        until = time.monotonic() + 10
        while not self._ledger.exists() or self._listening() == before["listening"]:
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit("the backend does not start")
            time.sleep(0.01)
        return process

    def _listening(self) -> int:
        return sum(words == ["listening"] for words in self.lines())


def quiet_port() -> int:
    """Return a free port below those that the kernel gives to clients: it stays free while nobody listens."""
    while True:
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
            port: int = sock.getsockname()[1]
            return port


async def break_all(storing: Storing, books: Books, dice: random.Random, every: float) -> None:
    """Kill or stop the whole backend again and again."""
    while True:
        await trio.sleep(every * (0.5 + dice.random()))
        if dice.random() < 0.25:
            books.masters["stop"] += 1
            storing.signal(signal.SIGSTOP)
            await trio.sleep(dice.uniform(0.3, 2.5))
            storing.signal(signal.SIGCONT)
        else:
            books.masters["kill"] += 1
            storing.kill()
            await trio.sleep(dice.uniform(0.0, 0.3))
            await trio.to_thread.run_sync(storing.restart)


def events(log: Path) -> list[dict[str, object]]:
    """Return what the proxy has written."""
    return [json.loads(line) for line in log.read_bytes().splitlines()]


async def sweep(*, messages: int, concurrency: int, every: float, seed: int) -> Books:
    """Deliver *messages* in spite of everything, and return the books."""
    books, began, backend = Books(), time.monotonic(), quiet_port()
    with tempfile.TemporaryDirectory() as directory, name_server() as names:
        log, storing = Path(directory, "log"), Storing(backend, Path(directory, "ledger"), seed)
        start = partial(proxy, concurrency * 4, names=names, backend=backend, log=log, **SETTINGS)
        try:
            with start() as (_, port):
                sender = Sender(port, books, messages=messages, seed=seed)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(break_all, storing, books, random.Random(seed), every)
                    async with trio.open_nursery() as senders:
                        for _ in range(concurrency):
                            senders.start_soon(sender.work)
                    nursery.cancel_scope.cancel()
                storing.signal(signal.SIGCONT)
                await trio.sleep(4)  # sleepers of the backend wake, and the proxy ends what it has
        finally:
            storing.kill()
        books.ledger = storing.lines()
        books.events = events(log)
    books.seconds = time.monotonic() - began
    return books


def main() -> int:
    """Sweep once; 1 if a promise was broken."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--messages", type=int, default=2000)
    options.add_argument("--concurrency", type=int, default=48)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    work = partial(sweep, messages=given.messages, concurrency=given.concurrency, every=2.0, seed=given.seed)
    books = trio.run(work)
    for name, value in table(books):
        print(f"{name:<36}{value}")
    return 1 if any(count for _, count in books.wrong()) else 0


if __name__ == "__main__":
    sys.exit(main())
