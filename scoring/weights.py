"""The table of signals and their points: `SIGNALS`. docs/scoring.md shows it.

The one idea: points are data, in one place, each with its source and with who gets them wrongly. Zones
carry their own weight (`scoring.zones`); everything else has a name here, and `TARPIT_WEIGHTS` or
`--weights` changes it by that name.

A suspect begins at 3 points: what weighs less never slows anybody alone. How points add up is `verdict`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Final

BEGIN: Final = "<!-- made by `make docs` -->\n\n"
END: Final = "\n<!-- until here -->"


@dataclass(frozen=True, slots=True)
class Signal:
    """A row of the table. `name` is that of the weight, `signal` that of the finding it weighs."""

    name: str
    signal: str
    points: float
    what: str
    source: str
    risk: str  # who gets it without being a spammer


# fmt: off
SIGNALS: Final[tuple[Signal, ...]] = (
    Signal("no-rdns", "rdns", 1.0,
           "the address has no name", "RFC 1912, section 2.1",
           "medium: small sites, cloud hosts; many honest hosts have none"),
    Signal("unconfirmed-rdns", "rdns", 1.0,
           "the name of the address does not lead back to it", "RFC 1912, section 2.1",
           "medium: moved servers, providers that set names in one direction only"),
    Signal("generic-rdns", "rdns", 1.0,
           "the name looks like one of a pool of dial-up or cable addresses",
           "the pattern list of `signals/generic_names`",
           "medium: servers behind business lines whose provider sets no names"),
    Signal("helo-ours", "helo", 3.0,
           "the HELO name is our own name or address", "RFC 5321, section 4.1.4",
           "very low: only a misconfigured host of ours, which belongs on the allowlist"),
    Signal("helo-localhost", "helo", 2.0,
           "the HELO name is localhost", "RFC 5321, section 4.1.4",
           "low: web applications that send mail by themselves"),
    Signal("helo-address", "helo", 1.0,
           "the HELO name is an address without brackets", "RFC 5321, section 4.1.3",
           "low: devices such as printers and cameras"),
    Signal("helo-literal", "helo", 1.0,
           "the HELO name is an address in brackets that is not the peer's", "RFC 5321, section 4.1.3",
           "medium: hosts behind NAT"),
    Signal("helo-no-dot", "helo", 1.0,
           "the HELO name has no dot", "RFC 5321, section 2.3.5",
           "medium: Windows hosts, freshly installed servers"),
    Signal("helo-unresolvable", "helo", 1.0,
           "the HELO name does not exist in DNS", "RFC 5321, section 2.3.5",
           "medium: servers that give their name inside the company"),
    Signal("spf-fail", "spf", 3.0,
           "the domain of the reverse-path says: not from this address", "RFC 7208, section 8.4",
           "low: forwarding without rewriting of the reverse-path"),
    Signal("spf-softfail", "spf", 1.0,
           "the domain says: probably not from this address", "RFC 7208, section 8.5",
           "medium: forwarding, records that were never finished"),
    Signal("spf-permerror", "spf", 1.0,
           "the domain's record is broken", "RFC 7208, section 8.7",
           "medium: records beyond ten look-ups are common"),
    Signal("spf-neutral", "spf", 0.0,
           "the domain says nothing about the address", "RFC 7208, section 8.2", "-"),
    Signal("spf-none", "spf", 0.0,
           "the domain has no record", "RFC 7208, section 8.1", "-"),
    Signal("spf-temperror", "spf", 0.0,
           "DNS failed: never the peer's fault", "RFC 7208, section 8.6", "-"),
    Signal("spf-pass", "spf", 0.0,
           "the address may send for the domain", "RFC 7208, section 8.3",
           "below 0 it would buy off a listing: a spammer's own domain passes too"),
    Signal("spf-helo-fail", "spf-helo", 2.0,
           "the owner of the HELO name says: not from this address", "RFC 7208, section 2.3",
           "low: hosts that use their domain's name as HELO name"),
    Signal("spf-helo-softfail", "spf-helo", 0.5,
           "the owner says: probably not from this address", "RFC 7208, section 2.3",
           "medium: as spf-softfail"),
    Signal("spf-helo-permerror", "spf-helo", 0.0,
           "the HELO name's record is broken", "RFC 7208, section 2.3", "medium: as spf-permerror"),
    Signal("spf-helo-neutral", "spf-helo", 0.0,
           "the owner says nothing", "RFC 7208, section 2.3", "-"),
    Signal("spf-helo-none", "spf-helo", 0.0,
           "the HELO name has no record", "RFC 7208, section 2.3", "-"),
    Signal("spf-helo-temperror", "spf-helo", 0.0,
           "DNS failed", "RFC 7208, section 2.3", "-"),
    Signal("spf-helo-pass", "spf-helo", 0.0,
           "the HELO name is the peer's", "RFC 7208, section 2.3", "-"),
    Signal("pregreet", "pregreet", 4.0,
           "spoke before the banner", "RFC 5321, section 4.3.1",
           "very low: one EHLO or HELO after 19 s of silence does not count (E-MailRelay)"),
    Signal("early-pipelining", "conduct:early-pipelining", 2.0,
           "sent several commands at once where that was not offered", "RFC 2920, section 3.1",
           "low: scripts that write a whole dialogue at once"),
    Signal("out-of-turn", "conduct:out-of-turn", 2.0,
           "three or more commands out of turn", "RFC 5321, section 4.1.4",
           "low: clients that pipeline behind a refused MAIL, if the caller counts those"),
    Signal("junk", "conduct:junk", 2.0,
           "three or more unknown or malformed commands", "RFC 5321, section 4.2.4",
           "low: monitoring probes, people with telnet"),
    Signal("not-smtp", "conduct:not-smtp", 5.0,
           "spoke HTTP or TLS, or sent header fields as commands", "postscreen's non-SMTP command test",
           "very low: a client set to TLS from the first byte, which delivers nothing anyway"),
    Signal("bare-newline", "conduct:bare-newline", 2.0,
           "ended a command in a bare CR or LF", "RFC 5321, section 2.3.8",
           "low: scripts and devices that write LF"),
    Signal("bad-recipients", "conduct:bad-recipients", 4.0,
           "the backend refused at least four recipients, and more than half of those asked for",
           "directory harvest; RFC 5321, section 7.3",
           "low: old mailing lists, a former employee's forwarding"),
    Signal("refused-rcpt", "conduct:refused-rcpt", 1.0,
           "the backend refused every recipient asked for", "the backend's own policy",
           "medium: a mistyped address"),
    Signal("refused-data", "conduct:refused-data", 2.0,
           "the backend refused more messages at the end of data than it took", "the backend's own filters",
           "medium: as large as the false positives of those filters, messages too large"),
    Signal("trap", "conduct:trap", 5.0,
           "asked for a recipient that nobody honest knows; twice the points for two or more",
           "the caller's list of traps",
           "as low as the traps are well chosen: never an address that was once in use"),
    Signal("no-quit", "conduct:no-quit", 0.0,
           "hung up without QUIT; the phase and the second are in its reason", "RFC 5321, section 4.1.1.10",
           "high: many honest clients save the round trip; worth something in a history only"),
    Signal("bad-before", "conduct:bad-before", 2.0,
           "an offence in an earlier session; twice the points for two or more",
           "the caller's memory of the peer", "low: addresses that change hands"),
    Signal("good-before", "conduct:good-before", -3.0,
           "a backend took messages from it in earlier sessions", "the caller's memory of the peer",
           "(it speaks for the peer)"),
    Signal("rate-peer", "rate:peer", 2.0,
           "more connections, recipients or errors than one peer may have",
           "GCRA, as in ATM traffic control (ITU-T I.371)",
           "low: it never makes a suspect alone, and counts nothing for peers that somebody vouches for"),
    Signal("rate-network", "rate:network", 1.0,
           "the same of its network (/24, /64)", "GCRA", "medium: neighbours; as rate-peer"),
)
# fmt: on

DEFAULT_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType({row.name: row.points for row in SIGNALS})


def parse_weights(text: str) -> Mapping[str, float]:
    """Return `DEFAULT_WEIGHTS` with changes such as `pregreet=4 spf-fail=2.5`. Raises ValueError."""
    weights = dict(DEFAULT_WEIGHTS)
    for part in text.replace(",", " ").split():
        key, equals, points = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is not signal=points")
        check_weight(key)
        weights[key] = parse_points(points, part)
    return MappingProxyType(weights)


def check_weight(key: str, points: float = 0.0) -> None:
    """Raise ValueError unless *key* is in the table and *points* can be added."""
    if key not in DEFAULT_WEIGHTS:
        raise ValueError(f"{key!r} is not a signal's weight; {_suggest(key)}")
    if not isfinite(points):
        raise ValueError(f"{key}: {points} is not a number of points")


def parse_points(points: str, text: str) -> float:
    """Return the number that *points* is, a part of *text*. Raises ValueError."""
    try:
        value = float(points)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise ValueError(f"{text!r}: {points!r} is not a number of points")
    return value


def _suggest(key: str) -> str:
    close: Sequence[str] = get_close_matches(key, DEFAULT_WEIGHTS, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(DEFAULT_WEIGHTS)}"


def table() -> str:
    """Return the table in Markdown."""
    head = "| weight | finding | points | what | source | who gets it wrongly |\n|---|---|---|---|---|---|\n"
    return head + "".join(
        f"| `{row.name}` | `{row.signal}` | {row.points:g} | {row.what} | {row.source} | {row.risk} |\n"
        for row in SIGNALS
    )


def renewed(page: str) -> str:
    """Return *page* with the table of today between its two marks. Raises ValueError if it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page has no {BEGIN!r} ... {END!r}")
    return before + begin + table() + end + after


def renew(page: str) -> None:
    """Put the table of today into the file *page*."""
    path = Path(page)
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
