r"""The PROXY header with which a load balancer names the peer it stands for, versions 1 and 2, read strictly.

The one idea: a header is whole and unambiguous, or it is a `HeaderFault` and the connection is over. What
is not a header yet is None, and what can no longer become one is a fault at once, so the answer depends on
the bytes alone, not on how they were cut (but for a second header, which is seen only if it is here by then).
Nothing is read generously: the address decides who is slowed, whom a backend trusts, and whose history a
message counts for.

Source: HAProxy's proxy-protocol.txt, sections 2.1 (text), 2.2 (binary), 2.2.3 (CRC32c).

Rejected: the proxy-protocol package (0.11.3). It takes `+1_0` for a port, `fe80::1%eth0` for an address, text
of any length with newlines in it, extensions that run over the header's end; 0xff in an address and a short
CRC32c raise exceptions that are not its own; and no CRC32c is checked unless a second package is there.

Not here: from whom a header is taken, and for how long it is waited for (`listen`); those we write
(`backend.introduce`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from scoring.verdict import Address, to_address

TEXT_LIMIT: Final = 107  # octets with CRLF (section 2.1)
LIMIT: Final = 4096  # octets: 16, addresses, and extensions such as a client certificate's name
TEXT: Final = b"PROXY "
SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIXED: Final = 16  # octets of a binary header that are always there
LOCAL: Final = 0x20  # version 2 and its commands
PROXY: Final = 0x21
NOBODY: Final = 0x00  # address family and transport: none is told
STREAMS: Final = {0x11: 4, 0x21: 16}  # TCP over IPv4 and IPv6 -> octets of an address
CRC32C: Final = 0x03  # the type of the extension that holds it

_PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")
_IPV4: Final = re.compile(rb"[0-9.]{7,15}")
_IPV6: Final = re.compile(rb"[0-9A-Fa-f:.]{2,45}")
_FAMILIES: Final[Mapping[bytes, tuple[re.Pattern[bytes], type[Address]]]] = {
    b"TCP4": (_IPV4, IPv4Address),
    b"TCP6": (_IPV6, IPv6Address),
}


End = tuple[Address, int]  # and port


@dataclass(frozen=True, slots=True)
class Header:
    """A sound header: the octets it takes, the peer it names, and where that peer has connected to.

    Without a peer, the load balancer speaks for itself: a health check.
    """

    size: int
    peer: End | None = None
    destination: End | None = None


@dataclass(frozen=True, slots=True)
class Announcement:
    """Who has named a peer, and where it said that the peer has connected to."""

    proxy: str
    destination: End | None


@dataclass(frozen=True, slots=True)
class HeaderFault:
    """What was sent is no header; nothing behind it can be trusted."""

    why: str


Answer = Header | HeaderFault


def read(data: bytes) -> Answer | None:
    """Return the header that *data* begins with, what is wrong with it, or None when more is needed."""
    if data.startswith(TEXT):
        answer = _read_text(data)
    elif data.startswith(SIGNATURE):
        answer = _read_binary(data)
    else:
        begun = TEXT.startswith(data) or SIGNATURE.startswith(data)
        return None if begun else HeaderFault("no PROXY header")
    if isinstance(answer, Header) and data.startswith((TEXT, SIGNATURE), answer.size):
        return HeaderFault("two PROXY headers")
    return answer


# -- version 1


def _read_text(data: bytes) -> Answer | None:
    end = data.find(b"\n", 0, TEXT_LIMIT) + 1
    if not end:
        return HeaderFault("longer than 107 octets") if len(data) >= TEXT_LIMIT else None
    line = data[: end - 2]
    if data[end - 2 : end] != b"\r\n" or b"\r" in line:
        return HeaderFault("a line end that is no CRLF")
    word, *rest = line[len(TEXT) :].split(b" ")
    if word == b"UNKNOWN":
        return Header(end)  # what follows the word is not to be looked at
    ends = _ends_of(word, rest)
    return ends if isinstance(ends, HeaderFault) else Header(end, *ends)


def _ends_of(family: bytes, words: list[bytes]) -> tuple[End, End] | HeaderFault:
    if family not in _FAMILIES:
        return HeaderFault("an address family that is not known")
    if len(words) != 4:
        return HeaderFault("not two addresses and two ports")
    source, destination = (_parse_address(family, word) for word in words[:2])
    ports = [_parse_port(word) for word in words[2:]]
    if source is None or destination is None:
        return HeaderFault(f"not an address of {family.decode()}")
    if ports[0] is None or ports[1] is None:
        return HeaderFault("not a port")
    return (source, ports[0]), (destination, ports[1])


def _parse_address(family: bytes, word: bytes) -> Address | None:
    """Return the address; 010.0.0.1 is none (octal to some), nor is one with a scope."""
    form, kind = _FAMILIES[family]
    if not form.fullmatch(word):
        return None
    try:
        return to_address(kind(word.decode("ascii")))
    except ValueError:
        return None


def _parse_port(word: bytes) -> int | None:
    port = int(word) if _PORT.fullmatch(word) else 65536
    return port if port < 65536 else None


# -- version 2


def _read_binary(data: bytes) -> Answer | None:
    if len(data) > len(SIGNATURE) and data[12] not in {LOCAL, PROXY}:
        return HeaderFault("a version or command that is not known")
    if len(data) < FIXED:
        return None
    size = FIXED + int.from_bytes(data[14:FIXED], "big")
    if size > LIMIT:
        return HeaderFault(f"longer than {LIMIT} octets")
    return _read_whole(data[:size]) if len(data) >= size else None


def _read_whole(header: bytes) -> Answer:
    command, family = header[12], header[13]
    if command == LOCAL:
        return Header(len(header))  # addresses and extensions are not to be looked at
    if family != NOBODY and family not in STREAMS:
        return HeaderFault("neither TCP over IPv4 nor over IPv6")
    width = STREAMS.get(family, -2)  # without addresses there are no ports
    extensions = FIXED + 2 * width + 4
    if extensions > len(header):
        return HeaderFault("too short for its addresses")
    if why := _extension_fault(header, extensions):
        return HeaderFault(why)
    if family == NOBODY:
        return Header(len(header))
    addresses, ports = FIXED, extensions - 4
    peer, destination = (
        (
            to_address(ip_address(header[addresses + width * end : addresses + width * (end + 1)])),
            int.from_bytes(header[ports + 2 * end : ports + 2 * (end + 1)], "big"),
        )
        for end in (0, 1)
    )
    return Header(len(header), peer, destination)


def _extension_fault(header: bytes, start: int) -> str:
    """Return what is wrong with the extensions: they fill the rest, and a CRC32c among them is right."""
    sums = 0
    for kind, at, size in _extensions(header, start):
        if size < 0 or at + size > len(header):
            return "an extension that is cut short"
        if kind == CRC32C:
            sums += 1
            if size != 4 or sums > 1 or not _is_checksum(header, at):
                return "a wrong CRC32c"
    return ""


def _extensions(header: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield type, place and size of each extension; the size is -1 where not even that is there."""
    while at < len(header):
        size = int.from_bytes(header[at + 1 : at + 3], "big") if at + 3 <= len(header) else -1
        yield header[at], at + 3, size
        if size < 0:
            return
        at += 3 + size


def _is_checksum(header: bytes, at: int) -> bool:
    """Whether the four octets at *at* are the CRC32c of the header with zeros in their place."""
    return crc32c(header[:at] + bytes(4) + header[at + 4 :]) == int.from_bytes(header[at : at + 4], "big")


def crc32c(data: bytes) -> int:
    """Return the Castagnoli CRC of *data* (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc = _TABLE[(crc ^ octet) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _shifted(crc: int) -> int:
    for _ in range(8):
        crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc


_TABLE: Final = tuple(map(_shifted, range(256)))
