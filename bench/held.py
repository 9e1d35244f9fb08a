"""Who holds the crowd in `bench.hold`: the proxy as its own process, and a C program beside it.

Either is started alone, and its use of the machine is read from /proc. A clean peer delivers through the
proxy from an address on the allowlist; the crowd's addresses are on the denylist, so that nothing but the
holding itself is measured (a held peer costs no DNS either way).
"""

import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bench.surroundings import workers_of

HERE: Final = Path(__file__).parent
CLEAN: Final = "127.0.0.9"
HOSTNAME: Final = ".".join(["a" * 59] * 4 + ["test"])  # a banner of more than 240 bytes, as the C program's
LONGEST: Final = "1h"
START: Final = 20.0  # seconds to listen
STOP: Final = 20.0  # seconds to end after TERM
CONTENT: Final = b"Subject: 1\r\n\r\n" + b"x" * 76 + b"\r\n" + (b"y" * 78 + b"\r\n") * 11


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far, and when that was read."""

    when: float
    cpu: float  # seconds, user and system
    resident: int  # bytes


def usage(pid: int) -> Usage:
    """Return what /proc knows of the process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Usage(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), pages * resource.getpagesize())


@contextmanager
def proxy(
    sessions: int, backend: int, more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[int, int]]:
    """Run the proxy in front of a backend: its process id and port. Nobody is spared for want of room.

    *more* are further variables, in the place of those here.
    """
    port, names = free_port(), free_port()
    room = str(2 * sessions + 5000)
    environment = {name: text for name, text in os.environ.items() if not name.startswith("TARPIT_")} | {
        "TARPIT_LISTEN": f"127.0.0.1:{port}",
        "TARPIT_BACKENDS": f"127.0.0.1:{backend}",
        "TARPIT_RELAY_TEST": "off",
        "TARPIT_HEALTH_EVERY": "0",
        "TARPIT_ALLOW": f"{CLEAN}/32",
        "TARPIT_DENY": "127.1.0.0/16",
        "TARPIT_DNS_SERVERS": f"127.0.0.1:{names}",
        "TARPIT_PACE_BYTE": "1s",
        "TARPIT_PACE_DELAY": "0",
        "TARPIT_PACE_JITTER": "0",
        "TARPIT_PACE_HOLD": LONGEST,
        "TARPIT_PREGREET_WAIT": "0",
        "TARPIT_HOSTNAME": HOSTNAME,
        "TARPIT_MAX_SESSIONS": room,
        "TARPIT_MAX_SESSIONS_PEER": room,
        "TARPIT_MAX_SESSIONS_NETWORK": room,
        "TARPIT_MAX_HELD": room,
        "TARPIT_DRAIN": "2s",
        "TARPIT_LOG_LEVEL": "warning",
        **more,
    }
    command = [sys.executable, "-m", "tarpit", "run"]
    with _running(command, port, environment) as pid:
        time.sleep(2)  # the worker is there, the backend's first probe is over, and memory settles
        yield workers_of(pid)[0], port


@contextmanager
def rival(compiled: Path) -> Iterator[tuple[int, int]]:
    """Run the C program: its process id and port."""
    port = free_port()
    with _running([str(compiled), str(port)], port, dict(os.environ)) as pid:
        yield pid, port


def compile_rival(folder: Path) -> Path | None:
    """Compile the C program, or return None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    compiled = folder / "tarpit"
    subprocess.run([compiler, "-O2", "-Wall", "-o", compiled, HERE / "tarpit.c"], check=True)
    return compiled


def deliver(port: int) -> float:
    """Deliver a message of 1 KiB as a clean peer, and return how many seconds that took."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(CLEAN, 0)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        heard = sock.makefile("rb")
        for line in (b"", b"EHLO c.test", b"MAIL FROM:<a@c.test>", b"RCPT TO:<b@d.test>", b"DATA"):
            _exchange(sock, heard.readline, line)
        _exchange(sock, heard.readline, CONTENT + b".")
        _exchange(sock, heard.readline, b"QUIT")
    return time.monotonic() - began


def _exchange(sock: socket.socket, readline: Callable[[], bytes], line: bytes) -> None:
    if line:
        sock.sendall(line + b"\r\n")
    while (reply := readline())[3:4] == b"-":
        pass
    if reply[:1] not in b"23":
        raise SystemExit(f"a clean peer heard {reply!r}")


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def _running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen(command, cwd=HERE.parent, env=environment, stdout=sys.stderr)
    try:
        _wait_listening(port, process)
        yield process.pid
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
            socket.create_connection(("127.0.0.1", port), 1, source_address=(CLEAN, 0)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"{process.args!r} does not listen; what it said is above")
