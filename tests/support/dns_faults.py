"""A DNS server on loopback that does what DNS servers should not.

    async with faulty() as server:
        await Resolver([server.address]).query("2.0.0.127.wrong-number.test", "A", until=...)

The name's last label but one says what is wrong with the reply; where there is an answer in it at all,
it is that 127.0.0.2 is listed. An unknown label gets that answer without any fault, and each address has
a name that no host should have.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Final

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import trio

from tests.support.dns_zone import open_port

LISTED: Final = "127.0.0.2"
VALUES: Final = MappingProxyType({"A": LISTED, "TXT": '"a reason"', "PTR": r"e\013\010vil\%s.test."})
TTL: Final = 300


@dataclass(frozen=True, slots=True)
class Datagram:
    """What is sent, how many seconds after the question, and whether from the port that was asked."""

    wire: bytes
    after: float = 0.0
    elsewhere: bool = False


@dataclass(slots=True)
class FaultServer:
    """Where it is, and the names it was asked for; over TCP with a `tcp:` before them."""

    address: tuple[str, int]
    asked: list[str] = field(default_factory=list)


def answer(query: dns.message.Message, *values: str, ttl: int = TTL) -> dns.message.Message:
    """Return a plain answer: by default that the address is listed."""
    response = dns.message.make_response(query)
    question = query.question[0]
    kind = dns.rdatatype.to_text(question.rdtype)
    response.answer.append(dns.rrset.from_text(question.name, ttl, "IN", kind, *(values or (VALUES[kind],))))
    return response


def wire_of(message: dns.message.Message) -> bytes:
    """Return *message* in full, however large."""
    return message.to_wire(max_size=65535)


def refusing(rcode: str) -> Callable[[dns.message.Message], Iterator[Datagram]]:
    """Return a server that says *rcode* and nothing else."""

    def refuse(query: dns.message.Message) -> Iterator[Datagram]:
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.from_text(rcode))
        yield Datagram(response.to_wire())

    return refuse


def saying(*values: str, ttl: int = TTL) -> Callable[[dns.message.Message], Iterator[Datagram]]:
    """Return a server that lists everything with *values*."""

    def say(query: dns.message.Message) -> Iterator[Datagram]:
        addresses = query.question[0].rdtype == dns.rdatatype.A
        yield Datagram(wire_of(answer(query, *(values if addresses else ()), ttl=ttl)))

    return say


def wrong_number(query: dns.message.Message) -> Iterator[Datagram]:
    wire = answer(query).to_wire()
    yield Datagram(bytes((wire[0] ^ 1,)) + wire[1:])


def wrong_question(query: dns.message.Message) -> Iterator[Datagram]:
    other = dns.message.make_query("another.test", "A", id=query.id)
    yield Datagram(answer(other).to_wire())


def wrong_type(query: dns.message.Message) -> Iterator[Datagram]:
    other = dns.message.make_query(query.question[0].name, "MX", id=query.id)
    yield Datagram(answer(other, "10 mail.test.").to_wire())


def wrong_class(query: dns.message.Message) -> Iterator[Datagram]:
    other = dns.message.make_query(query.question[0].name, "A", rdclass="CH", id=query.id)
    yield Datagram(dns.message.make_response(other).to_wire())


def wrong_port(query: dns.message.Message) -> Iterator[Datagram]:
    yield Datagram(answer(query).to_wire(), elsewhere=True)


def echo(query: dns.message.Message) -> Iterator[Datagram]:
    yield Datagram(query.to_wire())


def garbage(query: dns.message.Message) -> Iterator[Datagram]:
    yield Datagram(b"")
    yield Datagram(query.to_wire()[:5])
    yield Datagram(b"\xff" * 300)


def cut_short(query: dns.message.Message) -> Iterator[Datagram]:
    yield Datagram(answer(query).to_wire()[:-3])


def too_long(query: dns.message.Message) -> Iterator[Datagram]:
    yield Datagram(answer(query).to_wire() + b"and more")


def silence(query: dns.message.Message) -> Iterator[Datagram]:
    yield from ()


def truncated(query: dns.message.Message) -> Iterator[Datagram]:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC
    yield Datagram(response.to_wire())


def late(query: dns.message.Message) -> Iterator[Datagram]:
    yield Datagram(answer(query).to_wire(), after=1.0)


def forged_first(query: dns.message.Message) -> Iterator[Datagram]:
    for forge in (wrong_number, wrong_question, wrong_class, wrong_port, echo, garbage):
        yield from forge(query)
    yield Datagram(answer(query).to_wire(), after=0.05)


def missing_but_listed(query: dns.message.Message) -> Iterator[Datagram]:
    response = answer(query)
    response.set_rcode(dns.rcode.NXDOMAIN)
    yield Datagram(response.to_wire())


def chain(length: int, *, loop: bool = False) -> Callable[[dns.message.Message], Iterator[Datagram]]:
    """Return a server with *length* aliases before the listing, or before the first alias again."""

    def link(query: dns.message.Message) -> Iterator[Datagram]:
        response = dns.message.make_response(query)
        names = [str(query.question[0].name), *(f"{n}.chain.test." for n in range(1, length))]
        last = names[0] if loop else "end.chain.test."
        for owner, target in zip(names, [*names[1:], last], strict=True):
            response.answer.append(dns.rrset.from_text(owner, TTL, "IN", "CNAME", target))
        response.answer.append(dns.rrset.from_text("end.chain.test.", TTL, "IN", "A", LISTED))
        yield Datagram(wire_of(response))

    return link


def other_class(query: dns.message.Message) -> Iterator[Datagram]:
    wire = bytearray(answer(query).to_wire())
    wire[wire.index(b"\xc0\x0c") + 5] = dns.rdataclass.CH
    yield Datagram(bytes(wire))


def many_texts(query: dns.message.Message) -> Iterator[Datagram]:
    if query.question[0].rdtype == dns.rdatatype.TXT:
        yield Datagram(wire_of(answer(query, " ".join(['"%s"' % ("x" * 100)] * 400))))
    else:
        yield Datagram(answer(query).to_wire())


def hostile_text(query: dns.message.Message) -> Iterator[Datagram]:
    text = r'"\013\010250 ok\000\027[31m%s\255"'
    values = (text,) if query.question[0].rdtype == dns.rdatatype.TXT else ()
    yield Datagram(answer(query, *values).to_wire())


def lower_case(query: dns.message.Message) -> Iterator[Datagram]:
    response = answer(query)
    wire = response.to_wire()
    end = wire.index(b"\0", 12)  # of the name asked for
    yield Datagram(wire[:12] + wire[12:end].lower() + wire[end:])


FAULTS: Final = MappingProxyType(
    {
        "servfail": refusing("SERVFAIL"),
        "refused": refusing("REFUSED"),
        "notimp": refusing("NOTIMP"),
        "nxdomain": refusing("NXDOMAIN"),
        "wrong-number": wrong_number,
        "wrong-question": wrong_question,
        "wrong-type": wrong_type,
        "wrong-class": wrong_class,
        "wrong-port": wrong_port,
        "echo": echo,
        "garbage": garbage,
        "cut-short": cut_short,
        "too-long": too_long,
        "silence": silence,
        "truncated": truncated,
        "late": late,
        "forged-first": forged_first,
        "missing-but-listed": missing_but_listed,
        "alias": chain(3),
        "long-chain": chain(20),
        "loop": chain(3, loop=True),
        "other-class": other_class,
        "thousand": saying(*(f"127.0.{n // 250}.{n % 250 + 2}" for n in range(1000))),
        "many-texts": many_texts,
        "hostile-text": hostile_text,
        "lower-case": lower_case,
        "ttl-none": saying(LISTED, ttl=0),
        "ttl-long": saying(LISTED, ttl=2**31 - 1),
        "parked": saying("203.0.113.80"),
        "world": saying("127.0.0.1"),
        "mistyped": saying("127.255.255.252"),
        "public-resolver": saying("127.255.255.254"),
        "too-many": saying("127.255.255.255"),
        "no-such-code": saying("127.0.1.255"),
        "listed-and-parked": saying("127.0.0.2", "203.0.113.80"),
    }
)


@asynccontextmanager
async def faulty(*, tcp: bool = True) -> AsyncIterator[FaultServer]:
    """Run the server; without *tcp*, its TCP port refuses connections."""
    udp, listeners = await open_port()
    with udp, trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as other:
        await other.bind(("127.0.0.1", 0))
        server = FaultServer(udp.getsockname())
        async with trio.open_nursery() as nursery:
            if tcp:
                nursery.start_soon(trio.serve_listeners, partial(_serve_tcp, server), listeners)
            else:
                await listeners[0].aclose()
            nursery.start_soon(_serve_udp, server, udp, other, nursery)
            yield server
            nursery.cancel_scope.cancel()


async def _serve_udp(
    server: FaultServer, udp: trio.socket.SocketType, other: trio.socket.SocketType, nursery: trio.Nursery
) -> None:
    while True:
        wire, peer = await udp.recvfrom(65535)
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        server.asked.append(name)
        if "lost-once" in name and server.asked.count(name) == 1:
            continue
        for datagram in FAULTS.get(name.split(".")[-2], saying(LISTED))(query):
            nursery.start_soon(_send, other if datagram.elsewhere else udp, datagram, peer)


async def _send(udp: trio.socket.SocketType, datagram: Datagram, peer: tuple[str, int]) -> None:
    await trio.sleep(datagram.after)
    await udp.sendto(datagram.wire, peer)


async def _serve_tcp(server: FaultServer, stream: trio.SocketStream) -> None:
    wire = await stream.receive_some(65535)
    query = dns.message.from_wire(bytes(wire[2:]))
    server.asked.append("tcp:" + query.question[0].name.to_text(omit_final_dot=True).lower())
    response = wire_of(answer(query))
    await stream.send_all(len(response).to_bytes(2, "big") + response)
