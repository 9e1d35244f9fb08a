"""CMD-*: command lines, through whole sessions, on the clean path and on the slowed one."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Final

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tarpit.smtp.states import State
from tests.support.backend import Answer
from tests.support.cases import CLEAN, EHLO, ENVELOPE, MAIL, PATHS, RCPT, SLOWED, case, shorn
from tests.support.framing import singly
from tests.support.sessions import session

on_both_paths = pytest.mark.parametrize("path", PATHS)

# what is said after a good RCPT, what it hears, and whether the session is over then
REFUSED: Final = [
    pytest.param(b"NOOP\n", b"500 5.5.2 ", True, id="CMD-01 NOOP, bare LF"),
    pytest.param(b"DATA\n", b"500 5.5.2 ", True, id="CMD-01 DATA, bare LF"),
    pytest.param(b"RSET\nNOOP\r\n", b"500 5.5.2 ", True, id="CMD-01 two, the first bare"),
    pytest.param(b"NOOP\rNOOP\r\n", b"500 5.5.2 ", False, id="CMD-02 bare CR inside"),
    pytest.param(b"NOOP\r\r\n", b"500 5.5.2 ", False, id="CMD-02 two CRs"),
    pytest.param(b"NOOP\0\r\n", b"500 5.5.2 ", False, id="CMD-03 NUL"),
    pytest.param(b"DATA\0\r\n", b"500 5.5.2 ", None, id="CMD-03 DATA and NUL"),
    pytest.param(b"DATA\0foo\r\n", b"500 5.5.2 ", None, id="CMD-03 DATA, NUL, more"),
    pytest.param(b"RCPT TO:<a@b.example>\0<c@d.example>\r\n", b"500 5.5.2 ", False, id="CMD-03 in a path"),
    pytest.param(b" DATA\r\n", b"500 5.5.2 ", None, id="CMD-04 a space before"),
    pytest.param(b"\tDATA\r\n", b"500 5.5.2 ", None, id="CMD-04 a tab before"),
    pytest.param(b"DATA foo\r\n", b"501 5.5.4 ", None, id="CMD-05 an argument"),
    pytest.param(b"DATA\t\r\n", b"500 5.5.2 ", None, id="CMD-05 a tab"),
    pytest.param(b"DATA\x0b\r\n", b"500 5.5.2 ", None, id="CMD-05 a vertical tab"),
    pytest.param(b"DATA\x0c\r\n", b"500 5.5.2 ", None, id="CMD-05 a form feed"),
    pytest.param(b"DATA\r\r\n", b"500 5.5.2 ", None, id="CMD-05 a CR"),
    pytest.param(b"XCLIENT ADDR=127.0.0.1\r\n", b"500 5.5.2 ", False, id="CMD-08 ID-06 XCLIENT"),
    pytest.param(b"xforward addr=127.0.0.1\r\n", b"500 5.5.2 ", False, id="CMD-08 ID-06 XFORWARD"),
    pytest.param(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 25\r\n", b"500 5.5.2 ", False, id="CMD-08 ID-01 PROXY"),
    pytest.param(b"XEXCH50 2 2\r\n", b"500 5.5.2 ", False, id="CMD-08 XEXCH50"),
    pytest.param(b"BURL imap://x LAST\r\n", b"500 5.5.2 ", False, id="CMD-08 BURL"),
    pytest.param(b"TURN\r\n", b"500 5.5.2 ", False, id="CMD-08 TURN"),
    pytest.param(b"SEND FROM:<a@b.example>\r\n", b"500 5.5.2 ", False, id="CMD-08 SEND"),
    pytest.param(b"\xe9HLO x\r\n", b"500 5.5.2 ", False, id="CMD-10 EHLO, high bit"),
    pytest.param(b"\xc4DATA\r\n", b"500 5.5.2 ", False, id="CMD-10 DATA, high bit"),
    pytest.param(b"RCPT TO:<\xfcber@x.example>\r\n", b"501 5.5.2 ", False, id="CMD-11 no UTF-8"),
    pytest.param("RCPT TO:<über@x.example>\r\n".encode(), b"553 5.6.7 ", False, id="CMD-11 no SMTPUTF8"),
    pytest.param(b"NOOP " + b"x" * 506 + b"\r\n", b"500 5.5.2 ", False, id="CMD-13 513 octets"),
    pytest.param(
        b"RCPT TO:<" + b"x" * 2050 + b"@x.example>\r\n", b"500 5.5.2 ", False, id="CMD-13 over 2048 octets"
    ),
    pytest.param(b"\r\n", b"500 5.5.2 ", False, id="CMD-15 an empty line"),
    pytest.param(b"GET / HTTP/1.1\r\n", b"521 5.5.1 ", True, id="CMD-16 HTTP"),
    pytest.param(b"CONNECT mx.example:25 HTTP/1.1\r\n", b"521 5.5.1 ", True, id="CMD-16 a web proxy's word"),
    pytest.param(b"Subject: x\r\n", b"521 5.5.1 ", True, id="CMD-16 a header field"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", b"500 5.5.2 ", True, id="CMD-17 a ClientHello"),
    pytest.param(b"EHLO a\rb\r\n", b"500 5.5.2 ", False, id="CMD-19 a CR in the name"),
    pytest.param(b"EHLO a\0b\r\n", b"500 5.5.2 ", False, id="CMD-19 a NUL in the name"),
    pytest.param(b"EHLO a b\r\n", b"501 5.5.4 ", False, id="CMD-19 a space in the name"),
    pytest.param(b"EHLO a=b\r\n", b"501 5.5.4 ", False, id="CMD-19 an equals sign"),
    pytest.param(b'EHLO "a"\r\n', b"501 5.5.4 ", False, id="CMD-19 quotes"),
    pytest.param(b"EHLO " + b"x" * 256 + b"\r\n", b"501 5.5.4 ", False, id="CMD-19 256 octets"),
    pytest.param(b"EHLO " + b"x" * 1024 + b"\r\n", b"500 5.5.2 ", False, id="CMD-19 1 KiB"),
    pytest.param(b'RCPT TO:<"a\rb"@x.example>\r\n', b"500 5.5.2 ", False, id="CMD-20 a CR in quotes"),
    pytest.param(
        b"RCPT TO:<" + b"x" * 250 + b"@x.example>\r\n", b"501 5.1.7 ", False, id="CMD-21 a path of 262 octets"
    ),
    pytest.param(
        b"RCPT TO:<x@" + b"y." * 130 + b"example>\r\n",
        b"501 5.1.7 ",
        False,
        id="CMD-21 a domain of 267 octets",
    ),
]


@on_both_paths
@pytest.mark.parametrize(("said", "heard", "closed"), REFUSED)
async def test_refused_here(
    path: str,
    said: bytes,
    heard: bytes,
    closed: bool | None,
    *,
    autojump_clock: MockClock,
    record_property: Callable[[str, object], None],
) -> None:
    """G2 We answer, the backend hears nothing of it, and neither side is in data mode."""
    for pieces in ([said], singly(said)):
        async with case(path, *ENVELOPE) as here:
            before = shorn(here.reached())
            with contextlib.suppress(trio.BrokenResourceError):  # it may be over before all is said
                for piece in pieces:
                    await here.far.say(piece)
                    await trio.testing.wait_all_tasks_blocked()
            assert (await here.reply()).startswith(heard)
            assert here.session.dialogue.state is not State.DATA
            assert here.session.dialogue.closed is closed or closed is None
            if not here.session.dialogue.closed:
                assert (await here.goes(b"QUIT"))[0].startswith(b"221 ")
            await here.closes()
            assert shorn(here.reached()) == before
            assert here.contents() == []
    record_property("G2", "2 sessions of lines that are refused, half slowed, half in single bytes")


TAKEN: Final = [
    pytest.param(b"DATA ", b"354 ", id="CMD-06 a space behind"),
    pytest.param(b"dAtA", b"354 ", id="CMD-07 either case"),
    pytest.param(b"rcpt to:<b@there.example>", b"250 ", id="CMD-07 in small letters"),
    pytest.param(b"NOOP " + b"x" * 505, b"250 ", id="CMD-12 512 octets"),
    pytest.param(
        b"RCPT TO:<" + b"x" * 200 + b"@there.example>",
        b"250 ",
        id="CMD-21 a local part of 200 is the backend's",
    ),
]


async def test_long_parameters(autojump_clock: MockClock) -> None:
    """CMD-13 A recipient with parameters may be longer than 512 octets."""
    long = RCPT + b" ORCPT=rfc822;" + b"x" * 900
    async with case(CLEAN, *ENVELOPE, long) as here:
        assert long in here.reached()
        await here.far.stream.aclose()


@on_both_paths
@pytest.mark.parametrize(("said", "heard"), TAKEN)
async def test_taken_as_it_is(path: str, said: bytes, heard: bytes, autojump_clock: MockClock) -> None:
    """What is in canonical form goes on as received; a slowed peer's DATA is ours to answer."""
    async with case(path, *ENVELOPE) as here:
        assert (await here.goes(said))[0].startswith(heard)
        ours = path == SLOWED and not said.upper().startswith(b"RCPT")
        assert (said in here.reached()) is not ours
        assert (here.session.dialogue.state is State.DATA) is said.upper().startswith(b"DATA")
        await here.far.stream.aclose()


