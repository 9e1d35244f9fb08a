"""How much of what leads to no message one peer may say, and what it hears beyond that.

    error       a 5xx to anything but RCPT, the end of data included
    junk        a command that brings no message nearer: NOOP, RSET, VRFY, HELP, HELO again
    refused     a recipient with 5xx; too many only while they are the majority
    deferred    any 4xx; as many as a transaction may have recipients
    recipients  in one transaction; RCPT beyond hears 452 (RFC 5321 section 4.5.3.1.10)

The one idea: replies are counted, whoever wrote them, and judgement comes with the next command, which hears
421 in place of its answer. So SMTP stays lock-step, and our own half and the relay share one account.

A message that was accepted wipes the account clean, as in Postfix: a session of a thousand messages may have
an RSET between each two. 4xx is never an error: it is a greylist's or our own backend's doing, and who
is asked to come again must not be hung up on for it.

Recipients are judged by the majority, which Postfix (20 refusals, then 421) does not do: an old mailing list
has 30 dead addresses among its 200, and would never be delivered. A harvester's guesses are nearly all wrong.

Not here: from when the strained limits hold (`tarpit.limits`), and what a harvester's guesses say of it
(`scoring`).
"""

from dataclasses import dataclass
from typing import Final

from tarpit.smtp.commands import Command, Rcpt, Verb
from tarpit.smtp.lines import LineFault
from tarpit.smtp.replies import Reply

TOO_MANY: Final = Reply.of(421, "4.7.0 Too many errors, closing connection")
TOO_MANY_RECIPIENTS: Final = Reply.of(452, "4.5.3 Too many recipients")

HELLO: Final = frozenset({Verb.HELO, Verb.EHLO})
ALWAYS_JUNK: Final = frozenset({Verb.NOOP, Verb.RSET, Verb.VRFY, Verb.EXPN, Verb.HELP})
UNCOUNTED: Final = frozenset({Verb.MAIL, Verb.DATA, Verb.QUIT})  # once accepted
_RCPT: Final = Verb.RCPT
FEWEST: Final = 100  # recipients of a transaction that every limit has room for


@dataclass(frozen=True, slots=True)
class Limits:
    """How many since the last message that was accepted; *recipients* in one transaction.

    The defaults are Postfix's: smtpd_hard_error_limit, smtpd_junk_command_limit, smtpd_recipient_limit.
    """

    errors: int = 20
    junk: int = 100
    refused: int = 100
    recipients: int = 1000

    def __post_init__(self) -> None:
        assert self.recipients >= FEWEST, "RFC 5321 section 4.5.3.1.8"
        assert min(self.errors, self.junk, self.refused) >= 1, "who has done nothing has not done too much"


USUAL: Final = Limits()
# Postfix under stress (STRESS_README) closes at the first error. A list's dead addresses are no errors.
STRAINED: Final = Limits(errors=1, junk=1, refused=10)


class Tally:
    """The account of one session. A few integers, however much is said."""

    __slots__ = ("accepted", "deferred", "errors", "greeted", "junk", "refused", "spotless")

    def __init__(self) -> None:
        self.greeted = False
        self._wipe()

    def judge(self, heard: Command | LineFault, limits: Limits, *, standing: int) -> Reply | None:
        """Return 421 or 452 where *heard* is one too many, else None.

        *standing* are the recipients that the open transaction has. QUIT is always answered.
        """
        verb = heard.verb
        if verb is Verb.QUIT:
            return None
        if self._over(limits) or (self._is_junk(verb) and self.junk >= limits.junk):
            return TOO_MANY
        return TOO_MANY_RECIPIENTS if verb is Verb.RCPT and standing >= limits.recipients else None

    def count(self, heard: Command | LineFault, code: int) -> None:
        """Take note that *heard* was answered with *code*."""
        verb = heard.verb
        if code >= 500 and isinstance(heard, Rcpt):
            self.refused += 1
            self.spotless = False
        elif code >= 400:
            self._count_failure(code)
        elif verb is _RCPT:
            self.accepted += 1
        else:
            if self._is_junk(verb):
                self.junk += 1
                self.spotless = False
            self.greeted = self.greeted or verb in HELLO

    def count_content(self, code: int) -> None:
        """Take note that the end of data was answered with *code*."""
        if code >= 400:
            self._count_failure(code)
        else:
            self._wipe()

    def _wipe(self) -> None:
        self.errors = self.junk = self.refused = self.deferred = self.accepted = 0
        self.spotless = True  # whether nothing but what was accepted is counted, which is below every limit

    def _count_failure(self, code: int) -> None:
        self.errors += code >= 500
        self.deferred += code < 500
        self.spotless = False

    def _is_junk(self, verb: Verb) -> bool:
        return verb in ALWAYS_JUNK or (self.greeted and verb in HELLO)

    def _over(self, limits: Limits) -> bool:
        # Postfix too bears with another thousand recipients (smtpd_recipient_overshoot_limit): the sender had
        # sent them all at once, and the thousand that stand shall arrive
        harvest = self.refused >= limits.refused and self.refused > self.accepted
        return self.errors >= limits.errors or harvest or self.deferred >= limits.recipients


FRESH: Final = Tally()  # never written to
