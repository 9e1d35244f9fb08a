"""ID-*, HDR-*: whose word is taken for who a peer is, and that nothing it says is rewritten."""

from collections.abc import Callable
from typing import Final

import pytest
from trio.testing import MockClock

from tarpit.smtp.states import State
from tests.support.cases import CLEAN, EHLO, ENVELOPE, MAIL, PATHS, case, told
from tests.support.spoofs import spoofs
from tests.support.wires import PEER

on_both_paths = pytest.mark.parametrize("path", PATHS)

# the relay tests that scanners make, as recipients
RELAY_FORMS: Final = [
    b"you@foreign.example",
    b"you%foreign.example@[192.0.2.1]",
    b"you%foreign.example@mx.example",
    b'"you@foreign.example"',
    b'"you%foreign.example"',
    b"you@foreign.example@[192.0.2.1]",
    b'"you@foreign.example"@[192.0.2.1]',
    b'"you@foreign.example"@mx.example',
    b"you@foreign.example@mx.example",
    b"@[192.0.2.1]:you@foreign.example",
    b"@mx.example:you@foreign.example",
    b"@mx.example,@there.example:you@foreign.example",
    b"foreign.example!you",
    b"foreign.example!you@[192.0.2.1]",
    b"foreign.example!you@mx.example",
    b"you%foreign.example%there.example@mx.example",
]


@on_both_paths
@pytest.mark.parametrize("form", RELAY_FORMS, ids=[f"ID-10 {form!r}" for form in RELAY_FORMS])
async def test_relay_forms(
    path: str, form: bytes, autojump_clock: MockClock, record_property: Callable[[str, object], None]
) -> None:
    """Each goes on to the octet, for the backend to judge, and its answer comes back."""
    line = b"RCPT TO:<" + form + b">"
    answers = {"RCPT": b"454 4.7.1 relay access denied\r\n"}
    async with case(path, EHLO, MAIL, answers=answers) as here:
        assert await here.goes(line) == [answers["RCPT"]]
        assert [said for said in here.reached() if said.upper().startswith(b"RCPT")] == [line]
    record_property("G5", "1 relay tests passed on, clean and slowed")


@on_both_paths
async def test_the_keyword_is_never_shown(path: str, autojump_clock: MockClock) -> None:
    """ID-06 A backend that offers us XCLIENT and XFORWARD offers them to nobody else."""
    words = (b"backend.example", b"XCLIENT NAME ADDR PORT HELO PROTO", b"XFORWARD NAME ADDR", b"DSN")
    offers = b"".join(b"250-%b\r\n" % word for word in words[:-1]) + b"250 DSN\r\n"
    variables = {"BACKEND_INTRODUCE": "xclient"}
    async with case(path, answers={"EHLO": offers}, variables=variables) as here:
        (reply,) = await here.goes(EHLO)
        assert reply.startswith(b"250")
        assert b"XCLIENT" not in reply
        assert b"XFORWARD" not in reply


async def test_a_backend_that_knows_us_only(autojump_clock: MockClock) -> None:
    """ID-08 Without an introduction a backend hears the peer's own words, and nothing of ours."""
    async with case(CLEAN, EHLO, variables={"BACKEND_INTRODUCE": "off"}) as here:
        assert here.reached() == [EHLO]


@pytest.mark.parametrize("block", range(10))
@on_both_paths
async def test_nobody_becomes_somebody_else(
    path: str, block: int, autojump_clock: MockClock, record_property: Callable[[str, object], None]
) -> None:
    """ID-06 ID-01 G5 500 attempts: not one reaches a backend, is taken, or changes who the peer is."""
    for said in spoofs()[2 * block + (path == CLEAN) :: 20]:
        async with case(path, EHLO) as here:
            await here.far.say(said + b"QUIT\r\n")
            heard = await here.closes()
            claims = [line for line in here.reached() if line.upper().startswith((b"XC", b"XF", b"PROXY"))]
            assert claims == []
            assert heard[:3] in {b"500", b"501", b"250"}
            assert any(line.startswith((b"500", b"501", b"502")) for line in heard.split(b"\r\n"))
            assert here.session.dialogue.state is State.CLOSED
            (event,) = told(here.around, "session.closed")
            assert (event["peer"], event["port"]) == PEER
    record_property("G5", "25 attempts at another identity")


FORGED: Final = (
    b"Authentication-Results: mx.example; dkim=pass header.d=bank.example\r\n"
    b"X-Tarpit: score=0\r\nReceived: from localhost ([127.0.0.1])\r\nX-Spam-Status: No\r\n"
    b"From \r\n>From x\r\nSubject: x\r\n\r\nx\r\n"
)


@on_both_paths
async def test_fields_that_look_like_ours(path: str, autojump_clock: MockClock) -> None:
    """HDR-02 EOD-24 Forged fields pass as they are: a proxy that takes fields out breaks signatures."""
    async with case(path, *ENVELOPE) as here:
        await here.goes(b"DATA")
        assert (await here.answer(FORGED + b".\r\n")).startswith(b"250 ")
        assert here.contents() == [FORGED]


async def test_the_one_field_that_is_ours(autojump_clock: MockClock) -> None:
    """HDR-01 None unless TARPIT_HEADER names one; then one line, bounded, before everything else."""
    for name in ("", "X-Tarpit"):
        async with case("slowed", *ENVELOPE, variables={"HEADER": name} if name else {}) as here:
            await here.goes(b"DATA")
            await here.answer(FORGED + b".\r\n")
            (content,) = here.contents()
            first = content.removesuffix(FORGED)
            assert content.endswith(FORGED)
            if not name:
                assert first == b""
                continue
            assert first.startswith(b"X-Tarpit: score=")
            assert first.count(b"\r\n") == 1
            assert len(first) <= 1000