@pytest.mark.parametrize(("path", "code"), [(CLEAN, b"250 "), (SLOWED, b"501 ")])
async def test_a_space_before_a_path(path: str, code: bytes, autojump_clock: MockClock) -> None:
    """CMD-07 `MAIL FROM: <a@b>`: the backend of a clean peer may take it, a suspect hears 501."""
    async with case(path, EHLO) as here:
        assert (await here.goes(b"MAIL FROM: <a@b.example>"))[0].startswith(code)
        assert (b"MAIL FROM: <a@b.example>" in here.reached()) is (path == CLEAN)


@pytest.mark.parametrize("code", [b"354", b"334", b"300"])
@pytest.mark.parametrize("verb", ["NOOP", "RCPT", "RSET", "MAIL", "EHLO"])
async def test_an_unexpected_3xx(code: bytes, verb: str, autojump_clock: MockClock) -> None:
    """CMD-09 A 3xx to anything but DATA: the peer hears 421, and both sides are closed."""
    lines = {"EHLO": EHLO, "MAIL": MAIL, "RCPT": RCPT}
    before = [] if verb in {"EHLO", "NOOP"} else [EHLO, MAIL] if verb == "RCPT" else [EHLO]
    async with case(CLEAN, *before, answers={verb: code + b" go on\r\n"}) as here:
        (reply,) = await here.goes(lines.get(verb, verb.encode()))
        assert reply.startswith(b"421 ")
        assert await here.closes() == b""
        assert here.session.ended == "backend"


