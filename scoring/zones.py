"""DNSBL zones as an operator writes them: which to ask, and which answers count for how much.

    zone[=codes][*weight][;test=POINT][;ask=helo+rdns+mail]        zen.example=127.0.0.[2..11;14]*3

The one idea: this is postscreen_dnsbl_sites, so that its lists can be taken over as they are. A zone may
come again with other codes; each entry adds its weight at most once, a negative weight welcomes. Beyond
postscreen, a weight may be a fraction; `test` names a test point of the zone's own, or `none`, for zones
without those of RFC 5782 (section 5); `ask` says which names a list of names is asked about.

A name with an API key in it is never shown: `parse_masks` reads what postscreen_dnsbl_reply_map holds, and
a label that looks like a key is masked without it.

What an answer amounts to is in `signals.dnsbl` and `signals.rhsbl`, whether a zone works in `watch`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Final

from scoring.weights import parse_points

Codes = tuple[frozenset[int], frozenset[int], frozenset[int], frozenset[int]]


class Identity(StrEnum):
    """Which name of a peer a list of names is asked about."""

    HELO = "helo"
    RDNS = "rdns"
    MAIL = "mail"  # the domain of the reverse-path


OCTET: Final = frozenset(range(256))
ANY_CODE: Final[Codes] = (frozenset({127}), OCTET, OCTET, OCTET)
ALL_NAMES: Final = frozenset(Identity)
NO_TEST: Final = "none"

LISTINGS: Final = IPv4Network("127.0.0.0/8")
REFUSALS: Final = IPv4Network("127.255.255.0/24")  # mistyped zone, public resolver, too many queries
NEVER_LISTED: Final = IPv4Address("127.0.0.1")  # also what a zone says that refuses a resolver (URIBL)
OWN_REFUSALS: Final = frozenset(
    {IPv4Address("127.0.0.255"), IPv4Address("127.0.1.255")}
)  # DNSWL, Spamhaus DBL

OPTION: Final = re.compile(r";(?=[a-z]*=)")
ZONE: Final = re.compile(r"(?P<name>[^=*;\s]+)(?:=(?P<codes>[^*\s]+))?(?:\*(?P<weight>[^*\s]+))?")
LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
CODES: Final = re.compile(r"(\d+|\[[^][]*\])\.(\d+|\[[^][]*\])\.(\d+|\[[^][]*\])\.(\d+|\[[^][]*\])", re.ASCII)
NUMBER: Final = re.compile(r"0*(\d{1,3})", re.ASCII)
KEY: Final = re.compile(r"(?=[a-z0-9]*\d)[a-z0-9]{20,}")  # no list has such a label; API keys have 26 or 32
HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True, repr=False)
class Zone:
    """A zone, the answers that count as a listing, and the points of one. Negative points welcome.

    `mask` is the name it is shown under, if not its own; `test` what it must list to be in order, if not the
    test points of RFC 5782; `identities` the names that it is asked about, if it is a list of names.
    """

    name: str
    weight: float = 1.0
    codes: Codes = ANY_CODE
    mask: str = ""
    test: str = ""
    identities: frozenset[Identity] = ALL_NAMES

    def __repr__(self) -> str:
        return f"<Zone {format_zone(self)}>"  # for tracebacks, which are logged

    @property
    def shown(self) -> str:
        """Return the name for everything that is written: findings, events, settings."""
        return self.mask or ".".join(
            HIDDEN if KEY.fullmatch(label) else label for label in self.name.split(".")
        )

    def counts(self, code: IPv4Address) -> bool:
        """Whether *code* is one of the answers asked for."""
        return all(octet in allowed for octet, allowed in zip(code.packed, self.codes, strict=True))

    def conceal(self, text: str) -> str:
        """Return *text*, which a stranger may have written, without the masked name or its key."""
        if self.shown == self.name:
            return text
        shown, text = self.shown.split("."), _replace(text, self.name, self.shown)
        for secret in [label for label in self.name.split(".") if label not in shown and len(label) > 2]:
            text = _replace(text, secret, HIDDEN)
        return text


def by_name(zones: Iterable[Zone]) -> Mapping[str, tuple[Zone, ...]]:
    """Return the zones under their names, in order: several filters of one zone cost one look-up."""
    names: dict[str, list[Zone]] = {}
    for zone in zones:
        names.setdefault(zone.name, []).append(zone)
    return {name: tuple(filters) for name, filters in names.items()}


def welcomes(filters: Sequence[Zone]) -> bool:
    """Whether a zone can only speak for a peer, never against it."""
    return all(zone.weight <= 0 for zone in filters) and any(zone.weight < 0 for zone in filters)


def complaint(code: IPv4Address) -> str:
    """Return why *code* cannot be a listing, or nothing."""
    if code == NEVER_LISTED:
        return "no listing: a zone that answers so is parked, or refuses this resolver"
    if code not in LISTINGS:
        return "outside 127.0.0.0/8: the zone is gone, or a resolver rewrites its answers"
    if code in REFUSALS or code in OWN_REFUSALS:
        return "the zone refuses to answer this resolver, or its name is mistyped"
    return ""


# --- text


def parse_zones(text: str) -> tuple[Zone, ...]:
    """Return the zones of a list with spaces or commas between; a zone may come again with other codes.

    Raises ValueError.
    """
    return tuple(parse_zone(part) for part in text.replace(",", " ").split())


def parse_zone(text: str) -> Zone:
    """Return the zone that *text* means.

    Raises ValueError, saying what is wrong with it but not its first label, which may be a key.
    """
    entry, *options = OPTION.split(text)
    match = ZONE.fullmatch(entry)
    if match is None:
        raise ValueError(
            f"{_hidden(text)!r} is not zone[=codes][*weight], such as zen.example=127.0.0.[2..11]*3"
        )
    name = match["name"].rstrip(".").lower()
    if not is_domain(name):
        raise ValueError(f"{_hidden(text)!r} does not begin with a zone: that is not a domain name")
    weight = 1.0 if match["weight"] is None else parse_points(match["weight"], _hidden(text))
    try:
        codes = ANY_CODE if match["codes"] is None else _parse_codes(match["codes"])
        return _with_options(Zone(name, weight, codes), options)
    except ValueError as fault:
        raise ValueError(f"{_hidden(text)!r}: {fault}") from None


def format_zone(zone: Zone) -> str:
    """Return *zone* as `parse_zone` reads it, except that a masked name stays masked."""
    codes = "" if zone.codes == ANY_CODE else "=" + format_codes(zone.codes)
    weight = f"*{zone.weight:g}" if zone.weight != 1 else ""
    test = f";test={zone.test}" if zone.test else ""
    asked = [identity.value for identity in Identity if identity in zone.identities]
    return f"{zone.shown}{codes}{weight}{test}" + (
        f";ask={'+'.join(asked)}" if len(asked) < len(Identity) else ""
    )


def format_codes(codes: Codes) -> str:
    """Return *codes* as `parse_zone` reads them."""
    return ".".join(map(_format_octet, codes))


def parse_masks(text: str) -> Mapping[str, str]:
    """Return the masks of a list such as `key.zen.example=zen.example`: zone -> the name to show instead.

    Raises ValueError without the zone's name.
    """
    masks: dict[str, str] = {}
    for number, part in enumerate(text.replace(",", " ").split(), 1):
        name, _, shown = (side.rstrip(".") for side in part.lower().partition("="))
        if not (is_domain(name) and is_domain(shown)):
            raise ValueError(f"the {number}. mask is not zone=shown, such as key.zen.example=zen.example")
        masks[name] = shown
    return MappingProxyType(masks)


def format_masks(masks: Mapping[str, str]) -> str:
    """Return *masks* without what they hide."""
    return " ".join(f"{HIDDEN}={shown}" for shown in masks.values()) or "none"


def masked(zones: Sequence[Zone], masks: Mapping[str, str]) -> tuple[Zone, ...]:
    """Return *zones* under the names they may be shown by. Raises ValueError if two would have the same."""
    changed = tuple(replace(zone, mask=masks.get(zone.name, zone.mask)) for zone in zones)
    shown: dict[str, str] = {}
    for zone in changed:
        if shown.setdefault(zone.shown, zone.name) != zone.name:
            raise ValueError(f"two zones would be shown as {zone.shown}")
    return changed


def idle_masks(masks: Mapping[str, str], zones: Iterable[Zone]) -> tuple[str, ...]:
    """Return what would be shown for zones that nobody asks: mistyped masks, and so a key in the open."""
    asked = {zone.name for zone in zones}
    return tuple(shown for name, shown in masks.items() if name not in asked)


def is_domain(name: str) -> bool:
    """Whether *name* may be asked for in DNS."""
    return len(name) <= 253 and all(LABEL.fullmatch(label) for label in name.split("."))


def _replace(text: str, secret: str, instead: str) -> str:
    """Return *text* with *instead* wherever *secret* stands as a word or words, in any case of letters."""
    alone = rf"(?<![a-z0-9]){re.escape(secret)}(?![a-z0-9])"
    return re.sub(alone, instead, text, flags=re.IGNORECASE)


def _hidden(text: str) -> str:
    """Return *text* without the first of three labels or more: it may be an API key."""
    name = re.split("[=*;]", text)[0]
    first = name.partition(".")[0]
    return HIDDEN + text[len(first) :] if name.count(".") > 1 or len(first) > 19 else text


def _with_options(zone: Zone, options: Sequence[str]) -> Zone:
    for option in options:
        key, _, value = option.partition("=")
        match key:
            case "test" if value == NO_TEST or is_domain(value):
                zone = replace(zone, test=value.lower())
            case "ask":
                zone = replace(zone, identities=_parse_identities(value))
            case _:
                raise ValueError(f"{option!r} is not test=POINT, test=none or ask=helo+rdns+mail")
    return zone


def _parse_identities(text: str) -> frozenset[Identity]:
    try:
        return frozenset(map(Identity, text.split("+")))
    except ValueError:
        raise ValueError(f"{text!r} is not some of helo+rdns+mail") from None


def _parse_codes(codes: str) -> Codes:
    # postscreen takes brackets around the whole pattern too
    match = CODES.fullmatch(codes) or CODES.fullmatch(re.sub(r"^\[(.*)\]$", r"\1", codes))
    if match is None:
        raise ValueError(f"{codes!r} is not four octets, such as 127.0.0.[2..11;14]")
    first, second, third, fourth = (_parse_octet(octet) for octet in match.groups())
    if first != {127}:
        raise ValueError("answers outside 127.0.0.0/8 are never a listing (RFC 5782, section 2.1)")
    parsed = (first, second, third, fourth)
    if prod(map(len, parsed)) <= len(OCTET) and all(
        complaint(IPv4Address(bytes(c))) for c in product(*parsed)
    ):
        raise ValueError(f"{codes} is never a listing: it says that a zone is parked, or refuses to answer")
    return parsed


def _parse_octet(octet: str) -> frozenset[int]:
    """Return the values of `5` or `[2..11;14]`."""
    values: set[int] = set()
    for part in octet.strip("[]").split(";"):
        low, dots, high = part.partition("..")
        ends = [int(match[1]) for end in (low, high if dots else low) if (match := NUMBER.fullmatch(end))]
        if len(ends) < 2 or not OCTET.issuperset(ends):
            raise ValueError(f"{part!r} is not a number or a range within 0..255")
        if ends[0] > ends[1]:
            raise ValueError(f"{part!r} counts downwards")
        values.update(range(ends[0], ends[1] + 1))
    return frozenset(values)


def _format_octet(values: frozenset[int]) -> str:
    """Return 5 or [2..11;14]."""
    starts = sorted(value for value in values if value - 1 not in values)
    ends = sorted(value for value in values if value + 1 not in values)
    parts = [f"{low}" if low == high else f"{low}..{high}" for low, high in zip(starts, ends, strict=True)]
    return parts[0] if parts[0].isdigit() and len(parts) == 1 else f"[{';'.join(parts)}]"
