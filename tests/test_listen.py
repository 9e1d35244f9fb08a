"""The accept loop: who comes in, who hears 421 at once, what is told of it, what odd accepts may break."""

import errno
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tarpit.backend.introduce import proxy_v1_header, proxy_v2_header
from tarpit.listen import BACK_OFF, BATCH, HEADER_WAIT, TELL_EVERY, Listener
from tarpit.poller import SWEEP_EVERY
from tarpit.store import History
from tarpit.store.memory import MemoryStore
from tests.support.backend import FakeBackend, fake_backend
from tests.support.dns_zone import FakeResolver
from tests.support.sessions import LISTED, ZONE_TESTS
from tests.support.wires import Surroundings, load, stage

HERE = "127.0.0.1"
End = tuple[str, int]


class Odd(socket.socket):
    """A listening socket whose accept fails with each of *errors* first; None is one that succeeds."""

    errors: list[int | None]

    @classmethod
    def create(cls, errors: Sequence[int | None]) -> "Odd":
        """Return one on a free port."""
        sock = cls(fileno=socket.create_server((HERE, 0)).detach())
        sock.errors = list(errors)
        return sock

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        """Fail, as long as there is an error left."""
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise OSError(error, os.strerror(error))
        return super().accept()


@dataclass
class Door:
    """A listener that runs, what sessions share behind it, and their backend."""

    around: Surroundings
    address: End
    listener: Listener
    backend: FakeBackend
    streams: list[trio.SocketStream] = field(default_factory=list)

    async def knock(self, source: str = HERE, first: bytes = b"") -> tuple[trio.SocketStream, bytes]:
        """Connect from *source* and say *first*; return the connection, and what was said to that."""
        stream = await self.arrive(source)
        if first:
            await stream.send_all(first)
        return stream, bytes(await stream.receive_some())

    async def arrive(self, source: str) -> trio.SocketStream:
        """Connect from *source*."""
        sock = trio.socket.socket()
        await sock.bind((source, 0))
        await sock.connect(self.address)
        self.streams.append(trio.SocketStream(sock))
        return self.streams[-1]

    async def silenced(self, source: str, first: bytes) -> bool:
        """Connect from *source* and say *first*; return whether the connection is closed without a word."""
        stream = await self.arrive(source)
        await stream.send_all(first)
        try:
            return await stream.receive_some() == b""
        except trio.BrokenResourceError:
            return True  # what was said was not read

    async def knocks(self, *sources: str) -> list[bytes]:
        """Connect from each of *sources*, stay, and return the reply codes with their enhanced codes."""
        return [(await self.knock(source))[1][:9] for source in sources]

    def told(self, event: str) -> list[dict[str, object]]:
        """Return the events called *event*."""
        return [dict(entry) for entry in self.around.events.entries if entry["event"] == event]


@asynccontextmanager
async def door(
    *errors: int | None,
    variables: Mapping[str, str] | None = None,
    kind: type[Odd] = Odd,
    proxied: bool = False,
    resolver: FakeResolver | None = None,
) -> AsyncIterator[Door]:
    """Run a listener on a socket that fails with *errors* first, before a backend that takes all."""
    async with fake_backend(proxied=proxied) as backend:
        settings = load(BACKENDS="{}:{}".format(*backend.address), **variables or {})
        async with stage(settings, resolver or FakeResolver({})) as around:
            with kind.create(errors) as sock:
                listener = Listener(sock, around.services)
                around.services.nursery.start_soon(listener.run)
                house = Door(around, sock.getsockname(), listener, backend)
                try:
                    yield house
                finally:
                    around.services.nursery.cancel_scope.cancel()
                    for stream in house.streams:
                        stream.socket.close()


async def test_full_is_told_at_once() -> None:
    """Above TARPIT_MAX_SESSIONS a peer hears 421 4.3.2; the one that is in is not disturbed."""
    async with door(variables={"MAX_SESSIONS": "1"}) as house:
        first, banner = await house.knock()
        assert banner.startswith(b"220 backend.example")
        assert await house.knocks(HERE) == [b"421 4.3.2"]
        await first.send_all(b"QUIT\r\n")
        assert (await first.receive_some()).startswith(b"221 ")
        await first.aclose()
        await house.around.services.wait_empty()
        assert await house.knocks(HERE) == [b"220 backe"]
    assert len(house.told("sessions.full")) == 1


