"""The process that operators speak to: it has the control socket, and passes what is asked on to all workers.

A worker knows only its own sessions, so each is asked, and the answers are made one. What has been ordered
since the start (the mode, rulings, backends that are drained) a worker is told as well that comes later, in
the place of another.

It is a process beside the supervisor, so that nothing anybody asks can hold up or end that one. If it dies,
mail goes on, and there is another one soon, which knows of no earlier orders.

What may be asked is `errands`; how a request comes in, `control`; how the answers become one, `merging`.
"""

import itertools
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import orjson
import trio
from structlog.typing import FilteringBoundLogger as Log

from tarpit.control import server as control
from tarpit.control.merging import merged
from tarpit.control.server import Answer, Refused
from tarpit.processes.lead import LONGEST
from tarpit.services import Bugs

PATIENCE: Final = 3.0  # seconds for all workers to answer


def introduce(office: socket.socket, slot: int, line: socket.socket) -> None:
    """Let the office at the other end of its lead speak over *line* with the worker in *slot* from now on."""
    try:
        socket.send_fds(office, [orjson.dumps(slot)], [line.fileno()], socket.MSG_DONTWAIT)
    except OSError:
        return  # it is dead: the next one is introduced to everybody


def run(directory: Path, log: Log, lead: socket.socket) -> int:
    """Be the office until the supervisor closes the lead, or is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    trio.run(_run, directory, log, lead)
    return 0


async def _run(directory: Path, log: Log, lead: socket.socket) -> None:
    office = Office()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(control.attend, directory, office.obey, log=log, bugs=Bugs(log)))
        await office.meet(lead)
        nursery.cancel_scope.cancel()


@dataclass
class Said:
    """What has been ordered, and holds."""

    mode: str | None = None
    drained: set[str] = field(default_factory=set)
    rulings: tuple[Mapping[str, object], ...] = ()
    since: float = 0.0  # when the seconds left of these were counted


class Office:
    """All lines, and what has been ordered over them."""

    def __init__(self) -> None:
        self._lines: dict[int, trio.socket.SocketType] = {}
        self._said = Said()
        self._numbers = itertools.count()
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
        """Speak with that worker from now on, and tell it what holds."""
        line = trio.socket.from_stdlib_socket(sock)
        async with self._in_turn:
            if (old := self._lines.pop(slot, None)) is not None:
                old.close()
            self._lines[slot] = line
            with trio.move_on_after(PATIENCE):
                for order in self._orders():
                    await self._exchange(line, order, os.geteuid())

    def close(self) -> None:
        """Speak with nobody any more."""
        for line in self._lines.values():
            line.close()

    async def obey(self, request: Mapping[str, object], uid: int) -> Answer:
        """Have all workers carry out *request*. Raises `Refused` where none of them does."""
        async with self._in_turn:
            answers = await self._ask_all(request, uid)
            if not answers:
                raise Refused("no worker answers")
            answer = merged(answers)
            if "error" in answer:
                raise Refused(str(answer["error"]))
            await self._remember(request)
            # who is signalled is the supervisor, not the worker that happens to speak first
            return {**answer, "pid": os.getppid()} if "pid" in answer else answer

    async def _ask_all(self, request: Mapping[str, object], uid: int) -> dict[int, Answer]:
        answers: dict[int, Answer] = {}

        async def ask(slot: int, line: trio.socket.SocketType) -> None:
            if (answer := await self._exchange(line, request, uid)) is not None:
                answers[slot] = answer

        with trio.move_on_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for slot, line in self._lines.items():
                    nursery.start_soon(ask, slot, line)
        return dict(sorted(answers.items()))

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
        match request:
            case {"do": "mode", "mode": str(mode)}:
                self._said.mode = mode
            case {"do": "drain", "backend": str(name)}:
                self._said.drained.add(name)
            case {"do": "enable", "backend": str(name)}:
                self._said.drained.discard(name)
            case {"do": "allow" | "deny" | "forget"}:
                answers = await self._ask_all({"do": "rulings"}, os.geteuid())
                for one in answers.values():
                    if isinstance(rulings := one.get("rulings"), list):
                        self._said.rulings, self._said.since = tuple(rulings), trio.current_time()
                        break

    def _orders(self) -> list[Mapping[str, object]]:
        """Return the requests that make a new worker like the others."""
        said = self._said
        orders: list[Mapping[str, object]] = [{"do": "drain", "backend": name} for name in said.drained]
        if said.mode is not None:
            orders.append({"do": "mode", "mode": said.mode})
        passed = trio.current_time() - said.since
        for ruling in said.rulings:
            left, word = ruling["seconds"], "allow" if ruling["allowed"] else "deny"
            order = {"do": word, "network": ruling["network"]}
            if left is None:
                orders.append(order)
            elif isinstance(left, int | float) and left > passed:
                orders.append(order | {"seconds": left - passed})
        return orders
