"""Certificates for tests: an authority that lives for one test, what it signs, and who believes it."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import trio
import trustme

from tests.support.wires import Far

NAME: Final = "mx.example"


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of a certificate with its chain, and of its key."""

    cert: Path
    key: Path

    @property
    def variables(self) -> dict[str, str]:
        """The settings that have TLS end with us, without their prefix."""
        return {"TLS_CERT": str(self.cert), "TLS_KEY": str(self.key)}


class Authority:
    """A certificate authority; what it issues is written into a directory."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self.directory = directory
        self.pem = self._ca.cert_pem.bytes()
        self.file = directory / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, file: str = "mx", days: float = 90, begins: float = -1) -> Pair:
        """Return a certificate for *names*, `NAME` by default, that ends in so many days."""
        now = datetime.now(UTC)
        issued = self._ca.issue_cert(
            *(names or (NAME,)), not_before=now + timedelta(begins), not_after=now + timedelta(days)
        )
        pair = Pair(self.directory / f"{file}.pem", self.directory / f"{file}.key")
        pair.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        pair.key.write_bytes(issued.private_key_pem.bytes())
        pair.key.chmod(0o644)  # servers that have given up root read it too
        return pair

    def client(self, *, highest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> ssl.SSLContext:
        """Return a client's context that believes this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        context.maximum_version = highest
        return context


class Inside(Far):
    """The other end of a wire, inside TLS."""

    def __init__(self, far: Far, context: ssl.SSLContext) -> None:
        self.stream = far.stream
        self.secure = trio.SSLStream(far.stream, context, server_hostname=NAME)

    async def say(self, data: bytes) -> None:
        """Send *data*, in one record if it is short."""
        await self.secure.send_all(data)

    async def receive(self) -> bytes:
        """Return what comes next, b"" at an orderly end."""
        return bytes(await self.secure.receive_some())


async def inside(far: Far, context: ssl.SSLContext) -> Inside:
    """Say STARTTLS, shake hands, and return the same peer inside TLS."""
    assert (await far.ask(b"STARTTLS")).startswith(b"220 ")
    secured = Inside(far, context)
    await secured.secure.do_handshake()
    return secured
