"""What scoring answers: findings, the verdict they add up to, and what a caller hands in.

The one idea: a signal that got no answer is a finding too (`NO_OPINION`, 0 points), so a verdict always
says what was asked, and silence never counts against a peer.

Points add up by what they rest on (`Basis`): what others say, then how much comes, then what the peer did.

How a finding is reached is in `signals`; which points it gets is in `weights`; what is done to a suspect
is the caller's business.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from math import inf
from operator import attrgetter
from typing import Final

Address = IPv4Address | IPv6Address

_SIGNAL_OF: Final = attrgetter("signal")

LONGEST_REASON: Final = 200
SHORTEST_LIFE: Final = 60.0  # seconds; the bounds of a remembered verdict are postscreen's
LONGEST_LIFE: Final = 3600.0

# Lists of addresses and what a peer has done before may speak for it. A name may not: its owner chooses it.
VOUCHING: Final = frozenset({"dnsbl", "dnswl", "conduct"})


class Result(StrEnum):
    """What one signal found. The SPF words are RFC 7208, section 2.6."""

    __hash__ = str.__hash__  # in C, as `HostState`

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

    __hash__ = str.__hash__  # in C: what is remembered of a HELO name is kept under it

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
        line = one_line(self.why)
        if line is not self.why:
            object.__setattr__(self, "why", line)

    @property
    def vouches(self) -> bool:
        """Whether it speaks for the peer: a welcome list, a good history."""
        return self.points < 0 and self.signal.partition(":")[0] in VOUCHING

    def aged(self, seconds: float) -> "Finding":
        """Return the finding as it is *seconds* later."""
        return aged((self,), seconds)[0]


Recalled = tuple[tuple[Finding, ...], float]  # findings as they were made, and how many seconds ago that was
_SLOTS: Final = tuple(vars(Finding)[field.name].__set__ for field in fields(Finding))  # in their order


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings about one peer, and the two thresholds they are held against."""

    findings: tuple[Finding, ...]
    suspect_at: float
    hold_at: float
    errors: tuple[str, ...] = ()
    host: HostName = UNKNOWN_HOST
    score: float = field(init=False, repr=False, compare=False)  # points; follows from the others, `_score`
    _last: "tuple[tuple[Finding, ...], Verdict] | None" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "score", _score(self.findings, self.suspect_at, self.hold_at))
        object.__setattr__(self, "_last", None)

    @property
    def vouched_for(self) -> bool:
        """Whether a list or a good history speaks for the peer."""
        return _vouched_for(self.findings)

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
        for finding in self.findings:
            if finding.result not in SILENCE:
                return Opinion.CLEAN
        return Opinion.NO_OPINION

    def with_findings(self, *new: Finding) -> "Verdict":
        """Return the verdict with *new* findings, each in the place of an older one of its signal."""
        if not new:
            return self
        replaced = set(map(_SIGNAL_OF, new))
        kept = [finding for finding in self.findings if finding.signal not in replaced]
        findings = (*kept, *new)
        return Verdict(findings, self.suspect_at, self.hold_at, errors_of(findings), self.host)

    def joined(self, new: tuple[Finding, ...]) -> "Verdict":
        """Return the verdict with *new* findings; with the same ones as last time, the same verdict.

        What is remembered of a peer, and of the names that it says, comes together in each of its sessions.
        """
        if (last := self._last) is not None and last[0] is new:
            return last[1]
        later = self.with_findings(*new)
        object.__setattr__(self, "_last", (new, later))
        return later

    def aged(self, seconds: float) -> "Verdict":
        """Return the verdict with its findings as they are *seconds* later."""
        later, put = object.__new__(Verdict), object.__setattr__  # as in the function `aged`
        put(later, "findings", aged(self.findings, seconds))
        put(later, "suspect_at", self.suspect_at)
        put(later, "hold_at", self.hold_at)
        put(later, "errors", self.errors)
        put(later, "host", self.host)
        put(later, "score", self.score)
        put(later, "_last", None)
        return later


def errors_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return one line for each finding whose source is broken."""
    errors: tuple[str, ...] = ()
    for finding in findings:
        if finding.result is Result.ERROR:
            errors += (f"{finding.signal}: {finding.why}",)
    return errors


def aged(findings: Iterable[Finding], seconds: float) -> tuple[Finding, ...]:
    """Return *findings* as they are *seconds* later.

    Each time that a verdict is recalled all of its findings are made anew, and nothing in them but their
    times has changed: so nothing is checked again, and the slots are filled directly (0.5 µs, not 1.3).
    """
    later, new = [], object.__new__
    signal, result, points, why, took, basis, age, life = _SLOTS
    for finding in findings:
        older = new(Finding)
        signal(older, finding.signal)
        result(older, finding.result)
        points(older, finding.points)
        why(older, finding.why)
        took(older, finding.seconds)
        basis(older, finding.basis)
        age(older, finding.age + seconds)
        life(older, finding.life - seconds)
        later.append(older)
    return tuple(later)


def _score(findings: tuple[Finding, ...], suspect_at: float, hold_at: float) -> float:
    """Return the points. Listings, names and SPF together stay one below *hold_at*: who is merely
    listed is slow, never refused. A list of names counts once, by what weighs most, for a peer's HELO
    name, reverse name and reverse-path are mostly one name. Volume stays one below *suspect_at* and
    counts nothing for a peer that a list vouches for or that is known well. Conduct comes on top, for
    good or ill.
    """
    hearsay = volume = conduct = 0.0
    names: dict[str, list[float]] | None = None
    for finding in findings:
        points = finding.points
        basis = finding.basis
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
    if volume > 0 and not _vouched_for(findings):
        hearsay += min(volume, max(suspect_at - 1, 0.0))
    return min(hearsay, hold_at - 1) + conduct


def _vouched_for(findings: Iterable[Finding]) -> bool:
    return any(finding.vouches for finding in findings)


def one_line(text: str) -> str:
    """Return *text* as bounded printable ASCII: it may come from a stranger's DNS."""
    if len(text) <= LONGEST_REASON and text.isascii() and text.isprintable():
        return text  # nearly always
    printable = "".join(char if " " <= char <= "~" else "?" for char in text[: LONGEST_REASON + 1])
    return printable if len(printable) <= LONGEST_REASON else printable[: LONGEST_REASON - 3] + "..."


def to_address(peer: str | Address) -> Address:
    """Return the peer's address; an IPv4 peer met through an IPv6 socket is an IPv4 peer.

    Raises ValueError for what is not an address.
    """
    if isinstance(peer, IPv4Address):
        return peer
    address = ip_address(str(peer).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
