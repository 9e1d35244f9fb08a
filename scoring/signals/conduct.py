"""Conduct: what the peer did itself, seen by whoever talks to it and handed in as `Conduct`.

The one idea: an offence is a thing that no honest client does, or does not do so often. Where one slip is
human (a mistyped address, a command too early) a count has to be reached first, so that it takes a habit.
Each kind is one finding, however often it happened: three bots in one are still one peer.

These findings alone may take a score to the hold threshold. What is counted, and where, is the caller's
business.
"""

from collections.abc import Iterator
from typing import Final

from scoring.conduct import NO_CONDUCT, Conduct
from scoring.config import Config
from scoring.verdict import Basis, Finding, Result

BANNER_PATIENCE: Final = 19.0  # E-MailRelay says EHLO after 20 s without a banner; a second for the way
HABIT: Final = 3  # commands that have to be out of turn, or junk
HARVEST: Final = 4  # recipients that have to be refused
GOOD: Final = 3  # messages that make a good history: one that slipped through does not
COUNTED: Final = 2  # traps, or earlier offences, beyond which there is nothing more to know


def find_conduct(conduct: Conduct, config: Config) -> tuple[Finding, ...]:
    """Return a finding for each thing the peer did that weighs something, or might."""
    if conduct == NO_CONDUCT:
        return ()  # nearly always: no honest peer pays for the table below
    return tuple(
        Finding(signal, _result(points), points, why, basis=Basis.CONDUCT)
        for signal, points, why in _offences(conduct, config)
    )


def is_conduct(finding: Finding) -> bool:
    """Whether *finding* is one of those that `find_conduct` returns."""
    return finding.signal == "pregreet" or finding.signal.startswith("conduct:")


def _result(points: float) -> Result:
    if points > 0:
        return Result.FAIL
    return Result.PASS if points < 0 else Result.NEUTRAL


def _offences(seen: Conduct, config: Config) -> Iterator[tuple[str, float, str]]:
    yield from _before_the_banner(seen, config)
    yield from _in_commands(seen, config)
    yield from _in_recipients(seen, config)
    yield from _at_the_end(seen, config)
    yield from _before(seen, config)


def _before_the_banner(seen: Conduct, config: Config) -> Iterator[tuple[str, float, str]]:
    excused = seen.pregreet_hello and seen.pregreet_after >= BANNER_PATIENCE
    if seen.pregreet and not excused:
        why = f"spoke before the banner, {seen.pregreet_after:.1f} s after it connected"
        yield "pregreet", config.weight("pregreet"), why


def _in_commands(seen: Conduct, config: Config) -> Iterator[tuple[str, float, str]]:
    if seen.early_pipelining:
        yield _finding("early-pipelining", config, "several commands at once where that was not offered")
    if seen.out_of_turn >= HABIT:
        yield _finding("out-of-turn", config, f"{seen.out_of_turn} commands out of turn")
    if seen.junk >= HABIT:
        yield _finding("junk", config, f"{seen.junk} unknown or malformed commands")
    if seen.not_smtp:
        yield _finding("not-smtp", config, f"spoke {seen.not_smtp} instead of SMTP")
    if seen.bare_newline:
        yield _finding("bare-newline", config, "a command that ended in a bare CR or LF")


def _in_recipients(seen: Conduct, config: Config) -> Iterator[tuple[str, float, str]]:
    refused, asked = seen.recipients_refused, seen.recipients
    why = f"{refused} of {asked} recipients refused"
    if refused >= HARVEST and 2 * refused > asked:
        yield _finding("bad-recipients", config, why)
    elif 0 < refused == asked:
        yield _finding("refused-rcpt", config, why)
    if seen.traps:
        yield _finding("trap", config, f"{seen.traps} trap recipients", times=min(seen.traps, COUNTED))


def _at_the_end(seen: Conduct, config: Config) -> Iterator[tuple[str, float, str]]:
    if seen.messages_refused > seen.messages:
        why = f"{seen.messages_refused} messages refused, {seen.messages} taken"
        yield _finding("refused-data", config, why)
    if seen.left:
        why = f"hung up at {seen.left} after {seen.left_after:.1f} s"
        yield _finding("no-quit", config, why)


def _before(seen: Conduct, config: Config) -> Iterator[tuple[str, float, str]]:
    if seen.bad_before:
        why, times = f"offences in {seen.bad_before} earlier sessions", min(seen.bad_before, COUNTED)
        yield _finding("bad-before", config, why, times=times)
    elif seen.good_before >= GOOD:
        yield _finding("good-before", config, f"{seen.good_before} messages taken from it before")


def _finding(what: str, config: Config, why: str, *, times: int = 1) -> tuple[str, float, str]:
    return f"conduct:{what}", times * config.weight(what), why
