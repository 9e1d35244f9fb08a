"""What does a slow session cost the backend? `python -m bench.suspects [--impatient 1000] [--patient 50]`.

Suspects come at once: most never get past EHLO, some wait and deliver. The proxy runs as its own process,
with delays of seconds. Behind it stands first a sink that counts its connections, then a real Postfix that
takes XCLIENT, where it is installed; its connections are counted in its log.

Backend-seconds are those of `session.closed`: from the dial to the last word, QUIT left out, for which nobody
waits. What the backend itself saw, QUIT included, is printed beside it.
"""

import argparse
import json
import os
import random
import re
import resource
import shutil
import socketserver
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import trio

from bench.client import Client, listed
from bench.surroundings import name_server, proxy
from tests.support.postfix import Postfix, postfix

PEAK_GOAL: Final = 10  # connections
SINK_GOAL: Final = 0.05  # backend-seconds a delivered session
POSTFIX_GOAL: Final = 0.25
ARRIVE: Final = 2.0  # seconds within which they all come
PACE: Final = {
    "PACE_BYTE": "250ms",
    "PACE_DELAY": "1s",
    "PACE_BANNER": "6s",
    "PACE_REPLY": "4s",
    "PACE_DATA": "2s",
    "PREGREET_WAIT": "1s",
}
SAID: Final = (
    b"EHLO p.test",
    b"MAIL FROM:<a@p.test>",
    b"RCPT TO:<b@example.net>",
    b"DATA",
    b"Subject: x\r\n\r\n" + b"line after line\r\n" * 200 + b".",
    b"QUIT",
)
_LOGGED: Final = re.compile(r"smtpd\[(\d+)\]: (connect|disconnect) from")


@dataclass(slots=True)
class Seen:
    """What a backend saw: the most connections at once, and how long all of them took together."""

    connections: int = 0
    peak: int = 0
    seconds: float = 0.0
    messages: int = 0

    def since(self, before: "Seen") -> "Seen":
        """Return this without what was seen *before*."""
        return replace(
            self,
            connections=self.connections - before.connections,
            seconds=self.seconds - before.seconds,
        )


@dataclass(frozen=True, slots=True)
class Backend:
    """What stands behind the proxy; `run` yields its port and what it has seen so far."""

    name: str
    goal: float  # backend-seconds of a delivered session, on average
    run: Callable[[], AbstractContextManager[tuple[int, Callable[[], Seen]]]]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """What happened."""

    backend: Backend
    wanted: int
    delivered: int = 0
    seen: Seen = field(default_factory=Seen)
    held: list[float] = field(default_factory=list)  # seconds that a delivery took
    patient: list[float] = field(default_factory=list)  # backend-seconds of each delivered session
    others: list[float] = field(default_factory=list)  # and of each that gave up before RCPT

    @property
    def kept(self) -> bool:
        """Whether all goals were reached."""
        return (
            self.delivered == self.wanted == self.seen.messages == len(self.patient)
            and self.seen.peak <= PEAK_GOAL
            and statistics.fmean(self.patient) <= self.backend.goal
            and max(self.others, default=0.0) == 0.0
        )


