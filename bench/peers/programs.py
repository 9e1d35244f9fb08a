"""The load generator, the sink and the relay: C programs, compiled into a folder when they are older than
their source. The folder also keeps what start/ cannot have from a package: Haraka, aiosmtpd.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.held import free_port

BENCH: Final = Path(__file__).parent.parent
SILENCE: Final = 300.0  # seconds; the generator gives up before


def cache() -> Path:
    """Return the folder, which exists."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tarpit-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def build(name: str, folder: Path) -> Path:
    """Compile bench/NAME.c if need be, and return the program. Raises `SystemExit` without a compiler."""
    source, program = BENCH / f"{name}.c", folder / name
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("there is no C compiler, and the load generator is written in C")
    fresh = folder / f".{name}.{os.getpid()}"  # another run may be using the old one
    subprocess.run([compiler, "-O2", "-Wall", "-o", fresh, source], check=True)
    return fresh.replace(program)


@dataclass(frozen=True, slots=True)
class Load:
    """What the generator is to do."""

    sessions: int
    at_once: int
    size: int  # bytes a message
    blind: bool = False  # after STARTTLS
    sources: int = 64  # addresses
    rate: int = 0  # sessions a second, begun by the clock; 0: the next begins when one ends


@dataclass(frozen=True, slots=True)
class Ran:
    """What the generator saw. Times of a session in microseconds, from connect to the reply to QUIT."""

    sessions: int  # that went well
    failed: int
    seconds: float
    cpu: float  # of the generator
    p50: float
    p99: float
    max: float
    mean: float
    complaint: str  # what went wrong in the first that failed


def generate(folder: Path, port: int, load: Load) -> Ran:
    """Have the sessions of *load* made to *port*. Raises `SystemExit` where the generator itself fails."""
    done = subprocess.run(
        command(folder, port, load), capture_output=True, text=True, timeout=SILENCE, check=False
    )
    return parse(done.stdout, done.stderr)


def command(folder: Path, port: int, load: Load) -> list[str]:
    """Return what runs the generator. It prints a line for each session that fails, and last the figures."""
    numbers = (port, load.sessions, load.at_once, load.size, load.sources, int(load.blind), load.rate)
    return [str(folder / "generator"), *map(str, numbers)]


def parse(out: str, complaint: str = "") -> Ran:
    """Return what the generator's last line says. Raises `SystemExit` where there is none."""
    lines = out.splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise SystemExit(f"the load generator failed: {complaint.strip() or 'it said nothing'}")
    return Ran(**json.loads(lines[-1]))


@dataclass(frozen=True, slots=True)
class Taken:
    """What the sink has had so far."""

    messages: int
    octets: int


class Sink:
    """The backend of all."""

    def __init__(self, port: int) -> None:
        self.port = port

    def taken(self) -> Taken:
        """Ask it."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as sock, sock.makefile("rb") as replies:
            replies.readline()
            sock.sendall(b"STAT\r\n")
            _, messages, octets = replies.readline().split()
        return Taken(int(messages), int(octets))


@contextmanager
def sink(folder: Path) -> Iterator[Sink]:
    """Run the sink."""
    port = free_port()
    process = subprocess.Popen([str(folder / "sink"), str(port)])
    try:
        wait_listening(port, process)
        yield Sink(port)
    finally:
        process.terminate()
        process.wait(10)


def wait_listening(port: int, process: "subprocess.Popen[bytes]", seconds: float = 30.0) -> None:
    """Wait until *process* takes connections. Raises `TimeoutError` if it does not, or has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("it does not listen" if process.poll() is None else "it has ended")
