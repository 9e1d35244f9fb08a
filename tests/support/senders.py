"""Real senders: Postfix, Exim, OpenSMTPD, swaks and nodemailer, each told to deliver one message once.

A sender is a blocking function: it hands `message_of(name)` over, from name@example.org to `RECIPIENT`, to
the server at an address, and comes back when that has gone well or failed. It connects from `LISTED`. What
the sender says of it is not asked: what arrived is for the test to see.

Exim and OpenSMTPD exclude Postfix as packages. tests/servers.sh unpacks them into a folder; here each runs
in a copy of that folder, which is its root directory, under users that only exist there.
"""

import json
import os
import shutil
import signal
import smtplib
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.postfix import postfix
from tests.support.servers import (
    LOOPBACK,
    PATH,
    Address,
    answers,
    directory_for,
    free_port,
    wait_until,
    which,
)

LISTED: Final = "127.0.0.9"
RECIPIENT: Final = "b@example.net"
BODY: Final = b"".join(line + b"\r\n" for line in [b".", b"..two dots", b"", *50 * [b"line after line"]])
WITHIN: Final = 60.0  # seconds, for a whole delivery

Sender = Callable[[Address, Callable[[], bool]], None]

_USERS: Final = {"root": 0, "mail": 8, "Debian-exim": 990, "opensmtpd": 991, "opensmtpq": 992}
_EXIM: Final = """\
primary_hostname = exim.example
spool_directory = /var/spool/exim
log_file_path = /var/spool/exim/log-%s
keep_environment =
add_environment =
tls_advertise_hosts =
disable_ipv6 = true
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
  hosts_avoid_tls = *
"""
_OPENSMTPD: Final = """\
listen on 127.0.0.1 port {door}
action "out" relay host "smtp://{host}:{port}" src "{source}"
match from any for any action "out"
"""
_NODEMAILER: Final = """\
const [options, message] = JSON.parse(process.argv[1]);
require('nodemailer').createTransport(options).sendMail(message, error => {
  if (error) { console.error(error); process.exit(1); }
});
"""


def folder() -> Path:
    """Return where tests/servers.sh keeps what it has unpacked."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/var/tmp"), ".cache")
    return Path(cache, "tarpit-tests/senders")


def missing(name: str) -> str:
    """Return what the sender *name* would need and is not here, "" when it can start."""
    programs = {"swaks": ["swaks"], "postfix": ["postfix"], "nodemailer": ["node"]}.get(name, [])
    wanted = [program for program in programs if shutil.which(program, path=PATH) is None]
    if name in {"exim", "opensmtpd", "nodemailer"} and not (folder() / "complete").exists():
        wanted.append(f"{name}, unpacked")
    if name in {"exim", "opensmtpd", "postfix"} and os.geteuid() != 0:
        wanted.append("root")
    return ", ".join(wanted)


def message_of(name: str) -> bytes:
    """Return the message that *name* is given."""
    headers = f"From: {name}@example.org\r\nTo: {RECIPIENT}\r\nSubject: sent by {name}\r\n\r\n"
    return headers.encode() + BODY


def by_swaks(to: Address, arrived: Callable[[], bool]) -> None:
    """Send by swaks."""
    with directory_for("swaks") as directory:
        path = directory / "message"
        path.write_bytes(message_of("swaks").replace(b"\r\n", b"\n").removesuffix(b"\n"))
        where = ["--server", to[0], "--port", str(to[1]), "--local-interface", LISTED]
        what = ["--from", "swaks@example.org", "--to", RECIPIENT, "--data", f"@{path}"]
        _run([which("swaks"), *where, "--ehlo", "swaks.example", *what])  # its time-out is its own: 30 s


def by_nodemailer(to: Address, arrived: Callable[[], bool]) -> None:
    """Send by nodemailer, with its own time-outs."""
    options = {
        "host": to[0],
        "port": to[1],
        "localAddress": LISTED,
        "name": "node.example",
        "ignoreTLS": True,
    }
    envelope = {"from": "nodemailer@example.org", "to": [RECIPIENT]}
    arguments = json.dumps([options, {"envelope": envelope, "raw": message_of("nodemailer").decode()}])
    environment = {**os.environ, "NODE_PATH": str(folder() / "usr/share/nodejs")}
    _run([which("node"), "-e", _NODEMAILER, arguments], environment=environment)


def by_postfix(to: Address, arrived: Callable[[], bool]) -> None:
    """Send by Postfix's smtp client: hand it over, and wait until it has gone on."""
    main = {
        "default_transport": f"smtp:[{to[0]}]:{to[1]}",
        "virtual_mailbox_domains": "",
        "mynetworks": "127.0.0.0/8",
        "smtp_bind_address": LISTED,
    }
    with postfix(main=main) as server:
        _submit(server.address, "postfix")
        wait_until(arrived, "Postfix delivers", seconds=WITHIN)


def by_exim(to: Address, arrived: Callable[[], bool]) -> None:
    """Send by Exim, in the foreground; what it could not deliver stays queued, and that is no error to it."""
    with root_directory() as root:
        _write(root / "etc/exim.conf", _EXIM.format(host=to[0], port=to[1], source=LISTED))
        _own(root / "var/spool/exim", "Debian-exim")
        command = ["/usr/sbin/exim4", "-C", "/etc/exim.conf", "-odf", "-i", "-f", "exim@example.org"]
        _run(["chroot", str(root), *command, RECIPIENT], stdin=message_of("exim").replace(b"\r\n", b"\n"))
        logs = sorted((root / "var/spool/exim").glob("log-*"))
        assert arrived(), "\n".join(log.read_text("utf-8", "replace") for log in logs)


def by_opensmtpd(to: Address, arrived: Callable[[], bool]) -> None:
    """Send by OpenSMTPD: hand it over, and wait until it has gone on."""
    with root_directory() as root:
        door = (LOOPBACK, free_port())
        rules = _OPENSMTPD.format(door=door[1], host=to[0], port=to[1], source=LISTED)
        _write(root / "etc/smtpd.conf", rules)
        (root / "var/lib/opensmtpd/empty").mkdir(parents=True, exist_ok=True)
        (root / "var/spool/smtpd").mkdir()
        (root / "var/spool/smtpd").chmod(0o711)
        with (root / "log").open("wb") as log:
            command = ["chroot", str(root), "/usr/sbin/smtpd", "-d"]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: process.poll() is not None or answers(door), "OpenSMTPD answers")
            _submit(door, "opensmtpd")
            wait_until(arrived, "OpenSMTPD delivers", seconds=WITHIN)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


SENDERS: Final[Mapping[str, Sender]] = {
    "postfix": by_postfix,
    "exim": by_exim,
    "opensmtpd": by_opensmtpd,
    "swaks": by_swaks,
    "nodemailer": by_nodemailer,
}


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


def _submit(door: Address, name: str) -> None:
    with smtplib.SMTP(*door, local_hostname="user.example", timeout=WITHIN) as client:
        client.sendmail(f"{name}@example.org", [RECIPIENT], message_of(name))


def _run(command: list[str], *, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> None:
    ended = subprocess.run(
        command, input=stdin, env=environment, capture_output=True, check=False, timeout=WITHIN
    )
    said = (ended.stdout + ended.stderr).decode("utf-8", "replace")
    assert ended.returncode == 0, f"{command[0]} ended with {ended.returncode}: {said}"
