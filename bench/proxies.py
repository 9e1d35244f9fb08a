"""A proxy of several workers with a sink behind it, for `bench.workers` and `bench.siege`.

It has all that a site in production has on: warm verdicts, the guard, events as JSON in a file.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.held import free_port
from bench.peers.programs import wait_listening
from bench.surroundings import ROOT

LIMIT: Final = 45  # TARPIT_MAX_SESSIONS_PEER; the load needs 40


@dataclass
class Proxy:
    """One that runs."""

    port: int
    process: "subprocess.Popen[bytes]"
    folder: Path

    def events(self, *names: str) -> list[dict[str, object]]:
        """Return the events of these names so far."""
        lines = (self.folder / "events").read_bytes().splitlines(keepends=True)
        wanted = [name.encode() for name in names]
        return [
            json.loads(line)
            for line in lines
            if line.endswith(b"\n") and any(b'"event":"' + name + b'"' in line for name in wanted)
        ]

    def set(self, **variables: str) -> None:
        """Write the settings that HUP reads."""
        text = "".join(f"TARPIT_{name}={value}\n" for name, value in variables.items())
        (self.folder / "env").write_text(text)


@contextmanager
def proxy(workers: int, *, names: int, backend: int) -> Iterator[Proxy]:
    """Run a proxy of so many workers."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, port = Path(temporary), free_port()
        settings = {
            "LISTEN": f"127.0.0.1:{port}",
            "BACKENDS": f"127.0.0.1:{backend}",
            "DNS_SERVERS": f"127.0.0.1:{names}",
            "WORKERS": str(workers),
            "HOSTNAME": "mx.d.test",
            "ALLOW": "none",
            "DNSBL_ZONES": "dnsbl.test",
            "STORE": "memory:",
            "STATE_DIR": str(folder),
            "ADMIN": "off",
            "LOG_FORMAT": "json",
            "RELAY_TEST": "off",
            "RATE_PEER": "10000000/s",
            "RATE_NETWORK": "10000000/s",
            "BACKEND_MAX": "400",
            "DRAIN": "5s",
        }
        environment = {name: text for name, text in os.environ.items() if not name.startswith("TARPIT_")}
        environment |= {f"TARPIT_{name}": text for name, text in settings.items()}
        (folder / "env").write_text(f"TARPIT_MAX_SESSIONS_PEER={LIMIT}\n")
        command = [sys.executable, "-m", "tarpit", "run", "--env-file", str(folder / "env")]
        with (folder / "events").open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out)
        one = Proxy(port, process, folder)
        try:
            while len(one.events("worker.started")) < workers:
                if process.poll() is not None:
                    raise SystemExit("the proxy does not start; what it said is above")
                time.sleep(0.1)
            yield one
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()


@contextmanager
def sink(folder: Path) -> Iterator[tuple[int, int]]:
    """Run the sink: its port and process id."""
    port = free_port()
    process = subprocess.Popen([str(folder / "sink"), str(port)], stdout=sys.stderr)
    try:
        wait_listening(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)
