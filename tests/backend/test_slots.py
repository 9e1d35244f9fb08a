"""Slots go to whoever is next: clean peers and commits in their order, checks behind them and never many."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tarpit.backend.slots import Purpose, Queue, Slots
from tarpit.destinations import BackendAddress

JOIN, COMMIT, CHECK = Purpose.JOIN, Purpose.COMMIT, Purpose.CHECK


def slots(cap: int, *, share: int | None = None, weight: int = 1) -> Slots:
    return Slots(BackendAddress("127.0.0.1", 25, max=cap, weight=weight), share=share)


class Scene:
    """A backend whose slots are all taken, and who gets them then."""

    def __init__(self, nursery: trio.Nursery, *backends: Slots) -> None:
        self.queue = Queue()
        self.backends = backends
        self.got: list[str] = []
        self._nursery = nursery

    async def come(self, name: str, purpose: Purpose, *among: Slots) -> trio.CancelScope:
        """Let somebody come and wait in line."""
        scope = trio.CancelScope()
        self._nursery.start_soon(self._wait, name, purpose, among or self.backends, scope)
        await wait_all_tasks_blocked()
        return scope

    async def _wait(
        self, name: str, purpose: Purpose, among: tuple[Slots, ...], scope: trio.CancelScope
    ) -> None:
        with scope:
            await self.queue.take(among, purpose)
            self.got.append(name)

    async def give_back(self, purpose: Purpose, slots: Slots | None = None) -> list[str]:
        """Give a slot back, and return who has got one so far."""
        self.queue.give_back(slots or self.backends[0], purpose)
        await wait_all_tasks_blocked()
        return self.got


async def test_clean_peers_and_commits_first() -> None:
    """Whoever came first among them is first; checks come last, in their own order."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery, slots(1))
        await scene.queue.take(scene.backends, JOIN)
        for name, purpose in (("check", CHECK), ("commit", COMMIT), ("join", JOIN), ("check 2", CHECK)):
            await scene.come(name, purpose)
        assert len(scene.queue) == 4
        assert await scene.give_back(JOIN) == ["commit"]
        assert await scene.give_back(COMMIT) == ["commit", "join"]
        assert await scene.give_back(JOIN) == ["commit", "join", "check"]
        assert await scene.give_back(CHECK) == ["commit", "join", "check", "check 2"]
        await scene.give_back(CHECK)
        assert scene.backends[0].taken == len(scene.queue) == 0


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