class Sink(socketserver.ThreadingTCPServer):
    """A backend that takes everything and counts."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.seen = Seen()
        self._open = 0
        self._lock = threading.Lock()

    def entered(self) -> None:
        """Count one more connection."""
        with self._lock:
            self._open += 1
            self.seen.connections += 1
            self.seen.peak = max(self.seen.peak, self._open)

    def left(self, messages: int, seconds: float) -> None:
        """Count one less."""
        with self._lock:
            self._open -= 1
            self.seen.messages += messages
            self.seen.seconds += seconds


class _Take(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Sink)
        began, messages = time.monotonic(), 0
        self.server.entered()
        try:
            self.wfile.write(b"220 sink.test ESMTP\r\n")
            while (line := self.rfile.readline()) and not line.upper().startswith(b"QUIT"):
                if line.upper().startswith(b"DATA"):
                    self.wfile.write(b"354 go on\r\n")
                    messages += b".\r\n" in iter(self.rfile.readline, b"")
                self.wfile.write(b"250 ok\r\n")
            self.wfile.write(b"221 bye\r\n")
        finally:
            self.server.left(messages, time.monotonic() - began)


@contextmanager
def sink() -> Iterator[tuple[int, Callable[[], Seen]]]:
    """Run a sink in threads of this process: its port, and what it has seen."""
    with Sink() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield server.socket.getsockname()[1], lambda: server.seen
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def real_postfix() -> Iterator[tuple[int, Callable[[], Seen]]]:
    """Run a Postfix that takes XCLIENT: its port, and what its log tells."""
    trust = {"mynetworks": "127.0.0.0/8", "smtpd_authorized_xclient_hosts": "127.0.0.1"}
    with postfix(services={"xclient": trust}) as server:
        before = len(server.quiet_log())
        yield server.services["xclient"][1], lambda: _read_log(server, before)


SINK: Final = Backend("sink", SINK_GOAL, sink)
POSTFIX: Final = Backend("Postfix, XCLIENT", POSTFIX_GOAL, real_postfix, {"BACKEND_INTRODUCE": "xclient"})


def _read_log(server: Postfix, before: int) -> Seen:
    """Count by process: each serves one connection at a time. Its log has no times finer than a second."""
    seen, connected = Seen(messages=len(server.messages())), set[str]()
    for process, what in _LOGGED.findall(server.quiet_log()[before:]):
        seen.connections += what == "connect" and process not in connected
        (connected.add if what == "connect" else connected.discard)(process)
        seen.peak = max(seen.peak, len(connected))
    return seen


def measure(backend: Backend, *, impatient: int, patient: int, **variables: str) -> Report:
    """Let all come at once, and read what the proxy tells of them."""
    with ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory()), "log")
        port, seen = stack.enter_context(backend.run())
        names = stack.enter_context(name_server())
        report = Report(backend, wanted=patient)
        with proxy(
            impatient + patient + 100,
            names=names,
            backend=port,
            log=log,
            **{**PACE, **backend.variables, **variables},
        ) as (_, ours):
            # what it asked at its start is no session's
            before = replace(seen())
            trio.run(_all, ours, impatient, report)
            time.sleep(0.5)
            report.seen = seen().since(before)
        for event in map(json.loads, log.read_bytes().splitlines()):
            if event["event"] == "session.closed":
                (report.patient if event["messages_accepted"] else report.others).append(
                    event["backend_seconds"]
                )
    return report


async def _all(port: int, impatient: int, report: Report) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(impatient):
            nursery.start_soon(give_up, port, number)
        for number in range(impatient, impatient + report.wanted):
            nursery.start_soon(deliver, port, number, report)


async def give_up(port: int, number: int) -> None:
    """Be a suspect that leaves while the reply to EHLO is coming, or is there."""
    await trio.sleep(random.uniform(0, ARRIVE))
    client = await Client.connect(port, listed(number))
    if await client.hear() == 220:
        await client.say(b"EHLO spam.test\r\n")
        await client.hear(random.uniform(0, 10))
    await client.leave()


async def deliver(port: int, number: int, report: Report) -> None:
    """Be a suspect that waits as long as it takes."""
    await trio.sleep(random.uniform(0, ARRIVE))
    began = trio.current_time()
    client = await Client.connect(port, listed(number))
    codes = [await client.hear(), *[await client.ask(line) for line in SAID]]
    await client.leave()
    report.delivered += codes == [220, 250, 250, 250, 354, 250, 221]
    report.held.append(trio.current_time() - began)


def table(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the lines of the report."""
    seen, mean = report.seen, statistics.fmean(report.patient or [0.0])
    yield "behind it", report.backend.name
    yield "delivered / sessions", f"{report.delivered} / {len(report.patient) + len(report.others)}"
    yield (
        "seconds a delivery, median / most",
        f"{statistics.median(report.held):.1f} / {max(report.held):.1f}",
    )
    yield "backend connections, all / at once", f"{seen.connections} / {seen.peak} (goal: {PEAK_GOAL})"
    worst = max(report.patient, default=0.0)
    yield (
        "backend-seconds, delivered",
        f"{mean:.3f} on average (goal: {report.backend.goal:g}), {worst:.3f} most",
    )
    yield "backend-seconds, gave up", f"{sum(report.others):g} of all {len(report.others)} together (goal: 0)"
    if seen.seconds and report.delivered:
        yield "the same as the backend saw it", f"{seen.seconds / report.delivered:.3f} a delivered session"
    yield "goals", "reached" if report.kept else "MISSED"


def main() -> int:
    """Measure, print, and return 1 if a goal was missed."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--impatient", type=int, default=1000)
    options.add_argument("--patient", type=int, default=50)
    given = options.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    root = os.geteuid() == 0 and shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    backends = (SINK, POSTFIX) if root else (SINK,)
    reports = [measure(one, impatient=given.impatient, patient=given.patient) for one in backends]
    for report in reports:
        for name, value in table(report):
            print(f"{name:<36}{value}")
        print()
    return 0 if all(report.kept for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
