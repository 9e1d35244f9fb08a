"""A worker as a process of its own: its line to the office. The process itself: tests/e2e/test_workers.py."""

import orjson
import pytest
import trio
import trio.testing

from tarpit import worker
from tarpit.processes import lead, underling
from tarpit.processes.sheet import Sheet
from tarpit.processes.shift import Shift
from tests.support.dns_zone import FakeResolver
from tests.support.wires import NOBODY, load, stage


async def test_orders_are_carried_out() -> None:
    """Each request has its answer, with its number; a refusal is one, too. It ends with the line."""
    ours, theirs = lead.pair()
    line = trio.socket.from_stdlib_socket(ours)
    async with stage(load(BACKENDS=NOBODY), FakeResolver({})) as around:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(underling.attend, theirs, around.services)
            await line.send(orjson.dumps([7, 0, {"do": "mode", "mode": "off"}]))
            assert orjson.loads(await line.recv(lead.LONGEST)) == [7, {"mode": "off", "settings": "enforce"}]
            await line.send(orjson.dumps([8, 0, {"do": "dance"}]))
            assert orjson.loads(await line.recv(lead.LONGEST)) == [8, {"error": "no such request"}]
            line.close()
        assert around.services.mode == "off"
    theirs.close()


async def test_an_office_that_dies_with_an_answer_unread() -> None:
    """The line is over then, as it is otherwise: nothing is wrong with the worker."""
    ours, theirs = lead.pair()
    async with stage(load(BACKENDS=NOBODY), FakeResolver({})) as around, trio.open_nursery() as nursery:
        nursery.start_soon(underling.attend, theirs, around.services)
        ours.send(orjson.dumps([7, 0, {"do": "mode"}]))
        await trio.testing.wait_all_tasks_blocked()
        ours.close()
    theirs.close()


@pytest.mark.parametrize("serving", [True, False])
async def test_a_supervisor_that_dies_with_a_report_unread(*, serving: bool) -> None:
    """The worker stops in order, as without one; who was not ready yet serves nobody, and ends."""
    ours, theirs = lead.pair()
    orders, everything = worker.Orders(wait=True), trio.CancelScope()
    if serving:
        orders.ready.set()
    lead.report(theirs, lead.Ready())
    ours.close()
    await underling.obey(theirs, orders, Shift(Sheet(())), everything)
    assert (orders.stop.is_set(), everything.cancel_called) == (True, not serving)
    theirs.close()