async def test_what_is_not_told_yet_is_told_at_the_end() -> None:
    """A line in ten seconds holds back the count of all that follow the first; a stop does not lose it."""
    async with door(variables={"MAX_SESSIONS": "1"}) as house:
        await house.knock()
        for _ in range(3):
            assert await house.knocks(HERE) == [b"421 4.3.2"]
    assert [event["refused"] for event in house.told("sessions.full")] == [1, 2]


@pytest.mark.parametrize(
    ("variables", "sources", "heard"),
    [
        pytest.param(
            {"MAX_SESSIONS_PEER": "2"},
            ["127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2"],
            [b"220 backe", b"220 backe", b"421 4.7.0", b"220 backe"],
            id="a peer",
        ),
        pytest.param(
            {"MAX_SESSIONS_NETWORK": "2"},
            ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.1.3"],
            [b"220 backe", b"220 backe", b"421 4.7.0", b"220 backe"],
            id="a network",
        ),
        pytest.param(
            {"MAX_SESSIONS_PEER": "1", "MAX_SESSIONS_NETWORK": "1", "ALLOW": "127.0.0.0/24"},
            ["127.0.0.1", "127.0.0.1", "127.0.1.1", "127.0.1.1"],
            [b"220 backe", b"220 backe", b"220 backe", b"421 4.7.0"],
            id="TARPIT_ALLOW",
        ),
        pytest.param(
            {"MAX_SESSIONS": "10"},
            ["127.0.0.1"] * 10 + ["127.0.1.1", "127.0.2.1"],
            [b"220 backe"] * 9 + [b"421 4.3.2", b"220 backe", b"421 4.3.2"],
            id="the last place of a server",
        ),
    ],
)
async def test_caps(variables: dict[str, str], sources: list[str], heard: list[bytes]) -> None:
    """Each hears at once whether it may come in (RES-01, RES-02, RES-04)."""
    async with door(variables=variables) as house:
        assert await house.knocks(*sources) == heard


async def test_a_good_history_counts() -> None:
    """Whom the store knows as good is not locked out by its neighbours."""
    async with door(variables={"MAX_SESSIONS_NETWORK": "1"}) as house:
        store = house.around.services.store
        assert isinstance(store, MemoryStore)
        store.peers._known[ip_address("127.0.0.2").packed] = History(
            good=9, occasions=9, at=trio.current_time()
        )
        assert await house.knocks("127.0.0.1", "127.0.0.3") == [b"220 backe", b"421 4.7.0"]
        assert await house.knocks("127.0.0.2") == [b"220 backe"]


async def test_a_refusal_costs_no_task_and_no_session() -> None:
    """Who is over its cap leaves nothing behind, not even a session in the log."""
    async with door(variables={"MAX_SESSIONS_PEER": "1"}) as house:
        await house.knocks(HERE)
        services = house.around.services
        tasks = len(services.nursery.child_tasks)
        assert set(await house.knocks(*[HERE] * 20)) == {b"421 4.7.0"}
        assert (len(services.nursery.child_tasks), len(services.open), services.caps.sessions) == (
            tasks,
            1,
            1,
        )
    assert len(house.told("session.closed")) == 1


async def test_places_are_free_again() -> None:
    """However sessions end, no count is left when all have."""
    async with door() as house:
        streams = [(await house.knock(source))[0] for source in ("127.0.0.1", "127.0.0.1", "127.0.7.1")]
        services = house.around.services
        assert services.caps.sessions == len(services.open) == 3
        for stream in streams:
            await stream.aclose()
        await services.wait_empty()
        caps = services.caps
        assert (caps.sessions, caps.held, caps._peers, caps._networks, caps._wide) == (0, 0, {}, {}, {})


