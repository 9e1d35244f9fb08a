"""The toy peers, each against a server that is all script: what they say, and what they make of it."""

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from tarpit.demo.backend import Backend, Message
from tarpit.demo.peers import CAST, Ended, Kind, Peer, converse, visit

BY_NAME = {peer.name: peer for peer in CAST}


async def meet(peer: Peer, received: list[Message], *, banner_after: float = 0.0) -> tuple[Ended, str, float]:
    """Let the peer talk to the toy backend itself, whose banner comes late; how it ended, after how long."""
    ours, its = trio.testing.memory_stream_pair()
    began = trio.current_time()

    async def answer() -> None:
        await trio.sleep(banner_after)
        await Backend(received.append).answer(its)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        ended, last = await converse(peer, ours)
        seconds = trio.current_time() - began
    return ended, last, seconds


async def hear_only(peer: Peer, replies: Sequence[str]) -> tuple[Ended, str]:
    """Say these replies to the peer one after another, whatever it says, and hang up."""
    ours, its = trio.testing.memory_stream_pair()
    await its.send_all("".join(f"{reply}\r\n" for reply in replies).encode())
    await its.send_eof()
    return await converse(peer, ours)


@pytest.mark.parametrize(
    ("name", "ended", "messages"),
    [
        ("polite sender", Ended.DELIVERED, 1),
        ("newsletter, 200 kB", Ended.DELIVERED, 1),
        ("pipelining sender", Ended.DELIVERED, 1),
        ("bounce, null sender", Ended.DELIVERED, 1),
        ("human at telnet", Ended.DELIVERED, 1),
        ("listed by mistake", Ended.DELIVERED, 1),
        ("spammer, 3 s patience", Ended.DELIVERED, 1),
        ("spammer, 10 s patience", Ended.DELIVERED, 1),
        ("listed pregreeter", Ended.DELIVERED, 1),
        ("SPF forger", Ended.DELIVERED, 1),
        ("web scanner", Ended.REFUSED, 0),
        ("port scanner", Ended.LEFT, 0),
        ("address harvester", Ended.REFUSED, 0),
        ("relay prober", Ended.REFUSED, 0),
    ],
)
async def test_without_a_proxy(
    name: str, ended: Ended, messages: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Nobody in between: every spammer gets through. This is what the demo's proxy is there to change."""
    received: list[Message] = []
    assert (await meet(BY_NAME[name], received))[0] == ended
    assert len(received) == messages


@pytest.mark.parametrize(
    ("name", "ended", "seconds"),
    [
        ("listed by mistake", Ended.DELIVERED, 15),
        ("spammer, 3 s patience", Ended.GAVE_UP, 3),
        ("spammer, 10 s patience", Ended.GAVE_UP, 10),
    ],
)
async def test_patience(
    name: str, ended: Ended, seconds: float, autojump_clock: trio.testing.MockClock
) -> None:
    """A banner 15 s late: the honest wait, the others leave when their patience is over."""
    outcome = await meet(BY_NAME[name], [], banner_after=15)
    assert outcome[0] == ended
    assert outcome[2] == pytest.approx(seconds)


@pytest.mark.parametrize("peer", CAST, ids=lambda peer: peer.name)
async def test_turned_away(peer: Peer, autojump_clock: trio.testing.MockClock) -> None:
    """Everybody takes 421 instead of a banner for a refusal, but the one who never listens."""
    ended, last = await hear_only(peer, ["421 4.3.2 Too busy"])
    looked = peer.name == "port scanner"
    assert (ended, last) == ((Ended.LEFT, "") if looked else (Ended.REFUSED, "421 4.3.2 Too busy"))


@pytest.mark.parametrize(
    "name", ["polite sender", "pipelining sender", "human at telnet", "address harvester"]
)
async def test_refused_at_mail(name: str, autojump_clock: trio.testing.MockClock) -> None:
    """A refusal ends the visit with QUIT, and the refusal is what is remembered of it."""
    replies = ["220 mx", "250-mx", "250 SIZE", "550 5.7.1 No", "503 5.5.1 No", "503 5.5.1 Last", "221 Bye"]
    replies = replies[:1] + replies[2:] if name == "human at telnet" else replies
    ended, last = await hear_only(BY_NAME[name], replies)
    assert ended == Ended.REFUSED
    assert last.startswith(("550", "503"))


async def test_hung_up_on(autojump_clock: trio.testing.MockClock) -> None:
    """A connection closed in the middle is told from a refusal."""
    assert await hear_only(BY_NAME["polite sender"], ["220 mx"]) == (Ended.CUT_OFF, "220 mx")


async def test_hung_up_on_at_quit(autojump_clock: trio.testing.MockClock) -> None:
    """A message taken is delivered, even when nobody answers the QUIT."""
    taken = ["220 mx", "250 mx", "250 Ok", "250 Ok", "354 Go on", "250 2.0.0 Taken"]
    assert await hear_only(BY_NAME["polite sender"], taken) == (Ended.DELIVERED, "250 2.0.0 Taken")


async def test_visit_from_its_own_address() -> None:
    """The connection comes from the peer's loopback address, and the outcome names the peer."""
    peer = BY_NAME["polite sender"]
    seen: list[str] = []
    received: list[Message] = []

    async def serve(stream: trio.SocketStream) -> None:
        seen.append(stream.socket.getpeername()[0])
        await Backend(received.append).answer(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        outcome = await visit(peer, listeners[0].socket.getsockname())
        nursery.cancel_scope.cancel()
    assert seen == [peer.source]
    assert (outcome.name, outcome.kind, outcome.ended) == ("polite sender", Kind.CLEAN, Ended.DELIVERED)
    assert outcome.last_reply == "250 2.0.0 Ok: delivered to the demo"


async def test_visit_to_a_closed_port() -> None:
    """Nobody there: cut off before the first word, and no exception."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    address = listener.socket.getsockname()
    await listener.aclose()
    assert (await visit(BY_NAME["polite sender"], address)).ended == Ended.CUT_OFF


def test_cast() -> None:
    """A dozen or so peers, each with an address of its own that is neither ours nor a test point."""
    sources = [peer.source for peer in CAST]
    assert len(CAST) >= 12
    assert len(set(sources)) == len(CAST) == len(BY_NAME)
    assert not {"127.0.0.1", "127.0.0.2"} & set(sources)
