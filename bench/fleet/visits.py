"""All attempts of one sender, and the record of each. What connects is the caller's: memory, or a socket."""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from bench.clients import Client, Step
from bench.fleet.caller import Caller, Closed
from bench.fleet.conducts import Result
from bench.fleet.memory import Stream
from bench.fleet.models import conduct_of
from bench.fleet.population import Sender
from bench.fleet.records import Ended, Record

FINAL: Final = frozenset({Ended.DELIVERED, Ended.REFUSED, Ended.DONE})

Connect = Callable[[str], Awaitable[Stream]]  # from an address of the population
Book = Callable[[Record], None]
Calls = Callable[[Stream, Client], Caller]


async def visit(
    sender: Sender, connect: Connect, book: Book, *, midnight: float = 0.0, calls: Calls = Caller
) -> None:
    """Come again and again until there is nothing more to try. *midnight* is when the day began.

    *calls* makes the caller of each attempt: one that keeps times, where somebody wants them.
    """
    first = trio.current_time()
    for attempt, pause in enumerate((*sender.model.retries, None), 1):
        record = await _attempt(sender, connect, calls, attempt, first=first, midnight=midnight)
        book(record)
        if pause is None or record.ended in FINAL or _is_hasty(sender, record):
            return
        await trio.sleep(pause)


def _is_hasty(sender: Sender, record: Record) -> bool:
    """Whether a late banner fails its message for good."""
    return sender.timers.hasty and record.ended is Ended.GAVE_UP and record.phase == Step.BANNER.value


async def _attempt(
    sender: Sender, connect: Connect, calls: Calls, attempt: int, *, first: float, midnight: float
) -> Record:
    began = trio.current_time()
    caller, conduct = calls(await connect(sender.address(attempt)), sender.timers), conduct_of(sender.model)
    result = None
    try:
        with caller.patience:
            result = await conduct.deliver(caller, sender.letter)
            if conduct.quits:
                await caller.ask(Step.QUIT, b"QUIT\r\n")
    except Closed:
        result = result or Result(Ended.CLOSED)  # what was settled before is settled
    finally:
        await caller.hang_up()
    result = result or Result(Ended.GAVE_UP)
    model, now = sender.model, trio.current_time()
    return Record(
        model=model.name,
        honest=model.honest,
        clean=model.clean,
        apart=model.apart,
        sender=sender.number,
        attempt=attempt,
        began=began - midnight,
        seconds=now - began,
        phase=caller.step.value,
        ended=result.ended,
        code=result.code,
        delivered=result.delivered,
        delay=caller.settled - first if result.delivered else 0.0,
        wanted_within=model.within,
    )
