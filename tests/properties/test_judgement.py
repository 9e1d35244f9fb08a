"""A law of judgement: what is kept apart adds up to what adding all of it anew each time would."""

from dataclasses import replace
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from scoring import Basis, Finding, Result, Scorer
from tarpit import policy
from tarpit.classify import scoring_config
from tarpit.judgement import Judgement
from tarpit.services import Services
from tarpit.smtp.commands import parse
from tarpit.smtp.dialogue import Dialogue
from tarpit.store import DAY, History, Remembered
from tests.support.dns_zone import FakeResolver
from tests.support.wires import load, stage

SIGNALS: Final = st.sampled_from(
    ["dnsbl:bl.example", "rdns", "helo", "spf", "rhsbl:n.example:helo", "rhsbl:n.example:mail", "rate:peer"]
)
POINTS: Final = st.sampled_from([-4.0, -1.0, 0.0, 0.5, 2.0, 3.0, 7.0])
FINDINGS: Final = st.lists(
    st.builds(Finding, SIGNALS, st.just(Result.LISTED), POINTS, st.just("why"), basis=st.sampled_from(Basis)),
    max_size=3,
    unique_by=lambda finding: finding.signal,
).map(tuple)
KEPT: Final = st.lists(FINDINGS, min_size=1, max_size=2)  # so that the same ones come again
HISTORIES: Final = st.builds(
    History,
    good=st.sampled_from([0.0, 1.0, 3.0, 30.0]),
    bad=st.sampled_from([0.0, 0.1, 20.0]),
    offences=st.sampled_from([0.0, 1.0, 2.0]),
    occasions=st.sampled_from([0.0, 9.0]),
    last=st.just(DAY),
)
PASTS: Final = st.lists(HISTORIES, min_size=1, max_size=2)
HEARD: Final = ["recall", "hello", "mail", "domain", "weigh", "rule"]
DONE: Final = ["junk", "denied", "accepted", "data", "early", "trap", "left"]
STEPS: Final = st.lists(
    st.tuples(st.sampled_from(HEARD) | st.sampled_from(HEARD + DONE), st.integers(0, 1)), max_size=12
)
HELLO, RCPT = parse(b"EHLO peer.example"), parse(b"RCPT TO:<you@there.example>")


class Anew:
    """A peer's judgement, beside it the verdict that adding everything anew at each change comes to."""

    def __init__(self, services: Services) -> None:
        self.dialogue = Dialogue()
        self.judgement = Judgement(services, self.dialogue)
        self.scorer = Scorer(scoring_config(services.settings), FakeResolver({}))
        self.verdict = services.classifier.unscored
        self.ruled = self.verdict.with_findings(
            Finding("denylist", Result.LISTED, 10.0, "", basis=Basis.CONDUCT)
        )
        self.seen = 0  # offences
        self.had_mail = False

    def weigh(self) -> None:
        self.seen = self.dialogue.offences.count
        if self.judgement.scored:
            self.verdict = self.scorer.with_conduct(self.verdict, self.judgement.conduct())

    def hear(self, what: str, findings: tuple[Finding, ...], history: History) -> None:
        """Have others say something, to both."""
        judgement = self.judgement
        match what:
            case "recall":
                self.verdict = replace(self.ruled, findings=findings)
                judgement.recall(self.verdict, Remembered.of(self.verdict, 5.0, history))
                self.weigh()
            case "hello" | "mail":
                self.add(findings, new_mail=what == "mail")
            case "domain":
                before = judgement.remembered
                judgement.remembered = Remembered.of(before.verdict, before.age, before.peer, history)
                self.add(findings, new_mail=True)
            case "weigh":
                judgement.weigh()
                self.weigh()
            case "rule":
                judgement.rule(self.ruled)
                self.verdict = self.ruled

    def do(self, what: str) -> None:
        """Have the peer do something, and both see it."""
        judgement, dialogue = self.judgement, self.dialogue
        match what:
            case "junk":
                dialogue.lines.receive(b"NONSENSE\r\n")
                heard = dialogue.next_heard()
                assert heard is not None
                dialogue.settle(heard, 500)
            case "denied":
                dialogue.settle(RCPT, 550)
            case "accepted":
                dialogue.settle(HELLO, 250)
                dialogue.accepted += 1
            case "data":
                dialogue.messages += 1
            case "early":
                new = not judgement.pregreet
                judgement.spoke_early()
                if new:
                    self.weigh()
            case "trap":
                judgement.trapped()
                self.weigh()
            case "left":
                judgement.hung_up()
                self.weigh()

    def add(self, findings: tuple[Finding, ...], *, new_mail: bool) -> None:
        self.judgement.add(findings, new_mail=new_mail)
        if new_mail and self.had_mail:
            kept = (one for one in self.verdict.findings if not one.signal.endswith(":mail"))
            self.verdict = replace(self.verdict, findings=tuple(kept))
        self.had_mail = self.had_mail or new_mail
        self.verdict = self.verdict.with_findings(*findings)
        self.weigh()

    def check(self, *, read: bool) -> None:
        """Compare; *read* is whether the verdict is looked at, which is when it is made."""
        treatment = self.judgement.treatment
        if self.dialogue.offences.count != self.seen:
            self.weigh()
        assert treatment is self.judgement.would_be is policy.choose_treatment(self.verdict)
        if read:
            assert self.judgement.verdict == self.verdict
            assert self.judgement.verdict.score == self.verdict.score
            assert [finding for finding, _ in self.judgement.findings()] == list(self.verdict.findings)


async def test_what_is_kept_apart_adds_up(autojump_clock: MockClock) -> None:
    """Whatever is said and done in whatever order: findings, points and treatment are those of all of it."""
    async with stage(load(), FakeResolver({})) as around:

        @given(STEPS, KEPT, PASTS, st.integers(1, 3))
        @settings(max_examples=500, deadline=None)
        def law(
            steps: list[tuple[str, int]],
            kept: list[tuple[Finding, ...]],
            pasts: list[History],
            often: int,
        ) -> None:
            one = Anew(around.services)
            for number, (what, which) in enumerate(steps):
                one.hear(what, kept[which % len(kept)], pasts[which % len(pasts)])
                one.do(what)
                one.check(read=number % often == 0)
            one.check(read=True)

        law()
