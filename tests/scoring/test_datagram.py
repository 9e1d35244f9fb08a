"""Questions over UDP sockets, against servers that misbehave.

Where datagrams fly the clock is real, so waits here are tenths of a second.
"""

import errno
import gc
import socket
from collections.abc import Iterator
from math import inf

import pytest
import trio

from scoring import datagram
from scoring.answer import IN_TIME, TOO_LATE, Answer, Status
from scoring.datagram import Datagrams, Line, Question
from scoring.packet import Reply, Trouble, encode_question
from tests.support.dns_faults import faulty

LISTED = Answer(Status.FOUND, addresses=("127.0.0.2",))
NOWHERE = ("127.0.0.1", 9)  # nothing listens there: the kernel says so at once


def question(fault: str, number: int = 0) -> bytes:
    wire = encode_question(f"{number}.{fault}.test", "A")
    assert wire is not None
    return wire


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """A server that reads nothing and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        ("none", LISTED),
        ("servfail", Trouble("SERVFAIL")),
        ("refused", Trouble("REFUSED")),
        ("nxdomain", Answer(Status.NOTHING, "no such name")),
        ("truncated", Reply.TRUNCATED),
        ("too-long", Reply.UNUSUAL),
        ("lower-case", Reply.UNUSUAL),
        ("forged-first", LISTED),
        ("wrong-number", Trouble(IN_TIME)),
        ("wrong-question", Trouble(IN_TIME)),
        ("wrong-port", Trouble(IN_TIME)),
        ("garbage", Trouble(IN_TIME)),
        ("silence", Trouble(IN_TIME)),
        ("lost-once", LISTED),
        ("late", Trouble(IN_TIME)),
    ],
)
async def test_ask(fault: str, heard: Answer | Trouble | Reply) -> None:
    """DNS-01, DNS-09: a reply is heard if it is one to the question; whatever else comes is not."""
    async with faulty() as server:
        assert await Datagrams([server.address], one_try=0.1, most_tries=3).ask(question(fault)) == heard


async def test_late_reply_to_an_earlier_try() -> None:
    """A slow server is heard although the question has been sent again meanwhile."""
    async with faulty() as server:
        assert await Datagrams([server.address], one_try=0.6).ask(question("late")) == LISTED
        assert len(server.asked) == 2


@pytest.mark.parametrize("fault", ["servfail", "refused"])
async def test_next_server_after_trouble(fault: str) -> None:
    """A server that refuses is not asked the same again; the next one is, at once."""
    async with faulty() as first, faulty() as second:
        datagrams = Datagrams([first.address, second.address])
        assert await datagrams.ask(question(fault)) == Trouble(fault.upper())
        assert (len(first.asked), len(second.asked)) == (1, 1)


async def test_next_server_after_silence(silent: tuple[str, int]) -> None:
    """A server that is silent costs one time-out; then it is asked last for half a minute."""
    async with faulty() as server:
        datagrams = Datagrams([silent, server.address], one_try=0.1)
        start = trio.current_time()
        assert await datagrams.ask(question("none")) == LISTED
        assert 0.1 <= trio.current_time() - start < 1
        assert datagrams._order() == (server.address, silent)
        datagrams._resting[silent] = trio.current_time()
        assert datagrams._order() == (silent, server.address)


async def test_one_slow_name_is_not_a_dead_server() -> None:
    """A server that has answered others meanwhile keeps its place."""
    async with faulty() as first, faulty() as second:
        datagrams = Datagrams([first.address, second.address], one_try=0.2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(datagrams.ask, question("lost-once"))
            await trio.sleep(0.1)
            assert await datagrams.ask(question("none")) == LISTED
        assert datagrams._order() == (first.address, second.address)


async def test_refused_port() -> None:
    """A server that is not there is known at once, and all who wait for it go to the next one."""
    async with faulty() as server:
        datagrams = Datagrams([NOWHERE, server.address], one_try=30)
        heard: list[object] = []

        async def ask(number: int) -> None:
            heard.append(await datagrams.ask(question("none", number)))

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(ask, number)
        assert heard == [LISTED] * 20


async def test_no_server_is_there() -> None:
    """DNS-02: where nothing listens the trouble is said at once."""
    with trio.fail_after(5):
        assert await Datagrams([NOWHERE], one_try=30).ask(question("none")) == Trouble("Connection refused")
        assert await Datagrams([]).ask(question("none")) == Trouble("no server")


async def test_no_socket_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file descriptor, or a route, there is trouble and no exception."""

    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "")

    async with faulty() as server:
        unreachable = Datagrams([("192.0.2.1", 0)])
        assert isinstance(await unreachable.ask(question("none")), Trouble)
        monkeypatch.setattr(datagram, "_connected", refuse)
        assert await Datagrams([server.address]).ask(question("none")) == Trouble("Too many open files")


