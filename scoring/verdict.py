"""What scoring answers: findings, the verdict they add up to, and what a caller hands in.

The one idea: a signal that got no answer is a finding too (`NO_OPINION`, 0 points), so a verdict always
says what was asked, and silence never counts against a peer.

How a finding is reached is in `signals`; which points it gets is in `config`; what is done to a suspect
is the caller's business.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

LONGEST_REASON: Final = 200


class Result(StrEnum):
    """What one signal found. The SPF words are RFC 7208, section 2.6."""

    LISTED = "listed"
    PASS = "pass"  # noqa: S105 - SPF's word
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"
    ERROR = "error"  # the source of the signal is broken: an operator should look
    NO_OPINION = "no-opinion"  # nothing was heard in time


class Opinion(StrEnum):
    """What the score amounts to."""

    CLEAN = "clean"
    SUSPECT = "suspect"
    HOSTILE = "hostile"


class HostState(StrEnum):
    """What is known of a peer's name."""

    CONFIRMED = "confirmed"
    NONE = "none"
    UNKNOWN = "unknown"  # a temporary failure, or not asked


@dataclass(frozen=True, slots=True)
class HostName:
    """A peer's forward-confirmed reverse name: it leads back to the peer's address."""

    name: str | None
    state: HostState


UNKNOWN_HOST: Final = HostName(None, HostState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Conduct:
    """What the peer itself has done on this connection, as its server saw it."""

    pregreet: bool = False  # it spoke before the banner


@dataclass(frozen=True, slots=True)
class Finding:
    """One signal's answer. `seconds` is how long it took; `why` is always one printable line.

    `conduct` marks what the peer did itself (or what an operator's denylist says of it): only such
    points can take a score to the hold threshold.
    """

    signal: str
    result: Result
    points: float
    why: str
    seconds: float = 0.0
    conduct: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "why", one_line(self.why))


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings about one peer, and the two thresholds they are held against."""

    findings: tuple[Finding, ...]
    suspect_at: float
    hold_at: float
    errors: tuple[str, ...] = ()
    host: HostName = UNKNOWN_HOST

    @property
    def score(self) -> float:
        """Return the points. Listings, names and SPF together stay one below `hold_at`: who is merely
        listed is slow, never refused. Conduct comes on top.
        """
        hearsay = sum(finding.points for finding in self.findings if not finding.conduct)
        conduct = sum(finding.points for finding in self.findings if finding.conduct)
        return min(hearsay, self.hold_at - 1) + conduct

    @property
    def suspect(self) -> bool:
        """Whether the peer is anything but clean."""
        return self.score >= self.suspect_at

    @property
    def hostile(self) -> bool:
        """Whether the peer's conduct has taken it to the hold threshold."""
        return self.score >= self.hold_at

    @property
    def opinion(self) -> Opinion:
        """Return what the score amounts to."""
        if self.hostile:
            return Opinion.HOSTILE
        return Opinion.SUSPECT if self.suspect else Opinion.CLEAN

    def with_findings(self, *new: Finding) -> "Verdict":
        """Return the verdict with *new* findings, each in the place of an older one of its signal."""
        replaced = {finding.signal for finding in new}
        kept = tuple(finding for finding in self.findings if finding.signal not in replaced)
        findings = (*kept, *new)
        return replace(self, findings=findings, errors=errors_of(findings))


def errors_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return one line for each finding whose source is broken."""
    return tuple(f"{finding.signal}: {finding.why}" for finding in findings if finding.result is Result.ERROR)


def one_line(text: str) -> str:
    """Return *text* as bounded printable ASCII: it may come from a stranger's DNS."""
    printable = "".join(char if " " <= char <= "~" else "?" for char in text[: LONGEST_REASON + 1])
    return printable if len(printable) <= LONGEST_REASON else printable[: LONGEST_REASON - 3] + "..."


def to_address(peer: str | Address) -> Address:
    """Return the peer's address; an IPv4 peer met through an IPv6 socket is an IPv4 peer.

    Raises ValueError for what is not an address.
    """
    address = ip_address(str(peer).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
