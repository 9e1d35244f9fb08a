"""Laws of who gets a connection: never one above the cap, none lost, nobody forgotten, whoever gives up."""

from collections import Counter
from dataclasses import dataclass

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tarpit.backend.balance import balancer
from tarpit.backend.idle import Sitter
from tarpit.backend.slots import Purpose, Queue, Slots
from tarpit.choices import Balance
from tarpit.destinations import BackendAddress

CAPS = st.lists(st.integers(1, 9), min_size=1, max_size=3)


@dataclass(frozen=True, slots=True)
class Visit:
    """One who wants a connection. Seconds."""

    network: int
    purpose: Purpose
    comes: float
    patience: float
    stays: float
    silent: bool  # outside a transaction; then it is ended when others want its slot


VISITS = st.lists(
    st.builds(
        Visit,
        network=st.integers(0, 3),
        purpose=st.sampled_from(Purpose),
        comes=st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0]),
        patience=st.sampled_from([0.0, 0.5, 2.0, 10.0, 1000.0]),
        stays=st.sampled_from([0.0, 0.5, 1.0, 20.0]),
        silent=st.booleans(),
    ),
    max_size=60,
)


class House:
    """Backends with their caps, and what becomes of visits."""

    def __init__(self, caps: list[int], balance: Balance) -> None:
        self.backends = [Slots(BackendAddress("backend", 25 + n, max=cap)) for n, cap in enumerate(caps)]
        self.queue = Queue(balancer(balance))
        self.inside = Counter[str]()
        self.outcomes = Counter[str]()

    async def receive(self, visit: Visit) -> None:
        """Be there for one visit, from coming to leaving."""
        await trio.sleep(visit.comes)
        network = str(visit.network).encode()
        slots = None
        with trio.move_on_after(visit.patience):
            slots = await self.queue.take(self.backends, visit.purpose, network)
        if slots is None:
            self.outcomes["gave up"] += 1
            return
        self.inside[slots.name] += 1
        assert self.inside[slots.name] <= slots.cap
        sitter = Sitter(slots.idlers, network)
        with trio.CancelScope() as stay:
            if visit.silent:
                with sitter.waiting(lambda: stay.cancel() is None):
                    await trio.sleep(visit.stays)
            else:
                await trio.sleep(visit.stays)
        self.inside[slots.name] -= 1
        self.outcomes["was there"] += 1
        sitter.gone()
        self.queue.give_back(slots, visit.purpose, network)


@given(CAPS, VISITS, st.sampled_from(Balance))
@settings(max_examples=150, deadline=None)
def test_never_one_too_many_and_nobody_is_forgotten(
    caps: list[int], visits: list[Visit], balance: Balance
) -> None:
    """Whatever comes, stays and gives up: no cap is passed, all slots come back, nobody waits for ever."""
    house = House(caps, balance)

    async def main() -> None:
        async with trio.open_nursery() as engine:
            engine.start_soon(house.queue.end_idle, house.backends)
            with trio.fail_after(10_000):
                async with trio.open_nursery() as nursery:
                    for visit in visits:
                        nursery.start_soon(house.receive, visit)
            engine.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert house.outcomes.total() == len(visits)
    for slots in house.backends:
        assert slots.taken == slots.wanted == sum(slots.waiting.values()) == 0
    assert not house.queue
    assert not any(house.queue._lanes.values())


@given(st.integers(4, 40), st.integers(1, 8), st.integers(10, 120))
@settings(max_examples=50, deadline=None)
def test_where_others_wait_a_quarter_is_all(cap: int, others: int, crowd: int) -> None:
    """A network gets a slot beyond its quarter only while nobody else waits who has less than his."""
    slots, queue = Slots(BackendAddress("backend", 25, max=cap)), Queue()

    async def visit(network: bytes, stays: float) -> None:
        await queue.take([slots], Purpose.JOIN, network)
        if slots.held_by(network) > max(cap // 4, 1):
            assert not any(map(slots.modest, queue._lanes[Purpose.JOIN]._turns))
        await trio.sleep(stays)
        queue.give_back(slots, Purpose.JOIN, network)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(cap):
                nursery.start_soon(visit, b"early", 1.0)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(crowd):
                nursery.start_soon(visit, b"crowd", 1.0 + number % 7)
            for number in range(others * 3):
                nursery.start_soon(visit, str(number % others).encode(), 2.0)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert slots.taken == 0
