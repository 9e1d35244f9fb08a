"""Clients that send mail, as data: how long each waits for what, and what renews its timers.

Limits were read in each client's source, Barracuda's on its vendor's page (docs/policy.md shows the table).
Four kinds of timer are about: `WHOLE` (the reply must be complete by then), `SILENCE` (any byte renews it),
`LINE` (each line renews it) and `FIRST_LINE` (any byte renews it until the first line is there; the rest must
be whole within as long).

Who speaks with these timers: `bench.fleet`, and the zoo of the tests (`tests.support.zoo`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Final


class Step(Enum):
    """What a client waits for."""

    BANNER = "banner"
    EHLO = "EHLO"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    DOT = "dot"
    RSET = "RSET"
    QUIT = "QUIT"


class Kind(Enum):
    """What renews a timer."""

    WHOLE = "whole"
    SILENCE = "silence"
    LINE = "line"
    FIRST_LINE = "silence in the first line, then whole"


@dataclass(frozen=True, slots=True)
class Limit:
    """Seconds of patience, and of which kind."""

    seconds: float
    kind: Kind

    def renewed(self, deadline: float, *, now: float, before: bytes, data: bytes) -> float:
        """Return the deadline once *data* has come after *before*, two pieces of one reply."""
        renews = {
            Kind.WHOLE: False,
            Kind.SILENCE: True,
            Kind.LINE: b"\n" in data,
            Kind.FIRST_LINE: b"\n" not in before,
        }
        return now + self.seconds if renews[self.kind] else deadline


@dataclass(frozen=True, slots=True)
class Client:
    """One sender. `usual` holds where `limits` says nothing, `session` for all of a delivery."""

    name: str
    usual: Limit
    limits: Mapping[Step, Limit] = field(default_factory=dict)
    session: float = inf
    hasty: bool = False  # it speaks when no banner came, and a late 220 then fails the message
    calls_out: bool = False  # it only asks whether a recipient exists

    def limit(self, step: Step) -> Limit:
        """Return its patience at *step*."""
        return self.limits.get(step, self.usual)


def _within(seconds: float) -> Limit:
    return Limit(seconds, Kind.WHOLE)


def _silent(seconds: float) -> Limit:
    return Limit(seconds, Kind.SILENCE)


def _first_line(seconds: float) -> Limit:
    return Limit(seconds, Kind.FIRST_LINE)


SLIMTA: Final = Client("python-slimta", _within(10))
ZOO: Final = (
    SLIMTA,
    Client("E-MailRelay", _within(60), {Step.BANNER: _within(20)}, hasty=True),
    Client("mox", Limit(30, Kind.LINE)),
    Client("nodemailer", _silent(600), {Step.BANNER: _within(30)}),
    Client("Haraka", _silent(30)),
    Client("Exim", _within(300), {Step.DOT: _within(600)}),
    Client("Exim call-out", _within(30), calls_out=True),
    Client("Barracuda", _within(300), {Step.BANNER: _within(45)}),
    Client(
        "KumoMTA",
        _first_line(300),
        {
            Step.BANNER: _first_line(60),
            Step.DATA: _first_line(30),
            Step.DOT: _first_line(60),
            Step.RSET: _first_line(5),
        },
    ),
    Client("lettre", _silent(60)),
    Client("chasquid", _within(600), session=600),
    Client(
        "Postfix", _silent(300), {Step.DATA: _silent(120), Step.DOT: _silent(600), Step.RSET: _silent(20)}
    ),
    Client("OpenSMTPD", _silent(300)),
    Client("qmail", _silent(1200)),
    Client("Stalwart", _within(300)),
    Client("maddy", _within(300)),
)
