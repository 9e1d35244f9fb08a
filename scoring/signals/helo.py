"""Is the HELO name a lie? Our own name, somebody else's address, a word that is no host's name.

The one idea: only what cannot be true is a lie. A name that leads to another address is none: RFC 5321,
section 4.1.4 forbids to refuse mail for that, and large senders have one HELO name for many hosts. The first
lie that fits is the finding; each has a weight of its own.

    helo-ours          our own name or address, from a host that is not ours
    helo-literal       an address in brackets that is not the peer's (section 4.1.3)
    helo-address       an address without brackets
    helo-localhost     localhost, from another host
    helo-no-dot        one word, or nothing (section 2.3.5: fully qualified)
    helo-unresolvable  neither A nor AAAA nor MX record, or no host name at all (section 2.3.5)

Whether the owner of the name lets this peer use it is SPF's to say, in `spf`.
"""

from collections.abc import Sequence
from math import inf
from typing import Final

import trio

from scoring.answer import Answer, Status
from scoring.config import Config
from scoring.resolve import Lookup
from scoring.signals.reverse_dns import HOST_NAME
from scoring.verdict import Address, Finding, HostName, Result, to_address

LOCAL: Final = (".localhost", ".localdomain")
Lie = tuple[str, str]  # the name of its weight, and what it is


async def check_helo(
    resolver: Lookup, address: Address, config: Config, *, helo: str, host: HostName, until: float
) -> Finding:
    """Return the finding `helo`. A name that is the peer's confirmed one is believed without a look-up."""
    name = helo.strip().lower().removesuffix(".")
    if lie := find_lie(name, address, config.our_names):
        return _lying(lie, name, config)
    if name.startswith("["):
        return Finding("helo", Result.PASS, 0.0, f"{name} is its own address")
    if name == host.name or _is_local(name):
        return Finding("helo", Result.PASS, 0.0, f"{name} is its own name")
    if not HOST_NAME.fullmatch(name):
        return _lying(("helo-unresolvable", "is no host name"), name, config)
    answers = await _look_up(resolver, name, address, until=until)
    return _judge_answers(name, answers, config)


def find_lie(name: str, address: Address, our_names: frozenset[str]) -> Lie | None:
    """Return what is wrong with *name*, in lower case and without its last dot, as far as no look-up tells.

    A peer that is itself among *our_names* may use them.
    """
    literal = name.startswith("[")
    said = _address(name.strip("[]").removeprefix("ipv6:") if literal else name)
    if {name, str(said)} & our_names and str(address) not in our_names:
        return "helo-ours", "is our own"
    if literal:
        return None if said == address else ("helo-literal", "is not the peer's address")
    if said:
        return "helo-address", "is an address without brackets"
    if _is_local(name):
        return None if address.is_loopback else ("helo-localhost", "is not this host")
    return None if "." in name else ("helo-no-dot", "has no dot")


def _is_local(name: str) -> bool:
    return f"{name}.".startswith("localhost.") or f".{name}".endswith(LOCAL)


def _address(text: str) -> Address | None:
    try:
        return to_address(text)
    except ValueError:
        return None


async def _look_up(resolver: Lookup, name: str, address: Address, *, until: float) -> Sequence[Answer]:
    """Return what *name* has: of the peer's kind of address first, of all else at once if there is none."""
    kinds = ["A", "AAAA", "MX"] if address.version == 4 else ["AAAA", "A", "MX"]
    answers = [await resolver.query(name, kinds[0], until=until)]
    if answers[0].status is Status.FOUND:
        return answers

    async def ask(kind: str) -> None:
        answers.append(await resolver.query(name, kind, until=until))

    async with trio.open_nursery() as nursery:
        for kind in kinds[1:]:
            nursery.start_soon(ask, kind)
    return answers


def _judge_answers(name: str, answers: Sequence[Answer], config: Config) -> Finding:
    seen = {answer.status for answer in answers}
    life, age = min(answer.life for answer in answers), max(answer.age for answer in answers)
    if Status.FOUND in seen:
        return Finding("helo", Result.PASS, 0.0, f"{name} exists", life=life, age=age)
    if Status.UNKNOWN in seen:
        return Finding("helo", Result.NO_OPINION, 0.0, f"{name} could not be looked up", age=age)
    return _lying(("helo-unresolvable", "does not exist"), name, config, life=life, age=age)


def _lying(lie: Lie, name: str, config: Config, *, life: float = inf, age: float = 0.0) -> Finding:
    weight, what = lie
    why = f"{name or 'an empty name'} {what}"
    return Finding("helo", Result.FAIL, config.weight(weight), why, life=life, age=age)