async def test_refusals_are_told_by_number(autojump_clock: MockClock) -> None:
    """One line at once, and one after ten seconds of quiet or flood, for each limit (RES-11)."""
    async with door(variables={"MAX_SESSIONS": "20", "MAX_SESSIONS_PEER": "1"}) as house:
        await house.knocks(*[HERE] * 6)
        await trio.sleep(TELL_EVERY - 1)
        assert [event["refused"] for event in house.told("sessions.full")] == [1]
        await trio.sleep(2)
        told = house.told("sessions.full")
        assert [(event["limit"], event["refused"]) for event in told] == [
            ("TARPIT_MAX_SESSIONS_PEER", 1),
            ("TARPIT_MAX_SESSIONS_PEER", 4),
        ]
        assert (told[-1]["peer"], told[-1]["sessions"]) == (HERE, 1)
        await trio.sleep(100)
        assert len(house.told("sessions.full")) == 2
        await house.knocks(HERE)
        assert [event["refused"] for event in house.told("sessions.full")] == [1, 4, 1]


@pytest.mark.parametrize("host", [HERE, "::1"])
async def test_no_reply_is_kept_back(host: str) -> None:
    """A connection does not wait for more to send (TCP_NODELAY), nor is it asked to: it is born so."""
    async with stage(load(), FakeResolver({})) as around:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as sock:
            listener = Listener(sock, around.services)
            around.services.nursery.start_soon(listener.run)
            with socket.create_connection(sock.getsockname()[:2]):
                await trio.testing.wait_all_tasks_blocked(0.01)
                (session,) = around.services.open
                assert session.wire._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            around.services.nursery.cancel_scope.cancel()


async def test_a_peer_that_is_gone_by_then() -> None:
    """A connection that was reset while it waited is nobody's fault, and no error."""
    async with door(errno.ECONNABORTED) as house:
        assert await house.knocks(HERE) == [b"220 backe"]
    assert not house.told("accept.backoff")


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EPROTO])
async def test_the_system_does_not_let_us(error: int, autojump_clock: MockClock) -> None:
    """One hears 421 over the spare descriptor, accepting rests a moment, the next is served (RES-05)."""
    async with door(error, None, None) as house:
        began = trio.current_time()
        assert await house.knocks(HERE, HERE) == [b"421 4.3.2", b"220 backe"]
        assert trio.current_time() - began == pytest.approx(BACK_OFF)
    assert [event["error"] for event in house.told("accept.backoff")] == [errno.errorcode[error]]


async def test_out_of_descriptors_for_long(autojump_clock: MockClock) -> None:
    """While nothing can be accepted, that is told once in ten seconds, and the spare is not lost (RES-05)."""
    async with door(*[errno.EMFILE] * 220) as house:
        await house.knock()
        assert len(house.told("accept.backoff")) == 2
        assert house.listener._spare >= 0
        assert await house.knocks(HERE) == [b"220 backe"]


async def test_out_of_descriptors_with_no_spare(autojump_clock: MockClock) -> None:
    """Where not even the spare could be had again, the next rest gets it (RES-05)."""
    async with door(errno.EMFILE) as house:
        os.close(house.listener._spare)
        house.listener._spare = -1
        assert await house.knocks(HERE, HERE) == [b"421 4.3.2", b"220 backe"]
        assert house.listener._spare >= 0


async def test_many_at_once() -> None:
    """More connections than are accepted in one go are all served."""
    async with door(variables={"MAX_SESSIONS_PEER": "10"}) as house:
        for _ in range(BATCH + 10):
            sock = socket.create_connection(house.address)
            house.streams.append(trio.SocketStream(trio.socket.from_stdlib_socket(sock)))
        codes = [bytes(await stream.receive_some())[:3] for stream in house.streams]
        assert codes == [b"220"] * 10 + [b"421"] * BATCH


async def test_a_listener_that_is_broken() -> None:
    """What only a bug of ours can cause is not waited out."""
    with pytest.raises(ExceptionGroup) as caught:
        async with door(errno.EBADF) as house:
            await house.knock()
    assert caught.group_contains(OSError, match="Bad file descriptor")


class Poor(socket.socket):
    """A connection of which the kernel has no memory to spare."""

    def setblocking(self, _: bool) -> None:
        """Fail."""
        raise OSError(errno.ENOBUFS, "no buffer space available")


class PoorOnce(Odd):
    """A listening socket whose first connection is poor."""

    first = True

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        """Return it, later others."""
        sock, address = super().accept()
        poor, self.first = self.first, False
        return (Poor(fileno=sock.detach()) if poor else sock), address


