"""What is fuzzed: each target takes any bytes, and raises where a promise is broken.

Both drivers use them: hypothesis in every test run (`test_targets`), and for as long as one likes
`python -m tests.fuzz`, which is atheris where that is installed.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from scoring.answer import Answer
from scoring.packet import KINDS, Reply, Trouble, decode, encode_question
from tarpit.proxied import LIMIT, Header, HeaderFault, read
from tarpit.smtp.addresses import ForwardPath, ReversePath, parse_forward_path, parse_reverse_path
from tarpit.smtp.commands import Malformed, Plain, Rcpt, Verb, parse, parse_any
from tarpit.smtp.content import Decoder, Encoder
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.guard import Guard
from tarpit.smtp.lines import LineFault
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import REPLY_LIMIT, ReceivedReply, ReplyFault, ReplyReader
from tarpit.smtp.server import Server
from tarpit.smtp.states import State
from tests.fuzz.reference import Lax

Target = Callable[[bytes], None]
OFFERS: Final = b"250-backend.example\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 DSN\r\n"


def pieces(data: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    """Cut *data* into pieces of *sizes*, none empty; the last has the rest."""
    while data:
        size = next(sizes, 0) % 16 or len(data)
        yield data[:size]
        data = data[size:]


def commands(data: bytes) -> None:
    """Any line is a command with its own bytes, however it is read; a sound one is printable or UTF-8."""
    command = parse(data)
    assert command.line == data
    assert command == parse_any(data)
    if isinstance(command, Malformed):
        return
    assert command.verb is not Verb.UNKNOWN
    assert not any(octet < 0x20 or octet == 0x7F for octet in data)
    assert data.upper().startswith(command.verb.value)
    data.decode()
    if isinstance(command, Plain) and command.verb is Verb.DATA:
        assert data.upper() in {b"DATA", b"DATA "}


def addresses(data: bytes) -> None:
    """A path that can be read is read the same when it is written anew."""
    for parse_path in (parse_reverse_path, parse_forward_path):
        path = parse_path(data)
        if path is None:
            continue
        assert isinstance(path, ReversePath | ForwardPath)
        written = f"<{path}>".encode()
        again = parse_path(written)
        assert again is not None or len(written) > 256, written
        assert again is None or again.mailbox == path.mailbox
        assert not any(octet < 0x20 or octet == 0x7F for octet in written)


def replies(data: bytes) -> None:
    """Replies do not depend on cuts, are bounded, and are written as they came; a fault is the last."""
    sizes, stream = iter(data[:8]), data[8:]
    whole, cut = _replies([stream]), _replies(pieces(stream, sizes))
    assert whole == cut
    sound = [reply for reply in whole if isinstance(reply, ReceivedReply)]
    raw = b"".join(reply.encode() for reply in sound)
    assert stream.startswith(raw)
    assert all(200 <= reply.code <= 599 and len(reply.raw) <= REPLY_LIMIT for reply in sound)


def _replies(stream: list[bytes] | Iterator[bytes]) -> list[ReceivedReply | ReplyFault]:
    reader, found = ReplyReader(), list[ReceivedReply | ReplyFault]()
    for piece in stream:
        reply = reader.next_of(piece)
        while reply is not None:
            found.append(reply)
            if isinstance(reply, ReplyFault):
                return found
            reply = reader.next_reply()
    return found


def content(data: bytes) -> None:
    """The end of a message is where the RFC says, and the laxest server finds it in what we pass on, once."""
    sizes, wire = iter(data[:8]), data[8:] + b"\r\n.\r\n"
    size = (b"\r\n" + wire).index(b"\r\n.\r\n") + 3
    for way in (_guarded, _written_anew):
        sent, rest, fault = way(pieces(wire, sizes))
        if fault:
            continue
        assert rest == wire[size:]
        backend = Lax(iter(()), in_data=True)
        backend.receive(sent)
        assert (len(backend.messages), backend.in_data, backend.commands, backend.idle) == (
            1,
            False,
            [],
            True,
        )


def _guarded(stream: Iterator[bytes]) -> tuple[bytes, bytes, bool]:
    guard, sent, rest = Guard(), b"", b""
    for piece in stream:
        if guard.fault is not None:
            break
        if guard.ended:
            rest += piece
        else:
            sent += guard.receive(piece)
            rest = guard.rest
    return sent, rest, guard.fault is not None


def _written_anew(stream: Iterator[bytes]) -> tuple[bytes, bytes, bool]:
    decoder, encoder, sent, rest = Decoder(), Encoder(), b"", b""
    for piece in stream:
        if decoder.ended:
            rest += piece
        else:
            sent += encoder.encode(decoder.receive(piece))
            rest = decoder.rest
    return sent + encoder.end(), rest, decoder.fault is not None


def headers(data: bytes) -> None:
    """A PROXY header is whole, bounded, and names a peer or nobody; once there is an answer it stays."""
    answers = [read(data[:size]) for size in {0, len(data) // 2, max(len(data) - 1, 0), len(data)}]
    answer = read(data)
    if isinstance(answer, Header):
        assert 0 < answer.size <= min(LIMIT, len(data))
        assert read(data[: answer.size]) == answer
        assert read(data[: answer.size - 1]) is None
    assert answer is not None or len(data) < LIMIT
    faults = [one for one in answers if isinstance(one, HeaderFault)]
    assert not faults or isinstance(answer, HeaderFault)


def packets(data: bytes) -> None:
    """A datagram is an answer, trouble, or nothing we read; what is in an answer is text of its kind."""
    names = ("mail.example", "2.0.0.127.bl.example")
    kind = sorted(KINDS)[data[0] % len(KINDS)] if data else "A"
    for name in names:
        question = encode_question(name, kind)
        assert question is not None
        for wire in (data, data[1:3] + b"\x81\x80\0\1" + data[3:9] + question + data[9:]):
            said = decode(wire, question)
            assert isinstance(said, Answer | Trouble | Reply)


def dialogue(data: bytes) -> None:
    """Two machines, ours and the laxest, agree at every step on whether content is what comes next."""
    if data[:1] < b"\x80":
        _relayed(data)
    else:
        _served(data)


def _relayed(data: bytes) -> None:
    """A clean session, as `relay` does it."""
    moods, stream = iter(data[1:17]), pieces(data[17:], iter(data[1:17]))
    ours, backend = Dialogue(), Lax(moods)
    observer = Observer(ours)
    for piece in stream:
        heard = ours.heard_in(piece)
        while heard is not None and not ours.closed:
            refused = observer.refusal(heard)
            if refused is not None:
                observer.refused(heard, refused)
            else:
                assert not isinstance(heard, LineFault | Malformed)
                _exchange(observer, backend, observer.forward(heard))
            if is_stuffed(ours, heard):
                ours.close()
            assert backend.in_data is (ours.state is State.DATA) or ours.closed
            if ours.state is State.DATA:
                _pass_content(observer, backend, stream)
            if ours.state is State.OPAQUE:
                return
            heard = ours.next_heard()
        assert len(ours.lines) <= 2048 or ours.closed
    assert not backend.in_data or ours.closed
    assert all(not isinstance(parse(line.removesuffix(b"\r")), Malformed) for line in backend.commands)
    assert all(line.endswith(b"\r") and b"\r" not in line[:-1] for line in backend.commands)


def is_stuffed(ours: Dialogue, heard: object) -> bool:
    """Whether DATA was refused and content came along: `relay` closes then."""
    wanted = isinstance(heard, Plain | Malformed) and heard.verb is Verb.DATA
    return wanted and ours.state is not State.DATA and len(ours.lines) > 0


def _exchange(observer: Observer, backend: Lax, line: bytes) -> None:
    raw = backend.receive(line)
    if line.upper().startswith(b"EHLO") and raw.startswith(b"250"):
        raw = OFFERS
    reply = observer.reply_in(raw)
    assert isinstance(reply, ReceivedReply), raw  # one reply to one command
    assert isinstance(observer.replied(reply), bytes)


def _pass_content(observer: Observer, backend: Lax, stream: Iterator[bytes]) -> None:
    guard, block = Guard(), observer.dialogue.lines.take_rest()
    taken, raw = len(backend.messages), b""
    while not guard.ended and guard.fault is None:
        raw = backend.receive(guard.receive(block))
        if not guard.ended:
            assert raw == b""
            assert backend.in_data
            assert len(backend.messages) == taken
            block = next(stream, b"")
            if not block:
                observer.dialogue.close()  # cut, and the end is never sent
                return
    if guard.fault is not None:
        observer.dialogue.close()  # refused, the backend cut off
        assert backend.in_data
        return
    assert (backend.in_data, len(backend.messages), backend.idle) == (False, taken + 1, True)
    observer.dialogue.lines.receive(guard.rest)
    reply = observer.reply_in(raw)
    assert isinstance(reply, ReceivedReply)
    observer.replied_to_content(reply)


def _served(data: bytes) -> None:
    """A slowed session, as `front` and `deliver` do it: the transaction is replayed when it is whole."""
    moods, stream = iter(data[1:17]), pieces(data[17:], iter(data[1:17]))
    ours, server = Dialogue(), Server(hostname="mx.example", keywords=(b"SMTPUTF8",))
    envelope: list[bytes] = []
    for piece in stream:
        ours.lines.receive(piece)
        while not ours.closed and (heard := ours.next_heard()) is not None:
            reply = server.judge(ours, heard)
            if reply is not None:
                server.settle(ours, heard, reply)
                assert reply.code // 100 != 3
            elif isinstance(heard, Rcpt):
                ours.settle(heard, 250 if next(moods, 0) % 4 < 2 else 550)
            else:
                assert not isinstance(heard, LineFault | Malformed)
                ours.settle(heard, 354 if heard.verb is Verb.DATA else 454)
            assert ours.state is not State.DATA or ours.standing
            if ours.state is State.DATA:
                assert ours.mail is not None
                envelope = [ours.mail.line, b"RCPT TO:<a@b>"]
                _hand_over(ours, envelope, stream)


def _hand_over(ours: Dialogue, envelope: list[bytes], stream: Iterator[bytes]) -> None:
    decoder, encoder, sent = Decoder(), Encoder(), b""
    block = ours.lines.take_rest()
    while True:
        sent += encoder.encode(decoder.receive(block))
        if decoder.ended:
            break
        if not (block := next(stream, b"")):
            ours.close()
            return
    ours.lines.receive(decoder.rest)
    if decoder.fault is None:
        backend = Lax(iter(()))
        backend.receive(b"".join(line + b"\r\n" for line in (b"EHLO x", *envelope, b"DATA")))
        assert backend.in_data
        backend.receive(sent + encoder.end())
        assert (backend.in_data, len(backend.messages), len(backend.commands)) == (False, 1, 4)
    ours.settle_content(250 if decoder.fault is None else 550)


TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        target.__name__: target
        for target in (commands, addresses, replies, content, headers, packets, dialogue)
    }
)
WORDS: Final[Mapping[str, tuple[bytes, ...]]] = MappingProxyType(
    {
        "commands": (
            b"MAIL FROM:", b"RCPT TO:", b"<", b">", b"@", b'"', b" SIZE=1", b"DATA", b"EHLO ", b"\\",
        ),
        "addresses": (b"<", b">", b"@", b'"', b"\\", b":", b"[", b"]", b"IPv6:", b"a", b".", b"\xc3\xa9"),
        "replies": (b"250", b"354", b"421", b"-", b" ", b"\r\n", b"\r", b"\n", b"ok", b"2500 "),
        "content": (b"\r\n", b"\r", b"\n", b".", b"\0", b"\r\n.\r\n", b"x", b"\r\n.\r", b"RSET\r\n"),
        "headers": (
            b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"192.0.2.1 ", b"::1 ", b"25", b"\r\n",
            b"\r\n\r\n\0\r\nQUIT\n", b"\x21\x11\0\x0c", b"\x20\0\0\0", b"\x03\0\x04", bytes(12),
        ),
        "packets": (
            b"\xc0\x0c", b"\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\2", b"\0\x10\0\1", b"\4mail\7example\0", b"\0\x29",
        ),
        "dialogue": (
            b"EHLO x\r\n", b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n", b"\r\n.\r\n", b".\r\n",
            b"\n.\n", b"\r.\r\n", b"RSET\r\n", b"QUIT\r\n", b" DATA\r\n", b"DATA\0\r\n", b"DATA\n", b"\r",
            b"\n", b"BDAT 1 LAST\r\n", b"\0", b"x" * 600, b"STARTTLS\r\n", b"NOOP\r\n", b"\x16\x03\x01",
            b"MAIL FROM:<> SIZE=1 SIZE=2\r\n",
        ),
    }
)  # fmt: skip
