"""Slots go to whoever is next: clean peers first, no network at the cost of others, never one too many."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tarpit.backend.balance import SLOW_START
from tarpit.backend.idle import SOON, Sitter
from tarpit.backend.slots import OURS, Purpose, Queue, Slots
from tarpit.destinations import BackendAddress
from tests.support.sitters import noting

JOIN, COMMIT, CHECK, PROBE = Purpose.JOIN, Purpose.COMMIT, Purpose.CHECK, Purpose.PROBE
CROWD, ALONE = b"crowd", b"alone"


def slots(cap: int, *, share: int | None = None, weight: int = 1) -> Slots:
    return Slots(BackendAddress("127.0.0.1", 25, max=cap, weight=weight), share=share)


class Scene:
    """A backend whose slots are all taken, and who gets them then."""

    def __init__(self, nursery: trio.Nursery, *backends: Slots) -> None:
        self.queue = Queue()
        self.backends = backends
        self.got: list[str] = []
        self._nursery = nursery

    async def come(
        self, name: str, purpose: Purpose, *among: Slots, network: bytes = OURS
    ) -> trio.CancelScope:
        """Let somebody come and wait in line."""
        scope = trio.CancelScope()
        self._nursery.start_soon(self._wait, name, purpose, among or self.backends, network, scope)
        await wait_all_tasks_blocked()
        return scope

    async def fill(self, count: int, network: bytes = OURS) -> None:
        """Take so many slots of the first backend."""
        for _ in range(count):
            await self.queue.take(self.backends[:1], JOIN, network)

    async def _wait(
        self, name: str, purpose: Purpose, among: tuple[Slots, ...], network: bytes, scope: trio.CancelScope
    ) -> None:
        with scope:
            await self.queue.take(among, purpose, network)
            self.got.append(name)

    async def give_back(
        self, purpose: Purpose, slots: Slots | None = None, *, network: bytes = OURS
    ) -> list[str]:
        """Give a slot back, and return who has got one so far."""
        self.queue.give_back(slots or self.backends[0], purpose, network)
        await wait_all_tasks_blocked()
        return self.got


async def test_clean_peers_first() -> None:
    """Then messages to be handed over, then checks; within each, whoever came first."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery, slots(1))
        await scene.fill(1)
        for name, purpose in (("check", CHECK), ("commit", COMMIT), ("join", JOIN), ("check 2", CHECK)):
            await scene.come(name, purpose)
        assert len(scene.queue) == 4
        assert await scene.give_back(JOIN) == ["join"]
        assert await scene.give_back(JOIN) == ["join", "commit"]
        assert await scene.give_back(COMMIT) == ["join", "commit", "check"]
        assert await scene.give_back(CHECK) == ["join", "commit", "check", "check 2"]
        await scene.give_back(CHECK)
        assert scene.backends[0].taken == len(scene.queue) == 0


async def test_a_hand_over_is_not_starved() -> None:
    """Of each five slots one is for a message that waits, however many clean peers wait."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery, slots(1))
        await scene.fill(1)
        for number in range(12):
            await scene.come(f"join {number}", JOIN)
        for number in range(2):
            await scene.come(f"commit {number}", COMMIT)
        for _ in range(14):
            served = scene.got[-1:] or ["join"]
            await scene.give_back(COMMIT if served[0].startswith("commit") else JOIN)
        assert [at for at, name in enumerate(scene.got) if name.startswith("commit")] == [4, 9]
        await scene.give_back(JOIN)
        nursery.cancel_scope.cancel()


async def test_a_crowd_does_not_starve_others() -> None:
    """Whoever waits behind fifty of one network waits for one of them."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery, slots(1))
        await scene.fill(1)
        for number in range(50):
            await scene.come(f"crowd {number}", JOIN, network=CROWD)
        await scene.come("alone", JOIN, network=ALONE)
        assert await scene.give_back(JOIN) == ["crowd 0"]
        assert await scene.give_back(JOIN, network=CROWD) == ["crowd 0", "alone"]
        nursery.cancel_scope.cancel()


