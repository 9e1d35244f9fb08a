"""How a backend is told who the peer really is: XCLIENT commands, or a PROXY header, version 1 or 2.

The one idea: both are made from values, never from a peer's raw text, and every value is encoded, so
a hostile HELO name or PTR record cannot end a line or add an attribute. XCLIENT may take several
commands; HELO and PROTO go first and ADDR last, because a backend looks up the right to say XCLIENT
again once the address is the peer's.

Sources: Postfix's XCLIENT_README, RFC 3461 section 4 (xtext), HAProxy's proxy-protocol.txt sections 2.1, 2.2.
Sending it and reading the replies is `dial`; the headers that load balancers send to us, `tarpit.proxied`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from scoring.verdict import UNKNOWN_HOST, Address, HostName, HostState, to_address
from tarpit.errors import BackendUnavailable

LONGEST_COMMAND: Final = 512  # octets, CRLF included (RFC 5321, section 4.5.3.1.4)
LONGEST_VALUE: Final = 255  # encoded octets; Postfix cuts there too

UNAVAILABLE: Final = "[UNAVAILABLE]"
TEMPORARILY_UNAVAILABLE: Final = "[TEMPUNAVAIL]"

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY_COMMAND: Final = 0x21  # version 2, PROXY
_TCP4: Final = 0x11
_TCP6: Final = 0x21

# what Postfix takes as NAME; it answers 501 to anything else, and the mail would not get through
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOSTNAME: Final = re.compile(rf"(?=.{{1,253}}\Z)(?![0-9.]*\Z){_LABEL}(?:\.{_LABEL})*\Z")


@dataclass(frozen=True, slots=True)
class Introduction:
    """A peer as a backend is to see it. `helo` is None until the peer has said it."""

    address: Address
    port: int
    host: HostName = UNKNOWN_HOST
    helo: str | None = None
    esmtp: bool = True


def xclient_commands(introduction: Introduction, offered: frozenset[str]) -> tuple[bytes, ...]:
    """Return the XCLIENT commands for a backend that *offered* these attributes, each at most 512 octets.

    Raises `BackendUnavailable` when ADDR was not offered: the backend would take our address for the
    peer's, and might trust it.
    """
    if "ADDR" not in offered:
        raise BackendUnavailable(
            "the backend does not offer XCLIENT ADDR to us (smtpd_authorized_xclient_hosts)"
        )
    attributes = [f"{name}={value}" for name, value in _attributes(introduction) if name in offered]
    return tuple(f"XCLIENT {line}\r\n".encode("ascii") for line in _packed(attributes))


def proxy_v1_header(source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """Return the PROXY protocol v1 header for a connection from *source* to *destination*.

    Where the two differ in family, the IPv4 one is written as a mapped address, as in version 2.
    """
    ends = to_address(source[0]), to_address(destination[0])
    family = 6 if any(end.version == 6 for end in ends) else 4
    addresses = " ".join(f"::ffff:{end}" if end.version < family else str(end) for end in ends)
    return f"PROXY TCP{family} {addresses} {source[1]} {destination[1]}\r\n".encode("ascii")


def proxy_v2_header(source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """Return the PROXY protocol v2 header for a connection from *source* to *destination*.

    Where the two differ in family, the IPv4 one is written as a mapped IPv6 address: the header knows
    one family for both.
    """
    ends = to_address(source[0]), to_address(destination[0])
    family = _TCP6 if any(end.version == 6 for end in ends) else _TCP4
    addresses = b"".join(_packed_address(end, family) for end in ends)
    ports = b"".join(port.to_bytes(2, "big") for port in (source[1], destination[1]))
    body = addresses + ports
    return _SIGNATURE + bytes((_PROXY_COMMAND, family)) + len(body).to_bytes(2, "big") + body


def xtext(text: str) -> str:
    """Return *text* with every octet that is not printable ASCII, and each `+` and `=`, as +XX.

    What is longer than 255 octets when encoded is cut, between two octets of *text*.
    """
    encoded = ""
    for octet in text.encode("utf-8", "surrogatepass"):
        piece = chr(octet) if 0x21 <= octet <= 0x7E and octet not in b"+=" else f"+{octet:02X}"
        if len(encoded) + len(piece) > LONGEST_VALUE:
            break
        encoded += piece
    return encoded


def _attributes(introduction: Introduction) -> Iterator[tuple[str, str]]:
    if introduction.helo:
        yield "HELO", _claimed(introduction.helo)
        yield "PROTO", "ESMTP" if introduction.esmtp else "SMTP"
    yield "NAME", _name(introduction.host)
    yield "PORT", str(introduction.port)
    yield "ADDR", _written(introduction.address)


def _claimed(helo: str) -> str:
    # a HELO name of "[UNAVAILABLE]" is still something that the peer said
    encoded = xtext(helo)
    return encoded.replace("[", "+5B", 1) if encoded in {UNAVAILABLE, TEMPORARILY_UNAVAILABLE} else encoded


def _name(host: HostName) -> str:
    """Return NAME, which is never left out: the backend would look it up by our address."""
    if host.state is HostState.UNKNOWN:
        return TEMPORARILY_UNAVAILABLE
    name = (host.name or "").removesuffix(".")
    if host.state is HostState.CONFIRMED and _HOSTNAME.match(name):
        return xtext(name)
    return UNAVAILABLE


def _written(address: Address) -> str:
    canonical = to_address(address)
    return f"IPV6:{canonical}" if canonical.version == 6 else str(canonical)


def _packed(attributes: list[str]) -> Iterator[str]:
    room = LONGEST_COMMAND - len("XCLIENT \r\n")
    line = attributes[0]
    for attribute in attributes[1:]:
        if len(line) + 1 + len(attribute) > room:
            yield line
            line = attribute
        else:
            line = f"{line} {attribute}"
    yield line


def _packed_address(address: Address, family: int) -> bytes:
    if family == _TCP6 and address.version == 4:
        return IPv6Address(f"::ffff:{address}").packed
    return address.packed