@pytest.mark.parametrize(
    ("offered", "announced", "codes"),
    [
        (True, True, (b"250", b"250")),
        (True, False, (b"553", b"553")),
        (False, False, (b"553", b"553")),
    ],
    ids=["announced", "not announced", "not offered"],
)
async def test_addresses_beyond_ascii(
    offered: bool, announced: bool, codes: tuple[bytes, bytes], autojump_clock: MockClock
) -> None:
    """CMD-11 With SMTPUTF8, offered and said, they go on as they are; without, 553 5.6.7 from us."""
    shows = b"250-backend.example\r\n250 SMTPUTF8\r\n" if offered else b"250 backend.example\r\n"
    sender = "MAIL FROM:<jörg@here.example>".encode() + (b" SMTPUTF8" if announced else b"")
    recipient = "RCPT TO:<jörg@there.example>".encode()
    async with case(CLEAN, EHLO, answers={"EHLO": shows}) as here:
        first = (await here.goes(sender))[0]
        if not announced:
            await here.goes(MAIL)
        second = (await here.goes(recipient))[0]
        assert (first[:3], second[:3]) == codes
        assert (recipient in here.reached()) is announced


@on_both_paths
async def test_an_endless_line(path: str, autojump_clock: MockClock) -> None:
    """CMD-14 70,000 octets without a CRLF: 500 at the limit, then 421, and never more than 8 KiB kept."""
    async with case(path, EHLO) as here:
        heard, most = b"", 0
        for _ in range(70):
            await here.far.say(b"x" * 1000)
            most = max(most, len(here.session.dialogue.lines))
        heard = await here.closes()
        assert heard.startswith(b"500 5.5.2 ")
        assert b"\r\n421 4.7.0 " in heard
        assert most <= 8192


