"""How many suspects the proxy holds at once, how punctual their bytes are, and what that costs.

`python -m bench.hold [--sessions 2000] [--seconds 20]` starts the proxy as its own process with a byte a
second for suspects, connects that many from as many loopback addresses, and notes when each byte of their
banners arrives. The client cannot know when a first byte was due, so lateness is counted twice: from a
session's own first byte, which was itself late when all came at once (then later bytes seem early), and
from its most punctual byte, which is never negative. Both hide a delay that all bytes of a session share.

The client takes the other core. What it is late itself counts as the proxy's lateness. Mail for clean
peers while suspects wait is not measured here.
"""

import argparse
import os
import resource
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

PACE: Final = 1.0  # seconds between two bytes
HOSTNAME: Final = ".".join(["a" * 59] * 4 + ["test"])  # a banner of more than 240 bytes
LONGEST_RUN: Final = 150  # seconds; the banner outlasts that
LISTED: Final = dns.name.from_text("dnsbl.test")
NEVER_LISTED: Final = dns.name.from_text("1.0.0.127.dnsbl.test")  # RFC 5782 section 5
START: Final = 20.0  # seconds for the proxy to listen
FIRST_BYTES: Final = 40.0  # seconds for everybody's first byte
STOP: Final = 20.0  # seconds for the proxy to end after TERM
BATCH: Final = 20  # connections opened before the client reads again


@dataclass(slots=True)
class Suspect:
    """One connection, and when each of its bytes came."""

    sock: socket.socket
    arrivals: list[float] = field(default_factory=list)
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What the proxy's process has used so far, and when that was read."""

    when: float
    cpu: float  # seconds, user and system
    resident: int  # bytes


