"""DNS as scoring needs it: a typed answer by a deadline, whatever the servers do.

The one idea: `query` never raises for what DNS does. Answers are remembered for their own time to live,
identical questions share one look-up, and look-ups in flight are capped: 1,000 at once overflow the socket
of a small DNSBL server, 200 lost none.

There are two ways to an answer. `datagram` and `packet` take everyday questions and answers. All else, and
what came truncated (over TCP then), is dnspython's: it is the reference that `packet` is tested against.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdataclass
import dns.rdatatype
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

from scoring.answer import (
    IN_TIME,
    MOST_RECORDS,
    NO_ROOM,
    TOO_LATE,
    Answer,
    Status,
    found_life,
    nothing,
    unknown,
)
from scoring.datagram import MOST_TRIES, ONE_TRY, Datagrams, Server
from scoring.packet import Reply, Trouble, encode_question

__all__ = ["IN_TIME", "TOO_LATE", "Answer", "Lookup", "Resolver", "Status"]

DNS_PORT: Final = 53
ALL_TRIES: Final = ONE_TRY * MOST_TRIES  # seconds
FAIR: Final = 0.5  # seconds that a question which had to wait must be on its way before silence is a server's

Key = tuple[str, str]  # a name in lower case, and a type


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
    """Asks *servers*, given as (ip, port); None means those of /etc/resolv.conf.

    It may be used in one run of trio after another, not in two at once. What it knows ends with a run, for
    so does the clock; sockets end with it too, and nothing has to be closed.
    """

    def __init__(
        self, servers: Sequence[Server] | None = None, *, in_flight: int = 200, cache_size: int = 10_000
    ) -> None:
        self._servers = _of_the_system() if servers is None else tuple(servers)
        self._dnspython = _dnspython(self._servers)
        self._in_flight = in_flight
        self._cache_size = cache_size
        self._run: trio.lowlevel.TrioToken | None = None
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._datagrams = Datagrams(self._servers)
        self._room = trio.Semaphore(self._in_flight, max_value=self._in_flight)
        self._flying: dict[Key, Flight] = {}
        self._known: TLRUCache[Key, tuple[Answer, float]] = TLRUCache(
            self._cache_size, ttu=lambda _key, known, now: now + known[0].life, timer=trio.current_time
        )

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        """Return what *name* holds of the record type *kind*, at the latest at *until* (trio's clock)."""
        self._notice_run()
        key = (name.lower().rstrip("."), kind)
        if known := self._known.get(key):
            answer, since = known
            return answer.after(trio.current_time() - since)
        while (flight := self._flying.get(key)) is not None:
            with trio.move_on_at(until) as waiting:
                await flight.landed.wait()
            if flight.answer is not None:
                return flight.answer
            if waiting.cancelled_caught:
                return TOO_LATE
        return await self._fly(key, until)

    async def wait_room(self) -> None:
        """Wait until all who asked before are on their way, and one more could be.

        For those who could ask without end: time in the queue is time of their deadline.
        """
        self._notice_run()
        async with self._room:
            pass

    def _notice_run(self) -> None:
        if (run := trio.lowlevel.current_trio_token()) is not self._run:
            self._run = run
            self._start_afresh()

    async def _fly(self, key: Key, until: float) -> Answer:
        """Look *key* up in this task, for everybody who wants it."""
        flight = self._flying[key] = Flight(trio.Event())
        try:
            answer = await self._ask_in_turn(*key, until)
            if answer.life:
                flight.answer = answer
                self._known[key] = (answer, trio.current_time())
            return answer
        finally:
            del self._flying[key]
            flight.landed.set()

    async def _ask_in_turn(self, name: str, kind: str, until: float) -> Answer:
        fair = 0.0
        try:
            self._room.acquire_nowait()  # no trip through the scheduler where there is room
        except trio.WouldBlock:
            with trio.move_on_at(until) as waiting:
                await self._room.acquire()
            if waiting.cancelled_caught:
                return NO_ROOM
            fair = FAIR
        sent = trio.current_time()
        try:
            answer = await self._ask(name, kind, until)
            return NO_ROOM if answer is TOO_LATE and until - sent < fair else answer
        finally:
            self._room.release()

    async def _ask(self, name: str, kind: str, until: float) -> Answer:
        question = encode_question(name, kind)
        heard = await self._datagrams.ask(question, until=until) if question else Reply.UNUSUAL
        match heard:
            case Answer():
                return heard
            case Trouble(why):
                return unknown(why)
            case _:
                with trio.move_on_at(until):
                    return await self._ask_dnspython(name, kind, over_tcp=heard is Reply.TRUNCATED)
                return TOO_LATE

    async def _ask_dnspython(self, name: str, kind: str, *, over_tcp: bool) -> Answer:
        try:
            question = dns.name.from_text(name + ".")
        except (dns.exception.DNSException, UnicodeError):
            return Answer(Status.NOTHING, "not a DNS name")
        try:
            reply = await self._dnspython.resolve(
                question, kind, tcp=over_tcp, raise_on_no_answer=False, search=False
            )
        except dns.resolver.NXDOMAIN as nxdomain:
            return read_message(nxdomain.response(question))  # type: ignore[no-untyped-call]
        except dns.exception.DNSException as failure:
            return unknown(_reason(failure))
        return read_message(reply.response)


def read_message(response: dns.message.QueryMessage) -> Answer:
    """Return what *response* says. Raises DNSException for what dnspython's resolver would not take."""
    chain = response.resolve_chaining()
    kind = response.question[0].rdtype
    if any(records.rdclass != dns.rdataclass.IN for records in response.answer):
        return unknown("an answer of another class")
    if chain.answer is not None:
        return _found(sorted(chain.answer)[:MOST_RECORDS], found_life(chain.minimum_ttl))
    missing = response.rcode() == dns.rcode.NXDOMAIN
    why = "no such name" if missing else f"no {dns.rdatatype.to_text(kind)} record"
    return nothing(why, ttl=chain.minimum_ttl)


def _of_the_system() -> tuple[Server, ...]:
    """Return the servers of /etc/resolv.conf; with nothing configured, 127.0.0.1, as the C library."""
    try:
        configured = dns.resolver.Resolver().nameservers
    except dns.resolver.NoResolverConfiguration:
        configured = ["127.0.0.1"]
    return tuple((str(server), DNS_PORT) for server in configured)


def _dnspython(servers: Sequence[Server]) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(ip, port) for ip, port in servers]
    resolver.use_edns(0, 0, 1232)
    resolver.timeout = ONE_TRY
    resolver.lifetime = ALL_TRIES
    return resolver


def _found(records: Sequence[Rdata], life: float) -> Answer:
    """Return the values of *records*; in order, for servers rotate them and a verdict should not turn."""
    return Answer(
        Status.FOUND,
        addresses=tuple(record.address for record in records if isinstance(record, A | AAAA)),
        texts=tuple(b"".join(record.strings) for record in records if isinstance(record, TXT)),
        names=tuple(_text(record.target) for record in records if isinstance(record, PTR | CNAME)),
        exchanges=tuple(
            (record.preference, _text(record.exchange)) for record in records if isinstance(record, MX)
        ),
        life=life,
    )


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _reason(failure: dns.exception.DNSException) -> str:
    """Return what the last server said, such as SERVFAIL, or what is wrong with its answer."""
    if isinstance(failure, dns.exception.Timeout):
        return IN_TIME
    said = [str(error[3]) for error in (failure.kwargs or {}).get("errors", ())]
    return said[-1] if said else type(failure).__name__
