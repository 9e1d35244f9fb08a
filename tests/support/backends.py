"""Real mail servers as backends: each takes b@example.net, refuses others, and is full for one sender.

    with BACKENDS["exim"]() as backend: ...

What they take is kept whole, what they prepend taken off; a message from `FULL` is refused with 452 at its
end. Exim and OpenSMTPD run in a root directory of their own, as they do in `tests.support.senders`.
OpenSMTPD would need a shell to store anything: it sends on, to a sink.
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
listen on 127.0.0.1 port {{port}} hostname smtpd.example filter full
action "on" relay host "smtp://127.0.0.1:{{sink}}"
match from any for rcpt-to "{RECIPIENT}" action "on"
"""


@dataclass(frozen=True, slots=True)
class RealBackend:
    """Where it listens, and what it has stored so far: as it came, without what was prepended."""

    address: Address
    stored: Callable[[], list[bytes]]


@contextmanager
def postfix_backend() -> Iterator[RealBackend]:
    """Run Postfix."""
    full = "check_sender_access inline:{{" + FULL + " = 452 4.3.1 no room at mx.example.net}}"
    known = {
        "virtual_mailbox_maps": "inline:{{" + RECIPIENT + " = all/}}",
        "smtpd_end_of_data_restrictions": full,
        "message_size_limit": str(LARGEST),
    }
    with postfix(known) as server:
        yield RealBackend(server.address, server.messages)


@contextmanager
def exim_backend() -> Iterator[RealBackend]:
    """Run Exim; it delivers as its own user into a maildir."""
    _unpacked_or_skip()
    with root_directory() as root:
        address = (LOOPBACK, free_port())
        _write(root / "etc/exim.conf", _EXIM.format(port=address[1]))
        spool = root / "var/spool/exim"
        spool.mkdir()
        os.chown(spool, 990, 990)
        command = ["/usr/sbin/exim4", "-C", "/etc/exim.conf", "-bdf"]
        with _running(root, command, address):
            yield RealBackend(address, lambda: [_cut(p.read_bytes()) for p in spool.glob("stored/new/*")])


@contextmanager
def opensmtpd_backend() -> Iterator[RealBackend]:
    """Run OpenSMTPD, and the sink behind it."""
    _unpacked_or_skip()
    with root_directory() as root, _sink() as (port, taken):
        address = (LOOPBACK, free_port())
        _write(root / "etc/smtpd.conf", _OPENSMTPD.format(port=address[1], sink=port))
        (root / "var/lib/opensmtpd/empty").mkdir(parents=True, exist_ok=True)
        (root / "var/spool/smtpd").mkdir()
        (root / "var/spool/smtpd").chmod(0o711)
        with _running(root, ["/usr/sbin/smtpd", "-d"], address):
            yield RealBackend(address, lambda: list(map(_cut, taken)))


BACKENDS: Final[Mapping[str, Callable[[], AbstractContextManager[RealBackend]]]] = {
    "postfix": postfix_backend,
    "exim": exim_backend,
    "opensmtpd": opensmtpd_backend,
}


@contextmanager
def _running(root: Path, command: list[str], address: Address) -> Iterator[None]:
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            ["chroot", str(root), *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: process.poll() is not None or answers(address), f"{command[0]} answers")
        assert process.poll() is None, (root / "log").read_text("utf-8", "replace")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


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
