"""Slots are never exceeded, are given back, and the least busy usable backend is taken."""

from collections.abc import Callable
from contextlib import closing
from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tarpit.backend.health import STRANGER
from tarpit.backend.introduce import Introduction
from tarpit.backend.pool import NoSlot, Pool, Unreached
from tarpit.backend.routes import Group
from tarpit.backend.slots import Purpose
from tarpit.choices import Balance, Introduce
from tarpit.destinations import BackendAddress
from tarpit.errors import BackendUnavailable
from tarpit.poller import Poller
from tests.support.backend import Answer, Does, FakeBackend, fake_backend
from tests.support.sitters import noting
from tests.support.wires import DIALLING, running

OURS = ("192.0.2.2", 25)


def addresses(
    *backends: FakeBackend, most: int = 1, introduce: Introduce = Introduce.OFF
) -> tuple[BackendAddress, ...]:
    return tuple(BackendAddress(*backend.address, max=most, introduce=introduce) for backend in backends)


def pool_of(poller: Poller, *backends: FakeBackend, most: int = 1, queue: float = 0.1) -> Pool:
    return Pool(addresses(*backends, most=most), poller, DIALLING, queue=queue)


async def test_a_slot_is_waited_for_and_given_back() -> None:
    """At the cap the next one waits its time, fails, and gets in once the slot is free."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = pool_of(poller, backend)
        with closing(await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)) as loan:
            assert loan.line.banner.startswith(b"220 ")
            with pytest.raises(BackendUnavailable, match="TARPIT_BACKEND_MAX"):
                await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)
        with closing(await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)) as loan:
            assert loan.backend.busy == 1
        assert len(backend.connections) == 2
        assert pool.backends[0].busy == 0


async def test_a_failed_dial_gives_its_slot_back() -> None:
    """A backend that is down does not use up its slots."""
    poller = Poller()
    async with running(poller.run):
        async with fake_backend() as backend:
            pool = pool_of(poller, backend)
        for _ in range(2):
            with pytest.raises(BackendUnavailable, match="refused"):
                await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)
        assert pool.backends[0].busy == 0


async def test_the_least_busy_is_taken() -> None:
    """Two sessions go to two backends; one known to be down is passed over."""
    poller = Poller()
    async with running(poller.run), fake_backend() as one, fake_backend() as other:
        pool = pool_of(poller, one, other, most=3)
        with closing(await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)) as first:
            with closing(await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)) as second:
                assert first.backend is not second.backend
            second.backend.marks.bad("gone")
            with closing(await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)) as third:
                assert third.backend is first.backend


async def test_an_open_relay_is_not_used() -> None:
    """No mail goes to a backend that would relay for everybody, even if it is the only one."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = pool_of(poller, backend)
        pool.backends[0].open_relay = True
        with pytest.raises(BackendUnavailable, match="TARPIT_RELAY_TEST"):
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)
        assert not backend.connections


async def test_keywords_are_those_of_all() -> None:
    """A suspect is shown only what every usable backend offers."""
    poller = Poller()
    async with running(poller.run), fake_backend() as one, fake_backend() as other:
        pool = pool_of(poller, one, other)
        assert not list(pool.keywords)
        for backend, words in zip(pool.backends, ((b"SIZE 1", b"8BITMIME"), (b"8BITMIME",)), strict=True):
            backend.keywords = words
            backend.marks.good()
        assert list(pool.keywords) == [b"8BITMIME"]


async def test_a_group_is_a_choice() -> None:
    """Mail for a group goes to its backends alone; one that is in two groups has one cap."""
    poller = Poller()
    async with running(poller.run), fake_backend() as one, fake_backend() as other:
        pool = pool_of(poller, one, other, most=1)
        first, second = (backend.name for backend in pool.backends)
        only, both = Group((second,)), Group((second, first))
        assert [backend.name for backend in pool.members(both)] == [second, first]
        loan = await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN, group=only)
        assert loan.backend.name == second
        with pytest.raises(NoSlot):
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN, group=only)
        rest = await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN, group=both)
        assert rest.backend.name == first
        loan.close()
        rest.close()
        pool.backends[1].marks.bad("gone")
        with pytest.raises(BackendUnavailable, match="no backend is up"):
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN, group=only)
        pool.check_alive()


