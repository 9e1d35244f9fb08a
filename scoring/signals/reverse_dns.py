"""Forward-confirmed reverse DNS: a name of the address that leads back to the address.

Only a confirmed name is a name: anybody may claim any name for an address of his own. A temporary failure
is no opinion, and must not be told from "no name" by a backend either, hence the three states of `HostName`.
"""

import re
from typing import Final

import trio

from scoring.config import Config
from scoring.resolve import Answer, Lookup, Status
from scoring.verdict import UNKNOWN_HOST, Address, Finding, HostName, HostState, Result, to_address

MOST_NAMES: Final = 5  # names tried; more are a hosting company's list, and each costs a look-up
HOST_NAME: Final = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?)+", re.IGNORECASE)

NO_NAME: Final = HostName(None, HostState.NONE)


async def find_host(resolver: Lookup, address: Address, *, until: float) -> HostName:
    """Return the first name of *address* that leads back to it."""
    pointer = await resolver.query(address.reverse_pointer, "PTR", until=until)
    if pointer.status is Status.UNKNOWN:
        return UNKNOWN_HOST
    names = [name for name in pointer.names if HOST_NAME.fullmatch(name)][:MOST_NAMES]
    answers = await _forward(resolver, names, "A" if address.version == 4 else "AAAA", until=until)
    for name in names:
        if any(to_address(found) == address for found in answers[name].addresses):
            return HostName(name.lower(), HostState.CONFIRMED)
    unsure = any(answer.status is Status.UNKNOWN for answer in answers.values())
    return UNKNOWN_HOST if unsure else NO_NAME


def judge_host(host: HostName, config: Config) -> Finding:
    """Return what *host* weighs."""
    match host.state:
        case HostState.CONFIRMED:
            return Finding("rdns", Result.PASS, 0.0, str(host.name))
        case HostState.NONE:
            return Finding("rdns", Result.FAIL, config.weight("no-rdns"), "no name leads back to the address")
        case HostState.UNKNOWN:  # pragma: no branch - the last of three
            return Finding("rdns", Result.NO_OPINION, 0.0, "the name could not be looked up in time")


async def _forward(resolver: Lookup, names: list[str], kind: str, *, until: float) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}

    async def look_up(name: str) -> None:
        answers[name] = await resolver.query(name, kind, until=until)

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(look_up, name)
    return answers
