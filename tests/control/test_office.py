"""The process that operators speak to, without the process: its workers say what they are told to."""

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import orjson
import pytest
import trio

from tarpit.control import office
from tarpit.control.office import Office
from tarpit.control.server import Refused
from tarpit.processes import lead

Request = Mapping[str, object]


class Worker:
    """A worker that answers, and remembers what it was asked."""

    def __init__(self, answer: Request | None = None, *holds: Request) -> None:
        self.asked: list[Request] = []
        self.holds = list(holds)
        self.answer = answer or {"mode": "off"}
        self.far, self.near = lead.pair()

    async def run(self) -> None:
        with trio.socket.from_stdlib_socket(self.near) as sock:
            while data := await sock.recv(lead.LONGEST):
                number, _, request = orjson.loads(data)
                if not (asks := request == {"do": "orders"}):
                    self.asked.append(request)
                answer = {"orders": self.holds} if asks else self.answer
                await sock.send(orjson.dumps([number, answer]))


DRAINED: Request = {"do": "drain", "backend": "b:25"}
OFF: Request = {"do": "mode", "mode": "off"}
DENIED: Request = {"do": "deny", "network": "192.0.2.0/24"}
ALLOWED: Request = {"do": "allow", "network": "198.51.100.0/24", "seconds": 60.0}
HOLDS: tuple[Request, ...] = (DRAINED, OFF, DENIED, ALLOWED)


@asynccontextmanager
async def attended(*workers: Worker) -> AsyncIterator[tuple[Office, trio.Nursery]]:
    """Yield an office that speaks with *workers*."""
    one = Office()
    async with trio.open_nursery() as nursery:
        for slot, worker in enumerate(workers):
            nursery.start_soon(worker.run)
            await one.connect(slot, worker.far)
        yield one, nursery
        one.close()  # which ends the workers too


async def test_all_are_asked() -> None:
    """Everybody carries it out, and the answers are one."""
    workers = [Worker({"sessions": 1}), Worker({"sessions": 2})]
    async with attended(*workers) as (one, _):
        assert await one.obey(DENIED, 7) == {"sessions": 3}
    assert all(DENIED in worker.asked for worker in workers)


async def test_who_comes_later_is_told(autojump_clock: trio.testing.MockClock) -> None:
    """A new worker is made like the others: backends, mode, and what is left of rulings."""
    old, new = Worker(), Worker()
    async with attended(old) as (one, nursery):
        old.holds += HOLDS
        await one.obey(ALLOWED, 0)
        await trio.sleep(20)
        nursery.start_soon(new.run)
        await one.connect(0, new.far)
        assert new.asked == [DRAINED, OFF, DENIED, {**ALLOWED, "seconds": 40.0}]


async def test_a_ruling_that_is_over_is_not_told(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody hears of what holds no more."""
    old, new = Worker(), Worker()
    async with attended(old) as (one, nursery):
        old.holds += [DENIED, ALLOWED]
        await one.obey({"do": "forget", "network": "192.0.2.0/25"}, 0)
        await trio.sleep(61)
        nursery.start_soon(new.run)
        await one.connect(0, new.far)
        assert new.asked == [DENIED]


async def test_a_new_office_learns_what_holds(autojump_clock: trio.testing.MockClock) -> None:
    """Workers were told by the one before it. Those that were not are told now, and the others not again."""
    older, newer = Worker(None, *HOLDS), Worker(None, DRAINED, {**DENIED, "do": "allow"})
    async with attended(newer, older) as (one, nursery):
        assert older.asked == [{**DENIED, "do": "allow"}]  # nobody knows which was the later one
        assert newer.asked == [OFF, ALLOWED]
        third = Worker()
        nursery.start_soon(third.run)
        await one.connect(2, third.far)
        assert {**third.asked[0]} == DRAINED
        assert len(third.asked) == 4


async def test_an_answer_to_an_office_before() -> None:
    """It lies on the line still, and is not taken for one to us."""
    worker = Worker()
    worker.near.send(orjson.dumps([0, {"orders": list(HOLDS)}]))
    async with attended(worker) as (one, _):
        assert await one.obey({"do": "mode"}, 0) == {"mode": "off"}
        assert worker.asked == [{"do": "mode"}]


async def test_a_worker_that_is_dead() -> None:
    """The others answer for it."""
    dead, alive = Worker(), Worker()
    dead.near.close()
    one = Office()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alive.run)
        await one.connect(0, dead.far)
        await one.connect(1, alive.far)
        assert await one.obey({"do": "mode"}, 0) == {"mode": "off"}
        one.close()


async def test_a_worker_that_leaves() -> None:
    """It is asked and told, and what holds for it, until it is dead; the one in its place speaks first."""
    old, new = Worker({"mode": "observe"}), Worker()
    async with attended(old) as (one, nursery):
        nursery.start_soon(new.run)
        await one.connect(0, new.far)
        assert await one.obey(DENIED, 0) == {"mode": "off"}
        assert old.asked == new.asked == [DENIED]
        old.near.send(b"unread")
        old.near.shutdown(socket.SHUT_RD)  # which ends it
        await trio.testing.wait_all_tasks_blocked()
        third = Worker()
        nursery.start_soon(third.run)
        await one.connect(0, third.far)
        assert (old.far.fileno(), new.far.fileno() >= 0) == (-1, True)
        await one.obey(OFF, 0)
        assert new.asked == [DENIED, OFF]


async def test_a_worker_that_hangs(autojump_clock: trio.testing.MockClock) -> None:
    """It is waited for, but not for ever; what it says later is not taken for another answer."""
    hanging = Worker()
    async with attended() as (one, nursery):
        await one.connect(0, hanging.far)
        with pytest.raises(Refused, match="no worker answers"):
            await one.obey({"do": "status"}, 0)
        hanging.answer = {"mode": "observe"}
        nursery.start_soon(hanging.run)
        assert await one.obey({"do": "mode"}, 0) == {"mode": "observe"}
        assert len(hanging.asked) == 2


async def test_what_all_refuse() -> None:
    """It is refused, and nobody is told of it later."""
    async with attended(Worker({"error": "there is no a:25"})) as (one, nursery):
        with pytest.raises(Refused, match="there is no a:25"):
            await one.obey({"do": "drain", "backend": "a:25"}, 0)
        new = Worker()
        nursery.start_soon(new.run)
        await one.connect(1, new.far)
        assert new.asked == []


async def test_workers_are_introduced() -> None:
    """A line comes over the lead with its worker's slot; when the lead ends, so does the office."""
    ours, theirs = lead.pair()
    worker = Worker()
    one = Office()
    office.introduce(ours, 3, worker.far)
    worker.far.close()
    ours.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.run)
        await one.meet(theirs)
        assert await one.obey({"do": "mode"}, 0) == {"mode": "off"}
        assert one.slots == [3]
        one.close()
    theirs.close()


def test_an_office_that_is_dead() -> None:
    """Nobody is introduced to it, and that is no fault."""
    (ours, theirs), (far, near) = lead.pair(), lead.pair()
    theirs.close()
    office.introduce(ours, 4, far)
    for sock in (ours, far, near):
        sock.close()