async def test_a_peer_that_cannot_be_served(autojump_clock: MockClock) -> None:
    """A connection that cannot be set up is closed and counts nowhere; the next is served."""
    async with door(kind=PoorOnce) as house:
        assert (await house.knock())[1] == b""
        assert house.around.services.caps.sessions == 0
        assert await house.knocks(HERE) == [b"220 backe"]
    assert [event["error"] for event in house.told("accept.backoff")] == ["ENOBUFS"]


# -- behind a trusted proxy

BALANCER = "127.0.0.9"
BEHIND = {"PROXY_FROM": BALANCER}
PEER_4 = b"PROXY TCP4 192.0.2.25 192.0.2.1 4321 25\r\n"
PEER_6 = b"PROXY TCP6 2001:db8::9 2001:db8::1 4321 25\r\n"
PEER_BINARY = proxy_v2_header(("192.0.2.25", 4321), ("192.0.2.1", 25))
NOBODY = [b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"]


@pytest.mark.parametrize(
    ("header", "peer"),
    [(PEER_4, "192.0.2.25"), (PEER_6, "2001:db8::9"), (PEER_BINARY, "192.0.2.25")],
    ids=["v1", "v1 IPv6", "v2"],
)
async def test_the_peer_is_the_one_announced(header: bytes, peer: str) -> None:
    """It is counted, judged, introduced and told of under the address and port of the header."""
    async with door(variables=BEHIND | {"DENY": peer, "MODE": "observe"}) as house:
        stream, banner = await house.knock(BALANCER, header)
        assert banner.startswith(b"220 backend.example")
        (session,) = house.around.services.open
        introduction = session.introduction()
        assert (str(introduction.address), introduction.port) == (peer, 4321)
        assert house.around.services.caps._peers == {ip_address(peer).packed: 1}
        await stream.send_all(b"QUIT\r\n")
        await stream.aclose()
        await house.around.services.wait_empty()
        closed = house.around.closed()
        assert (closed["peer"], closed["port"], closed["bytes_from_peer"]) == (peer, 4321, len(b"QUIT\r\n"))
        assert (closed["would_be"], closed["proxy"]) == ("hold", BALANCER)


@pytest.mark.parametrize("introduce", ["proxy-v1", "proxy-v2"])
@pytest.mark.parametrize(
    ("header", "told"),
    [
        pytest.param(PEER_4, (("192.0.2.25", 4321), ("192.0.2.1", 25)), id="v1"),
        pytest.param(PEER_6, (("2001:db8::9", 4321), ("2001:db8::1", 25)), id="v1 IPv6"),
        pytest.param(PEER_BINARY, (("192.0.2.25", 4321), ("192.0.2.1", 25)), id="v2"),
        pytest.param(
            proxy_v2_header(("2001:db8::9", 4321), ("2001:db8::1", 25)),
            (("2001:db8::9", 4321), ("2001:db8::1", 25)),
            id="v2 IPv6",
        ),
        pytest.param(NOBODY[0], None, id="health check"),
    ],
)
@pytest.mark.parametrize("slowed", [False, True], ids=["clean", "slowed"])
async def test_the_backend_hears_where_the_peer_has_connected_to(
    header: bytes, told: tuple[End, End] | None, introduce: str, slowed: bool, autojump_clock: MockClock
) -> None:
    """The address that the load balancer named; without one, and for a health check, our own."""
    variables = BEHIND | {
        "BACKEND_INTRODUCE": introduce,
        "DENY": "192.0.2.25 2001:db8::9" if slowed else "none",
    }
    variables |= {"EXEMPT_RCPT": "you"}  # the hostile may write to them
    async with door(variables=variables, proxied=True) as house:
        stream = await house.arrive(BALANCER)
        await stream.send_all(header)
        lines = (b"EHLO x.example", b"MAIL FROM:<>", b"RCPT TO:<you@there.example>", b"QUIT")
        await stream.send_all(b"\r\n".join(lines) + b"\r\n")
        heard = b""
        while more := await stream.receive_some():
            heard += more
        assert heard.endswith(b"221 2.0.0 Bye\r\n")
        here = (BALANCER, stream.socket.getsockname()[1]), house.address
        make = proxy_v1_header if introduce == "proxy-v1" else proxy_v2_header
        said = make(*(told or here)).removesuffix(b"\r\n")
        assert house.backend.connections[-1].proxy_header == said


async def test_seconds_count_from_the_connection(autojump_clock: MockClock) -> None:
    """A banner is late by what its budget allows, the wait for the header included."""
    variables = BEHIND | {"DNSBL_ZONES": "bl.example*3", "PACE_BANNER": "20s"}
    async with door(variables=variables, resolver=FakeResolver(LISTED | ZONE_TESTS)) as house:
        began = trio.current_time()
        stream = await house.arrive(BALANCER)
        await trio.sleep(4)
        await stream.send_all(PEER_4)
        heard = b""
        while not heard.endswith(b"\r\n"):
            heard += await stream.receive_some()
        assert heard == b"220 mx.example ESMTP\r\n"
        assert 19 < trio.current_time() - began <= 20


async def test_a_header_in_single_bytes() -> None:
    """However it is cut, it is the same header."""
    async with door(variables=BEHIND) as house:
        for header in (PEER_4, PEER_BINARY):
            stream = await house.arrive(BALANCER)
            for octet in header:
                await stream.send_all(bytes((octet,)))
                await trio.testing.wait_all_tasks_blocked()
            assert (await stream.receive_some()).startswith(b"220 backend.example")


async def test_what_stands_behind_a_header_is_the_peers() -> None:
    """Not one byte behind it is lost: here a peer that spoke before the banner, which is told."""
    async with door(variables=BEHIND | {"MODE": "observe"}) as house:
        stream, heard = await house.knock(BALANCER, PEER_4 + b"QUIT\r\n")
        while more := await stream.receive_some():
            heard += more
        assert heard.startswith(b"220 backend.example")
        assert heard.endswith(b"221 2.0.0 Bye\r\n")
        await stream.aclose()
        await house.around.services.wait_empty()
        assert house.around.closed()["pregreet"] is True


async def test_without_trust_a_header_is_a_bad_command() -> None:
    """ID-01 From anybody else it is a command that nobody knows, and the address stays its own."""
    async with door(variables=BEHIND) as house:
        stream, _ = await house.knock("127.0.0.10")
        await stream.send_all(PEER_4)
        assert (await stream.receive_some()).startswith(b"500 5.5.2 ")
        await stream.send_all(b"QUIT\r\n")
        await stream.aclose()
        await house.around.services.wait_empty()
        assert house.around.closed()["peer"] == "127.0.0.10"


@pytest.mark.parametrize(
    "first",
    [
        b"EHLO x\r\n",
        b"PROXY TCP4 192.0.2.25 192.0.2.1 4321 25\n",
        b"PROXY UNKNOWN" + b" " * 100,
        PEER_4 + PEER_4,
        PEER_BINARY[:12] + b"\x21\x31\0\xd8" + bytes(216),
    ],
    ids=["ID-02 none", "ID-02 bare LF", "ID-02 108 octets", "ID-04 two", "ID-02 UNIX"],
)
async def test_a_bad_header_is_closed_without_a_word(first: bytes) -> None:
    """Nothing is said, nothing is counted, and an event tells why."""
    async with door(variables=BEHIND) as house:
        assert await house.silenced(BALANCER, first)
        await trio.testing.wait_all_tasks_blocked()
        (told,) = house.told("header.refused")
        assert (told["proxy"], told["refused"]) == (BALANCER, 1)
        assert (house.around.services.caps.awaited, house.told("session.closed")) == (0, [])


@pytest.mark.parametrize(
    "first", [b"", PEER_4[:-1], PEER_BINARY[:-1]], ids=["none", "half of v1", "half of v2"]
)
async def test_a_header_has_five_seconds(first: bytes, autojump_clock: MockClock) -> None:
    """ID-02 Where it is not whole by then, the connection is closed without a word."""
    async with door(variables=BEHIND) as house:
        began = trio.current_time()
        assert await house.silenced(BALANCER, first)
        assert HEADER_WAIT <= trio.current_time() - began <= HEADER_WAIT + SWEEP_EVERY
        await trio.sleep(1)
        assert [event["reason"] for event in house.told("header.refused")] == ["not there in time"]


async def test_bad_headers_are_told_by_number(autojump_clock: MockClock) -> None:
    """A line in ten seconds; and nothing of those who only look whether the port is open."""
    async with door(variables=BEHIND) as house:
        for first in (b"x", b"y", b"z"):
            assert await house.silenced(BALANCER, first)
        await (await house.arrive(BALANCER)).aclose()
        await trio.sleep(TELL_EVERY + 1)
        assert [event["refused"] for event in house.told("header.refused")] == [1, 2]
        half = await house.arrive(BALANCER)
        await half.send_all(PEER_4[:9])
        await half.aclose()
        await trio.sleep(TELL_EVERY + 2 * SWEEP_EVERY)
        assert house.told("header.refused")[-1]["reason"] == "closed in the middle of it"


@pytest.mark.parametrize("header", NOBODY, ids=["v1 UNKNOWN", "v2 LOCAL"])
async def test_a_health_check_is_not_judged(header: bytes) -> None:
    """ID-03 It is served as the load balancer itself, whatever is thought of that address and its habits."""
    async with door(variables=BEHIND | {"DENY": BALANCER, "GREET_WAIT": "2s"}) as house:
        for _ in range(3):
            stream, banner = await house.knock(BALANCER, header)
            assert banner.startswith(b"220 backend.example")
            await stream.send_all(b"JUNK\r\nQUIT\r\n")
            await stream.aclose()
            await house.around.services.wait_empty()
        for event in house.told("session.closed"):
            assert (event["peer"], event["verdict"], event["score"]) == (BALANCER, "clean", 0)
            assert (event["treatment"], event["would_be"]) == ("pass", "pass")
            assert isinstance(event["seconds"], float)
            assert event["seconds"] < 2


async def test_a_header_after_a_command() -> None:
    """ID-04 Whoever is behind a load balancer and says one of his own hears 500, and is closed."""
    async with door(variables=BEHIND | {"MODE": "observe"}) as house:
        for second in (PEER_6, PEER_BINARY):
            stream, _ = await house.knock(BALANCER, PEER_4)
            await stream.send_all(b"NOOP\r\n")
            assert (await stream.receive_some()).startswith(b"250 ")
            await stream.send_all(second)
            heard = b""
            while more := await stream.receive_some():
                heard += more
            assert b"500 5.5.2 " in heard
            await stream.aclose()
        await house.around.services.wait_empty()
        assert {event["peer"] for event in house.told("session.closed")} == {"192.0.2.25"}


async def test_caps_count_the_peers_not_their_proxy() -> None:
    """Many come through one address; each is held to the cap of his own."""
    async with door(variables=BEHIND | {"MAX_SESSIONS_PEER": "1", "MAX_SESSIONS_NETWORK": "2"}) as house:
        last = (1, 1, 2, 3, 200)
        headers = [b"PROXY TCP4 192.0.2.%d 192.0.2.1 1 25\r\n" % one for one in last]
        heard = [(await house.knock(BALANCER, header))[1][:9] for header in headers]
        assert heard == [b"220 backe", b"421 4.7.0", b"220 backe", b"421 4.7.0", b"421 4.7.0"]
        assert {event["peer"] for event in house.told("sessions.full")} <= {"192.0.2.1", "192.0.2.3"}


async def test_who_has_no_name_yet_takes_a_place() -> None:
    """A proxy that opens connections and says nothing takes no more than there is room for."""
    async with door(variables=BEHIND | {"MAX_SESSIONS": "3"}) as house:
        for _ in range(3):
            await house.arrive(BALANCER)
        assert (await house.knock(BALANCER))[1].startswith(b"421 4.3.2 ")
        assert await house.knocks("127.0.0.10") == [b"421 4.3.2"]
        assert house.around.services.caps.awaited == 3


async def test_a_name_that_comes_when_we_stop() -> None:
    """Whoever is named after we have stopped accepting hears 421."""
    async with door(variables=BEHIND) as house:
        stream = await house.arrive(BALANCER)
        await trio.testing.wait_all_tasks_blocked()
        house.listener._closed = True
        await stream.send_all(PEER_4)
        assert (await stream.receive_some()).startswith(b"421 4.3.2 ")


async def test_a_mapped_proxy() -> None:
    """ID-05 A load balancer met through an IPv6 socket is known by its IPv4 address."""
    async with door(variables=BEHIND) as house:
        await house.knock(BALANCER, PEER_4)
        assert house.listener._is_proxy(f"::ffff:{BALANCER}")
        assert not house.listener._is_proxy("127.0.0.90")
