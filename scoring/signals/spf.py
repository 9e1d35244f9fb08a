"""SPF: may this address send for the domain of the reverse-path, or of the HELO name (RFC 7208)?

The rules are pyspf's; its look-ups block. It is run without threads, by replay: its look-up function
answers from what is known and notes what is not; that is fetched on trio and the check is run again, until
nothing was missed. Threads were measured and rejected: 0.5 ms of CPU a check by replay, 1.8 ms in threads,
and 40 of those are one slow DNS server away from being all busy.

This is the one module that touches pyspf, and so the one where `Any` may appear. Traps of pyspf 2.0.14: a
bare `except:` in it swallows whatever the look-up raises, so what tells a finished run is that nothing was
missed, not that nothing was raised; `%{t}` is the time, so it is frozen over the runs; its work on a term
grows with the square of its length, and one record of 60,000 octets kept it busy for 72 s, hence the bounds
below; `int()` raises on the 4,301 digits that such a record may have. What is put right is in `Rules`.
"""

import re
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any, Final

import trio

from scoring.answer import IN_TIME, Answer, Status
from scoring.config import Config
from scoring.resolve import Lookup
from scoring.verdict import Address, Finding, Result

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # regular expressions in plain strings: it would not import under -W error
    import spf

ROUNDS: Final = 150  # more than 10 look-up terms of 11 names each can need
MOST_AHEAD: Final = 50  # names fetched before they are asked for
LONGEST_NAME: Final = 253  # octets of a name in DNS, written with dots (RFC 7208, section 7.3)
LONGEST_RECORD: Final = 4096  # octets; section 3.4 asks for 450
LONGEST_TERM: Final = 255  # octets; what it expands to is a name of at most 253
LONGEST_TEXT: Final = 253  # octets read of an explanation; from longer ones pyspf takes the first sentence
MOST_OCTETS: Final = 1_000_000  # of texts read over all runs; ten full records in thirty runs are 150,000
QUALIFIED: Final = re.compile(r"[^\s@\[\]]+\.[^\s@\[\].]+")
AHEAD: Final = re.compile(
    r"[-+?~]?(?P<term>include|redirect|a|mx)(?:[:=](?P<domain>[a-z0-9_.-]+))?(?:/[0-9/]*)?", re.IGNORECASE
)

