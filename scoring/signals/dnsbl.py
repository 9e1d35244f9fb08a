"""DNSBL: is the address listed in a zone (RFC 5782)?

The one idea: an answer is a listing only if it is one of the codes asked for. Zones die, move, are
rewritten by a provider's resolver or refuse to serve it, and each of these has once made a zone that lists
the world. So 127.0.0.1, anything outside 127.0.0.0/8, 127.255.255.0/24 and codes that no filter asked for
are errors of the zone, and silence is no opinion.

A zone with negative weights only is a welcome list: its signal is `dnswl`, not `dnsbl`.

Lists of names are in `rhsbl`, which judges answers as this file does; whether a zone is in order at all, in
`watch`.
"""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Final

import trio

from scoring.resolve import Answer, Lookup, Status
from scoring.verdict import Address, Finding, Result
from scoring.zones import Zone, complaint, welcomes

FOR_A_REASON: Final = 1.0  # seconds that a listing's text may take: it changes no points


async def ask_zone(
    resolver: Lookup, address: Address, name: str, filters: Sequence[Zone], *, until: float
) -> Finding:
    """Return what the zone *name* says of *address*; each filter that fits adds its weight."""
    return await ask(resolver, question_name(address, name), filters, signal=signal_of(filters), until=until)


async def ask(
    resolver: Lookup, question: str, filters: Sequence[Zone], *, signal: str, until: float
) -> Finding:
    """Return the finding of one *question*, whose answer is held against *filters* of one zone."""
    answer = await resolver.query(question, "A", until=until)
    finding = judge_answer(answer, filters, signal)
    if finding.result is not Result.LISTED or finding.points <= 0:
        return finding  # nobody is told why he is welcome: no time is spent on that
    text = await resolver.query(question, "TXT", until=min(until, trio.current_time() + FOR_A_REASON))
    if not text.texts:
        return finding
    reason = filters[0].conceal(text.texts[0].decode("ascii", "replace"))
    return replace(finding, why=f"{finding.why}: {reason}")


def judge_answer(answer: Answer, filters: Sequence[Zone], signal: str) -> Finding:
    """Return the finding that a zone's *answer* amounts to."""
    result, points, why = _judge(answer, filters)
    return Finding(signal, result, points, why, age=answer.age, life=answer.life)


def signal_of(filters: Sequence[Zone]) -> str:
    """Return `dnsbl:zone`, or `dnswl:zone` for one that only welcomes."""
    return f"{'dnswl' if welcomes(filters) else 'dnsbl'}:{filters[0].shown}"


def set_aside(filters: Sequence[Zone], signal: str, why: str) -> Finding:
    """Return the finding of a zone that is not asked, because it is out of order."""
    return Finding(signal, Result.NO_OPINION, 0.0, filters[0].conceal(f"set aside: {why}"), life=0.0)


def question_name(address: Address, zone: str) -> str:
    """Return the name under which *zone* would list *address*: octets, or nibbles, backwards."""
    return f"{address.reverse_pointer.removesuffix('.arpa').rpartition('.')[0]}.{zone}"


def _judge(answer: Answer, filters: Sequence[Zone]) -> tuple[Result, float, str]:
    match answer.status:
        case Status.UNKNOWN:
            return Result.NO_OPINION, 0.0, filters[0].conceal(answer.why)
        case Status.NOTHING:
            return Result.NONE, 0.0, "not listed"
        case Status.FOUND:  # pragma: no branch - the last of three
            return _judge_codes([IPv4Address(code) for code in answer.addresses], filters)


def _judge_codes(codes: Sequence[IPv4Address], filters: Sequence[Zone]) -> tuple[Result, float, str]:
    text = ", ".join(map(str, codes))
    if wrong := next(filter(None, map(complaint, codes)), ""):
        return Result.ERROR, 0.0, f"{text}: {wrong}"
    fitting = [zone for zone in filters if any(zone.counts(code) for code in codes)]
    if not fitting:
        return Result.ERROR, 0.0, f"{text}: not a code that was asked for"
    return Result.LISTED, sum(zone.weight for zone in fitting), text
