"""EHLO keywords: what a peer may see, and that the rest keeps every byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.smtp.keywords import PASSED, common, introduced, offered, shown
from tarpit.smtp.replies import ReceivedReply, Reply

POSTFIX = (
    b"250-mx.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-VRFY\r\n250-ETRN\r\n250-STARTTLS\r\n"
    b"250-XCLIENT NAME ADDR PROTO\r\n250-XFORWARD NAME ADDR\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"
    b"250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n"
)


def seen(ehlo: Reply, *, pipelining: bool, starttls: bool) -> bytes:
    """Return what a peer sees of *ehlo*."""
    return shown(ehlo, offered(ehlo, pipelining=pipelining, starttls=starttls))


def received(raw: bytes) -> ReceivedReply:
    """Return the reply that is *raw*."""
    return ReceivedReply(int(raw[:3]), tuple(line[4:] for line in raw.split(b"\r\n")[:-1]), raw)


def test_postfix_in_full() -> None:
    """What Postfix offers, less what is not for the peer; the last line left gets the space."""
    assert seen(received(POSTFIX), pipelining=True, starttls=True) == (
        b"250-mx.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n"
        b"250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8\r\n"
    )


@given(st.lists(st.sampled_from([b"PIPELINING", b"STARTTLS", b"DSN", b"VRFY"])), st.booleans(), st.booleans())
def test_what_is_remembered_is_what_is_read(words: list[bytes], pipelining: bool, starttls: bool) -> None:
    """An equal reply of another backend, or the same once more, is shown alike; our own keywords are last."""
    lines = (b"mx.example", *words)
    ehlo, again = (ReceivedReply(250, lines, Reply(250, lines).encode()) for _ in range(2))
    expected = offered(ehlo, pipelining=pipelining, starttls=starttls)
    for ours in ((), (b"STARTTLS",)):
        keywords = (*expected, *ours)
        for one in (ehlo, again):
            assert introduced(one, (pipelining, starttls), ours) == (keywords, shown(one, keywords))


def test_pipelining_and_starttls_are_the_callers_choice() -> None:
    """Either is shown only when asked for; by default neither is offered."""
    ehlo = received(b"250-x\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 DSN\r\n")
    assert offered(ehlo) == (b"DSN",)
    assert offered(ehlo, pipelining=True) == (b"PIPELINING", b"DSN")
    assert offered(ehlo, starttls=True) == (b"STARTTLS", b"DSN")
    assert seen(ehlo, pipelining=False, starttls=False) == b"250-x\r\n250 DSN\r\n"


@pytest.mark.parametrize(
    "line",
    [
        *(b"XCLIENT NAME", b"XFORWARD NAME", b"CHUNKING", b"BINARYMIME", b"AUTH PLAIN LOGIN", b"AUTH=PLAIN"),
        *(b"BURL imap", b"ETRN", b"ATRN", b"VRFY", b"EXPN", b"HELP", b"REQUIRETLS", b"FUTURERELEASE 1 2"),
        *(
            b"X-SECRET",
            b"XEXCH50",
            b"TIME",
            b"NO-SOLICITING",
            b"CHECKPOINT",
            b"",
            b" SIZE",
            b"SIZE\t1",
            b"SIZE=1",
        ),
    ],
)
def test_removed(line: bytes) -> None:
    """Whatever is not on the list is not shown."""
    ehlo = Reply(250, (b"x", line, b"DSN"))
    assert seen(ehlo, pipelining=True, starttls=True) == b"250-x\r\n250 DSN\r\n"


@pytest.mark.parametrize(
    "line",
    [b"SIZE", b"SIZE 1000", b"size 1000 ", b"DeliverBy 240", b"LIMITS RCPTMAX=10", b"MT-PRIORITY MIXER"],
)
def test_kept_to_the_byte(line: bytes) -> None:
    """A keyword is known in any case of letters, and its line is not rewritten."""
    assert offered(Reply(250, (b"x", b"VRFY", line))) == (line,)


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        (b"LIMITS MAILMAX=1000 RCPTMAX=50000", b"LIMITS MAILMAX=1000 RCPTMAX=1000"),
        (b"limits rcptmax=" + b"9" * 30, b"limits rcptmax=1000"),
        (b"LIMITS RCPTMAX=1000 RCPTDOMAINMAX=5000", b"LIMITS RCPTMAX=1000 RCPTDOMAINMAX=5000"),
        (b"LIMITS", b"LIMITS"),
        (b"SIZE RCPTMAX=50000", b"SIZE RCPTMAX=50000"),
    ],
)
def test_no_more_recipients_than_we_take(line: bytes, seen: bytes) -> None:
    """What a backend promises in LIMITS (RFC 9422) is lowered to our own limit: Exim says 50,000."""
    assert offered(Reply(250, (b"x", line))) == (seen,)


def test_unchanged_when_nothing_is_removed() -> None:
    """The backend's own bytes, even where it writes the end of a line in its own way."""
    raw = b"250-x\r\n250-DSN\r\n250\r\n"
    assert seen(ReceivedReply(250, (b"x", b"DSN"), raw), pipelining=True, starttls=False) is raw


