"""Our own half of a dialogue: what we answer a peer who has no backend.

`judge` gives the reply to a command, or None where only the backend may answer (RCPT, DATA, STARTTLS);
`settle` moves the dialogue once a reply was decided. Nothing is sent or waited for here; how
slowly it is said is not known here. RFC 5321; enhanced codes by RFC 3463.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from tarpit.smtp.commands import Hello, Mail, Malformed, Rcpt, SyntaxFault, Verb
from tarpit.smtp.dialogue import Dialogue, Heard
from tarpit.smtp.lines import LineFault
from tarpit.smtp.replies import Reply
from tarpit.smtp.states import State, in_order

V = Verb

OURS: Final = frozenset({V.BDAT, V.AUTH, V.VRFY, V.EXPN, V.HELP})  # no backend hears them

OK: Final = Reply.of(250, "2.0.0 Ok")
OUT_OF_ORDER: Final = Reply.of(503, "5.5.1 Bad sequence of commands")
STUFFED: Final = Reply.of(554, "5.5.0 Content sent before it was asked for")
NO_RECIPIENTS: Final = Reply.of(554, "5.5.1 No valid recipients")  # nothing is out of order: all were refused
NO_BACKEND: Final = Reply.of(451, "4.3.0 Mail server temporarily unavailable, try again later")
STOPPING: Final = Reply.of(421, "4.3.2 Service shutting down, try again later")
NO_STARTTLS: Final = Reply.of(502, "5.5.1 STARTTLS is not available")
SENDER_OK: Final = Reply.of(250, "2.1.0 Ok")
UNKNOWN_PARAMETER: Final = Reply.of(555, "5.5.4 Parameter not recognized")
NOT_ASCII: Final = Reply.of(553, "5.6.7 Address beyond ASCII without SMTPUTF8")
SILENT: Final = Reply.of(421, "4.4.2 Timeout, closing connection")
BUSY: Final = Reply.of(421, "4.3.2 Too busy, try again later")
UNREACHABLE: Final = Reply.of(421, "4.3.0 Mail server temporarily unavailable, try again later")

PLAIN: Final[Mapping[Verb, Reply]] = {
    V.NOOP: OK,
    V.RSET: OK,
    V.QUIT: Reply.of(221, "2.0.0 Bye"),
    V.HELP: Reply.of(214, "2.0.0 See RFC 5321"),
    V.VRFY: Reply.of(252, "2.5.2 Cannot VRFY, send some mail and I will try"),
    V.EXPN: Reply.of(502, "5.5.1 EXPN is not available"),
    V.AUTH: Reply.of(502, "5.5.1 AUTH is not available here"),
    V.BDAT: Reply.of(503, "5.5.1 CHUNKING was not offered"),
    V.DATA: Reply.of(503, "5.5.1 No valid recipients"),
}
SYNTAX: Final[Mapping[SyntaxFault, Reply]] = {
    SyntaxFault.UNKNOWN_VERB: Reply.of(500, "5.5.2 Command not recognized"),
    SyntaxFault.CONTROL: Reply.of(500, "5.5.2 Control character in command"),
    SyntaxFault.TOO_LONG: Reply.of(500, "5.5.2 Line too long"),
    SyntaxFault.BAD_ARGUMENT: Reply.of(501, "5.5.4 Syntax error in argument"),
    SyntaxFault.BAD_PATH: Reply.of(501, "5.1.7 Syntax error in address"),
    SyntaxFault.BAD_PARAMETER: Reply.of(501, "5.5.4 Syntax error in parameter"),
    SyntaxFault.EIGHT_BIT: Reply.of(501, "5.5.2 8-bit text not allowed here"),
    SyntaxFault.NOT_SMTP: Reply.of(521, "5.5.1 This is a mail server"),
}
LINE: Final[Mapping[LineFault, Reply]] = {
    LineFault.BARE_LF: Reply.of(500, "5.5.2 Bare newline in command, lines end in CRLF"),
    LineFault.TOO_LONG: SYNTAX[SyntaxFault.TOO_LONG],
    LineFault.FLOOD: Reply.of(421, "4.7.0 Line too long, closing connection"),
    LineFault.TLS: Reply.of(500, "5.5.2 TLS must be asked for with STARTTLS"),
}


def refusal(heard: Heard) -> Reply | None:
    """Return our answer to what is malformed in itself and must reach no backend; None to what is sound."""
    if isinstance(heard, LineFault):
        return LINE[heard]
    if isinstance(heard, Malformed):
        return SYNTAX[heard.fault]
    return PLAIN[heard.verb] if heard.verb in OURS else None


def refusal_in(dialogue: Dialogue, heard: Heard) -> Reply | None:
    """Return our answer to what must reach no backend as things stand: too much, malformed, unannounced."""
    return dialogue.excess(heard) or refusal(heard) or _unannounced(dialogue, heard)


def _unannounced(dialogue: Dialogue, heard: Heard) -> Reply | None:
    """Return our answer to an address beyond ASCII that MAIL did not announce, or could not (RFC 6531)."""
    if not isinstance(heard, (Mail, Rcpt)) or heard.line.isascii() or heard.path.is_ascii:
        return None
    mail = heard if isinstance(heard, Mail) else dialogue.mail
    announced = mail is not None and mail.smtputf8 and b"SMTPUTF8" in dialogue.keywords
    return None if announced else NOT_ASCII


class Server:
    """The answers of our half, under a host name and with the EHLO keywords we may show; for any dialogue."""

    __slots__ = ("_hello", "_known", "banner", "keywords")

    def __init__(self, *, hostname: str, keywords: Sequence[bytes] = ()) -> None:
        name = hostname.encode("ascii", "replace")
        self.keywords = tuple(keywords)
        self.banner = Reply(220, (name + b" ESMTP",)).encode()
        self._hello = {V.HELO: Reply(250, (name,)), V.EHLO: Reply(250, (name, *self.keywords))}
        self._known = frozenset(keyword.partition(b" ")[0].upper() for keyword in keywords)

    def judge(self, dialogue: Dialogue, heard: Heard) -> Reply | None:
        """Return our reply to *heard*, or None where more than we know is wanted (RCPT, DATA, STARTTLS)."""
        refused = refusal_in(dialogue, heard)
        if refused is not None:
            return refused
        assert not isinstance(heard, LineFault | Malformed)
        if not in_order(dialogue.state, heard.verb):
            lacks_recipients = heard.verb is V.DATA and dialogue.state is State.MAIL
            return PLAIN[V.DATA] if lacks_recipients else OUT_OF_ORDER
        match heard:
            case Hello():
                return self._hello[heard.verb]
            case Mail() | Rcpt() if heard.spaced:
                return SYNTAX[SyntaxFault.BAD_ARGUMENT]
            case Mail():
                return self._unknown_parameter(heard) or SENDER_OK
            case Rcpt():
                return self._unknown_parameter(heard)
            case _ if heard.verb is V.DATA:
                return None
            case _ if heard.verb is V.STARTTLS and dialogue.secure:
                return OUT_OF_ORDER
            case _ if heard.verb is V.STARTTLS:
                return None if b"STARTTLS" in self._known else NO_STARTTLS
            case _:
                return PLAIN[heard.verb]

    def settle(self, dialogue: Dialogue, heard: Heard, reply: Reply) -> None:
        """Take note of the reply that was decided on."""
        dialogue.settle(heard, reply.code)
        if isinstance(heard, Hello) and not reply.refused:
            dialogue.keywords = self.keywords if heard.verb is V.EHLO else ()

    def _unknown_parameter(self, heard: Mail | Rcpt) -> Reply | None:
        table = PARAMETERS if isinstance(heard, Mail) else RCPT_PARAMETERS
        known = (table.get(one.keyword, frozenset()) & self._known for one in heard.parameters)
        return None if all(known) else UNKNOWN_PARAMETER


# MAIL parameter -> the EHLO keywords that allow it
PARAMETERS: Final[Mapping[str, frozenset[bytes]]] = {
    "SIZE": frozenset({b"SIZE"}),
    "BODY": frozenset({b"8BITMIME"}),
    "SMTPUTF8": frozenset({b"SMTPUTF8"}),
    "RET": frozenset({b"DSN"}),
    "ENVID": frozenset({b"DSN"}),
    "BY": frozenset({b"DELIVERBY"}),
    "MT-PRIORITY": frozenset({b"MT-PRIORITY"}),
}
RCPT_PARAMETERS: Final[Mapping[str, frozenset[bytes]]] = {
    "NOTIFY": frozenset({b"DSN"}),
    "ORCPT": frozenset({b"DSN"}),
}