@on_both_paths
async def test_bytes_before_the_banner(path: str, autojump_clock: MockClock) -> None:
    """CMD-18 They are noted; nothing is answered before the 220, and then they are answered in order."""
    async with session(listed=path == SLOWED, GREET_WAIT="2s", MODE="observe") as (far, _, around, _one):
        await far.say(b"EHLO early.example\r\nQUIT\r\n")
        heard = await far.hear_all()
        assert [line[:3] for line in heard.split(b"\r\n") if line[3:4] == b" "] == [b"220", b"250", b"221"]
        await far.stream.aclose()
        await around.services.wait_empty()
        assert around.closed()["pregreet"] is True


@on_both_paths
async def test_a_command_in_quotes(path: str, autojump_clock: MockClock) -> None:
    """CMD-20 A CRLF in a quoted local part ends the line; neither half is a command that goes on."""
    async with case(path, EHLO) as here:
        await here.far.say(b'MAIL FROM:<"a\r\nRCPT TO:<b@c.example>"@x.example>\r\nQUIT\r\n')
        heard = (await here.closes()).split(b"\r\n")
        assert [line[:3] for line in heard] == [b"501", b"501", b"221", b""]
        assert not any(line.startswith((b"MAIL", b"RCPT")) for line in here.reached())


SEQUENCES: Final = [
    pytest.param((EHLO, MAIL), MAIL, State.MAIL, id="CMD-22 MAIL twice"),
    pytest.param((EHLO,), RCPT, State.READY, id="CMD-22 RCPT before MAIL"),
    pytest.param((EHLO, MAIL), b"DATA", State.MAIL, id="CMD-22 DATA before RCPT"),
    pytest.param((EHLO,), b"DATA", State.READY, id="CMD-22 DATA before MAIL"),
    pytest.param((), MAIL, State.GREETED, id="CMD-22 MAIL before EHLO"),
    pytest.param((EHLO, MAIL, b"RSET"), RCPT, State.READY, id="CMD-22 RCPT after RSET"),
    pytest.param((EHLO, MAIL, RCPT, EHLO), b"DATA", State.READY, id="CMD-22 DATA after another EHLO"),
]
REFUSES: Final[Mapping[bytes, Answer]] = {
    MAIL: b"503 5.5.1 no\r\n",
    RCPT: b"503 5.5.1 no\r\n",
    b"DATA": b"503 no\r\n",
}


@on_both_paths
@pytest.mark.parametrize(("before", "said", "state"), SEQUENCES)
async def test_out_of_order(
    path: str, before: tuple[bytes, ...], said: bytes, state: State, autojump_clock: MockClock
) -> None:
    """503, a backend's or our own, and the state stays as it was."""
    async with case(path, *before) as here:
        here.backend.answers.update({line.decode(): answer for line, answer in REFUSES.items()})
        here.backend.answers["DATA"] = b"503 5.5.1 no\r\n"
        (reply,) = await here.goes(said)
        assert reply.startswith((b"503 ", b"554 5.5.1 "))
        assert here.session.dialogue.state is state


