"""PROXY headers as load balancers send them, and everything that is not quite one."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.verdict import Address, to_address
from tarpit.backend.introduce import proxy_v1_header, proxy_v2_header
from tarpit.proxied import LIMIT, SIGNATURE, Header, HeaderFault, crc32c, read

V4 = bytes.fromhex("c0000209 c6336401 1267 0019")  # 192.0.2.9:4711 to 198.51.100.1:25
V6 = bytes.fromhex("20010db8000000000000000000000009 20010db8000000000000000000000001 1267 0019")
MAPPED = bytes.fromhex("00000000000000000000ffff7f000001 20010db8000000000000000000000001 1267 0019")


def binary(body: bytes, *, command: int = 0x21, family: int = 0x11, size: int | None = None) -> bytes:
    """Return a binary header."""
    return (
        SIGNATURE + bytes((command, family)) + (len(body) if size is None else size).to_bytes(2, "big") + body
    )


def extension(kind: int, value: bytes) -> bytes:
    """Return an extension."""
    return bytes((kind,)) + len(value).to_bytes(2, "big") + value


def summed(before: bytes = b"", behind: bytes = b"", *, wrong: int = 0) -> bytes:
    """Return a header whose CRC32c stands between other extensions, in no order; *wrong* is xored with it."""
    body = V4 + before + extension(3, bytes(4)) + behind
    header = binary(body)
    at = 16 + len(V4) + len(before) + 3
    return header[:at] + (crc32c(header) ^ wrong).to_bytes(4, "big") + header[at + 4 :]


SOUND = [
    pytest.param(b"PROXY TCP4 192.0.2.9 198.51.100.1 4711 25\r\n", "192.0.2.9", id="v1, IPv4"),
    pytest.param(b"PROXY TCP6 2001:db8::9 2001:DB8::1 4711 25\r\n", "2001:db8::9", id="v1, IPv6"),
    pytest.param(
        b"PROXY TCP6 ::ffff:127.0.0.1 ::1 4711 25\r\n", "127.0.0.1", id="ID-05 v1, a mapped address is IPv4"
    ),
    pytest.param(b"PROXY UNKNOWN\r\n", None, id="ID-03 v1 UNKNOWN"),
    pytest.param(
        b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        b" 65535 65535\r\n",
        None,
        id="ID-03 v1 UNKNOWN, at its longest",
    ),
    pytest.param(binary(V4), "192.0.2.9", id="v2, IPv4"),
    pytest.param(binary(V6, family=0x21), "2001:db8::9", id="v2, IPv6"),
    pytest.param(binary(MAPPED, family=0x21), "127.0.0.1", id="ID-05 v2, a mapped address is IPv4"),
    pytest.param(binary(b"", command=0x20, family=0), None, id="ID-03 v2 LOCAL"),
    pytest.param(binary(V4, command=0x20), None, id="ID-03 v2 LOCAL with addresses, which are not looked at"),
    pytest.param(binary(b"", family=0), None, id="ID-03 v2, no family"),
    pytest.param(binary(extension(4, b"x" * 9), family=0), None, id="v2, no family, an extension"),
    pytest.param(
        binary(V4 + extension(2, b"mx.example") + extension(4, b"")), "192.0.2.9", id="v2, extensions"
    ),
    pytest.param(summed(), "192.0.2.9", id="ID-11 a right CRC32c"),
    pytest.param(
        summed(extension(0xEA, b"vpce") * 2, extension(1, b"smtp")),
        "192.0.2.9",
        id="ID-11 a right CRC32c, others",
    ),
]

UNSOUND = [
    pytest.param(b"EHLO mx.example\r\n", id="ID-02 none"),
    pytest.param(b"proxy TCP4 192.0.2.9 192.0.2.1 1 25\r\n", id="ID-02 in small letters"),
    pytest.param(b"\x16\x03\x01\x02\x00", id="ID-02 TLS"),
    pytest.param(b"PROXY TCP4 192.0.2.9 192.0.2.1 1 25\n", id="ID-02 v1, bare LF"),
    pytest.param(b"PROXY UNKNOWN\rx\r\n", id="ID-02 v1, a CR within"),
    pytest.param(b"PROXY UNKNOWN \n EHLO x\r\n", id="ID-02 v1, an LF within"),
    pytest.param(b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", id="ID-02 v1, 108 octets"),
    pytest.param(b"PROXY TCP4 192.0.2.9 192.0.2.1 1\r\n", id="ID-02 v1, one port"),
    pytest.param(b"PROXY TCP4  192.0.2.9 192.0.2.1 1 25\r\n", id="ID-02 v1, two blanks"),
    pytest.param(b"PROXY TCP4 192.0.2.9 192.0.2.1 1 25 \r\n", id="ID-02 v1, a blank at the end"),
    pytest.param(b"PROXY TCP5 192.0.2.9 192.0.2.1 1 25\r\n", id="ID-02 v1, no such family"),
    pytest.param(b"PROXY TCP4 2001:db8::9 2001:db8::1 1 25\r\n", id="ID-02 v1, the other family"),
    pytest.param(b"PROXY TCP6 192.0.2.9 192.0.2.1 1 25\r\n", id="ID-02 v1, the other family again"),
    pytest.param(b"PROXY TCP4 192.0.2.9 nowhere 1 25\r\n", id="ID-02 v1, a destination that is none"),
    pytest.param(b"PROXY TCP4 \xff92.0.2.9 192.0.2.1 1 25\r\n", id="ID-02 v1, 8 bits"),
    pytest.param(b"PROXY TCP4 192.0.2.9 192.0.2.1 65536 25\r\n", id="ID-02 v1, no such port"),
    pytest.param(b"PROXY TCP4 192.0.2.9 192.0.2.1 +1 25\r\n", id="ID-02 v1, a signed port"),
    pytest.param(b"PROXY TCP4 192.0.2.9 192.0.2.1 1_0 25\r\n", id="ID-02 v1, Python's underscore"),
    pytest.param(b"PROXY TCP4 192.0.2.9 192.0.2.1 01 25\r\n", id="ID-02 v1, a port in octal"),
    pytest.param(b"PROXY TCP4 010.0.0.1 192.0.2.1 1 25\r\n", id="ID-05 leading zeros"),
    pytest.param(b"PROXY TCP4 127.1 192.0.2.1 1 25\r\n", id="ID-05 inet_aton's short form"),
    pytest.param(b"PROXY TCP4 0x7f.0.0.1 192.0.2.1 1 25\r\n", id="ID-05 hexadecimal"),
    pytest.param(b"PROXY TCP6 fe80::1%eth0 ::1 1 25\r\n", id="ID-05 a scope"),
    pytest.param(b"PROXY TCP6 [::1] ::1 1 25\r\n", id="ID-05 brackets"),
    pytest.param(b"PROXY TCP4 192.0.2.9 192.0.2.1 1 25\r\nPROXY UNKNOWN\r\n", id="ID-04 two of v1"),
    pytest.param(binary(V4) * 2, id="ID-04 two of v2"),
    pytest.param(binary(V4) + b"PROXY UNKNOWN\r\n", id="ID-04 v2 and v1"),
    pytest.param(SIGNATURE[:-1] + b"X", id="ID-02 v2, another signature"),
    pytest.param(SIGNATURE + b"\x11", id="ID-02 v2, version 1"),
    pytest.param(SIGNATURE + b"\x22", id="ID-02 v2, no such command"),
    pytest.param(binary(V4[:11], size=11), id="ID-02 v2, shorter than its addresses"),
    pytest.param(binary(V6[:35], family=0x21), id="ID-02 v2, shorter than its addresses, IPv6"),
    pytest.param(binary(b"", size=LIMIT), id="ID-02 v2, too long"),
    pytest.param(binary(b"", size=65535), id="ID-02 v2, as long as can be said"),
    pytest.param(binary(b"x" * 216, family=0x31), id="ID-02 v2, UNIX"),
    pytest.param(binary(V4, family=0x12), id="ID-02 v2, UDP"),
    pytest.param(binary(V4, family=0x41), id="ID-02 v2, no such family"),
    pytest.param(binary(V4 + b"\x04\0"), id="ID-02 v2, an extension without a size"),
    pytest.param(binary(V4 + b"\x04\0\x02x"), id="ID-02 v2, an extension that runs over the end"),
    pytest.param(summed(wrong=1), id="ID-11 a wrong CRC32c"),
    pytest.param(summed(extension(1, b"smtp"), wrong=1 << 31), id="ID-11 a wrong CRC32c among others"),
    pytest.param(binary(V4 + extension(3, b"")), id="ID-11 an empty CRC32c"),
    pytest.param(summed(behind=extension(3, bytes(4))), id="ID-11 two of them"),
]


@pytest.mark.parametrize(("data", "peer"), SOUND)
@pytest.mark.parametrize("behind", [b"", b"EHLO x\r\n"], ids=["alone", "and more"])
def test_sound(data: bytes, peer: str | None, behind: bytes) -> None:
    """The peer it names, and exactly the octets that are its own."""
    header = read(data + behind)
    assert isinstance(header, Header)
    assert (header.size, header.peer) == (len(data), (ip_address(peer), 4711) if peer else None)


@pytest.mark.parametrize(
    ("data", "destination"),
    [
        (b"PROXY TCP4 192.0.2.9 198.51.100.1 4711 25\r\n", "198.51.100.1"),
        (b"PROXY TCP6 2001:db8::9 2001:DB8::1 4711 25\r\n", "2001:db8::1"),
        (b"PROXY TCP6 2001:db8::9 ::ffff:198.51.100.1 4711 25\r\n", "198.51.100.1"),
        (binary(V4 + extension(2, b"mx.example")), "198.51.100.1"),
        (binary(V6, family=0x21), "2001:db8::1"),
        (b"PROXY UNKNOWN\r\n", None),
        (binary(V4, command=0x20), None),
        (binary(b"", family=0), None),
    ],
)
def test_where_the_peer_has_connected_to(data: bytes, destination: str | None) -> None:
    """Address and port of the load balancer, which the backend is told in turn; a health check has none."""
    header = read(data)
    assert isinstance(header, Header)
    assert header.destination == ((ip_address(destination), 25) if destination else None)


@pytest.mark.parametrize("data", UNSOUND)
def test_unsound(data: bytes) -> None:
    """A header is not repaired and not guessed at."""
    assert isinstance(read(data), HeaderFault)


@pytest.mark.parametrize("data", [param.values[0] for param in SOUND])
def test_half(data: object) -> None:
    """ID-02 Before its last octet it is not there yet, wherever it is cut."""
    assert isinstance(data, bytes)
    assert [read(data[:size]) for size in range(len(data))] == [None] * len(data)


def test_crc32c() -> None:
    """ID-11 The check value of RFC 3720, appendix B.4: 32 octets of zeros."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"123456789") == 0xE3069283


