"""One dialogue as far as it has come: the lines not yet read, the state, and the facts so far.

What a peer does wrong is counted here, because here every command meets its reply, whoever gave it;
`offences` moves with each, so that a reader need look only when it has. What that weighs is `scoring`.

`server` (our own half) and `observer` (in the path of somebody else's) both move it; when a suspect
is joined to the backend in mid-session, the observer takes over the server's dialogue as it stands.
"""

from collections.abc import Callable

from tarpit.smtp.commands import Command, Hello, Mail, Malformed, Rcpt, SyntaxFault, Verb, parse
from tarpit.smtp.limits import USUAL, Limits, Tally
from tarpit.smtp.lines import LineFault, Lines
from tarpit.smtp.replies import Reply
from tarpit.smtp.states import State, after, after_content

Heard = Command | LineFault


class Dialogue:
    """State and facts. All counts are of this session."""

    __slots__ = (
        "_limits",
        "accepted",
        "bare_newline",
        "denied",
        "early",
        "hello",
        "junk",
        "keywords",
        "lines",
        "mail",
        "messages",
        "messages_refused",
        "not_smtp",
        "offences",
        "out_of_turn",
        "refused",
        "standing",
        "state",
        "tally",
        "transactions",
    )

    def __init__(self, limits: Callable[[], Limits] = Limits) -> None:
        self._limits = limits  # asked anew each time: they are strained while we are nearly full
        self.tally = Tally()
        self.lines = Lines()
        self.state = State.GREETED
        self.hello: Hello | None = None  # the last one accepted
        self.keywords: tuple[bytes, ...] = ()  # what the last EHLO was shown
        self.mail: Mail | None = None  # the open transaction's, else the last one's
        self.transactions = 0  # reverse-paths accepted
        self.accepted = 0  # recipients
        self.refused = 0  # recipients, for now or for good
        self.denied = 0  # recipients, for good
        self.standing = 0  # recipients of the open transaction
        self.messages = 0  # ends of data answered with 2xx
        self.messages_refused = 0  # ends of data answered with 5xx
        self.out_of_turn = 0  # commands answered with 503
        self.junk = 0  # commands unknown or malformed
        self.not_smtp = ""  # what it spoke instead of SMTP
        self.bare_newline = False
        self.early = False  # several commands at once, and PIPELINING was not shown
        self.offences = 0  # moves with each of these, and with each recipient denied

    @property
    def closed(self) -> bool:
        """Whether nothing more is to be said."""
        return self.state is State.CLOSED

    @property
    def helo(self) -> str | None:
        """The HELO name, as the peer gave it."""
        return self.hello.name if self.hello else None

    def next_heard(self) -> Heard | None:
        """Return the next command or fault in order, or None when more bytes are needed."""
        line = self.lines.next_line()
        if line is None:
            return None
        if len(self.lines) and not self.early and b"PIPELINING" not in self.keywords:
            self.early = True
            self.offences += 1
        return parse(line) if isinstance(line, bytes) else line

    def peek(self) -> Command | None:
        """Return the next command, which stays unread; None when there is no whole and sound line yet."""
        line = self.lines.peek()
        return None if line is None else parse(line)

    def excess(self, heard: Heard) -> Reply | None:
        """Return our 421 or 452 where *heard* is one too many of its kind; None where it may be served."""
        return self.tally.judge(heard, self._limits_now(), standing=self.standing)

    @property
    def room(self) -> int:
        """How many more recipients the open transaction may get."""
        return self._limits_now().recipients - self.standing

    def _limits_now(self) -> Limits:
        """Return the limits that hold: mail that has a recipient is not cut short by load."""
        return USUAL if self.standing else self._limits()

    def close(self) -> None:
        """Nothing more will be read or said."""
        self.state = State.CLOSED

    def settle(self, heard: Heard, code: int) -> None:
        """Take note that *heard* was answered with *code*."""
        self.tally.count(heard, code)
        if isinstance(heard, LineFault | Malformed):
            self._settle_fault(heard, code)
            return
        if heard.verb is Verb.BDAT:
            self.close()  # what follows is raw content, not commands
            return
        self.state = after(self.state, heard.verb, code)
        if self.state is State.READY:
            self.standing = 0  # no transaction is open
        if code == 503 and not self._follows_refusal(heard):
            self.out_of_turn += 1
            self.offences += 1
        if code < 400:
            self._settle_accepted(heard)
        elif isinstance(heard, Rcpt):
            self.refused += 1
            self.denied += code >= 500
            self.offences += code >= 500

    def settle_content(self, code: int) -> None:
        """Take note that the end of data was answered with *code*."""
        self.tally.count_content(code)
        self.state = after_content(code)
        self.standing = 0
        self.messages += code // 100 == 2
        if code >= 500:
            self.messages_refused += 1
            self.offences += 1

    def _follows_refusal(self, heard: Command) -> bool:
        """Whether a command out of order may have been sent before a refusal put it there (RFC 2920)."""
        return heard.verb in {Verb.RCPT, Verb.DATA} and b"PIPELINING" in self.keywords

    def _settle_accepted(self, heard: Command) -> None:
        match heard:
            case Hello():
                self.hello = heard
            case Mail():
                self.mail = heard
                self.transactions += 1
                self.standing = 0
            case Rcpt():
                self.accepted += 1
                self.standing += 1
            case _:
                pass

    def _settle_fault(self, heard: LineFault | Malformed, code: int) -> None:
        self.offences += 1
        self.junk += 1
        if isinstance(heard, LineFault):
            self.bare_newline |= heard is LineFault.BARE_LF
            self.not_smtp = self.not_smtp or ("tls" if heard is LineFault.TLS else "")
            closed = heard.fatal
        else:
            self.not_smtp = self.not_smtp or _instead_of_smtp(heard)
            closed = heard.verb is Verb.BDAT
        if closed or code in {421, 521}:
            self.close()


def _instead_of_smtp(heard: Malformed) -> str:
    """Return what a line is that is no SMTP: a header field has a colon, an HTTP request none so early."""
    if heard.fault is not SyntaxFault.NOT_SMTP:
        return ""
    return "header" if heard.line.partition(b" ")[0].endswith(b":") else "http"
