"""Who is compared. Each is a name, and a script in start/ of that name, which does two things:

    NAME.sh version            prints what is installed, or fails
    NAME.sh run PORT BACKEND   becomes the server, in its working directory, with its configuration there

The scripts can be used by hand as well; what they take from the environment is PYTHON, CACHE and NAMES (the
port of a name server).
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.held import free_port
from bench.peers.processor import cpu_seconds, descendants
from bench.peers.programs import BENCH, wait_listening

START: Final = BENCH / "peers" / "start"
STOP: Final = 10.0  # seconds to end after TERM
OURS: Final = "tarpit"
DIRECT: Final = "direct"  # nobody: the sink itself
NAMES: Final = {
    OURS: "this proxy",
    "haproxy": "HAProxy, TCP mode",
    "nginx": "nginx, mail proxy",
    "postfix": "Postfix, before-queue proxy",
    "postscreen": "Postfix, postscreen before that",
    "haraka": "Haraka, smtp_proxy",
    "aiosmtpd": "aiosmtpd relay",
    "relay": "C relay, parsing lines",
    "bare": "our poller alone, parsing nothing",
    DIRECT: "nothing between",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the start scripts are told."""

    folder: Path  # what was compiled and installed
    backend: int  # ports
    names: int
    tree: Path = BENCH.parent  # where this proxy's code is
    python: str = sys.executable  # what runs it, and aiosmtpd

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a script: none of this proxy's variables but its own."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("TARPIT_")}
        ours = {"PYTHON": self.python, "CACHE": str(self.folder), "NAMES": str(self.names)}
        paths = {
            "PYTHONPATH": str(self.tree),
            "PYTHONSAFEPATH": "1",
            "PATH": f"{kept.get('PATH', '')}:/usr/sbin:/sbin",
        }
        return kept | ours | paths


class Contestant:
    """One that runs. The CPU of `direct` is none."""

    def __init__(self, name: str, port: int, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self.name = name
        self.port = port
        self._process = process

    @property
    def cpu(self) -> float:
        """Seconds of all its processes so far."""
        return cpu_seconds(self._process.pid) if self._process else 0.0

    @property
    def pid(self) -> int:
        """Its first process."""
        assert self._process is not None
        return self._process.pid


def version(name: str, around: Surroundings) -> str | None:
    """Return the version of *name*, or None where it is not installed."""
    command = ["sh", str(START / f"{name}.sh"), "version"]
    done = subprocess.run(
        command, env=around.environment, capture_output=True, text=True, timeout=60, check=False
    )
    return None if done.returncode else (done.stdout.splitlines() or [""])[0].split(" (")[0].strip()


@contextmanager
def running(name: str, around: Surroundings) -> Iterator[Contestant]:
    """Run *name* in a folder of its own. Raises `TimeoutError`, with what it said, if it does not listen."""
    if name == DIRECT:
        yield Contestant(name, around.backend)
        return
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)  # servers that have given up root must enter
        port, said = free_port(), Path(directory, "said")
        command = ["sh", str(START / f"{name}.sh"), "run", str(port), str(around.backend)]
        with said.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=around.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            _wait(process, port, said)
            yield Contestant(name, port, process)
        finally:
            _stop(process)


def _wait(process: "subprocess.Popen[bytes]", port: int, said: Path) -> None:
    try:
        wait_listening(port, process)
    except TimeoutError as late:
        last = said.read_text("utf-8", "replace").splitlines()[-3:]
        raise TimeoutError(f"{late}: {' / '.join(last)}") from None


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Tell it to end, and make an end of whatever of it does not."""
    family = descendants(process.pid)
    process.terminate()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _kill(family[1:])


def _kill(pids: Sequence[int]) -> None:
    until = time.monotonic() + STOP
    while pids and time.monotonic() < until:
        time.sleep(0.05)
        pids = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
