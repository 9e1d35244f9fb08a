"""The process that operators speak to: it has the control socket, and passes what is asked on to all workers.

A worker knows only its own sessions, so each is asked, and the answers are made one. What has been ordered
since the start (the mode, rulings, backends that are drained) a worker is told as well that comes later, in
the place of another. That other one is asked and told until it ends: to a drained backend its connections are
as good as anybody's.

It is a process beside the supervisor, so that nothing anybody asks can hold up or end that one. If it dies,
mail goes on, and there is another one soon. That one learns from the workers what they were told before.

What may be asked is `errands`; how a request comes in, `control`; how the answers become one, `merging`.
"""

import itertools
import os
import secrets
import select
import signal
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, cast

import orjson
import trio
from structlog.typing import FilteringBoundLogger as Log

from tarpit.control import server as control
from tarpit.control.merging import Answers, merged
from tarpit.control.server import Answer, Refused
from tarpit.processes.lead import LONGEST, beat
from tarpit.processes.sheet import Sheet
from tarpit.services import Bugs

LASTING: Final = frozenset({"mode", "drain", "enable", "allow", "deny", "forget"})
PATIENCE: Final = 3.0  # seconds for all workers to answer

Order = Mapping[str, object]  # a request, as it would be made again


def introduce(office: socket.socket, slot: int, line: socket.socket) -> None:
    """Let the office at the other end of its lead speak over *line* with the worker in *slot* from now on."""
    try:
        socket.send_fds(office, [orjson.dumps(slot)], [line.fileno()], socket.MSG_DONTWAIT)
    except OSError:
        return  # it is dead: the next one is introduced to everybody


