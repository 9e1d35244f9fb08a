"""Command lines, as values: one line in, one `Command` out, whatever its bytes are.

The one idea: a line is known and well formed, or it is `Malformed` and never reaches a backend. Servers
read odd lines differently (` DATA`, `DATA` + NUL, `DATA` + TAB enter data mode on some and not on
others), so nothing odd is repaired: a command goes on as the bytes it came in (`.line`), or is
answered by us. Tolerated, as RFC 5321 section 4.1.1 asks: letters of either case, and a trailing space.

`SyntaxFault` says what is wrong; which reply code that earns is said by the one who speaks to the peer.

Not here: where lines end (`lines`), which command may come when (`states`), paths (`addresses`).
"""

import re
from enum import Enum
from typing import Final, TypeAlias

from tarpit.smtp.addresses import (
    USUAL,
    ForwardPath,
    Mailbox,
    ReversePath,
    parse_forward_path,
    parse_reverse_path,
    split_path,
)
from tarpit.smtp.values import value

LINE_LIMIT: Final = 510  # octets without CRLF: RFC 5321 section 4.5.3.1.4
ENVELOPE_LIMIT: Final = 2046  # MAIL and RCPT: their extensions add to the limit


class Verb(Enum):
    """The commands that are known. AUTH and BDAT are known so that they can be refused."""

    __hash__ = object.__hash__  # by identity, in C: these are keys on the path of every session

    HELO = b"HELO"
    EHLO = b"EHLO"
    MAIL = b"MAIL"
    RCPT = b"RCPT"
    DATA = b"DATA"
    RSET = b"RSET"
    NOOP = b"NOOP"
    QUIT = b"QUIT"
    VRFY = b"VRFY"
    EXPN = b"EXPN"
    HELP = b"HELP"
    STARTTLS = b"STARTTLS"
    AUTH = b"AUTH"
    BDAT = b"BDAT"
    UNKNOWN = b""


class SyntaxFault(Enum):
    """What is wrong with a command line."""

    UNKNOWN_VERB = "unknown verb"
    CONTROL = "control character or leading space"
    TOO_LONG = "line too long"
    BAD_ARGUMENT = "bad argument"
    BAD_PATH = "bad path"
    BAD_PARAMETER = "bad parameter"
    EIGHT_BIT = "8-bit character where none may be"
    NOT_SMTP = "not SMTP"


@value
class Parameter:
    """One ESMTP parameter; the keyword in capitals, the value as received."""

    keyword: str
    value: str | None = None


@value
class Hello:
    """HELO or EHLO; the name has no character that would need escaping in XCLIENT or a log."""

    verb: Verb
    line: bytes
    name: str


@value
class Mail:
    """MAIL FROM. `spaced`: there were spaces after the colon, which RFC 5321 forbids and many send."""

    verb: Verb
    line: bytes
    path: ReversePath
    parameters: tuple[Parameter, ...]
    spaced: bool = False

    @property
    def size(self) -> int | None:
        """The message size in bytes the peer has declared (RFC 1870): at most 20 digits, so any size."""
        values = [int(p.value) for p in self.parameters if p.keyword == "SIZE" and p.value is not None]
        return values[0] if values else None

    @property
    def smtputf8(self) -> bool:
        """Whether the peer asks for internationalized mail (RFC 6531)."""
        return any(p.keyword == "SMTPUTF8" for p in self.parameters)


@value
class Rcpt:
    """RCPT TO. `spaced` as in `Mail`."""

    verb: Verb
    line: bytes
    path: ForwardPath
    parameters: tuple[Parameter, ...]
    spaced: bool = False


@value
class Plain:
    """Every other known command; *argument* is what follows the verb's space."""

    verb: Verb
    line: bytes
    argument: bytes = b""


@value
class Malformed:
    """A line that must not go further. `verb` is the command it tried to be, where that is known."""

    verb: Verb
    line: bytes
    fault: SyntaxFault


Sound: TypeAlias = Mail | Rcpt | Plain | Hello
Command: TypeAlias = Sound | Malformed
SOUND: Final = (Mail, Rcpt, Plain, Hello)  # for `isinstance`

