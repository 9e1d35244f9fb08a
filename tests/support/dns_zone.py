"""A tiny DNS server on loopback, UDP and TCP, and a resolver without any network for tests of time.

    async with serving({("mail.example", "A"): ["192.0.2.1"], ("dead.example", "A"): "SILENT"}) as zone:
        resolver = Resolver([zone.address])

A name that is not in the table does not exist; a type that is not there at a name that is, is no data.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from typing import Final, Literal

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import trio

from scoring.resolve import IN_TIME, Answer, Status

Trouble = Literal["NXDOMAIN", "SERVFAIL", "SILENT", "GARBAGE"]
Records = Mapping[tuple[str, str], Sequence[str] | Trouble]

TTL: Final = 300


class DnsZone:
    """What the server holds, where it is, and what it has been asked so far."""

    def __init__(
        self, records: Records, address: tuple[str, int], *, truncated: frozenset[str], ttl: int
    ) -> None:
        self.records = records
        self.address = address
        self.asked: list[tuple[str, str]] = []
        self._truncated = truncated
        self._ttl = ttl

    def reply(self, wire: bytes, *, over_tcp: bool) -> bytes | None:
        """Return the answer to one question, or None for silence."""
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked.append((name, kind))
        response = dns.message.make_response(query)
        if name in self._truncated and not over_tcp:
            response.flags |= dns.flags.TC
            return response.to_wire()
        held = self._fill(response, name, kind)
        if held == "GARBAGE":
            return response.to_wire()[:5]
        return None if held == "SILENT" else response.to_wire(max_size=65535)

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> Sequence[str] | Trouble:
        held = self.records.get((name, kind))
        alias = self.records.get((name, "CNAME"))
        if held is None and alias is not None and not isinstance(alias, str):
            response.answer.append(dns.rrset.from_text(f"{name}.", self._ttl, "IN", "CNAME", *alias))
            return self._fill(response, alias[0].rstrip("."), kind)
        if held is None:
            exists = any(owner == name for owner, _ in self.records)
            held = [] if exists else "NXDOMAIN"
        if held in {"NXDOMAIN", "SERVFAIL"} if isinstance(held, str) else False:
            response.set_rcode(dns.rcode.from_text(str(held)))
        elif held and not isinstance(held, str):
            response.answer.append(dns.rrset.from_text(f"{name}.", self._ttl, "IN", kind, *held))
        return held


@asynccontextmanager
async def serving(
    records: Records, *, truncated: frozenset[str] = frozenset(), ttl: int = TTL
) -> AsyncIterator[DnsZone]:
    """Serve *records* on a free port of 127.0.0.1; names in *truncated* are answered over TCP only."""
    udp, listeners = await open_port()
    with udp:
        zone = DnsZone(records, udp.getsockname(), truncated=truncated, ttl=ttl)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve_udp, zone, udp)
            nursery.start_soon(trio.serve_listeners, partial(_serve_tcp, zone), listeners)
            yield zone
            nursery.cancel_scope.cancel()


async def open_port() -> tuple[trio.socket.SocketType, list[trio.SocketListener]]:
    """Return a port of 127.0.0.1 that is free for UDP and for TCP."""
    while True:
        udp = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        await udp.bind(("127.0.0.1", 0))
        try:
            return udp, await trio.open_tcp_listeners(udp.getsockname()[1], host="127.0.0.1")
        except OSError:  # another test has it
            udp.close()


async def _serve_udp(zone: DnsZone, udp: trio.socket.SocketType) -> None:
    while True:
        wire, peer = await udp.recvfrom(65535)
        if (answer := zone.reply(wire, over_tcp=False)) is not None:
            await udp.sendto(answer, peer)


async def _serve_tcp(zone: DnsZone, stream: trio.SocketStream) -> None:
    wire = await stream.receive_some(65535)
    if len(wire) > 2 and (answer := zone.reply(bytes(wire[2:]), over_tcp=True)) is not None:
        await stream.send_all(len(answer).to_bytes(2, "big") + answer)


class FakeResolver:
    """Answers from a table by trio's clock alone; keeps what it was asked.

    *seconds* after a question was first asked its answer is there, and stays there.
    """

    def __init__(
        self, answers: Mapping[tuple[str, str], Answer], *, seconds: Mapping[str, float] | None = None
    ) -> None:
        self._answers = answers
        self._seconds = seconds or {}
        self._ready: dict[tuple[str, str], float] = {}
        self.asked: list[tuple[str, str]] = []

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        """Return what the table has, or nothing; UNKNOWN when that takes longer than *until*."""
        self.asked.append((name, kind))
        ready = self._ready.setdefault((name, kind), trio.current_time() + self._seconds.get(name, 0))
        with trio.move_on_at(until):
            await trio.sleep_until(ready)
            return self._answers.get((name, kind), Answer(Status.NOTHING, "no such name"))
        return Answer(Status.UNKNOWN, IN_TIME)


def found(*values: str) -> Answer:
    """Return an answer that holds *values*: addresses, or else names."""
    addresses = tuple(value for value in values if _is_address(value))
    names = tuple(value for value in values if not _is_address(value))
    return Answer(Status.FOUND, addresses=addresses, names=names)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
