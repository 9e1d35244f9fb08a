"""What is thought of one peer in the course of its session, and how it is treated and paced for it.

The verdict of the connection is where it begins. What others say of its names is added when they have
answered (`inquiries`), what it does itself as soon as it has done it: the dialogue counts, and each time
its count of offences has moved, the verdict is weighed anew.

The one idea: what others say and what the peer does are kept apart, for each changes without the other. What
others say is mostly what they said in its last session; what a peer has done is looked at again when it has
done something. The verdict of both is made when somebody reads it: for most peers once, to be told.

All rules are elsewhere, and pure: points in `scoring`, treatments and paces in `policy`.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from scoring import Conduct, Finding, Verdict
from scoring.verdict import UNKNOWN_HOST, HostName, Recalled, aged
from tarpit import policy
from tarpit.pace import FULL_SPEED, Pace, Stage
from tarpit.policy import ReadPace, Shown, Treatment
from tarpit.settings import Mode
from tarpit.smtp.dialogue import Dialogue
from tarpit.store import NOTHING, Remembered

if TYPE_CHECKING:
    from tarpit.drip import Account
    from tarpit.services import Services

# What is remembered of a peer, of its HELO name and of its reverse-path comes together in the same way in
# most of its sessions, and a verdict keeps what that gives (`Verdict.joined`). What is said after that is
# added anew: else a session of a thousand messages would leave a thousand verdicts.
RECALLED: Final = 3

NEITHER: Final = (0, 0)  # messages that speak for a peer, and offences that speak against it


class Judgement:
    """One peer's."""

    __slots__ = (
        "_before",
        "_dialogue",
        "_mail_added",
        "_offences",
        "_others",
        "_own",
        "_recalled",
        "_services",
        "_treatment",
        "_verdict",
        "account",
        "began",
        "left",
        "pregreet",
        "pregreet_after",
        "remembered",
        "scored",
        "spared",
        "traps",
        "waited",
    )

    def __init__(self, services: "Services", dialogue: Dialogue) -> None:
        self._services = services
        self._dialogue = dialogue
        self.account: Account | None = None  # what slowness has come to
        self.began = services.clock()
        self.scored = False  # whether anybody was asked
        self.spared = False  # a suspect that is not slowed: joined to a backend, or one too many
        self.pregreet = False
        self.pregreet_after = 0.0  # seconds since the connection
        self.left = ("", 0.0)  # the phase in which it hung up without QUIT, and the second
        self.traps = 0  # recipients asked for that nobody honest knows
        self.waited = 0.0  # seconds that a backend took to say what comes next
        self.remembered: Remembered = NOTHING
        self._mail_added = False  # whether anything was added of a reverse-path
        self._offences = 0  # how many have been weighed
        self._recalled: tuple[Recalled, ...] = ()  # what was remembered, and is not aged before it is told
        self._others: Verdict = services.classifier.unscored  # what others say
        self._own: tuple[Finding, ...] = ()  # what the peer has done
        self._before: tuple[int, int] | None = NEITHER  # what that rests on, where it is history alone
        self._verdict: Verdict | None = self._others  # of both, once it was read
        self._treatment = Treatment.PASS

    # -- what is known

    @property
    def verdict(self) -> Verdict:
        """What others say and what the peer has done, as far as it is weighed."""
        if self._verdict is None:
            self._verdict = self._others.with_findings(*self._own)
        return self._verdict

    def adopt(self, verdict: Verdict) -> None:
        """Take *verdict* as all that is known of the peer now."""
        self._others, self._own, self._before = verdict, (), NEITHER
        self._treat()

    def recall(self, verdict: Verdict, remembered: Remembered) -> None:
        """Take the *verdict* of the connection, and what is *remembered*, as what is known by now."""
        self.remembered = remembered
        self.scored = True
        if remembered.verdict is not None:
            self._recalled = ((remembered.verdict.findings, remembered.age),)
        self._others = verdict
        self.weigh()

    def add(self, findings: tuple[Finding, ...], *, new_mail: bool, age: float = 0.0) -> None:
        """Add what others say of the names that the peer has given, and have said *age* seconds ago.

        Of a *new_mail* it stands in the place of what lists said of the reverse-path before.
        """
        others = self._others
        if new_mail:
            if self._mail_added and any(map(_about_mail, others.findings)):
                kept = tuple(one for one in others.findings if not _about_mail(one))
                others = replace(others, findings=kept)
            self._mail_added = True
        if len(self._recalled) < RECALLED:
            self._recalled = (*self._recalled, (findings, age))
            self._others = others.joined(findings)
        else:
            self._others = others.with_findings(*aged(findings, age))
        self.weigh()

    def findings(self) -> list[tuple[Finding, float]]:
        """Return all findings, each with the seconds for which it had been remembered."""
        ages = {id(finding): age for findings, age in self._recalled for finding in findings}
        return [(finding, ages.get(id(finding), 0.0)) for finding in self.verdict.findings]

    def rule(self, verdict: Verdict) -> None:
        """Take what the operator has just said of the peer in the place of all that was found out."""
        self.adopt(verdict)
        self.scored = False

    def weigh(self) -> None:
        """Add to the verdict what the peer has done by now."""
        self._offences = self._dialogue.offences.count
        if self.scored:
            shown = self._offences or self.pregreet or self.traps or self.left[0]
            before = None if shown else (self.remembered.good_before, self.remembered.bad_before)
            if shown or before != self._before:  # of most peers both are as they were
                self._before = before
                self._own = self._services.classifier.conduct_findings(self.conduct())
        self._treat()

    def _treat(self) -> None:
        """Choose the treatment that what is known now asks for."""
        others, own = self._others, self._own
        clean = others.score < others.suspect_at  # most are: a call less for each, four times a session
        if not own:
            self._verdict = others
            self._treatment = Treatment.PASS if clean else policy.choose_treatment(others)
            return
        self._verdict = None
        # What speaks for a peer makes no verdict worse: that of a clean peer known as good need not be made.
        better = clean and all(finding.points <= 0 for finding in own)
        self._treatment = Treatment.PASS if better else policy.choose_treatment(self.verdict)

    def spoke_early(self) -> None:
        """Take note that the peer spoke before its banner."""
        if not self.pregreet:
            self.pregreet, self.pregreet_after = True, self._services.clock() - self.began
            self.weigh()

    def trapped(self) -> None:
        """Take note that the peer asked for a recipient that nobody honest knows."""
        self.traps += 1
        self.weigh()

    def hung_up(self) -> None:
        """Take note that the peer has left without QUIT."""
        self.left = (self._dialogue.state.value, self._services.clock() - self.began)
        self.weigh()

    def conduct(self) -> Conduct:
        """Return what the peer has done so far."""
        dialogue, wrong = self._dialogue, self._dialogue.offences
        return Conduct(
            pregreet=self.pregreet,
            pregreet_after=self.pregreet_after,
            pregreet_hello=self.pregreet and dialogue.hello is not None,
            early_pipelining=wrong.early,
            out_of_turn=wrong.out_of_turn,
            junk=wrong.junk,
            not_smtp=wrong.not_smtp,
            bare_newline=wrong.bare_newline,
            recipients=dialogue.accepted + dialogue.refused,
            recipients_refused=wrong.denied,
            traps=self.traps,
            messages=dialogue.messages,
            messages_refused=wrong.messages_refused,
            left=self.left[0],
            left_after=self.left[1],
            good_before=self.remembered.good_before,
            bad_before=self.remembered.bad_before,
        )

    @property
    def host(self) -> HostName:
        """The forward-confirmed name, as far as it was asked for."""
        return self._others.host if self.scored else UNKNOWN_HOST

    # -- what follows

    @property
    def treatment(self) -> Treatment:
        """What this peer gets now."""
        if self._dialogue.offences.count != self._offences:
            self.weigh()
        return self._treatment if self._services.mode is Mode.ENFORCE else Treatment.PASS

    @property
    def would_be(self) -> Treatment:
        """What the verdict, as far as it is weighed, asks for in the mode `enforce`."""
        return self._treatment

    def pace_for(self, stage: Stage) -> Pace:
        """Return the pace of the next reply."""
        if self.spared or self.treatment is Treatment.PASS:
            return FULL_SPEED
        waited, self.waited = self.waited, 0.0
        return policy.choose_pace(
            self.verdict,
            stage,
            self._services.patience,
            load=self._services.load,
            spent=self._services.clock() - self.began if stage is Stage.BANNER else self._held,
            waited=waited,
            shown=self._shown(),
        )

    def read_pace(self) -> ReadPace:
        """Return how the message that comes now is read."""
        if self.spared or self.treatment is Treatment.PASS:
            return policy.READ_AT_ONCE
        return policy.choose_read_pace(
            self.verdict,
            self._services.patience,
            load=self._services.load,
            spent=self._held,
            shown=self._shown(),
        )

    @property
    def _held(self) -> float:
        return self.account.held_seconds if self.account else 0.0

    def _shown(self) -> Shown:
        dialogue, wrong = self._dialogue, self._dialogue.offences
        return Shown(
            messages=dialogue.messages,
            good_before=self.remembered.good_before,
            offences=wrong.denied + wrong.out_of_turn + wrong.junk,
        )


def _about_mail(finding: Finding) -> bool:
    return finding.signal.startswith("rhsbl:") and finding.signal.endswith(":mail")
