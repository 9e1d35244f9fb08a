"""DNS on the wire, for the five record types that scoring asks for. Sans I/O.

The one idea: what is read here is read exactly as dnspython would read it, or it is not read here.
`decode` takes the answers that everyday servers give, at a fraction of dnspython's cost; whatever is
unusual, such as a record of another type or class, a name compressed oddly or a byte too many, is
`Reply.UNUSUAL`, and the caller asks again through dnspython. Tests hold the two against each other.

Who forges an answer must guess its number, its port and the case of every letter of the question
("0x20"): servers send the question back as it came. One that does not is UNUSUAL, and left to dnspython.
Sockets, time and retries are in `datagram`.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from socket import inet_ntoa
from types import MappingProxyType
from typing import Final

from dns.ipv6 import inet_ntoa as inet6_ntoa

from scoring.answer import MOST_RECORDS, Answer, Status, found_life, nothing

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, OPT = 1, 2, 5, 6, 12, 15, 16, 28, 41
KINDS: Final = MappingProxyType({"A": A, "PTR": PTR, "MX": MX, "TXT": TXT, "AAAA": AAAA})
WORDS: Final = MappingProxyType({number: word for word, number in KINDS.items()})
SIZES: Final = MappingProxyType({A: 4, AAAA: 16})  # bytes of an address
IN: Final = 1

NXDOMAIN: Final = 3  # a response code, as are these
TROUBLES: Final = MappingProxyType({1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED"})
RESPONSE, RESPONSE_OR_OPCODE, TRUNCATED, RCODE = 0x8000, 0xF800, 0x0200, 0x000F

HEADER: Final = struct.Struct("!HHHHHH")
RECORD: Final = struct.Struct("!HHIH")  # type, class, time to live, size of the value
ASKING: Final = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"  # recursion desired; one question, one OPT
EDNS: Final = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"  # 1,232 bytes fit any path (DNS flag day 2020)

ORDINARY: Final = re.compile(r"(?:[!-\-/-\[\]-~]{1,63}\.)*[!-\-/-\[\]-~]{1,63}")  # no escape, no empty label
LONGEST_NAME: Final = 255  # bytes on the wire, RFC 1035 section 2.3.4
LONGEST_TTL: Final = 2**31 - 1  # a longer one is none at all, RFC 2181 section 8
LONGEST_CHAIN: Final = 16  # aliases; dnspython's limit
MOST_JUMPS: Final = 10  # compression pointers in one name
TO_QUESTION: Final = b"\xc0\x0c"

# Bits to flip for the other case of a letter. The lengths of labels are below the letters.
CASE: Final = bytes(0x20 if byte < 128 and chr(byte).isalpha() else 0 for byte in range(256))
ESCAPES: Final = MappingProxyType(
    {byte: f"\\{byte:03d}" for byte in range(256) if not 0x20 < byte < 0x7F}
    | {byte: f"\\{chr(byte)}" for byte in b'"().;\\@$'}
)


class Reply(Enum):
    """What a datagram is when it is neither an answer nor trouble."""

    FORGED = "forged"  # not a reply to this question: go on waiting
    TRUNCATED = "truncated"  # the whole of it is there over TCP
    UNUSUAL = "unusual"  # for dnspython to ask and to read


@dataclass(frozen=True, slots=True)
class Trouble:
    """A server that does not answer, and what it says."""

    why: str


class _UnusualError(Exception):
    """Something that dnspython is better at."""


@dataclass(slots=True)
class _Records:
    """The records of one name and type: the shortest time to live, and the values by canonical form."""

    ttl: int
    values: dict[bytes, bytes]


_Held = dict[tuple[bytes, int], _Records]  # by owner, in lower case, and type


def encode_question(name: str, kind: str) -> bytes | None:
    """Return the question as it stands in a packet; None for a name or a type that is out of the ordinary."""
    number = KINDS.get(kind)
    if number is None or len(name) > LONGEST_NAME - 2 or not ORDINARY.fullmatch(name):
        return None
    labels = [bytes((len(label),)) + label for label in name.encode().split(b".")]
    return b"".join((*labels, b"\0", number.to_bytes(2, "big"), b"\0\1"))


def disguise(question: bytes, noise: bytes) -> bytes:
    """Return *question* with the case of its letters as *noise*, of the same length, has it."""
    flips = int.from_bytes(question.translate(CASE), "big") & int.from_bytes(noise, "big")
    return (int.from_bytes(question, "big") ^ flips).to_bytes(len(question), "big")


def encode(number: int, question: bytes) -> bytes:
    """Return the packet that asks *question* under *number*."""
    return number.to_bytes(2, "big") + ASKING + question + EDNS


def decode(wire: bytes, question: bytes) -> Answer | Trouble | Reply:
    """Return what the datagram *wire*, whose number is right, says to *question* as it was asked."""
    if len(wire) < HEADER.size:
        return Reply.FORGED
    _, flags, questions, *counts = HEADER.unpack_from(wire)
    if flags & RESPONSE_OR_OPCODE != RESPONSE:
        return Reply.FORGED
    trouble = TROUBLES.get(flags & RCODE)
    if trouble and not questions:
        return Trouble(trouble)  # some refuse without repeating the question
    said = wire[HEADER.size : HEADER.size + len(question)]
    if questions != 1 or said.lower() != question.lower():
        return Reply.FORGED
    if flags & TRUNCATED:
        return Reply.TRUNCATED
    try:
        answer = _read(wire, question, rcode=flags & RCODE, counts=(counts[0], counts[1], counts[2]))
    except (_UnusualError, struct.error, IndexError):
        return Reply.UNUSUAL
    return Trouble(trouble) if trouble else answer


def _read(wire: bytes, question: bytes, *, rcode: int, counts: tuple[int, int, int]) -> Answer:
    """Return what the three sections after the question say to it."""
    asked, kind = question[:-4].lower(), question[-3]
    if not wire.startswith(question, HEADER.size) or rcode not in (0, NXDOMAIN, *TROUBLES):
        raise _UnusualError
    held, at = _read_answers(wire, HEADER.size + len(question), counts[0], asked=asked, kind=kind)
    minimums, at = _read_authorities(wire, at, counts[1])
    if _read_additional(wire, at, counts[2]) != len(wire):
        raise _UnusualError
    name, ttl = _follow(held, asked, kind)
    records = held.get((name, kind))
    if records is None:
        why = "no such name" if rcode == NXDOMAIN else f"no {WORDS[kind]} record"
        return nothing(why, ttl=min(ttl, _minimum(minimums, name)))
    if rcode:
        raise _UnusualError  # a name that does not exist, and has records
    return _found(kind, records, min(ttl, records.ttl))


def _read_answers(wire: bytes, at: int, count: int, *, asked: bytes, kind: int) -> tuple[_Held, int]:
    """Return the records of the answer section, and where it ends."""
    held: _Held = {}
    for _ in range(count):
        owner, found, ttl, at, end = _read_record(wire, at, asked)
        if found not in {kind, CNAME}:
            raise _UnusualError
        canonical, value = _read_value(wire, at, end, found)
        records = held.setdefault((owner, found), _Records(ttl, {}))
        records.ttl = min(records.ttl, ttl)
        records.values.setdefault(canonical, value)
        at = end
    return held, at


def _read_authorities(wire: bytes, at: int, count: int) -> tuple[Mapping[bytes, int], int]:
    """Return for how long each zone says that nothing is there (RFC 2308), and where the section ends."""
    minimums: dict[bytes, int] = {}
    for _ in range(count):
        owner, kind, ttl, at, end = _read_record(wire, at, b"")
        if kind not in {NS, SOA} or owner in minimums:
            raise _UnusualError
        _, after = _name(wire, at, end)
        if kind == SOA:
            _, after = _name(wire, after, end)
            minimums[owner] = min(ttl, int.from_bytes(wire[after + 16 : after + 20], "big"))
            after += 20
        if after != end:
            raise _UnusualError
        at = end
    return minimums, at


def _read_additional(wire: bytes, at: int, count: int) -> int:
    """Return where the section ends: addresses of servers, and one OPT that says nothing."""
    options = 0
    for _ in range(count):
        if wire[at : at + 3] == EDNS[:3]:
            _, _, extended, size = RECORD.unpack_from(wire, at + 1)
            options, end = options + 1, at + len(EDNS)
            usual = options == 1 and not extended >> 16 and not size
        else:
            _, kind, _, at, end = _read_record(wire, at, b"")
            usual = SIZES.get(kind) == end - at
        if not usual:
            raise _UnusualError
        at = end
    return at


def _read_record(wire: bytes, at: int, asked: bytes) -> tuple[bytes, int, int, int, int]:
    """Return owner, type, time to live, and from where to where the value of a record goes."""
    if asked and wire[at : at + 2] == TO_QUESTION:
        owner, at = asked, at + 2
    else:
        owner, at = _name(wire, at, len(wire))
    kind, family, ttl, size = RECORD.unpack_from(wire, at)
    end = at + RECORD.size + size
    if family != IN or end > len(wire):
        raise _UnusualError
    return owner.lower(), kind, ttl if ttl <= LONGEST_TTL else 0, end - size, end


def _read_value(wire: bytes, at: int, end: int, kind: int) -> tuple[bytes, bytes]:
    """Return a record's canonical form (RFC 4034, section 6.2), and what is made of it.

    Names are in lower case: what is compressed onto the question has the case that it was asked in.
    """
    if kind == TXT:
        return wire[at:end], _joined(wire, at, end)
    value, after = wire[at:end], end
    if kind not in SIZES:
        start = at + 2 if kind == MX else at
        name, after = _name(wire, start, end)
        value = wire[at:start] + name.lower()
    if after != end or len(value) != SIZES.get(kind, len(value)):
        raise _UnusualError
    return value, value


def _joined(wire: bytes, at: int, end: int) -> bytes:
    """Return the strings of a TXT record in one."""
    strings = []
    while at < end:
        after = at + 1 + wire[at]
        strings.append(wire[at + 1 : after])
        at = after
    if at != end or not strings:
        raise _UnusualError
    return b"".join(strings)


def _name(wire: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Return a name uncompressed, and where what follows it begins. Pointers lead backwards only."""
    labels: list[bytes] = []
    after, start, jumps = 0, at, 0
    while True:
        if at >= end:
            raise _UnusualError
        if not (length := wire[at]):
            break
        if length < 64:
            labels.append(wire[at : at + 1 + length])
            at += 1 + length
            continue
        target = (length & 63) << 8 | wire[at + 1]
        after = after or at + 2
        if length < 192 or jumps == MOST_JUMPS or target >= start or at + 2 > end:
            raise _UnusualError
        at, end, start, jumps = target, start, target, jumps + 1
    name = b"".join(labels) + b"\0"
    if len(name) > LONGEST_NAME:
        raise _UnusualError
    return name, after or at + 1


