"""What scoring answers: findings, the verdict they add up to, and what a caller hands in.

The one idea: a signal that got no answer is a finding too (`NO_OPINION`, 0 points), so a verdict always
says what was asked, and silence never counts against a peer.

Points add up by what they rest on (`Basis`): what others say, then how much comes, then what the peer did.

How a finding is reached is in `signals`; which points it gets is in `weights`; what is done to a suspect
is the caller's business.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from math import inf
from typing import Final

Address = IPv4Address | IPv6Address

LONGEST_REASON: Final = 200
SHORTEST_LIFE: Final = 60.0  # seconds; the bounds of a remembered verdict are postscreen's
LONGEST_LIFE: Final = 3600.0

# Lists of addresses and what a peer has done before may speak for it. A name may not: its owner chooses it.
VOUCHING: Final = frozenset({"dnsbl", "dnswl", "conduct"})


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


SILENCE: Final = frozenset({Result.NO_OPINION, Result.ERROR, Result.TEMPERROR})


class Opinion(StrEnum):
    """What the score amounts to."""

    NO_OPINION = "no-opinion"  # nobody who was asked had one: neither clean nor suspect
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
    """A peer's forward-confirmed reverse name: it leads back to the peer's address.

    `claimed` is a reverse name that does not, where there is none that does: for the log, to be mistrusted.
    """

    name: str | None
    state: HostState
    claimed: str | None = None


UNKNOWN_HOST: Final = HostName(None, HostState.UNKNOWN)


class Basis(StrEnum):
    """What a finding rests on, and so how far its points may take a score."""

    HEARSAY = "hearsay"  # listings, names, SPF: together at most one below the hold threshold
    VOLUME = "volume"  # how much, how often: never makes a suspect alone, nothing for the well known
    CONDUCT = "conduct"  # what the peer did itself, or an operator's denylist: no ceiling
    ALLOWED = "allowed"  # the operator trusts it: nothing else counts


@dataclass(frozen=True, slots=True)
class Finding:
    """One signal's answer; `why` is always one printable line.

    `seconds` is how long it took to find, `age` how many seconds old the answer was when the verdict was
    made, `life` for how many more it may be relied on.
    """

    signal: str
    result: Result
    points: float
    why: str
    seconds: float = 0.0
    basis: Basis = Basis.HEARSAY
    age: float = 0.0
    life: float = inf

    def __post_init__(self) -> None:
        object.__setattr__(self, "why", one_line(self.why))

    @property
    def vouches(self) -> bool:
        """Whether it speaks for the peer: a welcome list, a good history."""
        return self.points < 0 and self.signal.partition(":")[0] in VOUCHING

    def aged(self, seconds: float) -> "Finding":
        """Return the finding as it is *seconds* later."""
        return Finding(
            self.signal,
            self.result,
            self.points,
            self.why,
            self.seconds,
            self.basis,
            self.age + seconds,
            self.life - seconds,
        )


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
        listed is slow, never refused. A list of names counts once, by what weighs most, for a peer's HELO
        name, reverse name and reverse-path are mostly one name. Volume stays one below `suspect_at` and
        counts nothing for a peer that a list vouches for or that is known well. Conduct comes on top, for
        good or ill.
        """
        hearsay = volume = conduct = 0.0  # one pass: a session asks for its score several times
        names: dict[str, list[float]] | None = None
        for finding in self.findings:
            basis, points = finding.basis, finding.points
            if basis is Basis.ALLOWED:
                return 0.0
            if not points:
                continue
            if basis is Basis.VOLUME:
                volume += points
            elif basis is Basis.CONDUCT:
                conduct += points
            elif finding.signal.startswith("rhsbl:"):
                names = {} if names is None else names
                names.setdefault(finding.signal.rpartition(":")[0], []).append(points)
            else:
                hearsay += points
        if names:
            hearsay += sum(max(0.0, *listed) + min(0.0, *listed) for listed in names.values())
        if volume > 0 and not self.vouched_for:
            hearsay += min(volume, max(self.suspect_at - 1, 0.0))
        return min(hearsay, self.hold_at - 1) + conduct

    @property
    def vouched_for(self) -> bool:
        """Whether a list or a good history speaks for the peer."""
        return any(finding.vouches for finding in self.findings)

    @property
    def lifetime(self) -> float:
        """Return for how many seconds it may be remembered: as long as its shortest-lived finding, clamped.

        Silence and errors hold for the shortest time: long enough that a dead zone costs a peer one wait.
        """
        lives = (0.0 if finding.result in SILENCE else finding.life for finding in self.findings)
        return min(max(min(lives, default=inf), SHORTEST_LIFE), LONGEST_LIFE)

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
        """Return what the score amounts to, or that nobody who was asked knows anything."""
        score = self.score
        if score >= self.hold_at:
            return Opinion.HOSTILE
        if score >= self.suspect_at:
            return Opinion.SUSPECT
        spoke = any(finding.result not in SILENCE for finding in self.findings)
        return Opinion.CLEAN if spoke else Opinion.NO_OPINION

    def with_findings(self, *new: Finding) -> "Verdict":
        """Return the verdict with *new* findings, each in the place of an older one of its signal."""
        if not new:
            return self
        replaced = {finding.signal for finding in new}
        kept = tuple(finding for finding in self.findings if finding.signal not in replaced)
        findings = (*kept, *new)
        return Verdict(findings, self.suspect_at, self.hold_at, errors_of(findings), self.host)

    def aged(self, seconds: float) -> "Verdict":
        """Return the verdict with its findings as they are *seconds* later."""
        findings = tuple(finding.aged(seconds) for finding in self.findings)
        return Verdict(findings, self.suspect_at, self.hold_at, self.errors, self.host)


def errors_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return one line for each finding whose source is broken."""
    return tuple(f"{finding.signal}: {finding.why}" for finding in findings if finding.result is Result.ERROR)


def one_line(text: str) -> str:
    """Return *text* as bounded printable ASCII: it may come from a stranger's DNS."""
    if len(text) <= LONGEST_REASON and text.isascii() and text.isprintable():
        return text  # nearly always, and a remembered finding is made anew with each asking
    printable = "".join(char if " " <= char <= "~" else "?" for char in text[: LONGEST_REASON + 1])
    return printable if len(printable) <= LONGEST_REASON else printable[: LONGEST_REASON - 3] + "..."


def to_address(peer: str | Address) -> Address:
    """Return the peer's address; an IPv4 peer met through an IPv6 socket is an IPv4 peer.

    Raises ValueError for what is not an address.
    """
    address = peer if isinstance(peer, IPv4Address) else ip_address(str(peer).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
