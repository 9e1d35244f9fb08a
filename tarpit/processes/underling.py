"""A worker as a process of its own, under a supervisor: the same `worker.serve`, told by the lead what to do.

The process is a fork of the supervisor, made before trio ever ran there: nothing is imported anew, settings
and sockets are simply there, and the memory of both is the same until one of them writes to it.

Rejected: a fresh interpreter for each worker. It takes half a second of CPU before it serves, which is what a
crash may cost; 20 MB more for each; and settings, with the secrets among them, would have to be written down
for it. A supervisor on trio, which a fresh interpreter would allow, runs elsewhere (`office`).
"""

import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import orjson
import trio
from structlog.typing import FilteringBoundLogger as Log

from tarpit import worker
from tarpit.control.errands import carry_out
from tarpit.control.server import Answer, Refused
from tarpit.errors import SettingsError
from tarpit.observe import processes
from tarpit.processes import lead
from tarpit.processes.lead import Word, report
from tarpit.processes.shares import share_of
from tarpit.processes.sheet import Sheet
from tarpit.processes.shift import Shift
from tarpit.services import Services
from tarpit.settings import Settings

WRONG_SETTINGS = 78


@dataclass(frozen=True, slots=True)
class Post:
    """A worker's place: its slot, its lines to the supervisor and to the office, whom it follows."""

    slot: int
    lead: socket.socket
    line: socket.socket
    sheet: Sheet
    before: Sequence[Sheet] = ()
    starting: bool = True  # new settings: a backend that would relay for everybody is a reason not to start


def run(settings: Settings, listeners: Sequence[socket.socket], log: Log, post: Post) -> int:
    """Be a worker until told to end; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of us; the supervisor passes it on
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if settings.workers > 1:
        log = log.bind(worker=post.slot)
    refused: list[SettingsError] = []
    try:
        trio.run(partial(_run, share_of(settings, post.slot), listeners, log, post))
    except* SettingsError as group:
        refused = list(_leaves(group))
    if refused:
        report(post.lead, lead.Refused(tuple(fault for error in refused for fault in error.faults)))
        return WRONG_SETTINGS
    return 0


async def _run(settings: Settings, listeners: Sequence[socket.socket], log: Log, post: Post) -> None:
    orders, shift = worker.Orders(wait=True), Shift(post.sheet, post.before)

    async def be_led(everything: trio.CancelScope) -> None:
        await obey(post.lead, orders, shift, everything)
        processes.supervisor_lost(log, worker=post.slot, pid=os.getpid(), within=settings.drain)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(be_led, nursery.cancel_scope)
        nursery.start_soon(_stop_at_term, orders)
        nursery.start_soon(lead.beat, post.sheet)
        nursery.start_soon(_tell_ready, post.lead, orders)
        await worker.serve(
            settings,
            listeners,
            log,
            orders=orders,
            number=post.slot,
            starting=post.starting,
            shift=shift,
            attending=partial(attend, post.line),
        )
        report(post.lead, lead.Stopped(orders.cut))
        nursery.cancel_scope.cancel()


async def obey(
    sock: socket.socket, orders: worker.Orders, shift: Shift, everything: trio.CancelScope
) -> None:
    """Do what the supervisor says, until there is none any more: then stop in order.

    Who is still being tried then ends at once, as where the supervisor stops.
    """
    line = trio.socket.from_stdlib_socket(sock)
    while data := await lead.read(line):
        match lead.word_in(data):
            case Word.GO:
                orders.accept.set()
            case Word.SPARE:
                shift.spare(sparing=True)
            case Word.WHOLE:
                shift.spare(sparing=False)
            case Word.RELOAD:
                orders.reload.ring()
            case Word.LEAVE:
                orders.end(replaced=True)
            case Word.STOP:
                orders.end()
            case Word.END:
                everything.cancel()
    orders.end()
    if not orders.ready.is_set():
        everything.cancel()


async def _stop_at_term(orders: worker.Orders) -> None:
    """Stop in order, too, when somebody sends TERM to every process there is."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            orders.end()


async def _tell_ready(sock: socket.socket, orders: worker.Orders) -> None:
    await orders.ready.wait()
    report(sock, lead.Ready())


def _leaves(group: BaseExceptionGroup[SettingsError]) -> Iterator[SettingsError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


# -- the line to the office


async def attend(line: socket.socket, services: Services) -> None:
    """Carry out what the office passes on, until cancelled or the line is closed."""
    sock = trio.socket.from_stdlib_socket(line)
    while data := await lead.read(sock):
        number, uid, request = orjson.loads(data)
        answer = orjson.dumps([number, _answer(services, request, uid)])
        try:
            await sock.send(answer)
        except OSError:
            return  # this office is no more; the next one has a line of its own


def _answer(services: Services, request: Mapping[str, object], uid: int) -> Answer:
    try:
        return carry_out(services, request, uid)
    except Refused as refused:
        return {"error": str(refused)}