async def test_an_untested_backend_gets_no_mail() -> None:
    """Until the relay test is over, nobody is joined: the backend might relay for everybody."""
    pool = Pool((BackendAddress("127.0.0.1", 9),), Poller(), DIALLING, queue=1.0)
    pool.backends[0].untested = True
    with pytest.raises(BackendUnavailable, match="TARPIT_RELAY_TEST"):
        await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)


async def test_borrowing_elsewhere() -> None:
    """A second try goes to another backend where there is one, and one that fails says which it was."""
    poller = Poller()
    async with running(poller.run), fake_backend() as one, fake_backend() as other:
        pool = pool_of(poller, one, other, most=3)
        first, second = pool.backends
        loan = await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.COMMIT, avoid=first)
        assert loan.backend is second
        await loan.quit()
        loan.close()
        assert second.slots.taken == 0
        assert second.held_seconds > 0
        other.answers["BANNER"] = b"554 no\r\n"
        with pytest.raises(Unreached) as lost:
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.COMMIT, avoid=first)
        assert lost.value.backend is second
        first.marks.bad("gone")
        other.answers["BANNER"] = b"220 yes\r\n"
        loan = await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.COMMIT, avoid=second)
        assert loan.backend is second
        loan.abort()
        assert second.slots.taken == 0


async def test_checks_never_take_all() -> None:
    """A flood of checks leaves the other slots to clean peers."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = pool_of(poller, backend, most=10)
        check = await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.CHECK)
        with pytest.raises(NoSlot):
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.CHECK)
        with closing(await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)):
            assert pool.backends[0].slots.taken == 2
        check.close()


async def test_an_unusable_backend_promises_nothing() -> None:
    """Keywords of a backend that gets no mail are not shown."""
    pool = Pool((BackendAddress("127.0.0.1", 9),), Poller(), DIALLING, queue=1.0, largest=5)
    pool.backends[0].keywords = (b"SIZE 9",)
    pool.backends[0].marks.good()
    assert list(pool.keywords) == [b"SIZE 5"]
    pool.backends[0].untested = True
    assert not pool.keywords


async def test_cancelled_while_dialling() -> None:
    """A session that ends while its backend is being introduced leaves the slot free."""
    poller = Poller()
    async with running(poller.run), fake_backend({"BANNER": Does.SILENT}) as backend:
        pool = pool_of(poller, backend)
        with trio.move_on_after(0.05) as scope:
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.COMMIT)
        assert scope.cancelled_caught
        assert pool.backends[0].slots.taken == 0


async def test_a_backend_that_cannot_be_reached_is_passed_over() -> None:
    """The next one is tried before the peer hears of it; after three failures it is left alone."""
    poller = Poller()
    async with running(poller.run), fake_backend() as one, fake_backend() as other:
        pool = Pool(addresses(one, other), poller, DIALLING, queue=1, balance=Balance.FIRST, fall=3)
        for backend in pool.backends:
            backend.marks.good()
        one.answers["BANNER"] = Does.CLOSE
        for _ in range(5):
            with closing(await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)) as loan:
                assert loan.backend is pool.backends[1]
        assert len(one.connections) == 3
        assert (pool.backends[0].up, pool.backends[0].marks.reason) == (False, "closed the connection")
        assert [backend.slots.taken for backend in pool.backends] == [0, 0]
        with trio.fail_after(1):
            await pool.backends[0].probe_wanted.wait()


async def test_none_can_be_reached() -> None:
    """Each is tried once, and what the last one did is said."""
    poller = Poller()
    async with running(poller.run), fake_backend() as one, fake_backend() as other:
        pool = pool_of(poller, one, other)
        one.answers["BANNER"] = other.answers["BANNER"] = b"421 4.3.2 busy\r\n"
        with pytest.raises(Unreached, match="busy"):
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)
        assert [len(one.connections), len(other.connections)] == [1, 1]
        assert [backend.slots.taken for backend in pool.backends] == [0, 0]


async def test_all_down_is_said_at_once(autojump_clock: MockClock) -> None:
    """Nobody waits for a backend that is known to be down, and nobody dials it."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = pool_of(poller, backend, queue=10)
        pool.backends[0].marks.bad("said 421")
        began = trio.current_time()
        with pytest.raises(BackendUnavailable, match="no backend is up: said 421"):
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)
        assert trio.current_time() == began
        assert not backend.connections


