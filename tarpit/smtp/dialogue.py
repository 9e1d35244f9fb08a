"""One dialogue as far as it has come: the lines not yet read, the state, and the facts so far.

`server` (our own half) and `observer` (in the path of somebody else's) both move it; when a suspect
is joined to the backend in mid-session, the observer takes over the server's dialogue as it stands.
"""

from tarpit.smtp.commands import Command, Hello, Mail, Malformed, Rcpt, Verb, parse
from tarpit.smtp.lines import LineFault, Lines
from tarpit.smtp.states import State, after, after_content

Heard = Command | LineFault


class Dialogue:
    """State and facts. All counts are of this session."""

    __slots__ = (
        "accepted",
        "hello",
        "lines",
        "mail",
        "messages",
        "refused",
        "standing",
        "state",
        "transactions",
    )

    def __init__(self) -> None:
        self.lines = Lines()
        self.state = State.GREETED
        self.hello: Hello | None = None  # the last one accepted
        self.mail: Mail | None = None  # the open transaction's, else the last one's
        self.transactions = 0  # reverse-paths accepted
        self.accepted = 0  # recipients
        self.refused = 0  # recipients
        self.standing = 0  # recipients of the open transaction
        self.messages = 0  # ends of data answered with 2xx

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
        return parse(line) if isinstance(line, bytes) else line

    def close(self) -> None:
        """Nothing more will be read or said."""
        self.state = State.CLOSED

    def settle(self, heard: Heard, code: int) -> None:
        """Take note that *heard* was answered with *code*."""
        if isinstance(heard, LineFault):
            if heard.fatal or code == 421:
                self.close()
            return
        if heard.verb is Verb.BDAT:
            self.close()  # what follows is raw content, not commands
            return
        if isinstance(heard, Malformed):
            self.state = State.CLOSED if code in {421, 521} else self.state
            return
        self.state = after(self.state, heard.verb, code)
        accepted = code < 400
        if self.state is State.READY:
            self.standing = 0  # no transaction is open
        match heard:
            case Hello() if accepted:
                self.hello = heard
            case Mail() if accepted:
                self.mail = heard
                self.transactions += 1
                self.standing = 0
            case Rcpt() if accepted:
                self.accepted += 1
                self.standing += 1
            case Rcpt():
                self.refused += 1
            case _:
                pass

    def settle_content(self, code: int) -> None:
        """Take note that the end of data was answered with *code*."""
        self.state = after_content(code)
        self.standing = 0
        self.messages += code // 100 == 2