# the members that each session needs, by names of their own: an enumeration takes ten times as long
_EHLO, _MAIL, _RCPT = Verb.EHLO, Verb.MAIL, Verb.RCPT
_KNOWN: Final = {verb.value: verb for verb in Verb if verb is not Verb.UNKNOWN}
_BARE: Final = frozenset({Verb.DATA, Verb.RSET, Verb.QUIT, Verb.STARTTLS})  # these take no argument
# the lines that nearly all senders write, read at once: a third of the work, and less
_PLAIN: Final = {verb.value: Plain(verb, verb.value) for verb in _BARE}
_USUAL_HELLO: Final = re.compile(rb"EHLO [A-Za-z0-9.:_\[\]-]{1,255}+")
_USUAL_PATH: Final = re.compile(
    rb"(?:MAIL [Ff][Rr][Oo][Mm]|RCPT [Tt][Oo]):<" + USUAL + rb">( [ -~]{0,1700}+)?"
)
_HTTP: Final = frozenset(
    {b"GET", b"POST", b"CONNECT", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"TRACE", b"PRI"}
)
_ENVELOPE: Final = frozenset({Verb.MAIL, Verb.RCPT})
_TLS_HANDSHAKE: Final = b"\x16"  # the first byte of a ClientHello
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_HEADER: Final = re.compile(rb"([A-Za-z][A-Za-z0-9-]*+):")
_CONTENT: Final = re.compile(rb"[\0- ]*(DATA|BDAT)[\0- \x7f]", re.IGNORECASE)
_NAME: Final = re.compile(rb"[A-Za-z0-9.:_\[\]-]{1,255}")
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:=([!-<>-~]+))?")  # RFC 5321 section 4.1.2
# values of those that are read: RFC 1870 section 3; RFC 6152, without BINARYMIME, which BDAT alone can carry
_VALUES: Final = {"SIZE": re.compile(r"[0-9]{1,20}"), "BODY": re.compile(r"(?i:7BIT|8BITMIME)")}


def parse(line: bytes) -> Command:
    """Return the command in *line*, which comes without its CRLF. Never raises."""
    if (plain := _PLAIN.get(line)) is not None:
        return plain
    if (usual := _USUAL_PATH.fullmatch(line)) is not None:
        local, domain, rest = usual.groups()
        parameters = () if rest is None else _parse_parameters(rest)
        if parameters is None:
            return Malformed(_KNOWN[line[:4]], line, SyntaxFault.BAD_PARAMETER)
        mailbox = Mailbox(local.decode("ascii"), domain.decode("ascii"))
        if line.startswith(b"M"):
            return Mail(_MAIL, line, ReversePath(mailbox), parameters)
        return Rcpt(_RCPT, line, ForwardPath(mailbox), parameters)
    if _USUAL_HELLO.fullmatch(line) is not None:
        return Hello(_EHLO, line, line[5:].decode("ascii"))
    return parse_any(line)


def parse_any(line: bytes) -> Command:
    """Return what `parse` does, by the rules alone."""
    word, _, argument = line.partition(b" ")
    verb = _KNOWN.get(word.upper(), Verb.UNKNOWN)
    fault = _line_fault(line, verb)
    if fault is not None:
        return Malformed(_tried(line) if verb is Verb.UNKNOWN else verb, line, fault)
    match verb:
        case Verb.MAIL:
            return _parse_mail(line, argument)
        case Verb.RCPT:
            return _parse_rcpt(line, argument)
        case Verb.HELO | Verb.EHLO:
            return _parse_hello(verb, line, argument)
        case _:
            return _parse_plain(verb, line, argument)


def _line_fault(line: bytes, verb: Verb) -> SyntaxFault | None:
    """Return what is wrong with *line* before its argument is looked at."""
    if line.startswith(_TLS_HANDSHAKE):
        return SyntaxFault.NOT_SMTP
    if line.startswith(b" ") or _CONTROL.search(line):
        return SyntaxFault.CONTROL
    if verb is Verb.UNKNOWN and _is_foreign(line):
        return SyntaxFault.NOT_SMTP
    if len(line) > LINE_LIMIT and (verb not in _ENVELOPE or len(line) > ENVELOPE_LIMIT):
        return SyntaxFault.TOO_LONG
    return SyntaxFault.UNKNOWN_VERB if verb is Verb.UNKNOWN else None


