"""Real senders: three mail servers, and the table of all, those of `tests.support.clients` too.

A server is started for one delivery, handed the message over, and watched until it has gone on. Exim and
OpenSMTPD exclude Postfix as packages. tests/servers.sh unpacks them into a folder; here each runs in a copy
of that folder, which is its root directory, under users that only exist there.

As shipped, Postfix folds lines beyond 998 octets and Exim bounces them: both are told not to.
"""

import os
import shutil
import signal
import smtplib
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support import clients
from tests.support.clients import LISTED, RECIPIENT, WITHIN, Delivery, Send, folder, run
from tests.support.oddities import MIB
from tests.support.postfix import postfix
from tests.support.servers import LOOPBACK, PATH, Address, answers, directory_for, free_port, wait_until

__all__ = [
    "BODY",
    "LISTED",
    "RECIPIENT",
    "SENDERS",
    "Delivery",
    "Sender",
    "folder",
    "header_of",
    "message_of",
    "missing",
    "root_directory",
    "sender_or_skip",
]

BODY: Final = b"".join(line + b"\r\n" for line in [b".", b"..two dots", b"", *50 * [b"line after line"]])
PERL_TLS: Final = "/usr/share/perl5/IO/Socket/SSL.pm"
_USERS: Final = {"root": 0, "mail": 8, "Debian-exim": 990, "opensmtpd": 991, "opensmtpq": 992}
_EXIM: Final = """\
primary_hostname = exim.example
spool_directory = /var/spool/exim
log_file_path = /var/spool/exim/log-%s
keep_environment =
add_environment =
tls_advertise_hosts =
disable_ipv6 = true
message_size_limit = 0
begin routers
all:
  driver = manualroute
  route_list = * {host}
  transport = out
  self = send
begin transports
out:
  driver = smtp
  port = {port}
  interface = {source}
  hosts_try_fastopen =
  message_linelength_limit = 1G
  tls_verify_certificates =
  tls_try_verify_hosts =
  {tls} = *
"""
_OPENSMTPD: Final = """\
listen on 127.0.0.1 port {door}
smtp max-message-size "100M"
action "out" relay host "{scheme}://{host}:{port}" {tls} src "{source}"
match from any for any action "out"
"""


@dataclass(frozen=True, slots=True)
class Sender:
    """How it sends, what it needs, and what it cannot send as it is."""

    send: Send
    programs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # in the folder, or anywhere
    root: bool = False
    longest: int = MIB  # octets of a line that it sends unchanged, its end included

    def missing(self) -> str:
        """Return what it would need and is not here, "" when it can start."""
        wanted = [program for program in self.programs if shutil.which(program, path=PATH) is None]
        wanted += [file for file in self.files if not (folder() / file).exists()]
        wanted += ["root"] * (self.root and os.geteuid() != 0)
        return ", ".join(wanted)


def by_postfix(delivery: Delivery) -> None:
    """Send by Postfix's smtp client; as shipped it folds lines at 998 octets, which is turned off."""
    host, port = delivery.to
    main = {
        "default_transport": f"smtp:[{host}]:{port}",
        "virtual_mailbox_domains": "",
        "mynetworks": "127.0.0.0/8",
        "smtp_bind_address": delivery.source,
        "smtp_line_length_limit": "0",
        "smtp_tls_security_level": "encrypt" if delivery.secure else "none",
    }
    with postfix(main=main) as server:
        _submit(server.address, delivery)
        wait_until(delivery.arrived, "Postfix delivers", seconds=WITHIN)


def by_exim(delivery: Delivery) -> None:
    """Send by Exim, in the foreground; as shipped it bounces lines beyond 998 octets.

    What it could not deliver stays queued, and that is no error to it.
    """
    host, port = delivery.to
    tls = "hosts_require_tls" if delivery.secure else "hosts_avoid_tls"
    with root_directory() as root:
        _write(root / "etc/exim.conf", _EXIM.format(host=host, port=port, source=delivery.source, tls=tls))
        _own(root / "var/spool/exim", "Debian-exim")
        command = ["/usr/sbin/exim4", "-C", "/etc/exim.conf", "-odf", "-i", "-f", delivery.reverse_path]
        run(["chroot", str(root), *command, RECIPIENT], stdin=delivery.in_unix)
        logs = sorted((root / "var/spool/exim").glob("log-*"))
        assert delivery.arrived(), "\n".join(log.read_text("utf-8", "replace") for log in logs)


