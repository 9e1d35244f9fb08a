"""What is thought of a peer by now, and how it is treated for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from scoring.verdict import Finding, HostState, Result, Verdict
from tarpit import policy
from tarpit.judgement import Judgement
from tarpit.pace import FULL_SPEED, Stage
from tarpit.policy import Treatment
from tarpit.smtp.dialogue import Dialogue
from tarpit.store import Remembered
from tests.support.dns_zone import FakeResolver
from tests.support.wires import load, stage

LISTED = Verdict((Finding("dnsbl:bl.example", Result.LISTED, 4, "127.0.0.2"),), 3, 8)


@asynccontextmanager
async def judged(dialogue: Dialogue | None = None, **variables: str) -> AsyncIterator[Judgement]:
    """Yield what is thought of a peer that has just been found listed."""
    async with stage(load(**variables), FakeResolver({})) as around:
        judgement = Judgement(around.services, dialogue or Dialogue())
        judgement.scored = True
        judgement.adopt(LISTED)
        yield judgement


async def test_a_listed_peer_is_slow_and_an_unscored_one_passes(autojump_clock: MockClock) -> None:
    """The treatment is that of the verdict; who was not asked about has no name and no speed limit."""
    async with judged() as judgement:
        assert judgement.treatment is Treatment.SLOW
        assert judgement.pace_for(Stage.BANNER).slow
        assert judgement.read_pace().slow
        judgement.scored = False
        assert judgement.host.state is HostState.UNKNOWN


@pytest.mark.parametrize("mode", ["observe", "off"])
async def test_only_enforce_slows(autojump_clock: MockClock, mode: str) -> None:
    """In the other modes everybody passes, whatever is thought of it."""
    async with judged(MODE=mode) as judgement:
        assert judgement.treatment is Treatment.PASS
        assert judgement.pace_for(Stage.HELLO) is FULL_SPEED
        assert judgement.read_pace() is policy.READ_AT_ONCE


async def test_who_is_spared_is_served_at_full_speed(autojump_clock: MockClock) -> None:
    """A suspect for whom there is no room among the slowed is a suspect still."""
    async with judged() as judgement:
        judgement.spared = True
        assert judgement.pace_for(Stage.HELLO) is FULL_SPEED
        assert judgement.read_pace() is policy.READ_AT_ONCE
        assert judgement.treatment is Treatment.SLOW


async def test_offences_are_weighed_when_their_count_moves(autojump_clock: MockClock) -> None:
    """Three commands that are none turn a listed peer hostile with the points of TARPIT_WEIGHTS."""
    dialogue = Dialogue()
    async with judged(dialogue, WEIGHTS="junk=4") as judgement:
        for _ in range(3):
            dialogue.lines.receive(b"NONSENSE\r\n")
            heard = dialogue.next_heard()
            assert heard is not None
            dialogue.settle(heard, 500)
        assert judgement.treatment is Treatment.HOLD
        assert "conduct:junk" in {finding.signal for finding in judgement.verdict.findings}


async def test_early_talk_and_traps_count_at_once(autojump_clock: MockClock) -> None:
    """Who speaks before the banner is so much worse, once, and knows the second in which it did."""
    async with judged() as judgement:
        await trio.sleep(2)
        judgement.spoke_early()
        judgement.spoke_early()
        assert judgement.pregreet_after == 2
        assert judgement.treatment is Treatment.HOLD
        judgement.trapped()
        assert {"pregreet", "conduct:trap"} <= {finding.signal for finding in judgement.verdict.findings}


async def test_what_a_backend_took_counts_for_one_reply(autojump_clock: MockClock) -> None:
    """The seconds that a backend took to answer are taken off the budget of the reply that says so."""
    async with judged() as judgement:
        judgement.waited = 5.0
        first, second = judgement.pace_for(Stage.RCPT), judgement.pace_for(Stage.RCPT)
        assert second.within - first.within == 5.0


async def test_how_it_hung_up_is_told(autojump_clock: MockClock) -> None:
    """Phase and second of a hang-up without QUIT are among the findings."""
    async with judged() as judgement:
        await trio.sleep(3)
        judgement.hung_up()
        (finding,) = [one for one in judgement.verdict.findings if one.signal == "conduct:no-quit"]
        assert "greeted" in finding.why
        assert "3.0 s" in finding.why


async def test_lists_of_the_last_reverse_path_count_no_more(autojump_clock: MockClock) -> None:
    """What a list said of one reverse-path does not follow its peer to the next message."""
    spam = Finding("rhsbl:dbl.example:mail", Result.LISTED, 3, "127.0.1.2")
    async with judged() as judgement:
        judgement.add((spam,), new_mail=True)
        assert judgement.verdict.score == 7
        judgement.add((), new_mail=True)
        assert judgement.verdict.score == 4


async def test_what_is_remembered_is_told_with_its_age(autojump_clock: MockClock) -> None:
    """Each finding is as much older as it had been remembered; what is found out now is not."""
    named = tuple(Finding(signal, Result.NONE, 0, "", age=1.0) for signal in ("helo", "spf-helo"))
    mail, own = Finding("spf", Result.PASS, 0, ""), Finding("rate:peer", Result.FAIL, 1, "")
    async with judged() as judgement:
        judgement.recall(LISTED.with_findings(own), Remembered.of(LISTED, 30.0))
        judgement.add(named, new_mail=False, age=20.0)
        judgement.add((mail,), new_mail=True, age=10.0)
        told = {one.signal: one.age + ago for one, ago in judgement.findings()}
        assert told == {"dnsbl:bl.example": 30, "rate:peer": 0, "helo": 21, "spf-helo": 21, "spf": 10}
        judgement.add((mail,), new_mail=True, age=15.0)
        judgement.add((Finding("spf-helo", Result.NONE, 0, ""),), new_mail=True)
        told = {one.signal: one.age + ago for one, ago in judgement.findings()}
        assert told == {"dnsbl:bl.example": 30, "rate:peer": 0, "helo": 21, "spf-helo": 0, "spf": 15}


async def test_a_long_session_leaves_no_trail_of_verdicts(autojump_clock: MockClock) -> None:
    """What three times was added to is kept; of a thousand messages nothing stays but the last."""
    async with judged() as judgement:
        judgement.recall(LISTED, Remembered.of(LISTED))
        for number in range(1000):
            judgement.add((Finding("spf", Result.NONE, 0, str(number)),), new_mail=True)
        kept, verdict = 0, LISTED
        while verdict._last is not None:
            kept, verdict = kept + 1, verdict._last[1]
        assert (kept, len(judgement._recalled)) == (2, 3)
        assert [one.why for one in judgement.verdict.findings] == ["127.0.0.2", "999"]
