"""Command lines: which are known and well formed, and what is wrong with the others."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tarpit.smtp.addresses import ForwardPath, Mailbox, ReversePath
from tarpit.smtp.commands import (
    Hello,
    Mail,
    Malformed,
    Parameter,
    Plain,
    Rcpt,
    SyntaxFault,
    Verb,
    parse,
    parse_any,
)

F = SyntaxFault
SENDER = ReversePath(Mailbox("u", "x"))
RECIPIENT = ForwardPath(Mailbox("u", "x"))


@pytest.mark.parametrize("verb", [Verb.HELO, Verb.EHLO])
@pytest.mark.parametrize(
    "name", ["mx.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "localhost", "a_b", "n" * 255, "-"]
)
def test_hello(verb: Verb, name: str) -> None:
    """The name is kept as received."""
    line = verb.value + b" " + name.encode()
    assert parse(line) == Hello(verb, line, name)


def test_hello_with_a_trailing_space() -> None:
    """A space after the name is no part of it."""
    assert parse(b"EHLO x ") == Hello(Verb.EHLO, b"EHLO x ", "x")


@pytest.mark.parametrize(
    "argument", [b"", b" ", b"  x", b" a b", b" a=b", b' "a"', b" <a>", b" a,b", b" " + b"n" * 256]
)
def test_bad_hello(argument: bytes) -> None:
    """CMD-19: a name that would need escaping later is not taken."""
    assert parse(b"EHLO" + argument) == Malformed(Verb.EHLO, b"EHLO" + argument, F.BAD_ARGUMENT)


@pytest.mark.parametrize(
    "verb", [v for v in Verb if v not in {Verb.HELO, Verb.EHLO, Verb.MAIL, Verb.RCPT, Verb.UNKNOWN}]
)
def test_plain(verb: Verb) -> None:
    """The other commands, in any case of letters, alone or with one trailing space (CMD-06, CMD-07)."""
    for line in (verb.value, verb.value.lower(), verb.value.capitalize() + b" "):
        assert parse(line) == Plain(verb, line, b"")


@pytest.mark.parametrize("verb", [Verb.NOOP, Verb.VRFY, Verb.EXPN, Verb.HELP, Verb.AUTH, Verb.BDAT])
def test_plain_with_an_argument(verb: Verb) -> None:
    """These take any argument; it is not looked at."""
    line = verb.value + b" 18 LAST "
    assert parse(line) == Plain(verb, line, b"18 LAST ")


@pytest.mark.parametrize("verb", [Verb.DATA, Verb.RSET, Verb.QUIT, Verb.STARTTLS])
@pytest.mark.parametrize("argument", [b" foo", b"  ", b" \xff"])
def test_bare_command_with_an_argument(verb: Verb, argument: bytes) -> None:
    """CMD-05: `DATA foo` enters data mode on some servers; here it is refused."""
    line = verb.value + argument
    assert parse(line) == Malformed(verb, line, F.BAD_ARGUMENT)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"NOOP\rNOOP", id="CMD-02 bare CR"),
        pytest.param(b"NOOP\0", id="CMD-03 NUL at the end"),
        pytest.param(b"DATA\0foo", id="CMD-03 NUL inside"),
        pytest.param(b"RCPT TO:<a@b>\0<c@d>", id="CMD-03 NUL in a path"),
        pytest.param(b" DATA", id="CMD-04 space"),
        pytest.param(b"\tDATA", id="CMD-04 tab"),
        pytest.param(b"DATA\t", id="CMD-05 tab"),
        pytest.param(b"DATA\x0b", id="CMD-05 vertical tab"),
        pytest.param(b"DATA\x0c", id="CMD-05 form feed"),
        pytest.param(b"DATA\r", id="CMD-05 CR"),
        pytest.param(b"DATA\n", id="LF"),
        pytest.param(b"DATA\x7f", id="DEL"),
        pytest.param(b"EHLO a\rb", id="CMD-19 CR in the name"),
        pytest.param(b'MAIL FROM:<"a\r\nb"@x>', id="CMD-20"),
        pytest.param(b"MAIL FROM:<a@x>\tSIZE=1", id="tab before a parameter"),
        pytest.param(b" ", id="a space only"),
    ],
)
def test_control(line: bytes) -> None:
    """A control character anywhere, or a space in front, spoils the line."""
    command = parse(line)
    assert isinstance(command, Malformed)
    assert command.fault is F.CONTROL
    assert command.line == line


@pytest.mark.parametrize(
    "line", [b" DATA", b"\tdata", b"DATA\0foo", b"DATA\x7f", b"\0BDAT 18", b"BDAT\t18 LAST", b" bdat 18"]
)
def test_content_may_come_behind(line: bytes) -> None:
    """Where a laxer server would go on with content it is known that this was tried."""
    command = parse(line)
    assert isinstance(command, Malformed)
    assert command.verb is (Verb.BDAT if b"BDAT" in line.upper() else Verb.DATA)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"XCLIENT ADDR=192.0.2.1",
        b"XFORWARD NAME=x",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 25",
        b"XEXCH50 1 2",
        b"BURL imap://x",
        b"TURN",
        b"SEND FROM:<a@b>",
        b"DATA;",
        b"DATA:",
        b"MAIL: FROM:<a@b>",
        b"EHLO\xa0x",
        b"\xe9HLO x",
        b"\xc4DATA",
        b"\xc4\xb1",
        b"\xef\xbb\xbfDATA",
        b"GETX /",
        b"1: x",
    ],
)
def test_unknown_verb(line: bytes) -> None:
    """CMD-08, CMD-10, CMD-15: whatever is not in the table is not SMTP that we speak."""
    assert parse(line) == Malformed(Verb.UNKNOWN, line, F.UNKNOWN_VERB)


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1",
        b"post /x HTTP/1.0",
        b"CONNECT mx.example:25 HTTP/1.0",
        b"PUT /",
        b"HEAD /",
        b"OPTIONS *",
        b"PRI * HTTP/2.0",
        b"GET " + b"x" * 600,
        b"Subject: x",
        b"X-Mailer:y",
        b"From:",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16",
    ],
)
def test_not_smtp(line: bytes) -> None:
    """CMD-16, CMD-17: HTTP, message headers and a TLS hello are told apart from a mistyped command."""
    assert parse(line) == Malformed(Verb.UNKNOWN, line, F.NOT_SMTP)


@pytest.mark.parametrize(
    ("line", "long"),
    [
        pytest.param(b"NOOP " + b"x" * 505, False, id="CMD-12 510 octets and CRLF"),
        pytest.param(b"NOOP " + b"x" * 506, True, id="CMD-13 511 octets and CRLF"),
        pytest.param(b"x" * 511, True, id="unknown verb"),
        pytest.param(b"MAIL FROM:<u@x> A=" + b"x" * 2028, False, id="CMD-13 MAIL with parameters"),
        pytest.param(b"MAIL FROM:<u@x> A=" + b"x" * 2029, True, id="MAIL beyond 2048"),
        pytest.param(b"RCPT TO:<u@x> A=" + b"x" * 2030, False, id="CMD-13 RCPT with parameters"),
        pytest.param(b"RCPT TO:<u@x> A=" + b"x" * 2031, True, id="RCPT beyond 2048"),
    ],
)
def test_too_long(line: bytes, long: bool) -> None:
    """The limits of RFC 5321, and the room that extensions ask for in MAIL and RCPT."""
    command = parse(line)
    assert (isinstance(command, Malformed) and command.fault is F.TOO_LONG) is long
    assert isinstance(command, Malformed) is long


@pytest.mark.parametrize(
    "line",
    [
        b"EHLO m\xfcnchen.example",
        b"EHLO m\xc3\xbcnchen.example",
        b"NOOP \xc3\xbc",
        b"VRFY \xff",
        b"MAIL FROM:<\xff@x>",
        b"MAIL FROM:<u@x> A=\xc3\xbc",
        b"RCPT TO:<\xc0\xbc@x>",
    ],
)
def test_eight_bit(line: bytes) -> None:
    """CMD-11: beyond ASCII there is valid UTF-8 in paths, and nothing else."""
    command = parse(line)
    assert isinstance(command, Malformed)
    assert command.fault is F.EIGHT_BIT


def test_utf8_in_a_path() -> None:
    """CMD-11: the path tells the caller that it needs SMTPUTF8."""
    line = "MAIL FROM:<ü@x> SMTPUTF8".encode()
    command = parse(line)
    assert command == Mail(
        Verb.MAIL, line, ReversePath(Mailbox("ü", "x")), (Parameter("SMTPUTF8"),), spaced=False
    )
    assert isinstance(command, Mail)
    assert command.smtputf8
    assert not command.path.is_ascii


@pytest.mark.parametrize(
    "line", [b"MAIL FROM:<u@x>", b"mail from:<u@x>", b"MAIL FROM:<u@x> ", b"Mail From:<u@x>  "]
)
def test_mail(line: bytes) -> None:
    """CMD-07: letters of any case, spaces at the end."""
    command = parse(line)
    assert command == Mail(Verb.MAIL, line, SENDER, (), spaced=False)
    assert isinstance(command, Mail)
    assert command.size is None
    assert not command.smtputf8


def test_mail_of_the_null_sender() -> None:
    """A bounce has no reverse-path."""
    assert parse(b"MAIL FROM:<>") == Mail(Verb.MAIL, b"MAIL FROM:<>", ReversePath(None), (), spaced=False)


@pytest.mark.parametrize("line", [b"RCPT TO:<u@x>", b"rcpt to:<u@x>"])
def test_rcpt(line: bytes) -> None:
    """RCPT is read as MAIL is."""
    assert parse(line) == Rcpt(Verb.RCPT, line, RECIPIENT, (), spaced=False)


def test_rcpt_of_postmaster() -> None:
    """Postmaster needs no domain."""
    line = b"RCPT TO:<Postmaster>"
    assert parse(line) == Rcpt(Verb.RCPT, line, ForwardPath(None), (), spaced=False)


@pytest.mark.parametrize("spaces", [b" ", b"   "])
def test_spaced(spaces: bytes) -> None:
    """CMD-07: spaces after the colon are read, and told."""
    mail, rcpt = b"MAIL FROM:" + spaces + b"<u@x>", b"RCPT TO:" + spaces + b"<u@x>"
    assert parse(mail) == Mail(Verb.MAIL, mail, SENDER, (), spaced=True)
    assert parse(rcpt) == Rcpt(Verb.RCPT, rcpt, RECIPIENT, (), spaced=True)


def test_parameters() -> None:
    """Keywords come in capitals, values as received, both in their order."""
    line = b"RCPT TO:<u@x> notify=SUCCESS,failure ORCPT=rfc822;u+2Bv@x  X"
    command = parse(line)
    assert isinstance(command, Rcpt)
    assert command.parameters == (
        Parameter("NOTIFY", "SUCCESS,failure"),
        Parameter("ORCPT", "rfc822;u+2Bv@x"),
        Parameter("X", None),
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [(b"0", 0), (b"1000", 1000), (b"9223372036854775808", 2**63), (b"9" * 20, 10**20 - 1), (b"007", 7)],
)
def test_size(text: bytes, size: int) -> None:
    """BD-02: a size beyond 64 bits is a number like any other."""
    command = parse(b"MAIL FROM:<u@x> BODY=8BITMIME size=" + text)
    assert isinstance(command, Mail)
    assert command.size == size


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b" BODY=BINARYMIME", id="BD-16 only BDAT can carry it"),
        pytest.param(b" BODY", id="BD-16 no value"),
        pytest.param(b" SIZE=-1", id="BD-01 negative"),
        pytest.param(b" SIZE=+1", id="plus sign"),
        pytest.param(b" SIZE=", id="BD-01 empty"),
        pytest.param(b" SIZE", id="no value"),
        pytest.param(b" SIZE=1 SIZE=2", id="BD-01 twice"),
        pytest.param(b" SIZE=1 size=1", id="twice, in other letters"),
        pytest.param(b" SIZE=1e9", id="BD-01 exponent"),
        pytest.param(b" SIZE=1_8", id="underscore"),
        pytest.param(b" SIZE=" + b"1" * 21, id="BD-02 21 digits"),
        pytest.param(b" A=b=c", id="equals sign in a value"),
        pytest.param(b" =b", id="no keyword"),
        pytest.param(b" -A", id="keyword starts with a hyphen"),
        pytest.param(b" A_B", id="underscore in a keyword"),
        pytest.param(b"SIZE=1", id="no space"),
        pytest.param(b">", id="bracket twice"),
        pytest.param(b"<c@d>", id="second path"),
    ],
)
@pytest.mark.parametrize("start", [b"MAIL FROM:<u@x>", b"RCPT TO:<u@x>"])
def test_bad_parameter(start: bytes, text: bytes) -> None:
    """What is read by some servers and not by others is not passed on."""
    command = parse(start + text)
    assert isinstance(command, Malformed)
    assert command.fault is F.BAD_PARAMETER


@pytest.mark.parametrize(
    "text", [b"", b"u@x", b"<u@x", b"<u@>", b"<u@x@>", b"<a b@x>", b'<"u@x>', b" SIZE=1"]
)
@pytest.mark.parametrize(("start", "verb"), [(b"MAIL FROM:", Verb.MAIL), (b"RCPT TO:", Verb.RCPT)])
def test_bad_path(start: bytes, verb: Verb, text: bytes) -> None:
    """The command is named though its path cannot be read."""
    assert parse(start + text) == Malformed(verb, start + text, F.BAD_PATH)


@pytest.mark.parametrize(
    "line",
    [
        b"MAIL",
        b"MAIL ",
        b"MAIL TO:<u@x>",
        b"MAIL FROM <u@x>",
        b"MAIL FROM :<u@x>",
        b"MAIL  FROM:<u@x>",
        b"RCPT FROM:<u@x>",
    ],
)
def test_bad_argument(line: bytes) -> None:
    """FROM: and TO: stand one space after their verbs, with their colon."""
    command = parse(line)
    assert isinstance(command, Malformed)
    assert command.fault is F.BAD_ARGUMENT


VERBS = st.sampled_from([v.value for v in Verb] + [b"MAIL FROM:<", b"RCPT TO:<", b"mail from: <u@x> "])


@given(st.binary(max_size=2100) | st.tuples(VERBS, st.binary(max_size=300)).map(b"".join))
def test_garbage_never_raises(line: bytes) -> None:
    """Any bytes are a command, which keeps them as received."""
    assert parse(line).line == line


@given(VERBS, st.binary(max_size=20), st.sampled_from([*range(32), 127]), st.binary(max_size=20))
def test_no_control_byte_goes_further(verb: bytes, before: bytes, control: int, after: bytes) -> None:
    """A line with a control byte, wherever it is, is malformed."""
    assert isinstance(parse(verb + before + bytes([control]) + after), Malformed)


@given(st.sampled_from(list(Verb)), st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_case_of_the_verb_is_nothing(verb: Verb, rest: str) -> None:
    """A verb in small letters is judged as one in capitals."""
    line = verb.value + b" " + rest.encode()
    small = verb.value.lower() + b" " + rest.encode()
    assert type(parse(line)) is type(parse(small))
    assert parse(line).verb is parse(small).verb


STARTS = [
    "MAIL FROM:<",
    "RCPT TO:<",
    "MAIL From:<",
    "RCPT to:<",
    "MAIL FROM: <",
    "Mail FROM:<",
    "EHLO ",
    "HELO ",
    "",
]
PIECES = [
    "a",
    "b.c",
    "..",
    "-",
    "--",
    ".",
    "@",
    "_",
    "!",
    "%",
    ">",
    "<",
    '"',
    ":",
    "[192.0.2.1]",
    "postmaster",
    " ",
]
PIECES += [
    "x" * 60,
    "y" * 63,
    "y" * 64,
    "z" * 190,
    "ü",
    "=",
    "SIZE=1",
    "size=01",
    " BODY=8bitmime",
    " NOTIFY=",
    "\t",
]
NEARLY = st.tuples(st.sampled_from(STARTS), st.lists(st.sampled_from(PIECES), max_size=8).map("".join)).map(
    "".join
)
USUAL = st.from_regex(
    r"(MAIL (FROM|From|from)|RCPT (TO|To)):<[a-z.+=-]{1,3}@([a-z0-9_]{1,3}[.-]){0,3}[a-z]?-?>"
    r"( [A-Z]{1,2}(=[a-z0-9])?){0,2} ?",
    fullmatch=True,
)


@given(NEARLY | USUAL | st.sampled_from(["DATA", "RSET", "QUIT", "STARTTLS", "QUIT ", "Data"]))
@settings(max_examples=2000)
def test_what_is_usual_is_read_by_the_same_rules(text: str) -> None:
    """The short way of `parse` comes to what the rules come to, whatever is said."""
    line = text.encode()
    assert parse(line) == parse_any(line)


@pytest.mark.parametrize("length", range(180, 270))
@pytest.mark.parametrize(
    "host", ["x.example", "h" * 63, "h" * 64, f"{'h' * 31}.{'i' * 31}", f"{'h' * 31}.{'i' * 32}"]
)
def test_long_paths_are_read_by_the_same_rules(length: int, host: str) -> None:
    """Nor does the short way take what is too long for the rules."""
    for start in (b"MAIL FROM:<", b"RCPT TO:<"):
        for end in (b">", b"> A=" + b"x" * 1698, b"> A=" + b"x" * 1699, b"> A=" + b"x" * 2028):
            line = start + b"l" * (length - len(host)) + b"@" + host.encode() + end
            assert parse(line) == parse_any(line)


@pytest.mark.parametrize("length", [1, 254, 255, 256, 505, 506])
def test_long_names_are_read_by_the_same_rules(length: int) -> None:
    """The same holds for a HELO name."""
    line = b"EHLO " + b"n" * length
    assert parse(line) == parse_any(line)