WORDS = [b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"192.0.2.9 ", b"::1 ", b"25", b"\r\n", b" "]
OCTETS = [SIGNATURE, b"\x21", b"\x11\0\x0c", b"\x21\0\x24", V4, V6, extension(3, bytes(4))]


@given(st.lists(st.sampled_from(WORDS + OCTETS) | st.binary(max_size=4), max_size=12).map(b"".join))
def test_garbage_is_read_alike_in_any_pieces(data: bytes) -> None:
    """Never an exception; once there is an answer, more bytes change it only into `two headers`."""
    answers = [read(data[:size]) for size in range(len(data) + 1)]
    said = [answer for answer in answers if answer is not None]
    assert said == answers[len(answers) - len(said) :]
    assert all(answer in {said[0], HeaderFault("two PROXY headers")} for answer in said)


ADDRESSES = st.ip_addresses().map(to_address)
ENDS = st.tuples(ADDRESSES, st.integers(0, 65535))


@given(ENDS, ENDS)
def test_ours_are_sound(source: tuple[Address, int], destination: tuple[Address, int]) -> None:
    """What we write to a backend reads back as the peer, in either version, families mixed or not."""
    for write in (proxy_v1_header, proxy_v2_header):
        header = write((str(source[0]), source[1]), (str(destination[0]), destination[1]))
        assert read(header) == Header(len(header), source, destination)
