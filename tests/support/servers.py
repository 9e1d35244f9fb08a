"""The real servers that tests start, on loopback, each in a directory of its own. rbldnsd is here.

They are context managers, use nothing of the machine's own configuration, know their process by its
pid, and stop it and nothing else. They block: async tests start them in a fixture. Installing them is
tests/servers.sh; Postfix is `tests.support.postfix`.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from random import SystemRandom
from typing import Final

import pytest

PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # Debian's users do not have sbin in theirs
LOOPBACK: Final = "127.0.0.1"
STARTS_WITHIN: Final = 20.0

Address = tuple[str, int]


def server_or_skip(*programs: str) -> None:
    """Skip the test where one of *programs* is missing; where CI=true, fail it."""
    missing = [program for program in programs if shutil.which(program, path=PATH) is None]
    if "postfix" in programs and os.geteuid() != 0:
        missing.append("root (Postfix starts as nobody else)")
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"missing: {', '.join(missing)}; tests/servers.sh installs them")
    if missing:
        pytest.skip(f"missing: {', '.join(missing)}; tests/servers.sh installs them")


def ipv6_or_skip() -> None:
    """Skip the test where the machine has no IPv6 loopback, as in many a container."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """Return a port that was free a moment ago, outside the range of ports the kernel gives to clients."""
    for _ in range(100):
        port = SystemRandom().randrange(20000, 32000)
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port on loopback")


def wait_until(claim: Callable[[], bool], what: str, *, seconds: float = STARTS_WITHIN) -> None:
    """Wait until *claim* is true, at most *seconds*; fail the test with *what* otherwise."""
    end = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > end:
            pytest.fail(f"after {seconds:g} s still not: {what}")
        time.sleep(0.02)


def answers(address: Address) -> bool:
    """Whether something listens at *address*."""
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Rbldnsd:
    """A running rbldnsd, and the data files it serves."""

    address: Address
    directory: Path

    def __str__(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"


@contextmanager
def rbldnsd(
    zones: Mapping[str, Sequence[str]], *, generic: Mapping[str, Sequence[str]] | None = None
) -> Iterator[Rbldnsd]:
    """Run a DNS server for *zones*, name -> lines of an `ip4set`, and for *generic* ones (SPF, MX, A).

    An `ip4set` line is `192.0.2.9 :127.0.0.2:why`; the test points of RFC 5782 are added to each zone.
    """
    server_or_skip("rbldnsd")
    with directory_for("rbldnsd") as directory:
        listings = (
            (name, "ip4set", (*lines, "127.0.0.2 :127.0.0.2:test point")) for name, lines in zones.items()
        )
        others = ((name, "generic", tuple(lines)) for name, lines in (generic or {}).items())
        specifications = []
        for number, (name, kind, lines) in enumerate(chain(listings, others)):
            path = directory / f"zone{number}"
            path.write_text("\n".join(lines) + "\n", "utf-8")
            path.chmod(0o644)
            specifications.append(f"{name}:{kind}:{path.name}")
        server = Rbldnsd((LOOPBACK, free_port(socket.SOCK_DGRAM)), directory)
        with _process(server, specifications):
            yield server


@contextmanager
def _process(server: Rbldnsd, specifications: Sequence[str]) -> Iterator[None]:
    host, port = server.address
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [
        which("rbldnsd"),
        "-n",
        *user,
        "-r",
        str(server.directory),
        "-b",
        f"{host}/{port}",
        *specifications,
    ]
    with (server.directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: process.poll() is not None or _speaks_dns(server.address), "rbldnsd answers")
        if process.poll() is not None:
            pytest.fail(f"rbldnsd ended: {(server.directory / 'log').read_text()}")
        yield
    finally:
        process.terminate()
        process.wait(10)


def _speaks_dns(address: Address) -> bool:
    # a question for the root: refused, but answered
    question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        try:
            sock.connect(address)
            sock.send(question)
            return sock.recv(512)[:2] == question[:2]
        except OSError:
            return False


@contextmanager
def directory_for(name: str) -> Iterator[Path]:
    """Make a directory that servers who have given up root can enter, as pytest's own they cannot."""
    with tempfile.TemporaryDirectory(prefix=f"tarpit-{name}-", ignore_cleanup_errors=True) as path:
        directory = Path(path)
        directory.chmod(0o755)
        yield directory


def which(program: str) -> str:
    path = shutil.which(program, path=PATH)
    assert path is not None
    return path
