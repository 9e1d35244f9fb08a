"""Senders that are programs or libraries: each delivers one message at once, by SMTP or inside TLS.

A sender is a blocking function: it hands a `Delivery` over and comes back when that has gone well or failed.
What it says of it is not asked: what arrived is for the test to see. Libraries of other languages are called
by the small programs beside this file, in programs/. Senders that are servers are in `tests.support.senders`,
which also has the table of all.
"""

import asyncio
import os
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiosmtplib

from tests.support.servers import Address, directory_for, which

LISTED: Final = "127.0.0.9"
RECIPIENT: Final = "b@example.net"
WITHIN: Final = 90.0  # seconds, for a whole delivery
_PROGRAMS: Final = Path(__file__).parent / "programs"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message, with CRLF at each line's end, and where it shall go."""

    to: Address
    reverse_path: str
    message: bytes
    arrived: Callable[[], bool] = lambda: True
    source: str = LISTED  # the address that the sender connects from
    secure: bool = False  # inside TLS, by STARTTLS; else without

    @property
    def in_unix(self) -> bytes:
        """The message with LF at each line's end."""
        return self.message.replace(b"\r\n", b"\n")


Send = Callable[[Delivery], None]


def folder() -> Path:
    """Return where tests/servers.sh keeps what it has unpacked."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/var/tmp"), ".cache")
    return Path(cache, "tarpit-tests/senders")


def unchecked() -> ssl.SSLContext:
    """Return a context that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def by_smtplib(delivery: Delivery) -> None:
    """Send by Python's smtplib."""
    with smtplib.SMTP(
        *delivery.to, local_hostname="smtplib.example", timeout=WITHIN, source_address=(delivery.source, 0)
    ) as client:
        if delivery.secure:
            client.starttls(context=unchecked())
        client.sendmail(delivery.reverse_path, [RECIPIENT], delivery.message)


def by_aiosmtplib(delivery: Delivery) -> None:
    """Send by aiosmtplib."""
    asyncio.run(_send_by_aiosmtplib(delivery))


async def _send_by_aiosmtplib(delivery: Delivery) -> None:
    sock = socket.create_connection(delivery.to, WITHIN, (delivery.source, 0))
    await aiosmtplib.send(
        delivery.message,
        sender=delivery.reverse_path,
        recipients=[RECIPIENT],
        sock=sock,
        local_hostname="aiosmtplib.example",
        start_tls=delivery.secure,
        tls_context=unchecked(),
        timeout=WITHIN,
    )
    # it does not wait for the end of TLS, after which the socket is closed
    async with asyncio.timeout(WITHIN):
        while sock.fileno() != -1:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


def by_swaks(delivery: Delivery) -> None:
    """Send by swaks, with its own time-outs; it puts an end to the last line itself."""
    where = ["--server", delivery.to[0], "--port", str(delivery.to[1]), "--local-interface", delivery.source]
    what = ["--from", delivery.reverse_path, "--to", RECIPIENT, "--ehlo", "swaks.example", "--hide-all"]
    with written(delivery.in_unix.removesuffix(b"\n")) as path:
        run([which("swaks"), *where, *what, *["--tls"] * delivery.secure, "--data", f"@{path}"])


def by_curl(delivery: Delivery) -> None:
    """Send by curl."""
    where = [f"smtp://{delivery.to[0]}:{delivery.to[1]}/curl.example", "--interface", delivery.source]
    secure = ["--ssl-reqd", "--insecure"] if delivery.secure else []
    with written(delivery.message) as path:
        what = ["--mail-from", delivery.reverse_path, "--mail-rcpt", RECIPIENT, "--upload-file", str(path)]
        run([which("curl"), "--silent", "--show-error", *where, *secure, *what])


def by_msmtp(delivery: Delivery) -> None:
    """Send by msmtp, with nothing from a file of its own."""
    where = [
        "--file=/dev/null",
        f"--host={delivery.to[0]}",
        f"--port={delivery.to[1]}",
        f"--source-ip={delivery.source}",
    ]
    tls = ["--tls=on", "--tls-starttls=on", "--tls-certcheck=off"] if delivery.secure else ["--tls=off"]
    what = ["--domain=msmtp.example", f"--from={delivery.reverse_path}"]
    run([which("msmtp"), *where, *tls, *what, "--", RECIPIENT], stdin=delivery.in_unix)


def by_program(
    command: list[str],
    delivery: Delivery,
    *,
    unended: bool = False,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Send by one of the programs in programs/; it may put an end to the last line itself (*unended*)."""
    message = delivery.message.removesuffix(b"\r\n") if unended else delivery.message
    where = [delivery.to[0], str(delivery.to[1]), delivery.source, str(int(delivery.secure))]
    with written(message) as path:
        arguments = [*where, delivery.reverse_path, RECIPIENT, str(path)]
        run([*command, *arguments], environment=environment)


def by_nodemailer(delivery: Delivery) -> None:
    """Send by nodemailer, with its own time-outs."""
    environment = {**os.environ, "NODE_PATH": str(folder() / "usr/share/nodejs")}
    by_program([which("node"), str(_PROGRAMS / "send.js")], delivery, environment=environment)


def by_php(delivery: Delivery) -> None:
    """Send by PHPMailer, which puts an end to the last line itself."""
    path = f"include_path={folder() / 'usr/share/php'}"
    by_program([which("php"), "-d", path, str(_PROGRAMS / "send.php")], delivery, unended=True)


def by_perl(delivery: Delivery) -> None:
    """Send by Perl's Net::SMTP."""
    by_program([which("perl"), str(_PROGRAMS / "send.pl")], delivery)


def by_go(delivery: Delivery) -> None:
    """Send by Go's net/smtp."""
    by_program([which("go"), "run", str(_PROGRAMS / "send.go")], delivery)


@contextmanager
def written(content: bytes) -> Iterator[Path]:
    """Yield a file with *content*."""
    with directory_for("message") as directory:
        path = directory / "message"
        path.write_bytes(content)
        yield path


def run(command: list[str], *, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> None:
    """Run *command*, which must end well."""
    ended = subprocess.run(
        command, input=stdin, env=environment, capture_output=True, check=False, timeout=WITHIN
    )
    said = (ended.stdout + ended.stderr).decode("utf-8", "replace")
    assert ended.returncode == 0, f"{command[0]} ended with {ended.returncode}: {said[-2000:]}"