def test_the_greeting_is_no_keyword() -> None:
    """The first line is kept, whatever name it has."""
    assert (
        seen(Reply(250, (b"XCLIENT here", b"XCLIENT")), pipelining=False, starttls=False)
        == b"250 XCLIENT here\r\n"
    )


def test_a_refusal_offers_nothing() -> None:
    """BE-17: the lines of a refusal are text, and offer nothing."""
    raw = b"502-What?\r\n502-SIZE\r\n502 Go away\r\n"
    assert offered(received(raw), pipelining=True, starttls=True) == ()


LINE = st.sampled_from(
    [*sorted(PASSED), b"PIPELINING", b"STARTTLS", b"XCLIENT", b"AUTH", b"CHUNKING"]
) | st.binary(max_size=12).map(lambda b: bytes(c for c in b if c >= 32 and c != 127))


@given(st.lists(LINE, min_size=1, max_size=10).map(tuple), st.booleans(), st.booleans())
def test_shown_is_one_reply_of_lines_that_came(
    lines: tuple[bytes, ...], pipelining: bool, starttls: bool
) -> None:
    """What is shown is the greeting and the lines offered, in order; showing it again changes nothing."""
    ehlo = Reply(250, lines)
    once = seen(ehlo, pipelining=pipelining, starttls=starttls)
    again = received(once)
    assert again.lines == (lines[0], *offered(ehlo, pipelining=pipelining, starttls=starttls))
    assert seen(again, pipelining=pipelining, starttls=starttls) == once


COMMON = [
    pytest.param([], None, (), id="nobody was asked yet"),
    pytest.param([(b"8BITMIME", b"DSN"), (b"DSN",)], None, (b"DSN",), id="what all have"),
    pytest.param([(b"SIZE 10", b"DSN"), (b"DSN", b"size 7")], None, (b"SIZE 7", b"DSN"), id="the smallest"),
    pytest.param([(b"SIZE 10",), (b"DSN",)], 5, (), id="SIZE only where all have it"),
    pytest.param([(b"SIZE 10",)], 5, (b"SIZE 5",), id="ours is smaller"),
    pytest.param([(b"SIZE",), (b"SIZE 0",)], None, (b"SIZE",), id="no limit"),
    pytest.param([(b"SIZE",), (b"SIZE 9",)], None, (b"SIZE 9",), id="a limit and none"),
    pytest.param([(b"LIMITS RCPTMAX=9",), (b"LIMITS RCPTMAX=8",)], None, (), id="what differs is no promise"),
]


@pytest.mark.parametrize(("shown_by", "largest", "words"), COMMON)
def test_common(shown_by: list[tuple[bytes, ...]], largest: int | None, words: tuple[bytes, ...]) -> None:
    """Only what every backend takes is promised before it is known which one will be asked."""
    assert common(shown_by, largest=largest) == words