Question = tuple[str, str]
Values = list[tuple[Question, Any]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who claims to send: the two halves of the reverse-path, and the HELO name.

    `domain` is "" where *claim*, which is what the peer said, has none that can be asked.
    """

    local: str
    domain: str
    helo: str
    claim: str

    @property
    def sender(self) -> str:
        """Return what `%{s}` stands for."""
        return f"{self.local}@{self.domain}"


def identify(mail_from: str, helo: str) -> Identity:
    """Return who *mail_from* is; the null sender is the postmaster of the HELO name (section 2.4).

    The local part may hold an `@` in quotes. A source route says nothing (RFC 5321, appendix C), and neither
    does a last dot: with one, a domain with a record would look like one without.
    """
    path = _encodable(mail_from.removeprefix("<").removesuffix(">"))
    heard = _encodable(helo)
    if path.startswith("@") and ":" in path:
        path = path.partition(":")[2]
    local, _, domain = (path or f"postmaster@{heard}").rpartition("@")
    return Identity(local or "postmaster", _domain_name(domain), heard.removesuffix("."), path or heard)


async def check_spf(
    resolver: Lookup,
    address: Address,
    config: Config,
    *,
    helo: str,
    mail_from: str,
    until: float,
    rounds: int = ROUNDS,
) -> Finding:
    """Return the finding `spf` for *mail_from*; for the null sender, "" or "<>", the HELO name is asked."""
    check = Replay(resolver, address, identify(mail_from, helo), until=until)
    return await _ask("spf", check, config, rounds)


async def check_spf_helo(
    resolver: Lookup, address: Address, config: Config, *, helo: str, until: float
) -> Finding:
    """Return the finding `spf-helo` for the HELO name (section 2.3); an address literal has no record."""
    return await _ask("spf-helo", Replay(resolver, address, identify("", helo), until=until), config, ROUNDS)


def with_claim(findings: tuple[Finding, ...], helo: str, mail_from: str) -> tuple[Finding, ...]:
    """Return *findings* of MAIL, and of the HELO name what they say of it as well."""
    if not _same_claim(helo, mail_from):
        return findings
    return (*findings, Finding("spf-helo", findings[0].result, 0.0, "weighed as spf: it is the same"))


def _same_claim(helo: str, mail_from: str) -> bool:
    """Whether SPF of the reverse-path is about the HELO name: it is the null sender's, or of that domain."""
    domain = identify(mail_from, helo).domain
    return not mail_from.strip("<>") or (domain != "" and domain.lower() == identify("", helo).domain.lower())


async def _ask(signal: str, check: "Replay", config: Config, rounds: int) -> Finding:
    who = check.who
    if not who.domain:
        why = f"no domain to ask in {who.claim or 'an empty name'}"
        return Finding(signal, Result.NONE, config.weight(f"{signal}-none"), why)
    result, explanation = await check.run(rounds)
    if result is Result.TEMPERROR and check.late:
        return Finding(signal, Result.NO_OPINION, 0.0, IN_TIME)
    why = f"{who.domain}: {explanation}" if explanation else who.domain
    points = config.weight(f"{signal}-{result}")
    return Finding(signal, result, points, why, age=check.age, life=check.life)


class Replay:
    """One check: pyspf run again and again over the answers fetched so far.

    `life` and `age` are those of the answers it used, in seconds: the shortest life, the greatest age.
    """

    def __init__(self, resolver: Lookup, address: Address, who: Identity, *, until: float) -> None:
        self.who = who
        self.life = inf
        self.age = 0.0
        self._resolver = resolver
        self._until = until
        self._address_kind = "A" if address.version == 4 else "AAAA"
        self._rules = Rules(address, who)
        self._answers: dict[Question, Answer] = {}
        self._ahead: set[Question] = set()
        self._missed: Question | None = None
        self._octets = 0

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return trio.current_time() >= self._until

    async def run(self, rounds: int = ROUNDS) -> tuple[Result, str]:
        """Return the SPF result and pyspf's explanation, after at most *rounds* runs."""
        async with trio.open_nursery() as nursery:
            for _ in range(rounds):
                result, explanation = self._run_once()
                if self._missed is None:
                    break
                await self._fetch(self._missed, nursery)
            else:
                result, explanation = Result.TEMPERROR, "too many look-ups"
            nursery.cancel_scope.cancel()
        return result, explanation

    def _run_once(self) -> tuple[Result, str]:
        """Run pyspf over what is known; `_missed` is then the first thing it did not find."""
        self._missed = None
        with _answering(self._look_up):
            return self._rules.run()

    def _look_up(self, name: str, kind: str, *_: object) -> Values:
        """Stand in for pyspf's look-up."""
        if not name.isascii():
            return []  # a local part or HELO name in it: no such term matches (RFC 8616, section 4)
        answer = self._answers.get((name, kind))
        if answer is None and self._missed is None:
            self._missed = (name, kind)
        if answer is None:
            raise spf.TempError("DNS: not known yet")
        self.life = min(self.life, answer.life)
        self.age = max(self.age, answer.age)
        if answer.status is Status.UNKNOWN:
            raise spf.TempError(f"DNS: {answer.why}")
        texts = [(self._bounded(text),) for text in answer.texts]
        return [
            ((name, kind), value) for value in (*answer.addresses, *answer.names, *answer.exchanges, *texts)
        ]

    def _bounded(self, text: bytes) -> bytes:
        """Return what pyspf may see of *text*. Raises what is a permanent error to it."""
        is_record = spf.RE_SPF.match(text) is not None
        if is_record and (len(text) > LONGEST_RECORD or max(map(len, text.split(b" "))) > LONGEST_TERM):
            raise spf.PermError(f"a record of {len(text)} octets, or a term of it, is too long")
        self._octets += len(text)
        if self._octets > MOST_OCTETS:
            raise spf.PermError("the records are too much work")
        return text if is_record else text[:LONGEST_TEXT]

    async def _fetch(self, question: Question, nursery: trio.Nursery) -> None:
        """Look *question* up, and in the background what its answer makes likely to be asked next."""
        answer = await self._resolver.query(*question, until=self._until)
        answer = self._answers.setdefault(question, answer)  # an answer once used stays, whatever comes later
        for likely in self._likely(question[0], answer):
            if likely not in self._ahead and likely not in self._answers and len(self._ahead) < MOST_AHEAD:
                self._ahead.add(likely)
                nursery.start_soon(self._fetch, likely, nursery)

    def _likely(self, name: str, answer: Answer) -> Iterator[Question]:
        """Yield what pyspf will want after *answer*, found at *name*: fetched early, it saves round trips."""
        for _, exchange in sorted(answer.exchanges)[: spf.MAX_MX]:
            yield exchange.lower(), self._address_kind
        for host in answer.names[: spf.MAX_PTR]:
            yield host.lower(), self._address_kind
        for text in answer.texts:
            if len(text) <= LONGEST_RECORD and spf.RE_SPF.match(text):
                yield from self._likely_terms(name, text.decode("ascii", "replace"))

    def _likely_terms(self, name: str, record: str) -> Iterator[Question]:
        """Yield the look-ups of the terms that have no macro in them."""
        kinds = {"a": self._address_kind, "mx": "MX"}
        for match in filter(None, map(AHEAD.fullmatch, record.split()[1:])):
            domain = (match["domain"] or name).rstrip(".")
            yield domain.lower(), kinds.get(match["term"].lower(), "TXT")


class Rules(spf.query):  # type: ignore[misc]  # pyspf has no types
    """pyspf's rules for one check. What a term means is worked out once, whichever run meets it.

    No name of one letter may be added here: to pyspf those are macros.
    """

    def __init__(self, address: Address, who: Identity) -> None:
        super().__init__(i=str(address), s=who.sender, h=who.helo)
        self.l, self.o = who.local, who.domain  # pyspf splits at the first `@`
        self.d = who.domain
        self._known: dict[Hashable, tuple[Any, bool]] = {}

    def run(self) -> tuple[Result, str]:
        """Return the result and the explanation of one run, from the start."""
        self.cache: dict[Question, Any] = {}
        self.exps = dict(self.defexps)
        self.p = None
        word, _, explanation = self.check()
        return Result(word), str(explanation)

    def validate_mechanism(self, mech: str) -> Any:
        """Return the parts of a term, with its macros expanded."""
        return self._once(("term", self.d, mech), super().validate_mechanism, mech)

    def expand(self, s: str, stripdot: bool = True) -> str:  # noqa: FBT001, FBT002 - pyspf's signature
        """Return *s* with its macros expanded."""
        return str(self._once((stripdot, self.d, s), super().expand, s, stripdot))

    def expand_domain(self, arg: str) -> str:
        """Return a name, cut from the left to what DNS allows (section 7.3); pyspf takes one label off."""
        name = str(super().expand_domain(arg))
        return name if len(name) <= LONGEST_NAME else name[name.find(".", len(name) - LONGEST_NAME - 1) + 1 :]

    def cidrmatch(self, ipaddrs: Iterable[str], n: int) -> bool:
        """Whether the peer is in one of the networks of *n* bits. pyspf builds two objects for each: a third
        of the time of a whole check.
        """
        family, rest = (AF_INET, 32 - n) if self.cidrmax == 32 else (AF_INET6, 128 - n)
        peer = int(self.ipaddr) >> rest
        try:
            return any(int.from_bytes(inet_pton(family, found), "big") >> rest == peer for found in ipaddrs)
        except OSError:  # not an address: pyspf has the words for it
            return bool(super().cidrmatch(ipaddrs, n))

    def _once(self, key: Hashable, work: Callable[..., Any], *given: Any) -> Any:
        """Return what *work* says, asked once. What went through `%{p}` costs its look-ups in each run."""
        if key in self._known:
            value, asked_for_p = self._known[key]
            if asked_for_p:
                self.getp()
            return value
        before = self.p
        value = work(*given)
        self._known[key] = value, self.p is not before
        return value


@contextmanager
def _answering(look_up: object) -> Iterator[None]:
    """Have pyspf ask *look_up*: a global of that module, so it is set only for one synchronous run."""
    before, spf.DNSLookup = spf.DNSLookup, look_up
    try:
        yield
    finally:
        spf.DNSLookup = before


def _encodable(text: str) -> str:
    """Return *text* without the surrogates that stand for broken bytes: pyspf puts it into URLs."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _domain_name(text: str) -> str:
    """Return the name to ask about, as A-labels; "" for what cannot have a record (section 4.3)."""
    name = text.removesuffix(".")
    try:
        name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    return name if len(name) <= LONGEST_NAME and QUALIFIED.fullmatch(name) else ""