async def test_all_drained_is_said_at_once(autojump_clock: MockClock) -> None:
    """What the operator has taken out is as good as down, and the reason says that it was him."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = pool_of(poller, backend, queue=10)
        pool.drain(pool.backends[0], drained=True)
        began = trio.current_time()
        with pytest.raises(BackendUnavailable, match="drained"):
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)
        assert trio.current_time() == began
        assert not backend.connections


@pytest.mark.parametrize(
    ("introduce", "answers", "fault"),
    [
        (Introduce.XCLIENT, {"XCLIENT": b"421 4.7.0 not you\r\n"}, False),
        (Introduce.XCLIENT, {"XCLIENT": Does.CLOSE}, False),
        (Introduce.XCLIENT, {"BANNER": b"421 4.3.2 busy\r\n"}, True),
        (Introduce.XCLIENT, {"EHLO": b"250 backend.example\r\n"}, True),
        (Introduce.PROXY_V2, {"BANNER": b"554 5.7.1 not you\r\n"}, False),
        (Introduce.PROXY_V2, {"BANNER": Does.CLOSE}, False),
    ],
)
async def test_what_may_be_meant_for_the_peer_is_no_mark(
    introduce: Introduce, answers: dict[str, Answer], *, fault: bool
) -> None:
    """A peer whom the backend turns away cannot have it taken for broken, however often it comes."""
    offers: dict[str, Answer] = {"EHLO": b"250-backend.example\r\n250 XCLIENT NAME ADDR PORT HELO PROTO\r\n"}
    poller, proxied = Poller(), introduce is Introduce.PROXY_V2
    async with running(poller.run), fake_backend(offers | answers, proxied=proxied) as fake:
        (backend,) = (pool := Pool(addresses(fake, introduce=introduce), poller, DIALLING, queue=1)).backends
        backend.marks.good()
        with pytest.raises(Unreached):
            await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)
        assert backend.up is not fault


async def test_success_ends_a_doubt() -> None:
    """Two failures are forgotten with the next session that gets through."""
    poller = Poller()
    async with running(poller.run), fake_backend() as fake:
        (backend,) = (pool := Pool(addresses(fake), poller, DIALLING, queue=1, fall=3)).backends
        backend.marks.good()
        for _ in range(2):
            backend.marks.bad("gone")
        with closing(await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)):
            assert not backend.marks.doubtful


async def test_an_idle_session_can_be_told_to_end(autojump_clock: MockClock) -> None:
    """While somebody waits for its slot, and only then."""
    poller, ended = Poller(), list[float]()
    async with running(poller.run), fake_backend() as fake, trio.open_nursery() as nursery:
        pool = pool_of(poller, fake, queue=60)
        nursery.start_soon(pool.end_idle)
        loan = await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)
        with loan.sitter.waiting(noting(ended, trio.current_time)):
            await trio.sleep(100)
            assert not ended
            nursery.start_soon(partial(pool.borrow, STRANGER, ours=OURS, purpose=Purpose.JOIN))
            await trio.sleep(1)
            assert len(ended) == 1
        loan.close()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("end", "why"), [("drain", "drained"), ("fall", "no backend is up: gone")])
async def test_who_waits_for_what_is_no_more(autojump_clock: MockClock, end: str, why: str) -> None:
    """Whoever stands in line hears it at once when the last that would do is drained, or goes down."""
    poller = Poller()
    async with running(poller.run), fake_backend() as one, fake_backend() as other:
        pool = pool_of(poller, one, other, queue=10)
        group = Group((pool.backends[0].name,))
        for backend in pool.backends:
            backend.marks.good()
        with closing(await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN, group=group)):
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fails, pool, group, why)
                await trio.sleep(1)
                if end == "drain":
                    pool.drain(pool.backends[0], drained=True)
                else:
                    pool.backends[0].marks.bad("gone")
            assert trio.current_time() == began + 1
        assert pool.backends[0].slots.taken == len(pool.queue) == 0


async def fails(pool: Pool, group: Group, why: str) -> None:
    with pytest.raises(BackendUnavailable, match=why):
        await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN, group=group)


async def test_who_waits_has_a_backend_that_comes_back(autojump_clock: MockClock) -> None:
    """Where one is full and another one comes up, nobody goes on to wait for the first."""
    poller = Poller()
    async with running(poller.run), fake_backend() as one, fake_backend() as other:
        pool = pool_of(poller, one, other, queue=10)
        pool.backends[0].marks.good()
        pool.backends[1].marks.bad("gone")
        with closing(await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(gets, pool, 1)
                await trio.sleep(1)
                began = trio.current_time()
                pool.backends[1].marks.good()
            assert trio.current_time() == began


async def gets(pool: Pool, number: int) -> None:
    with closing(await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)) as loan:
        assert loan.backend is pool.backends[number]


class Unasked:
    """A guest who is asked for nothing but the network."""

    network = b"\xc0\0\x02"

    @property
    def ours(self) -> tuple[str, int]:
        """Fail."""
        raise AssertionError

    def introduction(self) -> Introduction:
        """Fail."""
        raise AssertionError

    def gives_up_by(self, end: Callable[[], None]) -> None:
        """Wait."""

    def check_there(self) -> None:
        """Be there."""


async def test_who_is_not_introduced_is_not_asked_about() -> None:
    """Who the peer is, and where it connected to, is made up only for a backend that is told."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = pool_of(poller, backend)
        with closing(await pool.borrow_for(Unasked(), Purpose.JOIN)) as loan:
            assert loan.backend.slots.held_by(Unasked.network) == 1
        assert loan.backend.slots.held_by(Unasked.network) == 0


