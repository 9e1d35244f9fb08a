"""Real mail servers as backends: each takes b@example.net, refuses others, and is full for one sender.

    with BACKENDS["exim"]() as backend: ...

What they take is kept whole, what they prepend taken off; a message from `FULL` is refused with 452 at its
end. *proxied* ones want a PROXY header first. Exim and OpenSMTPD run in a root directory of
their own, as they do in `tests.support.senders`. OpenSMTPD would need a shell to store anything: it sends on,
to a sink.
"""

import os
import signal
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support.postfix import postfix
from tests.support.senders import folder, root_directory
from tests.support.servers import LOOPBACK, Address, answers, free_port, wait_until

RECIPIENT: Final = "b@example.net"
FULL: Final = "full@example.org"
FIRST_LINE: Final = b"Subject: to be stored\r\n"  # what stands before it is the server's
# all that a server would add where it is missing
HEADER: Final = FIRST_LINE + b"".join(
    field + b"\r\n"
    for field in (
        b"From: a@example.org",
        b"To: b@example.net",
        b"Date: Tue, 24 Nov 2026 08:00:00 +0000",
        b"Message-ID: <1@example.org>",
    )
)
LARGEST: Final = 100 * 2**20

_EXIM: Final = f"""\
primary_hostname = exim.example
daemon_smtp_ports = {{port}}
local_interfaces = 127.0.0.1
spool_directory = /var/spool/exim
log_file_path = /var/spool/exim/log-%s
log_selector = +incoming_port +smtp_connection +smtp_no_mail
hosts_proxy = {{proxied}}
keep_environment =
add_environment =
tls_advertise_hosts =
disable_ipv6 = true
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
message_size_limit = {LARGEST}
deliver_drop_privilege = true
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  deny
    !recipients = {RECIPIENT}
    message = nobody of that name at exim.example
  accept
data:
  defer
    senders = {FULL}
    message = 452 4.3.1 no room at exim.example
  accept
begin routers
all:
  driver = accept
  transport = store
begin transports
store:
  driver = appendfile
  directory = /var/spool/exim/stored
  maildir_format
"""
_OPENSMTPD: Final = f"""\
table full {{{{ "{FULL}" }}}}
filter full phase commit match mail-from <full> reject "452 4.3.1 no room at smtpd.example"
smtp max-message-size {LARGEST}
mta limit conn-delay-route 0 reconn-delay-route 0
listen on 127.0.0.1 port {{port}} hostname smtpd.example filter full {{proxied}}
action "on" relay host "smtp://127.0.0.1:{{sink}}"
match from any for rcpt-to "{RECIPIENT}" action "on"
"""


@dataclass(frozen=True, slots=True)
class RealBackend:
    """Where it listens, what it has stored so far (as it came, without what was prepended), and its log."""

    address: Address
    stored: Callable[[], list[bytes]]
    log: Callable[[], str]
    running: "Running | None" = None  # not of Postfix, which is many processes


@contextmanager
def postfix_backend(main: Mapping[str, str] | None = None) -> Iterator[RealBackend]:
    """Run Postfix, with *main* as further lines of main.cf.

    It logs a client's port, and for each message once more who has sent it, HELO name included.
    """
    full = "check_sender_access inline:{{" + FULL + " = 452 4.3.1 no room at mx.example.net}}"
    known = {
        "virtual_mailbox_maps": "inline:{{" + RECIPIENT + " = all/}}",
        "smtpd_end_of_data_restrictions": f"{full}, check_client_access static:INFO",
        "smtpd_client_port_logging": "yes",
        "message_size_limit": str(LARGEST),
    }
    with postfix(known | dict(main or {})) as server:
        yield RealBackend(server.address, server.messages, server.log)