@on_both_paths
@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
async def test_after_a_refusal(path: str, verb: str, autojump_clock: MockClock) -> None:
    """CMD-22 A refused MAIL or RCPT leaves no transaction behind in which DATA could be said."""
    refuses = {verb: b"550 5.1.0 no\r\n"}
    async with case(path, EHLO, answers={"RCPT": b"503 5.5.1 no\r\n"} | refuses) as here:
        heard = await here.goes(MAIL, RCPT)
        assert heard[1].startswith((b"550 ", b"503 "))
        here.backend.answers["DATA"] = b"503 5.5.1 no\r\n"
        assert (await here.goes(b"DATA"))[0].startswith((b"503 ", b"554 "))
        assert here.session.dialogue.state is not State.DATA
        assert here.contents() == []


@on_both_paths
async def test_no_user_is_told_of(path: str, autojump_clock: MockClock) -> None:
    """CMD-23 VRFY, EXPN and HELP are answered here, the same for everybody, and counted as junk."""
    async with case(path, EHLO) as here:
        heard = await here.goes(b"VRFY root", b"VRFY nobody", b"EXPN staff", b"HELP")
        assert [reply[:3] for reply in heard] == [b"252", b"252", b"502", b"214"]
        assert heard[0] == heard[1]
        assert not {b"VRFY root", b"EXPN staff", b"HELP"} & set(here.reached())


@on_both_paths
@pytest.mark.parametrize(
    ("line", "most"),
    [
        pytest.param(b"NOOP", 100, id="CMD-24 NOOP"),
        pytest.param(b"RSET", 100, id="CMD-24 RSET"),
        pytest.param(EHLO, 100, id="CMD-24 EHLO"),
        pytest.param(b"VRFY x", 100, id="CMD-24 VRFY"),
        pytest.param(b"STARTTLS", 100, id="CMD-24 STARTTLS"),
        pytest.param(b"JUNK", 20, id="CMD-25 unknown commands"),
        pytest.param(b"RCPT TO:<x@>", 20, id="CMD-25 bad commands"),
    ],
)
async def test_a_thousand_of_a_kind(path: str, line: bytes, most: int, autojump_clock: MockClock) -> None:
    """After so many the next hears 421, and the session is over."""
    async with case(path, EHLO, variables={"TLS": "off"}) as here:
        served = 0
        while not (heard := await here.answer(line + b"\r\n")).startswith(b"421 "):
            served += 1
        assert served <= most
        assert heard.startswith(b"421 4.7.0 ")
        assert await here.closes() == b""


async def test_recipients_beyond_the_thousandth(autojump_clock: MockClock) -> None:
    """CMD-26 The 1,001st hears 452 4.5.3 from us; the others stand, and the message is delivered to them."""
    async with case(CLEAN, EHLO, MAIL) as here:
        for number in range(1000):
            assert (await here.goes(b"RCPT TO:<u%d@there.example>" % number))[0].startswith(b"250 ")
        assert (await here.goes(b"RCPT TO:<one@more.example>"))[0].startswith(b"452 4.5.3 ")
        assert b"RCPT TO:<one@more.example>" not in here.reached()
        assert (await here.goes(b"DATA"))[0].startswith(b"354 ")
        assert (await here.answer(b"x\r\n.\r\n")).startswith(b"250 ")
        assert here.contents() == [b"x\r\n"]


async def test_a_harvester_is_let_go(autojump_clock: MockClock) -> None:
    """CMD-27 Of 5,000 recipients who are all refused, a hundred are asked about; then 421."""
    async with case(CLEAN, EHLO, MAIL, answers={"RCPT": b"550 5.1.1 nobody\r\n"}) as here:
        asked = 0
        while (await here.goes(b"RCPT TO:<u%d@there.example>" % asked))[0].startswith(b"550 "):
            asked += 1
        assert asked == 100
        assert await here.closes() == b""
