"""DNS as scoring needs it: a typed answer by a deadline, whatever the servers do.

The one idea: `query` never raises for what DNS does. An answer is found, or it is known that there is
nothing, or it is unknown why; a caller treats the third as silence, never as a listing.

Answers are remembered for their own time to live, identical questions share one look-up, and look-ups in
flight are capped: 1,000 at once overflow the socket of a small DNSBL server, 200 lost none. The codec,
retries, TCP after a truncated answer and the refusal of forged answers are dnspython's. It costs about
0.4 ms of CPU a look-up; a multiplexer of our own would be faster and a second resolver to keep right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.resolver
import trio
from cachetools import TLRUCache
from dns.rdata import Rdata
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

SHORTEST_LIFE: Final = 60.0  # seconds; the bounds are postscreen's
LONGEST_LIFE: Final = 3600.0
LONGEST_NOTHING: Final = 300.0  # a peer that gets itself listed is noticed soon
FAILURE_LIFE: Final = 5.0  # a server that says SERVFAIL is not asked the same at once (RFC 9520)
MOST_RECORDS: Final = 100
ONE_TRY: Final = 1.5  # seconds until a lost datagram is sent again
ALL_TRIES: Final = 30.0
IN_TIME: Final = "no answer in time"


class Status(Enum):
    """What is known once an answer is there."""

    FOUND = "found"
    NOTHING = "nothing"  # the name, or the type at this name, does not exist
    UNKNOWN = "unknown"  # silence, SERVFAIL, a broken answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name holds. `why` says what kind of nothing it is, or why nothing is known."""

    status: Status
    why: str = ""
    addresses: tuple[str, ...] = ()
    texts: tuple[bytes, ...] = ()  # the strings of a record joined
    names: tuple[str, ...] = ()  # of PTR and CNAME, without the last dot
    exchanges: tuple[tuple[int, str], ...] = ()  # (preference, name)


TOO_LATE: Final = Answer(Status.UNKNOWN, IN_TIME)


class Lookup(Protocol):
    """What the signals need of a resolver."""

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        """Return what *name* holds of the record type *kind*, at the latest at *until* (trio's clock)."""


@dataclass(slots=True)
class Flight:
    """A look-up on its way. `answer` stays None when whoever flew it had to give up."""

    landed: trio.Event
    answer: Answer | None = None


class Resolver:
    """Asks *servers*, given as (ip, port); None means those of /etc/resolv.conf."""

    def __init__(
        self,
        servers: Sequence[tuple[str, int]] | None = None,
        *,
        in_flight: int = 200,
        cache_size: int = 10_000,
    ) -> None:
        self._dns = _configured(servers)
        self._room = trio.CapacityLimiter(in_flight)
        self._flying: dict[tuple[str, str], Flight] = {}
        self._known: TLRUCache[tuple[str, str], tuple[Answer, float]] = TLRUCache(
            cache_size, ttu=lambda _key, entry, now: now + entry[1], timer=trio.current_time
        )

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        """Return what *name* holds of the record type *kind*, at the latest at *until* (trio's clock)."""
        key = (name.lower().rstrip("."), kind)
        with trio.move_on_at(until):
            while True:
                if known := self._known.get(key):
                    return known[0]
                if (flight := self._flying.get(key)) is None:
                    return await self._fly(key)
                await flight.landed.wait()
                if flight.answer is not None:
                    return flight.answer
        return TOO_LATE

    async def _fly(self, key: tuple[str, str]) -> Answer:
        """Look *key* up in this task, for everybody who wants it."""
        flight = self._flying[key] = Flight(trio.Event())
        try:
            async with self._room:
                flight.answer, life = await self._ask(*key)
            self._known[key] = (flight.answer, life)
            return flight.answer
        finally:
            del self._flying[key]
            flight.landed.set()

    async def _ask(self, name: str, kind: str) -> tuple[Answer, float]:
        """Return the answer and for how many seconds it holds."""
        try:
            question = dns.name.from_text(name + ".")
        except (dns.exception.DNSException, UnicodeError):
            return Answer(Status.NOTHING, "not a DNS name"), LONGEST_LIFE
        try:
            reply = await self._dns.resolve(question, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as nxdomain:
            response: dns.message.QueryMessage = nxdomain.response(question)  # type: ignore[no-untyped-call]
            return Answer(Status.NOTHING, "no such name"), _life(response, LONGEST_NOTHING)
        except dns.exception.DNSException as failure:
            return Answer(Status.UNKNOWN, _reason(failure)), FAILURE_LIFE
        if reply.rrset is None:
            return Answer(Status.NOTHING, f"no {kind} record"), _life(reply.response, LONGEST_NOTHING)
        return _found(sorted(reply.rrset)[:MOST_RECORDS]), _life(reply.response, LONGEST_LIFE)


def _configured(servers: Sequence[tuple[str, int]] | None) -> dns.asyncresolver.Resolver:
    """Return dnspython's resolver for *servers*. With nothing configured, 127.0.0.1, as the C library."""
    try:
        resolver = dns.asyncresolver.Resolver(configure=servers is None)
    except dns.resolver.NoResolverConfiguration:
        resolver, servers = dns.asyncresolver.Resolver(configure=False), [("127.0.0.1", 53)]
    if servers is not None:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(ip, port) for ip, port in servers]
    resolver.use_edns(0, 0, 1232)
    resolver.timeout = ONE_TRY
    resolver.lifetime = ALL_TRIES
    return resolver


def _found(records: Sequence[Rdata]) -> Answer:
    """Return the values of *records*; in order, for servers rotate them and a verdict should not turn."""
    return Answer(
        Status.FOUND,
        addresses=tuple(record.address for record in records if isinstance(record, A | AAAA)),
        texts=tuple(b"".join(record.strings) for record in records if isinstance(record, TXT)),
        names=tuple(_text(record.target) for record in records if isinstance(record, PTR | CNAME)),
        exchanges=tuple(
            (record.preference, _text(record.exchange)) for record in records if isinstance(record, MX)
        ),
    )


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)


def _life(response: dns.message.QueryMessage, longest: float) -> float:
    """Return the seconds for which *response* holds: its own time to live, within bounds."""
    return min(max(response.resolve_chaining().minimum_ttl, SHORTEST_LIFE), longest)


def _reason(failure: dns.exception.DNSException) -> str:
    """Return what the last server said, such as SERVFAIL, or what is wrong with its answer."""
    if isinstance(failure, dns.exception.Timeout):
        return IN_TIME
    said = [str(error[3]) for error in (failure.kwargs or {}).get("errors", ())]
    return said[-1] if said else type(failure).__name__