def _tried(line: bytes) -> Verb:
    """Return the command behind which content may come, if *line* is one to a laxer server, as ` DATA` is."""
    found = _CONTENT.match(line + b" ")
    return Verb(found[1].upper()) if found else Verb.UNKNOWN


def _is_foreign(line: bytes) -> bool:
    """Whether *line* is HTTP or a message header: a web proxy abused, or a sender out of step."""
    header = _HEADER.match(line)
    if header:
        return header[1].upper() not in _KNOWN
    return line.partition(b" ")[0].upper() in _HTTP


def _parse_hello(verb: Verb, line: bytes, argument: bytes) -> Hello | Malformed:
    name = argument.rstrip(b" ")
    if not name.isascii():
        return Malformed(verb, line, SyntaxFault.EIGHT_BIT)
    if not _NAME.fullmatch(name):
        return Malformed(verb, line, SyntaxFault.BAD_ARGUMENT)
    return Hello(verb, line, name.decode("ascii"))


def _parse_plain(verb: Verb, line: bytes, argument: bytes) -> Plain | Malformed:
    if verb in _BARE and argument:
        return Malformed(verb, line, SyntaxFault.BAD_ARGUMENT)
    if not argument.isascii():
        return Malformed(verb, line, SyntaxFault.EIGHT_BIT)
    return Plain(verb, line, argument)


def _parse_mail(line: bytes, argument: bytes) -> Mail | Malformed:
    parts = _divide(argument, b"FROM:")
    if isinstance(parts, SyntaxFault):
        return Malformed(Verb.MAIL, line, parts)
    path = parse_reverse_path(parts.path)
    if path is None:
        return Malformed(Verb.MAIL, line, SyntaxFault.BAD_PATH)
    return Mail(Verb.MAIL, line, path, parts.parameters, parts.spaced)


def _parse_rcpt(line: bytes, argument: bytes) -> Rcpt | Malformed:
    parts = _divide(argument, b"TO:")
    if isinstance(parts, SyntaxFault):
        return Malformed(Verb.RCPT, line, parts)
    path = parse_forward_path(parts.path)
    if path is None:
        return Malformed(Verb.RCPT, line, SyntaxFault.BAD_PATH)
    return Rcpt(Verb.RCPT, line, path, parts.parameters, parts.spaced)


@value
class _Parts:
    path: bytes
    parameters: tuple[Parameter, ...]
    spaced: bool


def _divide(argument: bytes, keyword: bytes) -> _Parts | SyntaxFault:
    """Divide `FROM:<path> parameters`; the path may be UTF-8 (RFC 6531), nothing else may."""
    if not _is_utf8(argument):
        return SyntaxFault.EIGHT_BIT
    if not argument.upper().startswith(keyword):
        return SyntaxFault.BAD_ARGUMENT
    after = argument[len(keyword) :]
    divided = split_path(after.lstrip(b" "))
    if divided is None:
        return SyntaxFault.BAD_PATH
    path, rest = divided
    if not rest.isascii():
        return SyntaxFault.EIGHT_BIT
    if rest and not rest.startswith(b" "):
        return SyntaxFault.BAD_PARAMETER
    parameters = _parse_parameters(rest)
    if parameters is None:
        return SyntaxFault.BAD_PARAMETER
    return _Parts(path, parameters, spaced=after.startswith(b" "))


def _parse_parameters(text: bytes) -> tuple[Parameter, ...] | None:
    """Return the parameters, or None when one cannot be read or a keyword comes twice."""
    found: dict[str, Parameter] = {}
    for word in text.decode("ascii").split():
        match = _PARAMETER.fullmatch(word)
        if match is None:
            return None
        keyword, value = match[1].upper(), match[2]
        form = _VALUES.get(keyword)
        # where we have to know the value it is one that we know (`SIZE=-1` passes on some servers)
        if keyword in found or (form is not None and form.fullmatch(value or "") is None):
            return None
        found[keyword] = Parameter(keyword, value)
    return tuple(found.values())


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
