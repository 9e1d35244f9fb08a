"""The proxy as a process: `python -m tarpit run` with nothing but given `TARPIT_` variables.

Its events are read from the JSON lines it writes. That it is ready is told by its own event, not by a
connection: that would be a session, with a backend behind it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from tests.support.servers import LOOPBACK, Address, free_port, wait_until

ROOT: Final = Path(__file__).parent.parent.parent
RUN: Final = (sys.executable, "-m", "tarpit", "run")
QUICK: Final = {
    "HOSTNAME": "a.test",
    "ALLOW": "none",
    "ADMIN": "off",
    "STORE": "memory:",
    "LOG_FORMAT": "json",
    "HEALTH_EVERY": "0",  # probes at the start only: what is in a backend's log later is a session's
    "PACE_JITTER": "0",
    "DRAIN": "5s",
}
# For hundreds of sessions from one address: whose peer has left counts until its backend has answered QUIT.
UNCAPPED: Final = {"MAX_SESSIONS_PEER": "1000", "MAX_SESSIONS_NETWORK": "1000"}

Event = dict[str, object]


class Starts(Protocol):
    """Starts a proxy; the variables are given without their prefix."""

    def __call__(self, host: str = LOOPBACK, **variables: str) -> "Run": ...


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the proxy, still going or ended."""

    address: Address
    process: subprocess.Popen[bytes]
    files: "tempfile.TemporaryDirectory[str]"

    @classmethod
    def start(
        cls,
        host: str,
        variables: dict[str, str],
        *,
        command: Sequence[str] = RUN,
        pass_fds: Sequence[int] = (),
    ) -> Self:
        """Start a proxy on *host*, and wait until it accepts connections or has ended."""
        port = free_port()
        files = tempfile.TemporaryDirectory(prefix="tarpit-run-")
        ours = {
            "LISTEN": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "STATE_DIR": files.name,
            **QUICK,
            **variables,
        }
        environment = {name: text for name, text in os.environ.items() if not name.startswith("TARPIT_")}
        environment |= {f"TARPIT_{name}": text for name, text in ours.items()}
        with Path(files.name, "out").open("wb") as out, Path(files.name, "err").open("wb") as err:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=pass_fds,
            )
        run = cls((host, port), process, files)
        count = int(variables.get("WORKERS", "1"))
        wait_until(lambda: run.ended or len(run.workers) >= count, "the proxy accepts or has ended")
        return run

    @property
    def workers(self) -> list[int]:
        """The process ids of all workers so far, in the order of their start."""
        return [int(str(event["pid"])) for event in self.events("worker.started")]

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    @property
    def output(self) -> str:
        """All that it has written, to the standard output and then to the standard error."""
        return "\n".join(Path(self.files.name, name).read_text("utf-8", "replace") for name in ("out", "err"))

    def events(self, name: str = "") -> list[Event]:
        """Return the events so far, or those called *name*."""
        lines = Path(self.files.name, "out").read_bytes().splitlines(keepends=True)
        whole = [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"\n")]
        return [event for event in whole if name in {"", event["event"]}]

    def closed(self, count: int = 1) -> list[Event]:
        """Wait until *count* sessions are over, and return their `session.closed` events."""
        wait_until(lambda: len(self.events("session.closed")) >= count, f"{count} sessions closed")
        return self.events("session.closed")

    def stop(self) -> int:
        """Ask it to stop, wait until it has, and return its exit code."""
        if not self.ended:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def close(self) -> None:
        """Stop it, by force where it does not listen, and show what it wrote (pytest does, on failure)."""
        try:
            self.stop()
        finally:
            self.process.kill()
            self.process.wait(5)
            sys.stderr.write(self.output)
            self.files.cleanup()
