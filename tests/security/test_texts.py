"""LOG-*, DNS-14: a stranger's text, from the wire or from DNS, in everything that we write."""

import io
import json
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from scoring.verdict import Basis, Finding, HostName, HostState, Result, Verdict
from tarpit.backend.introduce import Introduction, xclient_commands
from tarpit.observe import events, log
from tarpit.recipients import hold_refusal
from tarpit.smtp.content import header_field
from tests.support.cases import EHLO, PATHS, RCPT, case

INJECTIONS: Final = [
    "EHLO x\r\nNov 24 12:00:00 mx tarpit: client=1.2.3.4",
    "x\r\n250 ok",
    "x\n.\r\nMAIL FROM:<>",
    "\x1b]0;owned\x07\x1b[2J\x9b31m",
    "\u2028\u2029\x85\u202e",
    "n" * 10_240,
    "%s%n {0.__class__} {peer}",
    'x","event":"session.closed',
    "a NAME=localhost ADDR=127.0.0.1",
    "\ud800",
    "x\0y",
]
OFFERED: Final = frozenset({"NAME", "ADDR", "PORT", "PROTO", "HELO"})
SECRETS: Final = (b"AHVzZXIAc2VjcmV0", b"hunter2", b"confidential")


def sinks(text: str) -> Mapping[str, bytes]:
    """Return what is written of *text* as a HELO name, as a name from DNS, as a list's reason."""
    finding = Finding(f"dnsbl:{text[:50]}", Result.LISTED, 9.0, text, basis=Basis.CONDUCT)
    verdict = Verdict((finding,), 3, 8, host=HostName(text, HostState.CONFIRMED))
    peer = Introduction(ip_address("192.0.2.1"), 25, HostName(text, HostState.CONFIRMED), text)
    line = io.StringIO()
    events.session_closed(
        log.configure(stream=line),
        id="1",
        peer="192.0.2.1",
        port=25,
        host=text,
        helo=text,
        reverse_path=text,
        backend_reply=text,
        findings=[(finding, 0.0) for finding in verdict.findings],
        errors=[text],
    )
    return {
        "event": line.getvalue().encode(),
        "refusal": hold_refusal(verdict, code=450, contact="postmaster").encode(),
        "xclient": b"".join(xclient_commands(peer, OFFERED)),
        "header": header_field("X-Tarpit", text),
        "reason": finding.why.encode(),
    }


@given(text=st.text(max_size=400))
def test_no_text_leaves_its_line(text: str) -> None:
    """LOG-01 LOG-02 DNS-14 G5 Whatever it is: lines of ours only, bounded, of printable ASCII."""
    check(sinks(text))


@pytest.mark.parametrize("text", INJECTIONS, ids=[f"LOG-01 {text[:20]!r}" for text in INJECTIONS])
def test_known_injections(text: str, record_property: Callable[[str, object], None]) -> None:
    """Those that have worked on others."""
    written = sinks(text)
    check(written)
    record_property("G5", f"{len(written)} places for a stranger's text that would forge a line")


def check(written: Mapping[str, bytes]) -> None:
    """Assert that all of it is harmless."""
    for lines in written.values():
        assert all(0x20 <= octet < 0x7F for octet in lines.replace(b"\r\n", b"").removesuffix(b"\n"))
    assert written["event"].count(b"\n") == 1
    assert len(written["event"]) <= 2000
    assert set(json.loads(written["event"])) >= {"event", "helo", "host"}
    assert all(line[:4] in {b"450-", b"450 "} for line in written["refusal"].splitlines())
    assert written["refusal"].count(b"\r\n") == 2
    assert all(len(line) <= 510 for line in written["refusal"].splitlines())
    for command in written["xclient"].splitlines():
        assert command.startswith(b"XCLIENT ")
        assert len(command) <= 510
        names = [word.partition(b"=")[0].decode() for word in command.split(b" ")[1:]]
        assert set(names) <= OFFERED
        assert b"ADDR=127" not in command
    assert written["header"].count(b"\r\n") == 1
    assert len(written["header"]) <= 1000
    assert len(written["reason"]) <= 200


@pytest.mark.parametrize("path", PATHS)
async def test_no_secret_is_told(path: str, autojump_clock: MockClock) -> None:
    """LOG-03 Neither credentials nor content are in any event, nor do credentials reach a backend."""
    async with case(path, EHLO) as here:
        heard = await here.goes(b"AUTH PLAIN " + SECRETS[0], b"AUTH LOGIN", b"PASS " + SECRETS[1])
        assert [reply[:3] for reply in heard] == [b"502", b"502", b"500"]
        await here.goes(b"MAIL FROM:<me@here.example>", RCPT, b"DATA")
        await here.answer(b"Subject: " + SECRETS[2] + b"\r\n\r\n" + SECRETS[2] + b"\r\n.\r\n")
        await here.goes(b"QUIT")
        await here.closes()
        told = repr(here.around.events.entries).encode()
        assert not [secret for secret in SECRETS if secret in told]
        assert not [line for line in here.reached() if SECRETS[0] in line or SECRETS[1] in line]
        assert len(here.contents()) == 1
