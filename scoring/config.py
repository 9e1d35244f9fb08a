"""What is asked, what each finding weighs, and when a score means something.

The one idea: points are data. `DEFAULT_WEIGHTS` is the whole table; a DNSBL zone carries its own weight
in postscreen's syntax, `zone=127.0.0.[2..11;14]*3`.

Nothing here reads the environment or asks anybody; that is the caller and `score`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import IPv4Address
from math import isfinite
from types import MappingProxyType
from typing import Final

# Points a finding. A suspect begins at 3, so a weight below 3 never slows anybody alone.
DEFAULT_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "pregreet": 4.0,  # spoke before the banner: no honest client does (RFC 5321, section 4.3.1)
        "spf-fail": 3.0,  # the domain's owner says: not from here
        "spf-softfail": 1.0,  # the owner says: probably not from here; forwarding looks the same
        "spf-permerror": 1.0,  # the owner's record is broken
        "spf-neutral": 0.0,
        "spf-none": 0.0,
        "spf-temperror": 0.0,  # our trouble or theirs, never the peer's
        "spf-pass": 0.0,  # a spammer's own domain passes too: a pass must not buy off a listing
        "no-rdns": 1.0,  # no name that leads back to the address; small, since many honest hosts have none
    }
)

Codes = tuple[frozenset[int], frozenset[int], frozenset[int], frozenset[int]]

OCTET: Final = frozenset(range(256))
ANY_CODE: Final[Codes] = (frozenset({127}), OCTET, OCTET, OCTET)

ZONE: Final = re.compile(r"(?P<name>[^=*\s]+)(?:=(?P<codes>[^*\s]+))?(?:\*(?P<weight>[^*\s]+))?")
LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
CODES: Final = re.compile(r"(\d+|\[[^][]*\])\.(\d+|\[[^][]*\])\.(\d+|\[[^][]*\])\.(\d+|\[[^][]*\])")


@dataclass(frozen=True, slots=True)
class Zone:
    """A DNSBL zone, the answers that count as a listing, and the points of one. Negative points welcome."""

    name: str
    weight: float = 1.0
    codes: Codes = ANY_CODE

    def counts(self, code: IPv4Address) -> bool:
        """Whether *code* is one of the answers asked for."""
        return all(octet in allowed for octet, allowed in zip(code.packed, self.codes, strict=True))


@dataclass(frozen=True, slots=True)
class Config:
    """Everything scoring needs to know. `wait` is in seconds: what has not answered by then has no opinion.

    Raises ValueError when the thresholds leave a merely listed peer no room to be a suspect.
    """

    zones: tuple[Zone, ...] = ()
    weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    suspect_at: float = 3.0
    hold_at: float = 8.0
    wait: float = 3.0

    def __post_init__(self) -> None:
        if self.hold_at < self.suspect_at + 1:
            raise ValueError(
                f"the hold threshold ({self.hold_at:g}) must be at least 1 above the suspect threshold "
                f"({self.suspect_at:g})"
            )

    def weight(self, key: str) -> float:
        """Return the points of *key*, a name in `DEFAULT_WEIGHTS`."""
        return self.weights[key] if key in self.weights else DEFAULT_WEIGHTS[key]


def parse_zone(text: str) -> Zone:
    """Return the zone that *text* means, as postscreen_dnsbl_sites has it: `zone[=codes][*weight]`.

    Raises ValueError, saying what is wrong with it.
    """
    match = ZONE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not zone[=codes][*weight], such as zen.example=127.0.0.[2..11]*3")
    name = match["name"].rstrip(".").lower()
    if not all(LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f"{text!r}: {match['name']!r} is not a domain name")
    weight = 1.0 if match["weight"] is None else _parse_points(match["weight"], text)
    codes = ANY_CODE if match["codes"] is None else _parse_codes(match["codes"], text)
    return Zone(name, weight, codes)


def parse_zones(text: str) -> tuple[Zone, ...]:
    """Return the zones of a list with spaces or commas between; a zone may come again with other codes.

    Raises ValueError.
    """
    return tuple(parse_zone(part) for part in text.replace(",", " ").split())


def parse_weights(text: str) -> Mapping[str, float]:
    """Return `DEFAULT_WEIGHTS` with changes such as `pregreet=4 spf-fail=2.5`. Raises ValueError."""
    weights = dict(DEFAULT_WEIGHTS)
    for part in text.replace(",", " ").split():
        key, equals, points = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is not signal=points")
        if key not in DEFAULT_WEIGHTS:
            raise ValueError(f"{key!r} is not a signal's weight; {_suggest(key)}")
        weights[key] = _parse_points(points, part)
    return MappingProxyType(weights)


def _suggest(key: str) -> str:
    close: Sequence[str] = get_close_matches(key, DEFAULT_WEIGHTS, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(DEFAULT_WEIGHTS)}"


def _parse_points(points: str, text: str) -> float:
    try:
        value = float(points)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise ValueError(f"{text!r}: {points!r} is not a number of points")
    return value


def _parse_codes(codes: str, text: str) -> Codes:
    match = CODES.fullmatch(codes)
    if match is None:
        raise ValueError(f"{text!r}: {codes!r} is not four octets, such as 127.0.0.[2..11;14]")
    first, second, third, fourth = (_parse_octet(octet, text) for octet in match.groups())
    if first != {127}:
        raise ValueError(f"{text!r}: answers outside 127.0.0.0/8 are never a listing (RFC 5782, section 2.1)")
    return first, second, third, fourth


def _parse_octet(octet: str, text: str) -> frozenset[int]:
    """Return the values of `5` or `[2..11;14]`."""
    values: set[int] = set()
    for part in octet.strip("[]").split(";"):
        low, dots, high = part.partition("..")
        ends = (low, high if dots else low)
        if not all(end.isascii() and end.isdigit() and int(end[:4]) in OCTET for end in ends):
            raise ValueError(f"{text!r}: {part!r} is not a number or a range within 0..255")
        if int(ends[0]) > int(ends[1]):
            raise ValueError(f"{text!r}: {part!r} counts downwards")
        values.update(range(int(ends[0]), int(ends[1]) + 1))
    return frozenset(values)