@contextmanager
def exim_backend(*, proxied: bool = False) -> Iterator[RealBackend]:
    """Run Exim; it delivers as its own user into a maildir."""
    _unpacked_or_skip()
    with root_directory() as root:
        address = (LOOPBACK, free_port())
        _write(root / "etc/exim.conf", _EXIM.format(port=address[1], proxied=LOOPBACK if proxied else ""))
        spool = root / "var/spool/exim"
        spool.mkdir()
        os.chown(spool, 990, 990)
        command = ["/usr/sbin/exim4", "-C", "/etc/exim.conf", "-bdf"]
        with _running(root, command, address) as running:
            yield RealBackend(
                address,
                lambda: [_cut(p.read_bytes()) for p in spool.glob("stored/new/*")],
                lambda: "".join(path.read_text("utf-8", "replace") for path in sorted(spool.glob("log-*"))),
                running,
            )


@contextmanager
def opensmtpd_backend(*, proxied: bool = False) -> Iterator[RealBackend]:
    """Run OpenSMTPD, and the sink behind it."""
    _unpacked_or_skip()
    with root_directory() as root, _sink() as (port, taken):
        address = (LOOPBACK, free_port())
        _write(
            root / "etc/smtpd.conf",
            _OPENSMTPD.format(port=address[1], sink=port, proxied="proxy-v2" if proxied else ""),
        )
        (root / "var/lib/opensmtpd/empty").mkdir(parents=True, exist_ok=True)
        (root / "var/spool/smtpd").mkdir()
        (root / "var/spool/smtpd").chmod(0o711)
        with _running(root, ["/usr/sbin/smtpd", "-d"], address) as running:
            yield RealBackend(
                address,
                lambda: list(map(_cut, taken)),
                lambda: (root / "log").read_text("utf-8", "replace"),
                running,
            )


BACKENDS: Final[Mapping[str, Callable[[], AbstractContextManager[RealBackend]]]] = {
    "postfix": postfix_backend,
    "exim": exim_backend,
    "opensmtpd": opensmtpd_backend,
}


@dataclass
class Running:
    """A server's process, which may be killed and started again."""

    root: Path
    command: list[str]
    address: Address
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.root / "log").open("ab") as log:
            self.process = process = subprocess.Popen(
                ["chroot", str(self.root), *self.command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(lambda: process.poll() is not None or answers(self.address), f"{self.command[0]} answers")
        assert process.poll() is None, (self.root / "log").read_text("utf-8", "replace")

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it. What it has forked for sessions that are open goes on, as with Exim."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(10)


@contextmanager
def _running(root: Path, command: list[str], address: Address) -> Iterator[Running]:
    running = Running(root, command, address)
    try:
        running.start()
        yield running
    finally:
        running.end()


class _Sink(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Take)
        self.taken: list[bytes] = []


class _Take(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Sink)
        self.wfile.write(b"220 sink.example ESMTP\r\n")
        while (line := self._line()) and not line.upper().startswith(b"QUIT"):
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self._line, b".\r\n")
                self.server.taken.append(b"".join(each.removeprefix(b".") for each in lines))
            self.wfile.write(b"250 ok\r\n")
        self.wfile.write(b"221 bye\r\n")

    def _line(self) -> bytes:
        # OpenSMTPD waits for our ACK between the parts of a message, which would come after 40 ms
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return self.rfile.readline()


@contextmanager
def _sink() -> Iterator[tuple[int, list[bytes]]]:
    with _Sink() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield server.socket.getsockname()[1], server.taken
        finally:
            server.shutdown()
            thread.join()


def _cut(stored: bytes) -> bytes:
    """Return what was received, with CRLF: from the first line on."""
    wire = stored if b"\r\n" in stored[:1000] else stored.replace(b"\n", b"\r\n")
    return wire[wire.index(FIRST_LINE) :]


def _unpacked_or_skip() -> None:
    if (folder() / "complete").exists() and os.geteuid() == 0:
        return
    why = "Exim and OpenSMTPD are not unpacked (as root: sh tests/servers.sh)"
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o644)
