"""A zone's self-test: what it must list and what it must not (RFC 5782, section 5), asked and judged.

The one idea: a list of addresses has an entry for 127.0.0.2 and none for 127.0.0.1, over IPv6 for
::ffff:127.0.0.2 and :1, a list of names for TEST and INVALID. A zone that was shut down fails this,
whatever it answers instead.

A question that nobody has asked before goes along with each test: test points may come out of a cache when
a zone has long been silent, or lists the world since.

When zones are tested, and what becomes of one that fails, is in `watch`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, ip_address
from random import randbytes
from typing import Final

import trio

from scoring.resolve import Answer, Lookup, Status
from scoring.signals.dnsbl import question_name
from scoring.verdict import Address
from scoring.zones import NO_TEST, Zone, complaint, welcomes

LISTED: Final = "127.0.0.2"
UNLISTED: Final = "127.0.0.1"


class Form(StrEnum):
    """What a zone is asked about; it may be in order for one and not for another."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"
    NAMES = "names"


class Health(StrEnum):
    """What a test has shown."""

    GOOD = "good"
    ABSENT = "absent"  # the test point is not listed
    WRONG = "wrong"  # lists what no list may, or answers with an error code
    SILENT = "silent"
    UNTESTED = "untested"


@dataclass(frozen=True, slots=True)
class Checkup:
    """The outcome of a zone's test in one form."""

    health: Health
    why: str

    @property
    def usable(self) -> bool:
        """Whether the zone may be asked."""
        return self.health is Health.GOOD


UNTESTED: Final = Checkup(Health.UNTESTED, "not tested yet")
_NEEDS_NONE: Final = Checkup(Health.GOOD, "has no test point and needs none")
_ABSENT: Final = Checkup(
    Health.ABSENT, "does not list its test point: retired, mistyped, or without one (;test=none)"
)


@dataclass(frozen=True, slots=True)
class Points:
    """The names to ask a zone for: one that it must list, and others that it must not."""

    listed: str
    unlisted: tuple[str, ...]


def form_of(address: Address) -> Form:
    """Return what a question about *address* is a question about."""
    return Form.IPV4 if address.version == 4 else Form.IPV6


async def examine(
    resolver: Lookup, filters: Sequence[Zone], forms: Sequence[Form], *, until: float
) -> dict[Form, Checkup]:
    """Test a zone, all of its *forms* at once. Never raises for what a zone does."""
    answers: dict[str, Answer] = {}

    async def look_up(question: str) -> None:
        answers[question] = await resolver.query(question, "A", until=until)

    points = {form: points_of(filters, form) for form in forms}
    async with trio.open_nursery() as nursery:
        for asked in points.values():
            for question in (asked.listed, *asked.unlisted):
                nursery.start_soon(look_up, question)
    lenient = welcomes(filters) or any(zone.test == NO_TEST for zone in filters)
    return {
        form: judge(answers[asked.listed], [answers[name] for name in asked.unlisted], lenient=lenient)
        for form, asked in points.items()
    }


def points_of(filters: Sequence[Zone], form: Form) -> Points:
    """Return the questions of a test.

    The new one is within 127.64.0.0/10: no list has an entry there; their test points are in 127.0.0.0/16.
    """
    zone = filters[0].name
    own = next((entry.test for entry in filters if entry.test not in {"", NO_TEST}), "")
    new = str(IPv4Address(b"\x7f" + bytes([64 + randbytes(1)[0] % 64]) + randbytes(2)))
    match form:
        case Form.IPV4:
            listed = f"{_reversed(own)}.{zone}" if own else _name(LISTED, zone)
            return Points(listed, (_name(UNLISTED, zone), _name(new, zone)))
        case Form.IPV6:
            listed, *unlisted = (_name(f"::ffff:{address}", zone) for address in (LISTED, UNLISTED, new))
            return Points(listed, tuple(unlisted))
        case Form.NAMES:  # pragma: no branch - the last of three
            return Points(
                f"{own or 'test'}.{zone}", (f"invalid.{zone}", f"{randbytes(6).hex()}.invalid.{zone}")
            )


def judge(listed: Answer, unlisted: Sequence[Answer], *, lenient: bool = False) -> Checkup:
    """Return what the answers for the points that must and that must not be listed say of their zone.

    A *lenient* judge does not ask for an entry.
    """
    every = (listed, *unlisted)
    if refusal := next(filter(None, map(_refusal, every)), ""):
        return Checkup(Health.WRONG, refusal)
    if wrong := next((answer for answer in unlisted if answer.status is Status.FOUND), None):
        return Checkup(Health.WRONG, f"{_codes(wrong)} for what no list may have: it lists the world")
    if lost := next((answer for answer in every if answer.status is Status.UNKNOWN), None):
        return Checkup(Health.SILENT, lost.why)
    if listed.status is Status.NOTHING:
        return _NEEDS_NONE if lenient else _ABSENT
    return Checkup(Health.GOOD, f"lists its test point ({_codes(listed)}), and not what it must not")


def _refusal(answer: Answer) -> str:
    """Return why an answer is none, if it is none."""
    wrong = next(filter(None, (complaint(IPv4Address(code)) for code in answer.addresses)), "")
    return wrong and f"{_codes(answer)}: {wrong}"


def _name(address: str, zone: str) -> str:
    return question_name(ip_address(address), zone)


def _reversed(test: str) -> str:
    """Return an address in the order in which a zone has it, anything else as it is."""
    labels = test.split(".")
    return ".".join(reversed(labels)) if all(label.isdigit() for label in labels) else test


def _codes(answer: Answer) -> str:
    return ", ".join(answer.addresses)
