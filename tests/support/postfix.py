"""A real Postfix, started by a test from its own directory; several ports of it may be set up differently.

It takes 2 s to start, so the tests share one. It logs to a file of its own and stores each message in a
maildir, octet for octet. What all servers have in common is `tests.support.servers`.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.servers import (
    LOOPBACK,
    Address,
    answers,
    directory_for,
    free_port,
    server_or_skip,
    wait_until,
    which,
)

DOMAIN: Final = "example.net"  # Postfix takes mail for anybody there

_MAIN: Final = {
    "compatibility_level": "3.6",
    "alias_maps": "",
    "alias_database": "",
    "myhostname": "mx.example.net",
    "mydestination": "",
    "mynetworks": "",
    "inet_interfaces": LOOPBACK,
    "inet_protocols": "all",
    "smtp_dns_support_level": "disabled",
    "default_transport": "discard:",
    "virtual_mailbox_domains": DOMAIN,
    "virtual_mailbox_maps": "static:all/",
    "virtual_uid_maps": "static:65534",
    "virtual_gid_maps": "static:65534",
    "virtual_minimum_uid": "1",
    "virtual_mailbox_limit": "0",
    "message_size_limit": "104857600",
    # content is compared octet for octet: add nothing to what came in
    "always_add_missing_headers": "no",
    "local_header_rewrite_clients": "",
    "smtpd_client_connection_rate_limit": "0",
    "smtpd_client_connection_count_limit": "0",
}

_MASTER: Final = """\
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
smtp unix - - n - - smtp
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
showq unix n - n - - showq
flush unix n - n 1000? 0 flush
"""

# what Postfix puts before a message: each once, in this order
_PREPENDED: Final = (b"Return-Path:", b"X-Original-To:", b"Delivered-To:", b"Received:")


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running Postfix. `address` is where it trusts nobody; `services` are its other doors, by name."""

    address: Address
    directory: Path
    services: Mapping[str, Address]

    def log(self) -> str:
        """Return its log so far."""
        path = self.directory / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def quiet_log(self) -> str:
        """Return its log once nothing more is written: its processes hand their lines in late."""
        before, now = None, self.log()
        while now != before:
            time.sleep(0.3)
            before, now = now, self.log()
        return now

    def messages(self) -> list[bytes]:
        """Return the stored messages as they came in, with CRLF, without what Postfix prepends."""
        files = sorted((self.directory / "mail/all/new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
        return [_as_received(path.read_bytes()) for path in files]

    def wait_for_messages(self, count: int, *, seconds: float = 15.0) -> list[bytes]:
        """Wait until *count* messages are stored, and return them."""
        wait_until(lambda: len(self.messages()) >= count, f"{count} messages stored", seconds=seconds)
        return self.messages()

    def clear(self) -> None:
        """Forget the stored messages."""
        for path in (self.directory / "mail/all/new").glob("*"):
            path.unlink()


@contextmanager
def postfix(
    main: Mapping[str, str] | None = None, *, services: Mapping[str, Mapping[str, str]] | None = None
) -> Iterator[Postfix]:
    """Run a Postfix that stores everybody's mail in example.net and relays nothing.

    *main* are further lines of main.cf. *services* are further ports, with what differs there, such as
    `mynetworks`, `smtpd_authorized_xclient_hosts` or `smtpd_upstream_proxy_protocol`.
    """
    server_or_skip("postfix")
    doors: dict[str, Mapping[str, str]] = {"": {}, **(services or {})}
    with directory_for("postfix") as directory:
        addresses = {name: (LOOPBACK, free_port()) for name in doors}
        _write(directory, main or {}, [(addresses[name], settings) for name, settings in doors.items()])
        server = Postfix(addresses[""], directory, addresses)
        command = [which("postfix"), "-c", str(directory / "etc")]
        try:
            _run([*command, "start"])
            wait_until(lambda: all(map(answers, addresses.values())), f"Postfix answers:\n{server.log()}")
            yield server
        finally:
            _stop(command, directory / "queue/pid/master.pid")


def _write(
    directory: Path, main: Mapping[str, str], doors: Sequence[tuple[Address, Mapping[str, str]]]
) -> None:
    for name, owner in {"etc": None, "queue": None, "data": "postfix", "mail": "nobody"}.items():
        (directory / name).mkdir()
        if owner is not None:
            shutil.chown(directory / name, owner)
    settings = {
        **_MAIN,
        "queue_directory": str(directory / "queue"),
        "data_directory": str(directory / "data"),
        "virtual_mailbox_base": str(directory / "mail"),
        "maillog_file": str(directory / "log"),
        "maillog_file_prefixes": str(directory),
        **main,
    }
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    (directory / "etc/main.cf").write_text(lines, "utf-8")
    (directory / "etc/master.cf").write_text(_MASTER + "".join(map(_service, doors)), "utf-8")


def _service(door: tuple[Address, Mapping[str, str]]) -> str:
    (host, port), settings = door
    options = "".join(f"    -o {name}={value}\n" for name, value in settings.items())
    return f"{host}:{port} inet n - n - - smtpd\n{options}"


def _run(command: Sequence[str]) -> None:
    # not captured through a pipe: what starts in the background would keep it open
    with tempfile.TemporaryFile() as output:
        code = subprocess.call(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60)
        output.seek(0)
        assert code == 0, f"{command} ended with {code}: {output.read().decode()}"


def _stop(command: Sequence[str], pid_file: Path) -> None:
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    subprocess.call([*command, "stop"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)
    try:
        for _ in range(250):
            os.kill(pid, 0)
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _as_received(stored: bytes) -> bytes:
    lines = stored.splitlines(keepends=True)
    for name in _PREPENDED:
        if lines and lines[0].startswith(name):
            del lines[0]
            while lines and lines[0][:1] in {b" ", b"\t"}:
                del lines[0]
    return b"".join(lines).replace(b"\n", b"\r\n")