async def test_held_seconds(autojump_clock: MockClock) -> None:
    """They end when the loan does, by the clock, or by a time that is known; once."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = pool_of(poller, backend)
        for now in (None, 7.0):
            loan = await pool.borrow(STRANGER, ours=OURS, purpose=Purpose.JOIN)
            before = loan.backend.held_seconds
            await trio.sleep(3)
            loan.close(None if now is None else loan.began + now)
            loan.close()
            assert loan.backend.held_seconds - before == pytest.approx(now or 3.0)


CHANGES = st.tuples(
    st.integers(0, 1),
    st.sampled_from(["open_relay", "exposed", "untested", "drained", "up"]),
    st.booleans(),
)


@given(st.lists(CHANGES, max_size=30))
def test_what_is_remembered_is_what_would_be_found(changes: list[tuple[int, str, bool]]) -> None:
    """Whatever becomes of the backends, the choice among them is at once another."""
    groups = (None, Group(("a:25",)), Group(("b:25", "a:25")))

    def outcome(find: Callable[[Group | None, None], object], group: Group | None) -> object:
        try:
            return find(group, None)
        except BackendUnavailable as none:
            return str(none)

    async def main() -> None:
        pool = Pool((BackendAddress("a", 25), BackendAddress("b", 25)), Poller(), DIALLING, queue=1.0)
        for number, what, value in changes:
            backend = pool.backends[number]
            if what == "up":
                backend.marks.good() if value else backend.marks.bad("gone")
            else:
                setattr(backend, what, value)
            for group in groups:
                assert outcome(pool._candidates, group) == outcome(pool._chosen, group)
            assert backend.takes_mail() is (backend.usable and backend.up is not False)
            bars = (backend.open_relay, backend.exposed, backend.untested, backend.drained)
            assert backend.usable is not any(bars)

    trio.run(main)
