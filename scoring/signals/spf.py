"""SPF at MAIL: may this address send for the domain of the reverse-path (RFC 7208)?

The rules are pyspf's; its look-ups block. It is run without threads, by replay: its look-up function
answers from what is known and notes what is not; that is fetched on trio and the check is run again, until
nothing was missed. Threads were measured and rejected: 0.5 ms of CPU a check by replay, 1.8 ms in threads,
and 40 of those are one slow DNS server away from being all busy.

This is the one module that touches pyspf, and so the one where `Any` may appear. Traps of pyspf 2.0.14: a
bare `except:` in it swallows whatever the look-up raises, so what tells a finished run is that nothing was
missed, not that nothing was raised; `%{t}` is the time, so it is frozen over the runs.
"""

import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio

from scoring.config import Config
from scoring.resolve import IN_TIME, Answer, Lookup, Status
from scoring.verdict import Address, Finding, Result

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # regular expressions in plain strings: it would not import under -W error
    import spf

ROUNDS: Final = 150  # more than 10 look-up terms of 11 names each can need
MOST_AHEAD: Final = 50  # names fetched before they are asked for
QUALIFIED: Final = re.compile(r"[^\s@\[\]]+\.[^\s@\[\].]+\.?")
AHEAD: Final = re.compile(
    r"[-+?~]?(?P<term>include|redirect|a|mx)(?:[:=](?P<domain>[a-z0-9_.-]+))?(?:/[0-9/]*)?", re.IGNORECASE
)

Question = tuple[str, str]


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
    """Return the finding for *mail_from*, or for the HELO name when it is the null sender (section 2.4)."""
    sender = mail_from.strip("<>") or f"postmaster@{helo}"
    domain = sender.rpartition("@")[2]
    if not QUALIFIED.fullmatch(domain):
        return _finding(Result.NONE, f"no domain to ask in {sender}", config)
    check = Replay(resolver, address, sender=sender, helo=helo, until=until)
    result, explanation = await check.run(rounds)
    if result is Result.TEMPERROR and trio.current_time() >= until:
        return Finding("spf", Result.NO_OPINION, 0.0, IN_TIME)
    return _finding(result, f"{domain}: {explanation}" if explanation else domain, config)


class Replay:
    """One check: pyspf run again and again over the answers fetched so far."""

    def __init__(self, resolver: Lookup, address: Address, *, sender: str, helo: str, until: float) -> None:
        self._resolver = resolver
        self._until = until
        self._identity = (str(address), sender, helo)
        self._address_kind = "A" if address.version == 4 else "AAAA"
        self._now = str(int(time.time()))
        self._answers: dict[Question, Answer] = {}
        self._ahead: set[Question] = set()
        self._missed: Question | None = None

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
        address, sender, helo = self._identity
        with _answering(self._look_up):
            query = spf.query(i=address, s=sender, h=helo)  # what check2 does, with the clock stopped
            query.t = self._now
            word, _, explanation = query.check()
        return Result(word), str(explanation)

    def _look_up(self, name: str, kind: str, *_: object) -> list[tuple[Question, Any]]:
        """Stand in for pyspf's look-up."""
        answer = self._answers.get((name.lower(), kind))
        if answer is None and self._missed is None:
            self._missed = (name.lower(), kind)
        if answer is None or answer.status is Status.UNKNOWN:
            raise spf.TempError(f"DNS: {answer.why if answer else 'not known yet'}")
        values = (*answer.addresses, *answer.names, *answer.exchanges, *((text,) for text in answer.texts))
        return [((name, kind), value) for value in values]

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
            if spf.RE_SPF.match(text):
                yield from self._likely_terms(name, text.decode("ascii", "replace"))

    def _likely_terms(self, name: str, record: str) -> Iterator[Question]:
        """Yield the look-ups of the terms that have no macro in them."""
        kinds = {"a": self._address_kind, "mx": "MX"}
        for match in filter(None, map(AHEAD.fullmatch, record.split()[1:])):
            domain = (match["domain"] or name).rstrip(".")
            yield domain.lower(), kinds.get(match["term"].lower(), "TXT")


@contextmanager
def _answering(look_up: object) -> Iterator[None]:
    """Have pyspf ask *look_up*: a global of that module, so it is set only for one synchronous run."""
    before, spf.DNSLookup = spf.DNSLookup, look_up
    try:
        yield
    finally:
        spf.DNSLookup = before


def _finding(result: Result, why: str, config: Config) -> Finding:
    return Finding("spf", result, config.weight(f"spf-{result}"), why)
