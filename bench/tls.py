"""What TLS that ends with us costs: a clean session, an idle one, everybody else in a storm of handshakes.

`python -m bench.tls [--sessions 300] [--idle 400] [--seconds 5]` starts the proxy as its own process, with
a throw-away certificate of either kind, in front of a sink, and prints a table. CPU and memory are the
proxy's own, from /proc. In the storm eight threads connect, shake hands and hang up as fast as they can, from
other networks than the clean peer, whose plain sessions are timed before and meanwhile. All of them share
the machine with the proxy, so these times are upper bounds.
"""

import argparse
import socket
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.held import CLEAN, CONTENT, deliver, proxy, usage
from bench.surroundings import sink

KINDS: Final = {"ECDSA P-256": ("ec", "ec_paramgen_curve:P-256"), "RSA 2048": ("rsa", "rsa_keygen_bits:2048")}
COMMANDS: Final = (b"MAIL FROM:<a@c.test>", b"RCPT TO:<b@d.test>", b"DATA", CONTENT + b".", b"QUIT")
STORMERS: Final = 8


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sessions", type=int, default=300, metavar="N")
    parser.add_argument("--idle", type=int, default=400, metavar="N")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args(arguments)
    for name, kind in KINDS.items():
        with tempfile.TemporaryDirectory() as folder, sink() as backend:
            files = certificate(Path(folder), *kind)
            room = {"TARPIT_BACKEND_MAX": str(2 * options.idle)}  # each of these sessions is joined
            with proxy(options.idle, backend.port, files | room) as (pid, port):
                print(f"\n{name}")
                measure(pid, port, options)


def measure(pid: int, port: int, options: argparse.Namespace) -> None:
    """Measure one proxy."""
    for name, session in {"plain": deliver, "in TLS 1.3": inside}.items():
        milliseconds = per_session(pid, options.sessions, session, port)
        print(f"  {name + ', 1 KiB a session':32} {milliseconds:6.2f} ms of CPU")
    for name, secure in {"plain": False, "in TLS 1.3": True}.items():
        taken = memory(pid, port, options.idle, secure=secure) / 1024
        print(f"  {name + ', idle':32} {taken:6.1f} KiB a session")
    calm = times(port, options.seconds)
    with storm(port) as count:
        began = usage(pid)
        busy = times(port, options.seconds)
        ended = usage(pid)
    seconds = ended.when - began.when
    share = (ended.cpu - began.cpu) / seconds
    print(f"  a plain clean session, calm      p50 {calm[0]:.1f} ms, p99 {calm[1]:.1f} ms")
    print(
        f"  the same among {count() / seconds:4.0f} handshakes/s p50 {busy[0]:.1f} ms, p99 {busy[1]:.1f} ms"
        f" (the proxy at {share:.0%} of a core)"
    )


def per_session(pid: int, sessions: int, session: Callable[[int], float], port: int) -> float:
    """Return milliseconds of CPU a session."""
    session(port)
    before = usage(pid).cpu
    for _ in range(sessions):
        session(port)
    return (usage(pid).cpu - before) / sessions * 1000


def inside(port: int) -> float:
    """Deliver a message inside TLS, and return how many seconds that took."""
    began = time.monotonic()
    with connected(port, CLEAN) as sock:
        for command in (b"EHLO c.test", *COMMANDS):
            ask(sock, command)
    return time.monotonic() - began


def connected(port: int, source: str) -> ssl.SSLSocket:
    """Connect, and shake hands."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reply(sock)
    ask(sock, b"EHLO c.test")
    ask(sock, b"STARTTLS")
    return client().wrap_socket(sock)


def client() -> ssl.SSLContext:
    """Return a context that believes anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def ask(sock: socket.socket, line: bytes) -> None:
    """Say a line, and hear a good reply."""
    sock.sendall(line + b"\r\n")
    reply(sock)


def reply(sock: socket.socket) -> None:
    """Hear a reply, which must be good."""
    heard = b""
    while not heard.endswith(b"\r\n") or heard.splitlines()[-1][3:4] == b"-":
        heard += sock.recv(4096) or b"500 closed\r\n"
    if heard[:1] not in b"23":
        raise ConnectionError(heard.decode("latin-1"))


def memory(pid: int, port: int, sessions: int, *, secure: bool) -> float:
    """Return bytes of the proxy's own that an idle session takes, behind its EHLO."""
    before, held = usage(pid).resident, list[socket.socket]()
    for _ in range(sessions):
        if secure:
            sock: socket.socket = connected(port, f"127.0.1.{len(held) % 250 + 1}")
        else:
            source = (f"127.0.1.{len(held) % 250 + 1}", 0)
            sock = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=source)
            reply(sock)
        ask(sock, b"EHLO c.test")
        held.append(sock)
    taken = (usage(pid).resident - before) / sessions
    for sock in held:
        sock.close()
    time.sleep(1)
    return taken


def times(port: int, seconds: float) -> tuple[float, float]:
    """Return milliseconds of a plain clean session, median and 99th percentile."""
    until, taken = time.monotonic() + seconds, list[float]()
    while time.monotonic() < until:
        taken.append(deliver(port) * 1000)
    cuts = statistics.quantiles(taken, n=100)
    return cuts[49], cuts[98]


@contextmanager
def storm(port: int) -> Iterator[Callable[[], int]]:
    """Let others connect, shake hands and hang up as fast as they can; yield how often they have."""
    done, stopping = [0] * STORMERS, threading.Event()
    threads = [
        threading.Thread(target=_rage, args=(port, number, done, stopping)) for number in range(STORMERS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(done)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def _rage(port: int, number: int, done: list[int], stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            connected(port, f"127.0.{number + 1}.1").close()
        except OSError:
            continue
        done[number] += 1


def certificate(folder: Path, kind: str, option: str) -> dict[str, str]:
    """Make a certificate that nobody has signed; return the settings for it."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    what = ["-newkey", kind, "-pkeyopt", option, "-subj", "/CN=mx.test", "-days", "30"]
    where = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", "req", "-x509", "-nodes", *what, *where], check=True, capture_output=True)
    return {"TARPIT_TLS_CERT": str(cert), "TARPIT_TLS_KEY": str(key), "TARPIT_ALLOW": "127.0.0.0/8"}


if __name__ == "__main__":
    main()
