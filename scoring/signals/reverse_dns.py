"""Forward-confirmed reverse DNS: a name of the address that leads back to it (RFC 1912, section 2.1).

Only a confirmed name is a name: anybody may claim any name for an address of his own. A temporary failure
is no opinion, and must not be told from "no name" by a backend either, hence the three states of `HostName`.
Having no name at all and claiming one that leads elsewhere weigh apart; what a name looks like is in
`generic_names`.
"""

import re
from dataclasses import replace
from typing import Final

import trio

from scoring.answer import Answer, Status
from scoring.config import Config
from scoring.resolve import Lookup
from scoring.signals.generic_names import why_generic
from scoring.verdict import UNKNOWN_HOST, Address, Finding, HostName, HostState, Result, to_address

MOST_NAMES: Final = 5  # names tried; more are a hosting company's list, and each costs a look-up
LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# The dots must not be optional: where labels may end anywhere, 24 characters took 1 s, one more twice that.
HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*\.?", re.IGNORECASE | re.ASCII)

NO_NAME: Final = HostName(None, HostState.NONE)


async def check_host(
    resolver: Lookup, address: Address, config: Config, *, until: float
) -> tuple[HostName, Finding]:
    """Return the best name of *address* that leads back to it, and the finding `rdns`."""
    pointer = await resolver.query(address.reverse_pointer, "PTR", until=until)
    names = [name for name in pointer.names if HOST_NAME.fullmatch(name)][:MOST_NAMES]
    kind = "A" if address.version == 4 else "AAAA"
    forward = await _forward(resolver, names, kind, until=until)
    host = _confirmed(address, pointer, forward, config)
    answers = (pointer, *forward.values())
    life, age = min(answer.life for answer in answers), max(answer.age for answer in answers)
    finding = replace(judge_host(host, address, config), life=life, age=age)
    if any(answer.status is Status.UNKNOWN for answer in answers):
        finding = replace(finding, points=0.0)  # it may have a better name
    return host, finding


def judge_host(host: HostName, address: Address, config: Config) -> Finding:
    """Return what *host* weighs: a claimed name is looked at as a confirmed one is."""
    name = host.name or host.claimed
    look = None if name is None or config.allows(name) else why_generic(name, address)
    points = config.weight("generic-rdns") if look else 0.0
    looks = f"; {look}" if look else ""
    match host.state:
        case HostState.CONFIRMED:
            return Finding("rdns", Result.NEUTRAL if look else Result.PASS, points, f"{name}{looks}")
        case HostState.NONE if name:
            points += config.weight("unconfirmed-rdns")
            return Finding("rdns", Result.FAIL, points, f"{name} does not lead back to the address{looks}")
        case HostState.NONE:
            return Finding("rdns", Result.NONE, config.weight("no-rdns"), "the address has no name")
        case HostState.UNKNOWN:  # pragma: no branch - the last of three
            return Finding("rdns", Result.NO_OPINION, 0.0, "the name could not be looked up")


def _confirmed(address: Address, pointer: Answer, forward: dict[str, Answer], config: Config) -> HostName:
    """Return the best name among those of *forward* that lead back to *address*: allowed, or not generic."""
    confirmed = [
        name
        for name, answer in forward.items()
        if any(to_address(found) == address for found in answer.addresses)
    ]
    if confirmed:
        best = min(
            confirmed, key=lambda name: (not config.allows(name), why_generic(name, address) is not None)
        )
        return HostName(best.lower(), HostState.CONFIRMED)
    if any(answer.status is Status.UNKNOWN for answer in (pointer, *forward.values())):
        return UNKNOWN_HOST
    return HostName(None, HostState.NONE, next(iter(forward)).lower()) if forward else NO_NAME


async def _forward(resolver: Lookup, names: list[str], kind: str, *, until: float) -> dict[str, Answer]:
    """Return where *names* lead, looked up at once."""
    answers: dict[str, Answer] = {}

    async def look_up(name: str) -> None:
        answers[name] = await resolver.query(name, kind, until=until)

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(look_up, name)
    return {name: answers[name] for name in names}
