"""One dialogue as far as it has come: the lines not yet read, the state, and the facts so far.

What a peer does wrong (`offences`) is counted here: here each command meets its reply, whoever gave it.

`server` (our own half) and `observer` (in the path of somebody else's) both move it; when a suspect
is joined to the backend in mid-session, the observer takes over the server's dialogue as it stands.
"""

from collections.abc import Callable

from tarpit.smtp.commands import SOUND, Command, Hello, Mail, Malformed, Rcpt, SyntaxFault, Verb, parse
from tarpit.smtp.limits import FEWEST, FRESH, UNCOUNTED, USUAL, Limits, Tally
from tarpit.smtp.lines import LineFault, Lines
from tarpit.smtp.offences import NONE, Offences
from tarpit.smtp.replies import Reply
from tarpit.smtp.states import State, after, after_content

Heard = Command | LineFault
_BDAT, _DATA, _QUIT = Verb.BDAT, Verb.DATA, Verb.QUIT  # by names of their own, as in `commands`
_CLOSED, _READY = State.CLOSED, State.READY


class Dialogue:
    """State and facts. All counts are of this session."""

    __slots__ = (
        "_limits",
        "accepted",
        "hello",
        "keywords",
        "lines",
        "mail",
        "mended",
        "messages",
        "offences",
        "parted",
        "proxied",
        "refused",
        "secure",
        "standing",
        "state",
        "tally",
        "transactions",
    )

    def __init__(self, limits: Callable[[], Limits] = Limits) -> None:
        self._limits = limits  # asked anew each time: they are strained while we are nearly full
        self.tally = FRESH  # of what leads to no message; an own one when something counts: many say nothing
        self.lines = Lines()
        self.state = State.GREETED
        self.secure = False  # whether it goes on inside TLS that ends with us
        self.hello: Hello | None = None  # the last one accepted
        self.keywords: tuple[bytes, ...] = ()  # what the last EHLO was shown
        self.mail: Mail | None = None  # the open transaction's, else the last one's
        self.transactions = 0  # reverse-paths accepted
        self.accepted = 0  # recipients
        self.refused = 0  # recipients, for now or for good
        self.standing = 0  # recipients of the open transaction
        self.messages = 0  # ends of data answered with 2xx
        self.mended = 0  # messages whose bare newlines were mended
        self.parted = False  # whether the peer has said QUIT: what is closed without it was refused
        self.proxied = False  # whether a PROXY header has named the peer; a second one is an intrusion
        self.offences = NONE  # what the peer has done wrong

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
        return self.heard_in(b"")

    def heard_in(self, data: bytes) -> Heard | None:
        """Take what the peer sent, and return what `next_heard` does then."""
        line = self.lines.next_of(data)
        if line is None:
            return None
        if self.lines.held and not self.offences.early and b"PIPELINING" not in self.keywords:
            self._offence().early = True
        return parse(line) if isinstance(line, bytes) else line

    def peek(self) -> Command | None:
        """Return the next command, which stays unread; None when there is no whole and sound line yet."""
        line = self.lines.peek()
        return None if line is None else parse(line)

    def excess(self, heard: Heard) -> Reply | None:
        """Return our 421 or 452 where *heard* is one too many of its kind; None where it may be served."""
        if self.tally.spotless and self.standing < FEWEST:
            return None
        return self.tally.judge(heard, self._limits_now(), standing=self.standing)

    @property
    def room(self) -> int:
        """How many more recipients the open transaction may get."""
        return self._limits_now().recipients - self.standing

    def _limits_now(self) -> Limits:
        """Return the limits that hold: mail that has a recipient is not cut short by load."""
        return USUAL if self.standing else self._limits()

    def stuffed(self, heard: Heard) -> bool:
        """Close, and return True, if DATA was refused and content came along (PIP-03).

        Then not one byte of it may be read as a command.
        """
        if not self.lines.held or self.state is State.DATA:
            return False
        if stuffed := heard.verb is _DATA:
            self.close()
        return stuffed

    def close(self) -> None:
        """Nothing more will be read or said."""
        self.state = State.CLOSED

    def settle(self, heard: Heard, code: int) -> None:
        """Take note that *heard* was answered with *code*."""
        if not isinstance(heard, SOUND):
            self._account().count(heard, code)
            self._settle_fault(heard, code)
            return
        verb = heard.verb
        if code >= 400 or verb not in UNCOUNTED:
            self._account().count(heard, code)
        if verb is _BDAT:
            self.close()  # what follows is raw content, not commands
            return
        self.state = state = after(self.state, verb, code)
        self.parted = verb is _QUIT and state is _CLOSED
        if state is _READY:
            self.standing = 0  # no transaction is open
        if code >= 400:
            self._settle_refused(heard, code)
        elif isinstance(heard, Rcpt):
            self.accepted += 1
            self.standing += 1
        elif isinstance(heard, Mail):
            self.mail = heard
            self.transactions += 1
            self.standing = 0
        elif isinstance(heard, Hello):
            self.hello = heard

    def restart(self) -> None:
        """Begin anew inside TLS: no name and no envelope from before counts (RFC 3207 section 4.2).

        What the peer has done stays done.
        """
        self.state, self.secure = State.GREETED, True
        self.hello, self.mail, self.keywords, self.standing = None, None, (), 0
        self._account().greeted = False

    def settle_content(self, code: int) -> None:
        """Take note that the end of data was answered with *code*."""
        self._account().count_content(code)
        self.state = after_content(code)
        self.standing = 0
        self.messages += code // 100 == 2
        if code >= 500:
            self._offence().messages_refused += 1

    def _follows_refusal(self, heard: Command) -> bool:
        """Whether a command out of order may have been sent before a refusal put it there (RFC 2920)."""
        return heard.verb in {Verb.RCPT, Verb.DATA} and b"PIPELINING" in self.keywords

    def _settle_refused(self, heard: Command, code: int) -> None:
        if code == 503 and not self._follows_refusal(heard):
            self._offence().out_of_turn += 1
        if isinstance(heard, Rcpt):
            self.refused += 1
            if code >= 500:
                self._offence().denied += 1

    def _settle_fault(self, heard: LineFault | Malformed, code: int) -> None:
        offences = self._offence()
        offences.junk += 1
        if isinstance(heard, LineFault):
            offences.bare_newline |= heard is LineFault.BARE_LF
            offences.not_smtp = offences.not_smtp or ("tls" if heard is LineFault.TLS else "")
            closed = heard.fatal
        else:
            offences.not_smtp = offences.not_smtp or _instead_of_smtp(heard)
            closed = heard.verb is Verb.BDAT or (self.proxied and _names_a_peer(heard.line))
        if closed or code in {421, 521}:
            self.close()

    def _account(self) -> Tally:
        """Return where to count."""
        if self.tally is FRESH:
            self.tally = Tally()
        return self.tally

    def _offence(self) -> Offences:
        """Count one, and return where to note which."""
        if self.offences is NONE:
            self.offences = Offences()
        self.offences.count += 1
        return self.offences


def _names_a_peer(line: bytes) -> bool:
    return line[:6].upper() == b"PROXY "


def _instead_of_smtp(heard: Malformed) -> str:
    """Return what a line is that is no SMTP: a header field has a colon, an HTTP request none so early."""
    if heard.fault is not SyntaxFault.NOT_SMTP:
        return ""
    return "header" if heard.line.partition(b" ")[0].endswith(b":") else "http"