class Crowd:
    """All suspects, read by one epoll loop."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, Suspect] = {}
        self.suspects: list[Suspect] = []

    def connect(self, count: int) -> None:
        """Open *count* connections, reading in between."""
        for number in range(count):
            sock = socket.socket()
            sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
            sock.bind((f"127.0.{1 + number // 250}.{1 + number % 250}", 0))
            sock.connect_ex(("127.0.0.1", self._port))
            suspect = Suspect(sock)
            self.suspects.append(suspect)
            self._by_descriptor[sock.fileno()] = suspect
            self._epoll.register(sock, select.EPOLLIN)
            if number % BATCH == BATCH - 1:
                self._read(0.005)

    def wait_first_bytes(self, until: float) -> None:
        """Read until each has a byte or is lost, or *until* has come."""
        while time.monotonic() < until and not all(one.arrivals or one.lost for one in self.suspects):
            self._read(0.1)

    def read_until(self, until: float) -> None:
        """Read, and note the times."""
        while (left := until - time.monotonic()) > 0:
            self._read(left)

    def close(self) -> None:
        """Hang up."""
        self._epoll.close()
        for one in self.suspects:
            one.sock.close()

    def _read(self, timeout: float) -> None:
        for descriptor, _ in self._epoll.poll(timeout):
            suspect = self._by_descriptor[descriptor]
            try:
                data = suspect.sock.recv(4096)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                suspect.arrivals.extend([time.monotonic()] * len(data))
            else:
                suspect.lost = True
                self._epoll.unregister(descriptor)


def main() -> int:
    """Measure once and print the table; 1 if a suspect was not held to the end."""
    options = _options()
    _raise_descriptor_limit()
    with _name_server() as dns_port, _proxy(options.sessions, dns_port) as (pid, port):
        empty = usage(pid)
        crowd = Crowd(port)
        try:
            crowd.connect(options.sessions)
            crowd.wait_first_bytes(time.monotonic() + FIRST_BYTES)
            before = usage(pid)
            crowd.read_until(time.monotonic() + options.seconds)
            after = usage(pid)
        finally:
            crowd.close()
    held = [one for one in crowd.suspects if one.arrivals and not one.lost]
    for name, value in table(held, empty, before, after):
        print(f"{name:<36}{value}")
    return 0 if len(held) == options.sessions else 1


def table(held: list[Suspect], empty: Usage, before: Usage, after: Usage) -> Iterator[tuple[str, str]]:
    """Yield the lines of the report."""
    intervals: list[float] = []
    from_first: list[float] = []
    from_best: list[float] = []
    for one in held:
        offsets = [arrival - number * PACE for number, arrival in enumerate(one.arrivals)]
        best = min(offsets)
        for number in range(1, len(one.arrivals)):
            if before.when < one.arrivals[number] <= after.when:
                intervals.append(one.arrivals[number] - one.arrivals[number - 1])
                from_first.append((offsets[number] - offsets[0]) * 1000)
                from_best.append((offsets[number] - best) * 1000)
    seconds, cpu = after.when - before.when, after.cpu - before.cpu
    yield "sessions held", f"{len(held)}"
    yield "bytes received", f"{len(intervals)} in {seconds:.1f} s ({len(held) * seconds / PACE:.0f} due)"
    if len(intervals) < 2:
        return
    yield "interval p50 / p99", f"{percentile(intervals, 50):.4f} s / {percentile(intervals, 99):.4f} s"
    for since, late in (("first byte", from_first), ("best byte", from_best)):
        value = f"{percentile(late, 50):.1f} ms / {percentile(late, 99):.1f} ms"
        yield f"lateness median / p99, {since}", value
    yield "CPU of the proxy", f"{cpu / seconds:.1%} of one core"
    yield "CPU a byte", f"{cpu / len(intervals) * 1e6:.1f} us"
    yield "resident memory a held session", f"{(after.resident - empty.resident) / len(held) / 1024:.1f} KiB"


def percentile(values: list[float], percent: int) -> float:
    """Return that percentile of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def usage(pid: int) -> Usage:
    """Return what /proc knows of the process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Usage(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), pages * resource.getpagesize())


@contextmanager
def _proxy(sessions: int, dns_port: int) -> Iterator[tuple[int, int]]:
    """Run the proxy: its process id and port."""
    port, closed = _free_ports()
    environment = {name: text for name, text in os.environ.items() if not name.startswith("TARPIT_")} | {
        "TARPIT_LISTEN": f"127.0.0.1:{port}",
        "TARPIT_BACKENDS": f"127.0.0.1:{closed}",
        "TARPIT_RELAY_TEST": "off",
        "TARPIT_HEALTH_EVERY": "0",
        "TARPIT_ALLOW": "none",
        "TARPIT_DENY": "none",
        "TARPIT_DNS_SERVERS": f"127.0.0.1:{dns_port}",
        "TARPIT_DNSBL_ZONES": "dnsbl.test=127.0.0.2*6",
        "TARPIT_PACE_BYTE": f"{PACE:g}s",
        "TARPIT_PACE_DELAY": "0",
        "TARPIT_PACE_JITTER": "0",
        "TARPIT_PACE_BANNER": "600s",
        "TARPIT_PACE_SESSION": "600s",
        "TARPIT_PREGREET_WAIT": "0",
        "TARPIT_HOSTNAME": HOSTNAME,
        "TARPIT_MAX_SESSIONS": str(2 * sessions + 100),  # nearly full, it would slow nobody
        "TARPIT_DRAIN": "2s",
        "TARPIT_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen([sys.executable, "-m", "tarpit", "run"], env=environment, stdout=sys.stderr)
    try:
        _wait_listening(port, process)
        yield process.pid, port
    finally:
        process.terminate()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            time.sleep(1)  # that session ends, and memory settles
            return
    raise SystemExit("the proxy does not listen; what it said is above")


@contextmanager
def _name_server() -> Iterator[int]:
    """Answer DNS queries from a thread, and return the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.2)
        stopping = threading.Event()
        thread = threading.Thread(target=_serve_names, args=(sock, stopping))
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            stopping.set()
            thread.join()


def _serve_names(sock: socket.socket, stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            wire, sender = sock.recvfrom(4096)
            query = dns.message.from_wire(wire)
        except (TimeoutError, dns.exception.DNSException):
            continue
        sock.sendto(_answer(query).to_wire(), sender)


def _answer(query: dns.message.Message) -> dns.message.Message:
    """List every address but 127.0.0.1; nothing else exists."""
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    name, kind = query.question[0].name, query.question[0].rdtype
    if not name.is_subdomain(LISTED) or name == NEVER_LISTED:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    elif kind == dns.rdatatype.A and name != LISTED:
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "127.0.0.2"))
    return reply


def _free_ports() -> tuple[int, int]:
    """Return two loopback ports that nobody listens on."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.hold", description="Hold suspects and time their bytes.")
    parser.add_argument("--sessions", type=int, default=2000, help="suspects at once")
    parser.add_argument("--seconds", type=int, default=20, help="length of the measurement")
    options = parser.parse_args()
    if not 1 <= options.sessions <= 60_000 or not 2 <= options.seconds <= LONGEST_RUN:
        parser.error(f"1 to 60000 sessions, 2 to {LONGEST_RUN} seconds")
    return options


if __name__ == "__main__":
    sys.exit(main())
