"""The sessions of a log, as far as they say how long a peer waits.

A line is JSON, as TARPIT_LOG_FORMAT=json writes it, with or without what a collector of logs has put before
it. What is no `session.closed` is passed over; what cannot be read is counted.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

GAVE_UP: Final = frozenset({"peer-left", "peer-silent"})
NOTHING: Final = "none"


@dataclass(frozen=True, slots=True)
class Past:
    """One session that is over. *held* is seconds that we have added."""

    score: float
    signals: tuple[str, ...]  # those with points against the peer, the heaviest first
    held: float
    slowed: bool
    left: bool  # it gave up while it was slowed, before a message was taken
    delivered: bool
    spf_passed: bool = False
    vouched: float = 0.0  # points in its favour, 0 or less

    @property
    def blamed(self) -> str:
        """The signal that weighs most."""
        return self.signals[0] if self.signals else NOTHING


@dataclass(slots=True)
class Log:
    """What has been read."""

    sessions: list[Past] = field(default_factory=list)
    hostile: int = 0  # refused whatever the pace: they say nothing of patience
    blind: int = 0  # behind a STARTTLS that was passed through nobody saw what became of the mail
    unreadable: int = 0  # lines


def read(lines: Iterable[str]) -> Log:
    """Return the sessions that *lines* tell of."""
    log = Log()
    for line in lines:
        if "session.closed" not in line:
            continue
        try:
            _take(log, json.loads(line[line.index("{") :]))
        except (ValueError, KeyError, TypeError):
            log.unreadable += 1
    return log


def _take(log: Log, event: Mapping[str, object]) -> None:
    if event["event"] != "session.closed":
        return
    if event["verdict"] == "hostile":
        log.hostile += 1
    elif event["blind"]:
        log.blind += 1
    elif event["ended"] not in {"stopped", "full", "error"}:  # what we have cut short says nothing of peers
        log.sessions.append(_past(event))


def _past(event: Mapping[str, object]) -> Past:
    findings = event["findings"]
    if not isinstance(findings, list):
        raise TypeError("findings are a list")
    points = sorted(((number(one["points"]), str(one["signal"])) for one in findings), reverse=True)
    slowed, delivered = event["treatment"] == "slow", number(event["messages_accepted"]) > 0
    return Past(
        score=number(event["score"]),
        signals=tuple(signal for weight, signal in points if weight > 0),
        held=number(event["held_seconds"]),
        slowed=slowed,
        left=slowed and not delivered and event["ended"] in GAVE_UP,
        delivered=delivered,
        spf_passed=any(one["signal"] == "spf" and one["result"] == "pass" for one in findings),
        vouched=sum(weight for weight, _ in points if weight < 0),
    )


def number(value: object) -> float:
    """Return *value*, which is a number. Raises TypeError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)
