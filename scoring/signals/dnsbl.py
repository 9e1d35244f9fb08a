"""DNSBL: is the address listed in a zone (RFC 5782)?

The one idea: an answer is a listing only if it is one of the codes asked for. Zones die, move, are
rewritten by a provider's resolver or refuse to serve it, and each of these has once made a zone that lists
the world. So 127.0.0.1, anything outside 127.0.0.0/8, 127.255.255.0/24 and codes that no filter asked for
are errors of the zone, and silence is no opinion.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from scoring.config import Zone
from scoring.resolve import Answer, Lookup, Status
from scoring.verdict import Address, Finding, Result

LISTINGS: Final = IPv4Network("127.0.0.0/8")
REFUSALS: Final = IPv4Network("127.255.255.0/24")  # mistyped zone, public resolver, too many queries
NEVER_LISTED: Final = IPv4Address("127.0.0.1")  # RFC 5782, section 5


def by_name(zones: Sequence[Zone]) -> Mapping[str, tuple[Zone, ...]]:
    """Return the zones under their names: several filters of one zone cost one look-up."""
    names = dict.fromkeys(zone.name for zone in zones)
    return {name: tuple(zone for zone in zones if zone.name == name) for name in names}


async def ask_zone(
    resolver: Lookup, address: Address, name: str, filters: Sequence[Zone], *, until: float
) -> Finding:
    """Return what the zone *name* says of *address*; each filter that fits adds its weight."""
    question = question_name(address, name)
    answer = await resolver.query(question, "A", until=until)
    finding = judge_answer(answer, name, filters)
    if finding.result is not Result.LISTED or finding.points <= 0:
        return finding  # nobody is told why he is welcome: no time is spent on that
    text = await resolver.query(question, "TXT", until=until)
    if not text.texts:
        return finding
    reason = f"{finding.why}: {text.texts[0].decode('ascii', 'replace')}"
    return Finding(finding.signal, finding.result, finding.points, reason)


def judge_answer(answer: Answer, name: str, filters: Sequence[Zone]) -> Finding:
    """Return the finding that the zone's *answer* amounts to."""
    signal = f"dnsbl:{name}"
    match answer.status:
        case Status.UNKNOWN:
            return Finding(signal, Result.NO_OPINION, 0.0, answer.why)
        case Status.NOTHING:
            return Finding(signal, Result.NONE, 0.0, "not listed")
        case Status.FOUND:  # pragma: no branch - the last of three
            return _judge_codes([IPv4Address(code) for code in answer.addresses], signal, filters)


def question_name(address: Address, zone: str) -> str:
    """Return the name under which *zone* would list *address*: octets, or nibbles, backwards."""
    return f"{address.reverse_pointer.removesuffix('.arpa').rpartition('.')[0]}.{zone}"


def _judge_codes(codes: Sequence[IPv4Address], signal: str, filters: Sequence[Zone]) -> Finding:
    text = ", ".join(map(str, codes))
    if complaint := next(filter(None, map(_complaint, codes)), ""):
        return Finding(signal, Result.ERROR, 0.0, f"{text}: {complaint}")
    fitting = [zone for zone in filters if any(zone.counts(code) for code in codes)]
    if not fitting:
        return Finding(signal, Result.ERROR, 0.0, f"{text}: not a code that was asked for")
    return Finding(signal, Result.LISTED, sum(zone.weight for zone in fitting), text)


def _complaint(code: IPv4Address) -> str:
    """Return why *code* cannot be a listing, or nothing."""
    if code == NEVER_LISTED:
        return "a zone that lists 127.0.0.1 lists the world"
    if code not in LISTINGS:
        return "outside 127.0.0.0/8: the zone is gone, or a resolver rewrites its answers"
    if code in REFUSALS:
        return "the zone refuses to answer this resolver, or its name is mistyped"
    return ""
