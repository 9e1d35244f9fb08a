"""Does clean mail arrive while 20,000 suspects knock? And what does a flood leave behind in the proxy?

`python -m bench.flood [--connections 20000] [--messages 1000]` starts the proxy as its own process, with all
defaults but the number of sessions, behind a DNSBL that lists the flood and in front of a sink. The flood
comes from 200 addresses in 200 networks (the hardest case: no cap of a network helps), and each of its
connections stays until its patience is over. Meanwhile one sender with its DNS in order, but no history,
delivers messages, each over a connection of its own, and tries again in 0.2 s when it hears 4xx.

The flood is a third process, so that it is not late itself where the sender is measured. With two cores the
three share them all the same: the sender's times are upper bounds.
"""

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from bench.surroundings import DOMAIN, ROOT, SENDER, name_server, proxy, sink

LONGEST: Final = 600.0
AGAIN: Final = 0.2  # seconds


@dataclass(slots=True)
class Report:
    """What happened."""

    delivered: int = 0
    wanted: int = 0
    deferred: Counter[str] = field(default_factory=Counter)  # what the sender heard instead
    banners: list[float] = field(default_factory=list)  # seconds from connect to banner
    deliveries: list[float] = field(default_factory=list)  # seconds from connect to the end
    told: Counter[str] = field(default_factory=Counter)  # what the flood heard first
    usage: list[tuple[int, int]] = field(default_factory=list)  # descriptors, bytes; twice a second
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    events: Counter[str] = field(default_factory=Counter)
    refused: int = 0  # connections that events tell of
    seconds: float = 0.0


def run(*, connections: int, messages: int, sessions: int, rate: int, patience: int = 12) -> Report:
    """Flood once, and return what happened."""
    report, began = Report(wanted=messages), time.monotonic()
    with sink() as behind, name_server() as names, tempfile.TemporaryDirectory() as directory:
        log = Path(directory, "log")
        with proxy(sessions, names=names, backend=behind.port, log=log) as (pid, port):
            report.before = usage(pid)
            command = [sys.executable, "-m", "bench.attack", *map(str, (port, connections, rate, patience))]
            flood = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
            lasts = connections / rate
            sender = threading.Thread(target=_deliver_all, args=(report, port, messages, 0.8 * lasts))
            try:
                time.sleep(0.2 * lasts)  # the sender comes into a full house
                sender.start()
                while sender.is_alive() or flood.poll() is None:
                    report.usage.append(usage(pid))
                    time.sleep(0.5)
                    if time.monotonic() - began > LONGEST:
                        raise SystemExit("the flood took too long")
                out, _ = flood.communicate()
            finally:
                flood.kill()
                flood.wait()
            report.told.update(json.loads(out))
            time.sleep(2)  # the last of them are closed
            report.after = usage(pid)
        report.delivered = len(behind.stored & set(range(messages)))
        _read_events(report, log)
    report.seconds = time.monotonic() - began
    return report


def usage(pid: int) -> tuple[int, int]:
    """Return how many descriptors a process has open, and its resident bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return len(os.listdir(f"/proc/{pid}/fd")), pages * resource.getpagesize()  # noqa: PTH208 - counted only


def table(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the lines of the report."""
    most = max(report.usage)
    yield "delivered", f"{report.delivered} of {report.wanted} messages"
    yield "put off before", _counts(report.deferred) or "never"
    for name, times in (("banner", report.banners), ("whole delivery", report.deliveries)):
        p50, p99 = percentile(times, 50) * 1000, percentile(times, 99) * 1000
        yield f"{name} p50 / p99 / most", f"{p50:.1f} / {p99:.1f} / {max(times) * 1000:.1f} ms"
    yield "the flood heard", _counts(report.told)
    yield "descriptors before / most / after", f"{report.before[0]} / {most[0]} / {report.after[0]}"
    resident = [size / 2**20 for size in (report.before[1], max(u[1] for u in report.usage), report.after[1])]
    yield "resident before / most / after", " / ".join(f"{size:.1f}" for size in resident) + " MiB"
    full = report.events["sessions.full"]
    yield "events", f"{report.events.total()}, {full} of them about {report.refused} refusals"
    yield "seconds", f"{report.seconds:.1f}"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in counter.most_common())


def percentile(values: list[float], percent: int) -> float:
    """Return that percentile of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


# --- the sender


def _deliver_all(report: Report, port: int, messages: int, seconds: float) -> None:
    """Deliver *messages*, evenly over so many *seconds*."""
    began = time.monotonic()
    for number in range(messages):
        time.sleep(max(began + seconds * number / messages - time.monotonic(), 0))
        while why := _deliver(report, port, number):
            report.deferred[why] += 1
            time.sleep(AGAIN)


def _deliver(report: Report, port: int, number: int) -> str:
    """Deliver one message; return what was said where it was put off, or nothing."""
    began = time.monotonic()
    content = f"Subject: {number}\r\n\r\nhello\r\n.\r\n".encode()
    lines = (f"EHLO mx.{DOMAIN}", f"MAIL FROM:<a@{DOMAIN}>", "RCPT TO:<b@b.test>", "DATA")
    dialogue = [f"{line}\r\n".encode() for line in lines]
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 60, (SENDER, 0)) as sock,
            sock.makefile("rb") as heard,
        ):
            reply, banner = _reply(heard), time.monotonic() - began
            for said in (*dialogue, content, b"QUIT\r\n"):
                if reply[:1] not in b"23":
                    return reply.decode().strip()
                sock.sendall(said)
                reply = _reply(heard)
    except OSError as error:
        return repr(error)
    report.banners.append(banner)
    report.deliveries.append(time.monotonic() - began)
    return ""


def _reply(heard: BinaryIO) -> bytes:
    """Return the last line of a reply; one in the place of a connection that was closed."""
    line = heard.readline()
    while line[3:4] == b"-":
        line = heard.readline()
    return line or b"(closed)"


def _read_events(report: Report, log: Path) -> None:
    for line in log.read_bytes().splitlines():
        event = json.loads(line)
        report.events[event["event"]] += 1
        report.refused += event.get("refused", 0)


def main() -> int:
    """Flood once and print the table; 1 if a message did not arrive."""
    options = _options()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    report = run(
        connections=options.connections,
        messages=options.messages,
        sessions=options.sessions,
        rate=options.rate,
    )
    for name, value in table(report):
        print(f"{name:<36}{value}")
    return 0 if report.delivered == report.wanted else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.flood", description="Deliver mail through a flood.")
    parser.add_argument("--connections", type=int, default=20_000, help="of the flood")
    parser.add_argument("--messages", type=int, default=1000, help="of the clean sender")
    parser.add_argument("--sessions", type=int, default=2000, help="TARPIT_MAX_SESSIONS")
    parser.add_argument("--rate", type=int, default=500, help="connections of the flood in a second")
    options = parser.parse_args()
    if not (
        1 <= options.connections <= 200_000 and 2 <= options.messages <= 10_000 and 10 <= options.rate <= 5000
    ):
        parser.error("1 to 200000 connections, 2 to 10000 messages, 10 to 5000 a second")
    return options


if __name__ == "__main__":
    sys.exit(main())
