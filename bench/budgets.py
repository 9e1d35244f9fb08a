"""Do memory and disk stay within their budgets? `python -m bench.budgets [--suspects 500] [--megabytes 10]`.

Suspects send large messages all at once, and none ends its own before all have sent theirs: so everything
that may be kept is kept at the same time. Those for which there is no room hear 452 at the end. Then as many
come again as the whole room holds: if any of it had not been given back, one of them would hear 452.

Spool files have no names; they are found among the descriptors of the proxy.
"""

import argparse
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from bench.client import Client, listed
from bench.surroundings import name_server, proxy
from bench.suspects import sink

MEGABYTE: Final = 2**20
EVERY: Final = 0.1  # seconds between two looks
# Bytes of memory: what is kept of a message until a thread has written it, and the next read. 400 to 455 KiB
# were measured with 500 suspects at full speed, all waiting for the same disk.
A_SESSION: Final = 512 * 1024
LINES: Final = (b"x" * 1022 + b"\r\n") * 1024  # a megabyte
PACE: Final = {
    "PACE_BYTE": "1ms",
    "PACE_DELAY": "0",
    "PACE_BANNER": "1s",
    "PACE_REPLY": "1s",
    "PACE_DATA": "1s",
    "PREGREET_WAIT": "0",
    "BACKEND_QUEUE": "300s",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """What the proxy has, in bytes."""

    resident: int
    spooled: int  # in files
    files: int

    @classmethod
    def of(cls, pid: int, spool: Path) -> "Usage":
        """Look."""
        sizes = []
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if str(link.readlink()).startswith(f"{spool}/"):
                    sizes.append(link.stat().st_size)
            except FileNotFoundError:
                continue  # closed meanwhile
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
        return cls(pages * resource.getpagesize(), sum(sizes), len(sizes))


@dataclass(slots=True)
class Report:
    """What happened."""

    suspects: int
    megabytes: int  # of each message
    room: int  # bytes
    codes: Counter[int] = field(default_factory=Counter)  # to the ends of the messages
    again: Counter[int] = field(default_factory=Counter)  # to those that came afterwards
    stored: int = 0
    usage: list[Usage] = field(default_factory=list)
    after: Usage = Usage(0, 0, 0)
    seconds: float = 0.0

    @property
    def fit(self) -> int:
        """Messages for which there is room."""
        return self.room // (self.megabytes * MEGABYTE)

    @property
    def grown(self) -> int:
        """Bytes of memory that it cost at most."""
        return max(one.resident for one in self.usage) - self.usage[0].resident

    @property
    def spooled(self) -> int:
        """Bytes on the disk at most."""
        return max(one.spooled for one in self.usage)

    @property
    def kept(self) -> bool:
        """Whether all promises were."""
        return (
            self.codes.keys() <= {250, 452}
            and self.codes.total() == self.suspects
            and 0 < self.codes[250] <= self.fit
            and self.again == {250: self.fit}
            and self.stored == self.codes[250] + self.again[250]
            and self.spooled <= self.room + MEGABYTE  # its files are looked at one after the other
            and self.grown <= self.suspects * A_SESSION
            and self.after.files == self.after.spooled == 0
        )


class Wave:
    """Suspects that send at once, and end their messages together."""

    def __init__(self, port: int, count: int, megabytes: int) -> None:
        self._port = port
        self._count = count
        self._megabytes = megabytes
        self._sending = count
        self._sent = trio.Event()
        self.codes: Counter[int] = Counter()

    async def run(self, first: int) -> None:
        """Come, send and go; *first* counts the suspects that have come before."""
        async with trio.open_nursery() as nursery:
            for number in range(first, first + self._count):
                nursery.start_soon(self._one, number)

    async def _one(self, number: int) -> None:
        client = await Client.connect(self._port, listed(number))
        heard = [await client.hear()]
        for line in (b"EHLO p.test", b"MAIL FROM:<a@p.test>", b"RCPT TO:<b@example.net>", b"DATA"):
            heard += [await client.ask(line)]
        for _ in range(self._megabytes if heard[-1] == 354 else 0):
            await client.say(LINES)
        self._sending -= 1
        if not self._sending:
            await trio.sleep(2)  # until the proxy has read what the kernel holds
            self._sent.set()
        await self._sent.wait()
        self.codes[await _ends(client) if heard[-1] == 354 else heard[-1]] += 1
        await client.leave()


async def _ends(client: Client) -> int:
    await client.say(b".\r\n")
    return await client.hear(300)


def measure(*, suspects: int, megabytes: int, room: int) -> Report:
    """Let all come at once."""
    report, began = Report(suspects, megabytes, room), time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        spool = directory / "spool"
        spool.mkdir()
        backend, seen = stack.enter_context(sink())
        names = stack.enter_context(name_server())
        sizes = {
            "SPOOL_DIR": str(spool),
            "SPOOL_TOTAL": str(room),
            "SPOOL_MESSAGE": str(megabytes * MEGABYTE),
            **PACE,
        }
        pid, port = stack.enter_context(
            proxy(suspects + 100, names=names, backend=backend, log=directory / "log", **sizes)
        )
        over = threading.Event()
        watch = threading.Thread(target=_watch, args=(report, pid, spool, over))
        report.usage.append(Usage.of(pid, spool))
        watch.start()
        try:
            report.codes = _wave(port, suspects, megabytes, 0)
            report.again = _wave(port, report.fit, megabytes, suspects)
        finally:
            over.set()
            watch.join()
        time.sleep(0.5)
        report.after, report.stored = Usage.of(pid, spool), seen().messages
    report.seconds = time.monotonic() - began
    return report


def _wave(port: int, count: int, megabytes: int, first: int) -> Counter[int]:
    wave = Wave(port, count, megabytes)
    trio.run(wave.run, first)
    return wave.codes


def _watch(report: Report, pid: int, spool: Path, over: threading.Event) -> None:
    while not over.wait(EVERY):
        report.usage.append(Usage.of(pid, spool))


def table(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the lines of the report."""
    before, after = report.usage[0], report.after
    yield "suspects, each with", f"{report.suspects} x {report.megabytes} MiB"
    yield "room (TARPIT_SPOOL_TOTAL)", f"{report.room / MEGABYTE:.0f} MiB, for {report.fit} messages"
    yield "heard at the end", ", ".join(f"{count} x {code}" for code, count in sorted(report.codes.items()))
    yield "and again, as many as fit", ", ".join(f"{count} x {code}" for code, count in report.again.items())
    yield "stored", str(report.stored)
    yield "on the disk, at most / after", f"{report.spooled / MEGABYTE:.1f} / {after.spooled} MiB"
    most = before.resident + report.grown
    resident = [size / MEGABYTE for size in (before.resident, most, after.resident)]
    yield "resident before / most / after", " / ".join(f"{size:.1f}" for size in resident) + " MiB"
    yield "seconds", f"{report.seconds:.0f}"
    yield "budgets", "kept" if report.kept else "EXCEEDED"


def main() -> int:
    """Measure, print, and return 1 if a budget was exceeded."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--suspects", type=int, default=500)
    options.add_argument("--megabytes", type=int, default=10)
    options.add_argument("--room", type=int, default=1024, help="MiB")
    given = options.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    room = given.room * MEGABYTE
    report = measure(suspects=given.suspects, megabytes=given.megabytes, room=room)
    for name, value in table(report):
        print(f"{name:<36}{value}")
    return 0 if report.kept else 1


if __name__ == "__main__":
    sys.exit(main())
