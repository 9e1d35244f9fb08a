"""What an open session keeps of the proxy's own memory: clean, held, inside TLS. `python -m bench memory`

The proxy is a process of its own, its resident memory read from /proc before and after so many sessions have
been opened; what the kernel keeps for a connection is not in it. In each row the sessions wait where most
sessions wait: a clean one joined to its backend, a held one in the middle of its banner. The rows are
measured one after the other, each by a fresh proxy: memory that was given back is taken again first.
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.held import proxy, usage
from bench.hold import crowd
from bench.surroundings import sink
from bench.tls import KINDS, certificate, memory

KIB: Final = 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=2000, metavar="N")
    sessions = parser.parse_args(arguments).sessions
    with tempfile.TemporaryDirectory() as folder, sink() as backend:
        room = {"TARPIT_BACKEND_MAX": str(2 * sessions), "TARPIT_ALLOW": "127.0.0.0/8"}
        secure = certificate(Path(folder), *KINDS["ECDSA P-256"]) if shutil.which("openssl") else {}
        with proxy(sessions, backend.port, room) as (pid, port):
            print(f"the process itself                    {usage(pid).resident / KIB**2:7.1f} MiB")
            _tell("clean, joined, behind its EHLO", memory(pid, port, sessions, secure=False))
        with proxy(sessions, backend.port) as (pid, port):
            _tell("held, in the middle of its banner", held(pid, port, sessions))
        if secure:
            with proxy(sessions, backend.port, secure | room) as (pid, port):
                _tell("clean, joined, inside TLS 1.3", memory(pid, port, sessions, secure=True))
    return 0


def held(pid: int, port: int, sessions: int) -> float:
    """Return bytes that a held session takes."""
    before = usage(pid).resident
    with crowd(port) as orders:
        orders.give(f"hold {sessions}")
        count = orders.give("watch 2")["held"]
        return (usage(pid).resident - before) / max(count, 1)


def _tell(what: str, size: float) -> None:
    print(f"{what:36}  {size / KIB:7.1f} KiB a session", flush=True)


if __name__ == "__main__":
    main()