def _follow(held: _Held, name: bytes, kind: int) -> tuple[bytes, int]:
    """Return the name at the end of the aliases of *name*, and the shortest time to live on the way."""
    ttl = LONGEST_TTL
    for _ in range(LONGEST_CHAIN):
        alias = held.get((name, CNAME))
        if (name, kind) in held or alias is None:
            return name, ttl
        if len(alias.values) > 1:
            raise _UnusualError
        ttl = min(ttl, alias.ttl)
        (name,) = alias.values
    raise _UnusualError


def _minimum(minimums: Mapping[bytes, int], name: bytes) -> int:
    """Return what the zone of *name* says; of several, the one nearest to it."""
    while name not in minimums and name != b"\0":
        name = name[1 + name[0] :]
    return minimums.get(name, LONGEST_TTL)


def _found(kind: int, records: _Records, ttl: int) -> Answer:
    """Return the values; in order, for servers rotate them and a verdict should not turn."""
    values = [value for _, value in sorted(records.values.items())[:MOST_RECORDS]]
    life = found_life(ttl)
    if kind == TXT:
        return Answer(Status.FOUND, texts=tuple(values), life=life)
    if kind == MX:
        pairs = tuple((int.from_bytes(value[:2], "big"), _text(value[2:])) for value in values)
        return Answer(Status.FOUND, exchanges=pairs, life=life)
    if kind == PTR:
        return Answer(Status.FOUND, names=tuple(map(_text, values)), life=life)
    return Answer(
        Status.FOUND, addresses=tuple(map(inet_ntoa if kind == A else inet6_ntoa, values)), life=life
    )


def _text(name: bytes) -> str:
    """Return a name as dnspython writes it: without the last dot, odd bytes escaped."""
    labels, at = [], 0
    while length := name[at]:
        labels.append(name[at + 1 : at + 1 + length].decode("latin-1").translate(ESCAPES))
        at += 1 + length
    return ".".join(labels) or "."
