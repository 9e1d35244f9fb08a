"""A toy name server on loopback: the demo's DNSBL zone, SPF records and reverse names.

A `Zone` is a table from (name, type) to texts; `answer` turns a query into a reply and knows no socket.
`serve` is the driver around it: one UDP socket, one datagram in, one out.

Asking and caching are `scoring.resolve`; what a listing is worth is the demo's settings (`tarpit.cli.demo`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import trio

DNSBL: Final = "dnsbl.demo.test"
TEST_POINT: Final = "127.0.0.2"  # listed in every list that is alive; 127.0.0.1 never is (RFC 5782 section 5)
SECONDS_TO_LIVE: Final = 60


@dataclass(frozen=True, slots=True)
class Zone:
    """All the names that this server knows; everything else does not exist."""

    records: Mapping[tuple[dns.name.Name, dns.rdatatype.RdataType], tuple[str, ...]]

    def exists(self, name: dns.name.Name) -> bool:
        """Whether the name, or one below it, has any record."""
        return any(known.is_subdomain(name) for known, _ in self.records)


def demo_zone(*, listed: Iterable[str], hosts: Mapping[str, str]) -> Zone:
    """Return the demo's zone: *listed* addresses on the DNSBL, *hosts* as {address: forward-confirmed name}.

    good.demo.test may send from anywhere on loopback, forged.demo.test sends no mail at all.
    """
    records: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], tuple[str, ...]] = {}
    spf = {"good.demo.test": "v=spf1 ip4:127.0.0.0/8 -all", "forged.demo.test": "v=spf1 -all"}
    for domain, text in spf.items():
        records[_key(domain, "TXT")] = (f'"{text}"',)
    for address in (TEST_POINT, *listed):
        name = f"{_reversed(address)}.{DNSBL}"
        records[_key(name, "A")] = ("127.0.0.2",)
        records[_key(name, "TXT")] = (f'"{address} is listed by the demo"',)
    for address, host in hosts.items():
        records[_key(f"{_reversed(address)}.in-addr.arpa", "PTR")] = (f"{host}.",)
        records[_key(host, "A")] = (*records.get(_key(host, "A"), ()), address)
    return Zone(records)


def answer(zone: Zone, query: dns.message.Message) -> dns.message.Message:
    """Return the zone's reply: the records, an empty answer, or NXDOMAIN."""
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    if len(query.question) != 1:
        reply.set_rcode(dns.rcode.FORMERR)
        return reply
    question = query.question[0]
    texts = zone.records.get((question.name.canonicalize(), question.rdtype), ())
    if texts:
        reply.answer.append(
            dns.rrset.from_text_list(
                question.name, SECONDS_TO_LIVE, dns.rdataclass.IN, question.rdtype, list(texts)
            )
        )
    elif not zone.exists(question.name.canonicalize()):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply


async def serve(zone: Zone, sock: trio.socket.SocketType) -> None:
    """Answer on this bound UDP socket until cancelled."""
    while True:
        wire, sender = await sock.recvfrom(4_096)
        if (reply := _answer_wire(zone, wire)) is not None:
            await sock.sendto(reply, sender)


def _answer_wire(zone: Zone, wire: bytes) -> bytes | None:
    """Return the reply to one datagram; None for what is no query: a server answers no answers."""
    try:
        query = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return None
    return None if query.flags & dns.flags.QR else answer(zone, query).to_wire()


def _key(name: str, kind: str) -> tuple[dns.name.Name, dns.rdatatype.RdataType]:
    return dns.name.from_text(name).canonicalize(), dns.rdatatype.from_text(kind)


def _reversed(address: str) -> str:
    return ".".join(reversed(ip_address(address).exploded.split(".")))