async def test_a_quarter_for_a_network() -> None:
    """While others wait, a network that has a quarter gets no more: in any lane, somebody else does."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery, slots(8))
        await scene.fill(6)
        await scene.fill(2, CROWD)
        await scene.come("crowd", JOIN, network=CROWD)
        await scene.come("check", CHECK, network=ALONE)
        assert await scene.give_back(JOIN) == ["check"]
        assert await scene.give_back(JOIN) == ["check", "crowd"]  # nobody else wants it
        nursery.cancel_scope.cancel()


async def test_a_small_backend_has_no_quarter() -> None:
    """Where a quarter is less than one connection, one is all that a network may have while others wait."""
    assert slots(3).modest(CROWD)
    one = slots(3)
    one.take(JOIN, CROWD)
    assert not one.modest(CROWD)
    assert one.held_by(CROWD) == 1


async def test_silent_strangers_keep_to_their_quarter(autojump_clock: MockClock) -> None:
    """A network that sits there in silence gets no more even if nobody else waits: who comes finds room."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery, slots(8))
        await scene.fill(8, CROWD)
        with Sitter(scene.backends[0].idlers, CROWD).waiting(lambda: False):
            await trio.sleep(SOON)
            await scene.come("crowd", JOIN, network=CROWD)
            assert await scene.give_back(JOIN, network=CROWD) == []
            await scene.come("crowd too", JOIN, network=CROWD)
            await scene.come("alone", JOIN, network=ALONE)
            assert scene.got == ["alone"]
            for _ in range(5):
                await scene.give_back(JOIN, network=CROWD)
            assert scene.got == ["alone"]
            await scene.give_back(JOIN, network=CROWD)  # the seventh: one of two that it may have is left
            assert scene.got == ["alone", "crowd"]
        nursery.cancel_scope.cancel()


async def test_who_speaks_again_gets_on(autojump_clock: MockClock) -> None:
    """A network that is silent no more gets what is free within a second."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery, slots(4))
        await scene.fill(4, CROWD)
        nursery.start_soon(scene.queue.end_idle, scene.backends)
        with Sitter(scene.backends[0].idlers, CROWD).waiting(lambda: False):
            await trio.sleep(SOON)
            await scene.come("crowd", JOIN, network=CROWD)
            assert await scene.give_back(JOIN, network=CROWD) == []
        await trio.sleep(SOON)
        await wait_all_tasks_blocked()
        assert scene.got == ["crowd"]
        nursery.cancel_scope.cancel()


async def test_silent_sessions_are_ended(autojump_clock: MockClock) -> None:
    """When they have been silent for 10 s and somebody waits, to the second; one for each who waits."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery, slots(2))
        await scene.fill(2)
        idlers, ended, began = scene.backends[0].idlers, list[tuple[str, float]](), trio.current_time()

        async def sit(name: str) -> None:
            end = noting(ended, lambda: (name, trio.current_time() - began))
            with Sitter(idlers, ALONE).waiting(end):
                await trio.sleep_forever()

        nursery.start_soon(scene.queue.end_idle, scene.backends)
        nursery.start_soon(sit, "one")
        await trio.sleep(1.25)
        nursery.start_soon(sit, "two")
        await trio.sleep(30)
        assert ended == []
        gives_up = await scene.come("check", CHECK)
        assert ended == [("one", 31.25)]
        gives_up.cancel()
        next(iter(idlers.ending)).gone()
        nursery.start_soon(sit, "three")
        await trio.sleep(5)
        next(iter(idlers.resting)).stirs()  # two is served now
        await scene.come("join", JOIN)
        await trio.sleep(30)
        assert ended == [("one", 31.25), ("three", 41.25)]
        nursery.cancel_scope.cancel()


async def test_nobody_is_ended_for_what_would_not_help(autojump_clock: MockClock) -> None:
    """A check beyond the share of checks, a probe, or one who waits for another backend ends nobody."""
    async with trio.open_nursery() as nursery:
        one, other = slots(3, share=1), slots(1)
        scene = Scene(nursery, one, other)
        await scene.fill(2)
        for among, purpose in (((one,), CHECK), ((other,), JOIN)):
            await scene.queue.take(among, purpose)
        ended = list[bool]()
        nursery.start_soon(scene.queue.end_idle, scene.backends)
        with Sitter(one.idlers, ALONE).waiting(noting(ended, lambda: True)):
            await scene.come("check", CHECK, one)
            await scene.come("probe", PROBE, one)
            await scene.come("elsewhere", JOIN, other)
            await trio.sleep(100)
            assert ended == []
            await scene.come("join", JOIN, one)
            assert ended == [True]
        nursery.cancel_scope.cancel()


