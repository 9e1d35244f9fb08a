"""What each piece of a clean session costs by itself, in microseconds: `python -m bench pieces`.

Each is called as a session of a sender that is known calls it, by the objects of a real worker, in a loop of
its own; the least of several loops counts. There is no kernel in it but where it says so, no scheduler, and
all is warm in the caches: so the sum is less than a session (`bench.profile`), and it is the proportions that
tell. Where a piece comes more than once in a session of one message the number stands beside it.
"""

import argparse
import socket
import tempfile
import timeit
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import trio

from scoring import Finding, Result, Verdict
from scoring.verdict import HostName, HostState
from tarpit import settings
from tarpit.choices import LogFormat, LogLevel
from tarpit.drip import Wheel
from tarpit.judgement import Judgement
from tarpit.observe.log import configure
from tarpit.observe.outlet import Outlet
from tarpit.poller import Poller
from tarpit.services import Services, assemble
from tarpit.session import Session
from tarpit.smtp.commands import Hello, Mail, Rcpt, parse
from tarpit.smtp.guard import Guard
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import ReceivedReply, ReplyReader
from tarpit.store import Deed, History, Remembered
from tarpit.story import tell
from tarpit.wire import Wire

PEER: Final = ("192.0.2.25", 4321)
CONTENT: Final = b"Subject: 1\r\n\r\n" + (b"y" * 76 + b"\r\n") * 12 + b".\r\n"
HELLO, MAIL, RCPT = parse(b"EHLO mail.n1.test"), parse(b"MAIL FROM:<a@n1.test>"), parse(b"RCPT TO:<b@d.test>")
HOST: Final = HostName("mail.n1.test", HostState.CONFIRMED)
SAID: Final = (
    Finding("dnsbl:dnsbl.test", Result.NONE, 0.0, "not listed"),
    Finding("rdns", Result.PASS, 0.0, "mail.n1.test leads back to it"),
)
SAID_OF_HELO: Final = (
    Finding("helo", Result.PASS, 0.0, "mail.n1.test is its name"),
    Finding("spf-helo", Result.NONE, 0.0, "no record"),
)
SAID_OF_MAIL: Final = (Finding("spf", Result.PASS, 0.0, "n1.test sends from there"),)


@dataclass(frozen=True, slots=True)
class Piece:
    """Something that is done *times* in a session."""

    what: str
    times: int
    do: Callable[[], object]


def main(arguments: Sequence[str]) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench pieces", description=__doc__.partition("\n")[0])
    parser.add_argument("--loops", type=int, default=2000, metavar="N", help="calls in a loop")
    trio.run(_measure, parser.parse_args(arguments).loops)
    return 0


async def _measure(loops: int) -> None:
    with tempfile.TemporaryDirectory() as folder, _file(folder) as out:
        ours, far = socket.socketpair()
        poller = Poller()
        async with trio.open_nursery() as nursery:
            services = assemble(
                settings.load(
                    {
                        "TARPIT_BACKENDS": "127.0.0.1:9",
                        "TARPIT_STATE_DIR": folder,
                        "TARPIT_RATE_PEER": "10000000/s",  # counted, and never too fast
                        "TARPIT_RATE_NETWORK": "10000000/s",
                    }
                ),
                configure(LogFormat.JSON, LogLevel.INFO, Outlet(out.fileno())),
                poller=poller,
                wheel=Wheel(),
                nursery=nursery,
            )
            wire = Wire(poller, ours)
            wire.peer = PEER
            total = 0.0
            for piece in pieces(services, wire):
                each = min(timeit.repeat(piece.do, number=loops, repeat=5)) / loops * 1e6
                total += each * piece.times
                print(f"{piece.what:56} {piece.times:2} x {each:6.1f} µs = {each * piece.times:6.1f}")
            print(f"{'all of them':56} {total:22.1f}")
        wire.close()
        far.close()


def _file(folder: str) -> BinaryIO:
    return Path(folder, "events").open("wb")


def pieces(services: Services, wire: Wire) -> Iterator[Piece]:
    """Yield the pieces, in the order of a session."""
    session = Session(wire, services, 1)
    verdict = Verdict(SAID, 5, 10, host=HOST)
    at_once(services.store.remember(session.address, verdict))
    yield Piece("caps: may it come in, counted, counted out", 1, lambda: _counted(services))
    yield Piece("accept: a wire (kernel: two ioctls, epoll) and its close", 1, lambda: _wired(services))
    yield Piece("the session's own objects", 1, lambda: Session(wire, services, 1))
    yield Piece(
        "scoring: a verdict that is remembered, rates counted",
        1,
        lambda: at_once(services.classifier.at_connection(session.address)),
    )
    met = Remembered.of(verdict)
    good = Remembered.of(verdict, peer=History(good=30.0, occasions=30.0))
    yield Piece(
        "judgement: a verdict weighed, findings about two names added", 1, partial(_judged, session, met)
    )
    # In the place of that, so it is not in the sum.
    yield Piece("judgement: the same of a peer known as good", 0, partial(_judged, session, good))
    yield Piece("who it is, for the backend", 1, session.introduction)
    observer = Observer(session.dialogue)
    yield Piece("lines and commands: a line heard (MAIL)", 5, lambda: _heard(session))
    assert isinstance(HELLO, Hello)
    assert isinstance(MAIL, Mail)
    assert isinstance(RCPT, Rcpt)
    session.dialogue.settle(HELLO, 250)
    yield Piece("observer: may it go on", 5, lambda: observer.refusal(MAIL))
    yield Piece("replies: a line read", 7, lambda: _replied(ReplyReader()))
    reply = _replied(ReplyReader())
    yield Piece("observer: a reply matched to its command", 5, lambda: _matched(observer, reply))
    yield Piece("guard: 1 KiB of content", 1, lambda: Guard().receive(CONTENT))
    _judged(session, met)
    yield Piece("events: `session.closed` as a line of JSON (kernel: write)", 1, lambda: tell(session))
    yield Piece(
        "store: a message that was taken noted",
        1,
        lambda: at_once(services.store.note(Deed.ACCEPTED, session.address, "n1.test")),
    )


def at_once(work: Coroutine[object, None, object]) -> object:
    """Return what *work* comes to; nothing of it waits."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def _counted(services: Services) -> None:
    services.caps.admit(PEER[0])
    services.caps.entered(PEER[0])
    services.caps.left(PEER[0])


def _wired(services: Services) -> None:
    ours, far = socket.socketpair()
    Wire(services.pool.poller, ours).close()
    far.close()


def _judged(session: Session, remembered: Remembered) -> Verdict:
    """Judge a peer as in a session of its own, to the verdict that is told in the end."""
    assert remembered.verdict is not None
    session.judgement = judgement = Judgement(session.services, session.dialogue)
    judgement.recall(remembered.verdict, remembered)
    judgement.add(SAID_OF_HELO, new_mail=False, age=1.0)
    judgement.add(SAID_OF_MAIL, new_mail=True, age=1.0)
    return judgement.verdict


def _heard(session: Session) -> object:
    session.dialogue.lines.receive(b"MAIL FROM:<a@n1.test>\r\n")
    return session.dialogue.next_heard()


def _replied(replies: ReplyReader) -> ReceivedReply:
    replies.receive(b"250 2.1.0 Ok\r\n")
    reply = replies.next_reply()
    assert isinstance(reply, ReceivedReply)
    return reply


def _matched(observer: Observer, reply: ReceivedReply) -> object:
    assert isinstance(MAIL, Mail)
    observer.forward(MAIL)
    return observer.replied(reply)