def run(directory: Path, log: Log, lead: socket.socket, sheet: Sheet) -> int:
    """Be the office until the supervisor closes the lead, or is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    trio.run(_run, directory, log, lead, sheet)
    return 0


async def _run(directory: Path, log: Log, lead: socket.socket, sheet: Sheet) -> None:
    office = Office()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat, sheet)
        nursery.start_soon(partial(control.attend, directory, office.obey, log=log, bugs=Bugs(log)))
        await office.meet(lead)
        nursery.cancel_scope.cancel()


class Office:
    """All lines, and what has been ordered over them."""

    def __init__(self) -> None:
        self._lines: dict[int, trio.socket.SocketType] = {}  # to those that serve, by slot
        # to those that served before, and finish
        self._leaving: list[tuple[int, trio.socket.SocketType]] = []
        self._said: Sequence[Order] = ()  # what was ordered, and held when
        self._since = 0.0
        # Not from 0: over the same lines there may still be answers that an office before us has asked for.
        self._numbers = itertools.count(secrets.randbits(40))
        self._in_turn = trio.Lock()  # orders reach all workers in the same order

    @property
    def slots(self) -> list[int]:
        """Whose workers are reached."""
        return list(self._lines)

    async def meet(self, lead: socket.socket) -> None:
        """Take the lines of new workers, until the lead ends."""
        lead.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        while True:
            await trio.lowlevel.wait_readable(lead)
            data, descriptors, *_ = socket.recv_fds(lead, LONGEST, 1)
            if not data:
                return
            slot = orjson.loads(data)
            await self.connect(slot, socket.socket(fileno=descriptors[0]))

    async def connect(self, slot: int, sock: socket.socket) -> None:
        """Speak with that worker from now on. Whoever lacks what another one was told is told."""
        line = trio.socket.from_stdlib_socket(sock)
        async with self._in_turn:
            if (old := self._lines.pop(slot, None)) is not None:
                self._leaving.append((slot, old))
            self._forget_dead()
            self._lines[slot] = line
            with trio.move_on_after(PATIENCE):
                held = await self._held_by(line)
                # It knows more than we do where it is older: an office before us had told it.
                news = [one for one in held if all(of(one) != of(other) for other in self._said)]
                if news:
                    self._take([*self._left(), *news])
                for one in self._all_lines() if news else [line]:
                    await self._make_like_the_others(one)

    def _all_lines(self) -> Sequence[trio.socket.SocketType]:
        return [*self._lines.values(), *(line for _, line in self._leaving)]

    def _forget_dead(self) -> None:
        dead = [(slot, line) for slot, line in self._leaving if _is_dead(line)]
        for one in dead:
            self._leaving.remove(one)
            one[1].close()

    async def _held_by(self, line: trio.socket.SocketType) -> Sequence[Order]:
        return orders_in(await self._exchange(line, {"do": "orders"}, os.geteuid()) or {})

    async def _make_like_the_others(self, line: trio.socket.SocketType) -> None:
        held = {of(one): _word(one) for one in await self._held_by(line)}
        for order in self._left():
            if held.get(of(order)) != _word(order):
                await self._exchange(line, order, os.geteuid())

    def close(self) -> None:
        """Speak with nobody any more."""
        for line in self._all_lines():
            line.close()

    async def obey(self, request: Mapping[str, object], uid: int) -> Answer:
        """Have all workers carry out *request*. Raises `Refused` where none of them does."""
        async with self._in_turn:
            serving, leaving = await self._ask_all(request, uid)
            if not serving and not leaving:
                raise Refused("no worker answers")
            answer = merged(serving, leaving)
            if "error" in answer:
                raise Refused(str(answer["error"]))
            await self._remember(request)
            # who is signalled is the supervisor, not the worker that happens to speak first
            return {**answer, "pid": os.getppid()} if "pid" in answer else answer

    async def _ask_all(self, request: Mapping[str, object], uid: int) -> tuple[dict[int, Answer], Answers]:
        """Return the answers of those that serve, by slot, and of those that leave."""
        answers: dict[trio.socket.SocketType, Answer] = {}

        async def ask(line: trio.socket.SocketType) -> None:
            if (answer := await self._exchange(line, request, uid)) is not None:
                answers[line] = answer

        with trio.move_on_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for line in self._all_lines():
                    nursery.start_soon(ask, line)
        serving = {slot: answers[line] for slot, line in sorted(self._lines.items()) if line in answers}
        return serving, [(slot, answers[line]) for slot, line in self._leaving if line in answers]

    async def _exchange(
        self, line: trio.socket.SocketType, request: Mapping[str, object], uid: int
    ) -> Answer | None:
        """Return the answer of one worker; None of one that is dead."""
        number = next(self._numbers)
        try:
            await line.send(orjson.dumps([number, uid, request]))
            while data := await line.recv(LONGEST):
                which, answer = orjson.loads(data)
                if which == number:  # others come too late
                    assert isinstance(answer, dict)
                    return answer
        except OSError:
            pass
        return None

    async def _remember(self, request: Mapping[str, object]) -> None:
        """Keep what holds after an order, for those who come later."""
        if request.get("do") in LASTING and request.keys() != {"do"}:
            serving, _ = await self._ask_all({"do": "orders"}, os.geteuid())
            if (first := next(iter(serving.values()), None)) is not None:
                self._take(orders_in(first))

    def _take(self, orders: Sequence[Order]) -> None:
        self._said, self._since = orders, trio.current_time()

    def _left(self) -> Sequence[Order]:
        """Return what of all that holds still."""
        passed = trio.current_time() - self._since
        return [left for one in self._said if (left := _later(one, passed)) is not None]


def _is_dead(line: trio.socket.SocketType) -> bool:
    """Whether nobody is at the other end, even where there is something to read still."""
    ends = select.poll()
    ends.register(line.fileno(), 0)
    return bool(ends.poll(0))


def orders_in(answer: Answer) -> Sequence[Order]:
    """Return a worker's standing orders."""
    return cast("Sequence[Order]", answer.get("orders", ()))


def of(order: Order) -> tuple[str, object]:
    """Return what an order is about: of two about the same thing, one holds."""
    match order:
        case {"backend": name}:
            return "backend", name
        case {"network": network}:
            return "network", network
    return "mode", None


def _word(order: Order) -> object:
    return order.get("mode", order["do"])


def _later(order: Order, passed: float) -> Order | None:
    """Return an order as it is after so many seconds; None where it is over."""
    match order:
        case {"seconds": int() | float() as seconds}:
            return {**order, "seconds": seconds - passed} if seconds > passed else None
    return order