async def test_checks_have_a_share() -> None:
    """Beyond it they wait although slots are free; a slot of another kind does not help them."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery, slots(10, share=2))
        await scene.queue.take(scene.backends, JOIN)
        for name in ("one", "two", "three"):
            await scene.come(name, CHECK)
        assert scene.got == ["one", "two"]
        assert await scene.give_back(JOIN) == ["one", "two"]
        assert await scene.give_back(CHECK) == ["one", "two", "three"]
        assert scene.backends[0].taken == 2


@pytest.mark.parametrize(("cap", "share"), [(1, 1), (9, 1), (10, 1), (100, 10)])
def test_a_share_is_a_tenth(cap: int, share: int) -> None:
    """And one at least."""
    one = slots(cap)
    taken = 0
    while one.free_for(CHECK):
        one.take(CHECK)
        taken += 1
    assert taken == share


async def test_who_gives_up_loses_nobody_a_slot() -> None:
    """Cancelled in line: the next one is next. Cancelled when the slot was handed over: it is kept."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery, slots(1))
        await scene.queue.take(scene.backends, JOIN)
        first = await scene.come("first", JOIN)
        second = await scene.come("second", JOIN)
        await scene.come("third", JOIN)
        first.cancel()
        await wait_all_tasks_blocked()
        assert len(scene.queue) == 2
        scene.queue.give_back(scene.backends[0], JOIN)
        second.cancel()  # in the same breath: it has the slot already
        await wait_all_tasks_blocked()
        assert scene.got == ["second"]
        assert await scene.give_back(JOIN) == ["second", "third"]
        await scene.give_back(JOIN)
        assert scene.backends[0].taken == 0


async def test_one_waits_for_any_of_them() -> None:
    """The first backend that has a slot serves who waits, unless that one may not be used by it."""
    async with trio.open_nursery() as nursery:
        one, other = slots(1), slots(1)
        scene = Scene(nursery, one, other)
        for _ in range(2):
            await scene.queue.take(scene.backends, JOIN)
        await scene.come("only the first", JOIN, one)
        await scene.come("any", JOIN)
        assert await scene.give_back(JOIN, other) == ["any"]
        assert await scene.give_back(JOIN, one) == ["any", "only the first"]


async def test_the_least_busy_by_weight() -> None:
    """Connections per weight decide."""
    light, heavy = slots(10), slots(10, weight=3)
    queue = Queue()
    taken = [await queue.take((light, heavy), JOIN) for _ in range(8)]
    assert (taken.count(light), taken.count(heavy)) == (2, 6)


async def test_thousands_in_line() -> None:
    """A spike is served in order, never beyond the cap, at a cost that does not grow with the line."""
    queue, backend = Queue(), slots(5)
    served: list[int] = []

    async def serve(number: int) -> None:
        await queue.take((backend,), JOIN)
        assert backend.taken <= 5
        served.append(number)
        await trio.lowlevel.checkpoint()
        queue.give_back(backend, JOIN)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            await queue.take((backend,), COMMIT)
        for number in range(3000):
            nursery.start_soon(serve, number)
        await wait_all_tasks_blocked()
        for _ in range(5):
            queue.give_back(backend, COMMIT)
    assert sorted(served) == list(range(3000))
    assert backend.taken == len(queue) == 0


async def test_a_backend_that_is_back_gets_little_at_first(autojump_clock: MockClock) -> None:
    """Its weight counts by and by."""
    one, other, queue = slots(100), slots(100), Queue()
    other.back = trio.current_time()
    shares = list[int]()
    for _ in range(3):
        taken = [await queue.take((one, other), JOIN) for _ in range(44)]
        shares.append(taken.count(other))
        for backend in filter(None, taken):
            queue.give_back(backend, JOIN)
        await trio.sleep(SLOW_START / 2)
    assert shares == [4, 14, 22]