def by_opensmtpd(delivery: Delivery) -> None:
    """Send by OpenSMTPD: hand it over, and wait until it has gone on."""
    host, port = delivery.to
    with root_directory() as root:
        door = (LOOPBACK, free_port())
        # unlike the others it checks the certificate of a host it is told to send to, with no word about it
        scheme, tls = ("smtp+tls", "tls no-verify") if delivery.secure else ("smtp+notls", "")
        rules = _OPENSMTPD.format(
            door=door[1], scheme=scheme, host=host, port=port, tls=tls, source=delivery.source
        )
        _write(root / "etc/smtpd.conf", rules)
        (root / "var/lib/opensmtpd/empty").mkdir(parents=True, exist_ok=True)
        (root / "var/spool/smtpd").mkdir()
        (root / "var/spool/smtpd").chmod(0o711)
        with (root / "log").open("wb") as log:
            command = ["chroot", str(root), "/usr/sbin/smtpd", "-d"]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: process.poll() is not None or answers(door), "OpenSMTPD answers")
            _submit(door, delivery)
            wait_until(delivery.arrived, "OpenSMTPD delivers", seconds=WITHIN)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


SENDERS: Final[Mapping[str, Sender]] = {
    "postfix": Sender(by_postfix, ("postfix",), root=True),
    "exim": Sender(by_exim, files=("usr/sbin/exim4",), root=True),
    "opensmtpd": Sender(by_opensmtpd, files=("usr/sbin/smtpd",), root=True, longest=65534),
    "swaks": Sender(clients.by_swaks, ("swaks",)),
    "curl": Sender(clients.by_curl, ("curl",)),
    "msmtp": Sender(clients.by_msmtp, ("msmtp",)),
    "nodemailer": Sender(clients.by_nodemailer, ("node",), files=("usr/share/nodejs/nodemailer",)),
    "perl": Sender(clients.by_perl, ("perl",), files=(PERL_TLS,)),
    "go": Sender(clients.by_go, ("go",)),
    "php": Sender(clients.by_php, ("php",), files=("usr/share/php/libphp-phpmailer",), longest=1000),
    "smtplib": Sender(clients.by_smtplib),
    "aiosmtplib": Sender(clients.by_aiosmtplib),
}


def missing(name: str) -> str:
    """Return what the sender *name* would need and is not here, "" when it can start."""
    return SENDERS[name].missing()


def sender_or_skip(name: str) -> Sender:
    """Return a sender, or skip the test where it is missing; where CI=true, fail it."""
    if lacking := missing(name):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            f"missing: {lacking}; tests/servers.sh installs them"
        )
    return SENDERS[name]


def message_of(name: str) -> bytes:
    """Return a short message from name@example.org."""
    return header_of(name) + BODY


def header_of(name: str) -> bytes:
    """Return a header with all that a sender would add where it is missing, and the empty line after it."""
    fields = (
        f"From: {name}@example.org",
        f"To: {RECIPIENT}",
        "Date: Tue, 24 Nov 2026 08:00:00 +0000",
        f"Message-ID: <{name}@example.org>",
        f"Subject: sent by {name}",
    )
    return "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n"


@contextmanager
def root_directory() -> Iterator[Path]:
    """Yield a copy of the unpacked packages that is fit to be a root directory."""
    with directory_for("sender") as directory:
        root = directory / "root"
        shutil.copytree(folder(), root, symlinks=True)
        for path in ("dev", "tmp", "run", "var/run", "var/spool", "var/lib"):
            (root / path).mkdir(parents=True, exist_ok=True)
        os.mknod(root / "dev/null", stat.S_IFCHR, os.makedev(1, 3))
        (root / "dev/null").chmod(0o666)
        users = [f"{name}:x:{number}:{number}::/:/nonexistent\n" for name, number in _USERS.items()]
        _write(root / "etc/passwd", "".join(users))
        _write(root / "etc/group", "".join(f"{name}:x:{number}:\n" for name, number in _USERS.items()))
        _write(root / "etc/hosts", "127.0.0.1 localhost sender.example\n")
        _write(root / "etc/resolv.conf", "nameserver 127.0.0.1\n")
        yield root


def _own(directory: Path, user: str) -> None:
    directory.mkdir()
    os.chown(directory, _USERS[user], _USERS[user])


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o644)


def _submit(door: Address, delivery: Delivery) -> None:
    with smtplib.SMTP(*door, local_hostname="user.example", timeout=WITHIN) as client:
        options = ["BODY=8BITMIME"]
        client.sendmail(delivery.reverse_path, [RECIPIENT], delivery.message, mail_options=options)