async def test_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that cannot even be connected is closed again."""
    opened: list[socket.socket] = []

    class Unroutable(socket.socket):
        def connect(self, address: object) -> None:
            opened.append(self)
            raise OSError(errno.ENETUNREACH, "")

    monkeypatch.setattr(socket, "socket", Unroutable)
    heard = await Datagrams([("2001:db8::1", 53)]).ask(question("none"))
    assert heard == Trouble("Network is unreachable")
    assert (opened[0].family, opened[0].fileno()) == (socket.AF_INET6, -1)


async def test_ports_change() -> None:
    """A source port serves 100 questions; a worn one is closed when nobody waits on it any more."""
    async with faulty() as server:
        datagrams = Datagrams([server.address])
        lines = set()
        for number in range(250):
            assert await datagrams.ask(question("none", number)) == LISTED
            lines.add(datagrams._lines[server.address])
        ports = len(lines)
        assert (ports, sum(not line.closed for line in lines)) == (3, 1)


async def test_worn_port_waits_for_its_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A late answer still comes in on a port that serves no new questions."""
    monkeypatch.setattr(datagram, "QUESTIONS_A_PORT", 1)
    async with faulty() as server:
        datagrams = Datagrams([server.address], one_try=5)
        heard: list[object] = []

        async def ask() -> None:
            heard.append(await datagrams.ask(question("late")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            worn = datagrams._lines[server.address]
            assert await datagrams.ask(question("none")) == LISTED
            assert not worn.closed
        assert heard == [LISTED]
        assert worn.closed


async def test_worn_port_of_a_server_that_went(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal on a worn port ends that port only."""
    monkeypatch.setattr(datagram, "QUESTIONS_A_PORT", 1)
    datagrams, heard = Datagrams([NOWHERE], one_try=30), list[object]()

    async def ask() -> None:
        heard.append(await datagrams.ask(question("none")))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
    assert heard == [Trouble("Connection refused")] * 3
    assert not datagrams._lines


async def test_giving_up_leaves_nothing(silent: tuple[str, int]) -> None:
    """Who is cancelled is forgotten: no number stays taken, and nothing is sent again."""
    datagrams = Datagrams([silent], one_try=0.1)
    with trio.move_on_after(0.05):
        await datagrams.ask(question("none"))
    assert not datagrams._lines[silent].waiting
    await trio.sleep(0.2)
    assert (datagrams._due, datagrams._nap) == ([], None)


async def test_time_is_up(silent: tuple[str, int]) -> None:
    """Each who asks is told when his time is up, whoever asked first."""
    datagrams, ends = Datagrams([silent], one_try=0.4), dict[float, float]()
    start = trio.current_time()

    async def ask(seconds: float) -> None:
        assert await datagrams.ask(question("none"), until=start + seconds) is TOO_LATE
        ends[seconds] = trio.current_time() - start

    async with trio.open_nursery() as nursery:
        for seconds in (0.6, 0.2, 0.3, -1.0):
            nursery.start_soon(ask, seconds)
            await trio.testing.wait_all_tasks_blocked()
    assert list(ends) == [-1.0, 0.2, 0.3, 0.6]
    assert all(max(seconds, 0) <= end < max(seconds, 0) + 0.15 for seconds, end in ends.items())


async def test_a_flood_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is sent datagrams without end reads a hundred and lets others have their turn."""
    monkeypatch.setattr(datagram, "MOST_AT_ONCE", 2)
    async with faulty() as server:
        datagrams = Datagrams([server.address])
        assert await datagrams.ask(question("forged-first")) == LISTED


async def test_number_is_free(silent: tuple[str, int]) -> None:
    """No two questions on one port have the same number, and a full send buffer is a lost datagram."""
    wire = question("none")
    asking = Question(wire, inf, (), trio.lowlevel.current_task())
    with datagram._connected(silent) as sock:
        line = Line(silent, sock)
        for _ in range(3000):
            line.send(asking)
        assert len(line.waiting) == len(asking.sent) == 3000


def test_sockets_end_with_the_run(silent: tuple[str, int]) -> None:
    """What was opened in a run of trio is closed at its end, and nothing needs to be said for it."""
    datagrams = Datagrams([silent])
    lines: list[Line] = []

    async def ask() -> None:
        with trio.move_on_after(0.05):
            await datagrams.ask(question("none"))
        lines.extend(datagrams._lines.values())

    trio.run(ask)
    assert [line.sock.fileno() for line in lines] == [-1]
    gc.collect()  # a socket left open would warn here, and warnings are errors
