"""RHSBL: is a name of the peer in a zone: HELO name, reverse name, or the domain of the reverse-path?

The one idea: never ask a list of names about what is not one. Spamhaus' DBL answers questions about
addresses with an error code that a careless filter takes for a listing, so address literals, addresses
written as names (`192.0.2.1`) and names without a dot are not asked.

The whole name is asked, as Postfix' reject_rhsbl_* do: to find the registered domain in it would take the
public suffix list, and the lists that want only that (SURBL) answer for names below it as well, or with
nothing.

What an answer amounts to is the same as for addresses: `dnsbl`.
"""

from collections.abc import Sequence

from scoring.resolve import Lookup
from scoring.signals.dnsbl import ask
from scoring.verdict import Finding
from scoring.zones import Identity, Zone, is_domain


async def ask_name_zone(
    resolver: Lookup, domain: str, filters: Sequence[Zone], identity: Identity, *, until: float
) -> Finding:
    """Return what a zone says of *domain*, which `asked_domain` returned; each filter that fits adds up."""
    wanted = wanted_by(filters, identity)
    question = f"{domain}.{wanted[0].name}"
    return await ask(resolver, question, wanted, signal=signal_of(wanted, identity), until=until)


def asked_domain(name: str | None) -> str:
    """Return the domain to ask about for a HELO name, a host name or a reverse-path; "" if there is none."""
    domain = (name or "").strip("<>").rpartition("@")[2].rstrip(".").lower()
    labels = domain.split(".")
    return domain if len(labels) > 1 and not labels[-1].isdigit() and is_domain(domain) else ""


def wanted_by(filters: Sequence[Zone], identity: Identity) -> tuple[Zone, ...]:
    """Return those of *filters* that ask about *identity*."""
    return tuple(zone for zone in filters if identity in zone.identities)


def signal_of(filters: Sequence[Zone], identity: Identity) -> str:
    """Return `rhsbl:zone:helo` and so on."""
    return f"rhsbl:{filters[0].shown}:{identity}"
