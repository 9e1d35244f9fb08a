"""The toy backend, as transcripts over a memory stream and once over a real socket."""

import pytest
import trio
import trio.testing

from tarpit.demo.backend import LARGEST_MESSAGE, Backend, Counts, Message, Transaction, refuse, subject


def ignore(message: Message) -> None:
    """Take no notice of a message."""


BANNER = "S: 220 mx.demo.test ESMTP demo"
DELIVERY = [
    BANNER,
    "C: HELO peer",
    "S: 250 2.0.0 Ok",
    "C: MAIL FROM:<ann@good.demo.test> SIZE=100",
    "S: 250 2.1.0 Ok",
    "C: RCPT TO:<you@demo.test>",
    "S: 250 2.1.5 Ok",
    "C: RCPT TO:<nobody@demo.test>",
    "S: 550 5.1.1 No such user here",
    "C: RCPT TO:<x@elsewhere.test>",
    "S: 554 5.7.1 Relay access denied",
    "C: DATA",
    "S: 354 End data with <CR><LF>.<CR><LF>",
    "C: Subject: Hello",
    "C: ",
    "C: ..dotted",
    "C: .",
    "S: 250 2.0.0 Ok: delivered to the demo",
    "C: QUIT",
    "S: 221 2.0.0 Bye",
]
OUT_OF_ORDER = [
    BANNER,
    "C: RCPT TO:<you@demo.test>",
    "S: 503 5.5.1 MAIL first",
    "C: DATA",
    "S: 503 5.5.1 RCPT first",
    "C: MAIL you",
    "S: 501 5.5.4 Syntax: MAIL FROM:<address>",
    "C: MAIL FROM:<>",
    "S: 250 2.1.0 Ok",
    "C: MAIL FROM:<>",
    "S: 503 5.5.1 Sender already given",
    "C: RCPT you",
    "S: 501 5.5.4 Syntax: RCPT TO:<address>",
    "C: RSET",
    "S: 250 2.0.0 Ok",
    "C: NOOP",
    "S: 250 2.0.0 Ok",
    "C: MAIL FROM:<>",
    "S: 250 2.1.0 Ok",
    "C: TURN",
    "S: 502 5.5.2 Command not known",
]


async def play(transcript: list[str], received: list[Message]) -> None:
    """Hold the transcript with a backend: every `S:` line must be heard exactly, then nothing more."""
    ours, its = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Backend(received.append).answer, its)
        for entry in transcript:
            side, _, text = entry.partition(": ")
            line = f"{text}\r\n".encode()
            if side == "C":
                await ours.send_all(line)
            else:
                assert await ours.receive_some(len(line)) == line
        await ours.aclose()


@pytest.mark.parametrize(
    "transcript", [pytest.param(DELIVERY, id="delivery"), pytest.param(OUT_OF_ORDER, id="out of order")]
)
async def test_dialogue(transcript: list[str], autojump_clock: trio.testing.MockClock) -> None:
    """The backend says exactly this."""
    await play(transcript, [])


async def test_message_is_reported_once(autojump_clock: trio.testing.MockClock) -> None:
    """The callback gets sender, accepted recipients, unstuffed size and subject."""
    received: list[Message] = []
    await play(DELIVERY, received)
    body = b"Subject: Hello\r\n\r\n.dotted\r\n"
    assert received == [Message("ann@good.demo.test", ("you@demo.test",), len(body), "Hello")]


def test_keywords() -> None:
    """EHLO shows the four keywords."""
    reply = Transaction().answer(b"ehlo peer")
    assert reply[1:] == ("250-SIZE 10000000", "250-8BITMIME", "250-PIPELINING", "250 ENHANCEDSTATUSCODES")


async def test_pipelined_commands_are_answered_in_order(autojump_clock: trio.testing.MockClock) -> None:
    """A whole session in one piece gets all its replies."""
    ours, its = trio.testing.memory_stream_pair()
    received: list[Message] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Backend(received.append).answer, its)
        await ours.send_all(
            b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster@demo.test>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n"
        )
        heard = b""
        while data := await ours.receive_some():
            heard += data
    assert [line[:3] for line in heard.split(b"\r\n")[:-1]] == [
        b"220", b"250", b"250", b"250", b"354", b"250", b"221",
    ]  # fmt: skip
    assert received == [Message("", ("postmaster@demo.test",), 4, "")]


async def test_message_cut_short_is_not_reported(autojump_clock: trio.testing.MockClock) -> None:
    """No dot, no message."""
    received: list[Message] = []
    await play([*DELIVERY[:13], "C: Subject: half"], received)
    assert received == []


async def test_message_too_big(autojump_clock: trio.testing.MockClock) -> None:
    """More than SIZE is read to its dot and refused with 552."""
    received: list[Message] = []
    ours, its = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Backend(received.append).answer, its)
        await ours.send_all(b"MAIL FROM:<>\r\nRCPT TO:<you@demo.test>\r\nDATA\r\n")
        await ours.send_all((b"x" * 998 + b"\r\n") * (LARGEST_MESSAGE // 1000 + 2) + b".\r\nQUIT\r\n")
        heard = b""
        while data := await ours.receive_some():
            heard += data
    assert b"\r\n552 5.3.4 Message too big\r\n221" in heard
    assert received == []


async def test_endless_line_ends_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    """A line without an end is not kept for ever."""
    ours, its = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Backend(ignore).answer, its)
        await ours.send_all(b"x" * 100_000)
        while await ours.receive_some():
            pass


async def test_silence_ends_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    """Who says nothing for 300 s is let go."""
    ours, its = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Backend(ignore).answer, its)
        while await ours.receive_some():
            pass
        assert trio.current_time() == pytest.approx(300)


async def test_connections_are_counted() -> None:
    """Over real sockets: all of them, those open now, and the peak; a reset harms nobody."""
    backend = Backend(ignore)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(backend.serve, listeners)
        address = listeners[0].socket.getsockname()
        streams = [await trio.open_tcp_stream(*address) for _ in range(2)]
        for stream in streams:
            assert (await stream.receive_some()).startswith(b"220 ")
        for stream in streams:
            await stream.send_eof()
            assert await stream.receive_some() == b""
            await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert backend.counts == Counts(connections=2, now=0, peak=2)


@pytest.mark.parametrize(
    ("recipient", "code"),
    [
        ("you@demo.test", None),
        ("You@DEMO.test", None),
        ("Postmaster", None),
        ("nobody@demo.test", "550"),
        ("relay-test@iana.org", "554"),
        ("you@good.demo.test", "554"),
        ("you", "554"),
    ],
)
def test_refuse(recipient: str, code: str | None) -> None:
    """Ours and known is taken; nothing else is."""
    reply = refuse(recipient)
    assert (reply and reply[:3]) == code


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"From: x\r\nsubject:  Pills \r\n\r\nSubject: not me\r\n", "Pills"),
        (b"Subject: a\x1b[2Jb\r\n\r\n", "a?[2Jb"),
        (b"Subject: " + b"x" * 500 + b"\r\n\r\n", "x" * 60),
        (b"no header\r\n", ""),
    ],
)
def test_subject(body: bytes, text: str) -> None:
    """Only the header's Subject, and nothing a terminal would obey."""
    assert subject(body) == text
