"""What stands around the proxy in `bench.flood`: a sink, a DNSBL that lists the flood, the process itself."""

import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import dns.rdatatype

from bench.answering import answering

SENDER: Final = "127.0.0.3"
DOMAIN: Final = "a.test"
KNOWN: Final[Mapping[str, Mapping[str, str]]] = {
    "3.0.0.127.in-addr.arpa": {"PTR": f"mx.{DOMAIN}."},
    f"mx.{DOMAIN}": {"A": SENDER},
    DOMAIN: {"TXT": f'"v=spf1 ip4:{SENDER} -all"'},
}
# 127.128/9, and 127.0.0.2 as every list does (RFC 5782 section 5); below is what no list may have
_LISTED: Final = re.compile(r"([0-9]+\.[0-9]+\.(12[89]|1[3-9][0-9]|2[0-9]{2})|2\.0\.0)\.127\.dnsbl\.test")
ROOT: Final = Path(__file__).parent.parent
START: Final = 30.0  # seconds for the proxy to listen
STOP: Final = 20.0  # seconds for it to end


class Sink(socketserver.ThreadingTCPServer):
    """Takes every message, and remembers the number in its subject."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.port: int = self.socket.getsockname()[1]
        self.stored: set[int] = set()

    def handle_error(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: tuple[str, int]
    ) -> None:
        """Say nothing of a proxy that has hung up, as it does when it is ended: it was asked to."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Take(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 sink.test ESMTP\r\n")
        while (line := self.rfile.readline()) and not line.upper().startswith(b"QUIT"):
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                self._content()
            self.wfile.write(b"250 ok\r\n")
        self.wfile.write(b"221 bye\r\n")

    def _content(self) -> None:
        assert isinstance(self.server, Sink)
        for line in iter(self.rfile.readline, b".\r\n"):
            if line.startswith(b"Subject: "):
                self.server.stored.add(int(line[9:]))
            if not line:
                raise ConnectionError("closed in a message")


@contextmanager
def sink() -> Iterator[Sink]:
    """Run a sink in threads of this process."""
    with Sink() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def name_server() -> AbstractContextManager[int]:
    """Answer DNS queries from a thread, and return the port."""
    return answering(_record)


def _record(name: str, kind: dns.rdatatype.RdataType) -> str | None:
    """List the flood, and know the sender as a mail server should be known; nothing else exists."""
    records = {"A": "127.0.0.2"} if _LISTED.fullmatch(name) else KNOWN.get(name)
    return None if records is None else records.get(kind.name, "")


def workers_of(supervisor: int) -> list[int]:
    """Return the process ids of a proxy's workers, and last of its office, in the order of their birth."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text("ascii")
    return sorted(map(int, children.split()))


@contextmanager
def proxy(
    sessions: int, *, names: int, backend: int, log: Path, **variables: str
) -> Iterator[tuple[int, int]]:
    """Run the proxy: its worker's process id, and the port. Further *variables* go without their prefix."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("TARPIT_")} | {
        "TARPIT_LISTEN": f"127.0.0.1:{port}",
        "TARPIT_BACKENDS": f"127.0.0.1:{backend}",
        "TARPIT_RELAY_TEST": "off",
        "TARPIT_HEALTH_EVERY": "0",
        "TARPIT_ALLOW": "none",
        "TARPIT_DNS_SERVERS": f"127.0.0.1:{names}",
        "TARPIT_DNSBL_ZONES": "dnsbl.test=127.0.0.2*6",
        "TARPIT_HOSTNAME": "mx.flood.test",
        "TARPIT_MAX_SESSIONS": str(sessions),
        "TARPIT_STORE": "memory:",
        "TARPIT_ADMIN": "off",
        "TARPIT_DRAIN": "2s",
        "TARPIT_LOG_FORMAT": "json",
    }
    environment |= {f"TARPIT_{name}": text for name, text in variables.items()}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tarpit", "run"], cwd=ROOT, env=environment, stdout=out
        )
    try:
        until = time.monotonic() + START
        while b"worker.started" not in log.read_bytes():
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit("the proxy does not start; what it said is above")
            time.sleep(0.1)
        yield workers_of(process.pid)[0], port
    finally:
        process.terminate()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
