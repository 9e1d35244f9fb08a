"""Many DNS questions over a few UDP sockets, on trio.

The one idea: who asks is parked, and one reader a socket wakes whoever is answered; one sweeper sends
again what got lost, and wakes whose time is up. A look-up then costs a send, a receive and a wake-up. A
socket and cancel scopes of its own for each question, as in dnspython, cost several times that.

A socket is connected, so the kernel drops what comes from elsewhere; it serves QUESTIONS_A_PORT questions,
then another random port takes its place. What is no reply to the question asked is not heard: the true
reply may still come (CVE-2023-29483).

Sockets are opened when there is something to ask, and belong to the run of trio in which they were opened:
their readers are system tasks, which trio cancels when its main task is done, and a reader closes its
socket. Nobody has to close a `Datagrams`.

What a packet says is in `packet`; what to do with what is unusual, and what is remembered, in `resolve`.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Final

import trio
from trio.lowlevel import Abort, RaiseCancelT

from scoring.answer import IN_TIME, TOO_LATE, Answer
from scoring.packet import Reply, Trouble, decode, disguise, encode

ONE_TRY: Final = 1.5  # seconds until a lost datagram is sent again
MOST_TRIES: Final = 20
REST: Final = 30.0  # seconds for which a server that was not there is asked last
QUESTIONS_A_PORT: Final = 100
MOST_AT_ONCE: Final = 100  # datagrams read before other tasks have their turn
LARGEST: Final = 4096  # bytes; answers are asked to stay within 1,232
NUMBERS: Final = 2  # bytes of a question's number

Server = tuple[str, int]
Heard = Answer | Trouble | Reply


@dataclass(slots=True, eq=False)
class Question:
    """Somebody who waits. Each try has its own number, and a late reply to an earlier one is welcome."""

    wire: bytes
    until: float  # on trio's clock
    servers: tuple[Server, ...]  # the next to be asked first; without those that have failed it
    task: trio.lowlevel.Task
    tries: int = 0
    due: float = 0.0  # when it is sent again, or has waited long enough
    sent: list[tuple["Line", int]] = field(default_factory=list)
    parked: bool = False
    heard: Heard | None = None

    def leave(self, server: Server) -> None:
        """Ask *server* no more."""
        self.servers = tuple(other for other in self.servers if other != server)

    def waits_until(self, due: float) -> bool:
        """Whether nothing has been heard, and the last try is the one that is due then."""
        return self.heard is None and self.due == due


@dataclass(slots=True, eq=False)
class Line:
    """One source port to one server. `waiting` has, by number, who asked and the question as it was sent."""

    server: Server
    sock: socket.socket
    asked: int = 0
    waiting: dict[int, tuple[Question, bytes]] = field(default_factory=dict)
    closed: bool = False

    def send(self, question: Question) -> None:
        """Ask *question* under a number that is free. Raises OSError if the server is not there."""
        noise = os.urandom(NUMBERS + len(question.wire))
        number = int.from_bytes(noise[:NUMBERS], "big")
        while number in self.waiting:
            number = (number + 1) % 0x10000
        wire = disguise(question.wire, noise[NUMBERS:])
        self.asked += 1
        with suppress(BlockingIOError):  # as good as lost on the way
            self.sock.send(encode(number, wire))
        self.waiting[number] = question, wire
        question.sent.append((self, number))

    def close(self) -> None:
        """Close the socket and let its reader go."""
        self.closed = True
        trio.lowlevel.notify_closing(self.sock)
        self.sock.close()


class Datagrams:
    """Asks *servers*, in that order. One that was silent or not there is asked last for a while."""

    def __init__(
        self, servers: Sequence[Server], *, one_try: float = ONE_TRY, most_tries: int = MOST_TRIES
    ) -> None:
        self._servers = tuple(dict.fromkeys(servers))
        self._one_try = one_try
        self._most_tries = most_tries
        self._lines: dict[Server, Line] = {}
        self._heard_at: dict[Server, float] = {}
        self._resting: dict[Server, float] = {}  # until when
        self._due: list[tuple[float, int, Question]] = []  # a heap
        self._ticket = count()  # questions of one moment stay in order
        self._nap: trio.CancelScope | None = None  # of the sweeper, if there is one

    async def ask(self, wire: bytes, *, until: float = inf) -> Heard:
        """Return what is said to the question *wire*, at the latest at *until*: TOO_LATE then.

        It is Trouble once every server or every try was in vain.
        """
        question = Question(wire, until, self._order(), trio.lowlevel.current_task())
        self._send(question, "no server")
        if question.heard is None:
            question.parked = True
            try:
                await trio.lowlevel.wait_task_rescheduled(_give_up)
            finally:
                question.parked = False
                self._settle(question, TOO_LATE)
        return question.heard or TOO_LATE

    def _order(self) -> tuple[Server, ...]:
        if not self._resting:
            return self._servers
        now = trio.current_time()
        self._resting = {server: end for server, end in self._resting.items() if end > now}
        return tuple(sorted(self._servers, key=self._resting.__contains__))

    def _send(self, question: Question, why: str) -> None:
        """Send *question* to the next server that is there; if there is none, the trouble is *why*."""
        while question.servers and question.tries < self._most_tries:
            server = question.servers[0]
            question.servers = (*question.servers[1:], server)
            question.tries += 1
            try:
                line = self._line(server)
            except OSError as error:
                why = self._rest(server, error)
                question.leave(server)
                continue
            try:
                line.send(question)
            except OSError as error:
                why = self._rest(server, error)
                question.leave(server)
                self._fail(line, why)
                continue
            self._wait(question)
            return
        self._settle(question, Trouble(why))

    def _wait(self, question: Question) -> None:
        question.due = min(trio.current_time() + self._one_try, question.until)
        heappush(self._due, (question.due, next(self._ticket), question))
        if self._nap is None:
            self._nap = trio.CancelScope(deadline=question.due)
            trio.lowlevel.spawn_system_task(self._sweep)
        elif question.due < self._nap.deadline:
            self._nap.deadline = question.due

    async def _sweep(self) -> None:
        """See to each question when it is due, for as long as any waits."""
        try:
            while self._due:
                due, _, question = self._due[0]
                if question.waits_until(due) and due > trio.current_time():
                    with trio.CancelScope(deadline=due) as self._nap:
                        await trio.sleep_forever()
                    continue
                heappop(self._due)
                if question.waits_until(due):
                    self._overdue(question)
        finally:
            self._nap = None

    def _overdue(self, question: Question) -> None:
        """Send *question* again, if there is time for that."""
        if question.due >= question.until:
            self._settle(question, TOO_LATE)
            return
        server = question.servers[-1]
        if self._heard_at.get(server, -inf) < question.due - self._one_try:
            self._resting[server] = trio.current_time() + REST  # not one slow zone, but a dead server
        self._send(question, IN_TIME)

    def _line(self, server: Server) -> Line:
        """Return the line to *server*, a fresh one when it is worn. Raises OSError."""
        line = self._lines.get(server)
        if line is not None and line.asked < QUESTIONS_A_PORT:
            return line
        fresh = self._lines[server] = Line(server, _connected(server))
        trio.lowlevel.spawn_system_task(self._listen, fresh)
        if line is not None:
            self._close_idle(line)
        return fresh

    async def _listen(self, line: Line) -> None:
        """Hear what comes on *line* until it is closed, or the run of trio ends."""
        try:
            while not line.closed:
                await trio.lowlevel.wait_readable(line.sock)
                self._drain(line)
        except trio.ClosedResourceError:
            pass
        finally:
            line.sock.close()

    def _drain(self, line: Line) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                wire = line.sock.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(line, self._rest(line.server, error))
                return
            self._hear(line, wire)
            if line.closed:
                return

    def _hear(self, line: Line, wire: bytes) -> None:
        """Give a datagram to whoever waits for it."""
        waiting = line.waiting.get(int.from_bytes(wire[:NUMBERS], "big"))
        heard = decode(wire, waiting[1]) if waiting else Reply.FORGED
        if waiting is None or heard is Reply.FORGED:
            return
        self._heard_at[line.server] = trio.current_time()
        if isinstance(heard, Trouble):
            waiting[0].leave(line.server)
            self._send(waiting[0], heard.why)
        else:
            self._settle(waiting[0], heard)

    def _settle(self, question: Question, heard: Heard) -> None:
        """Wake who asked, unless he has gone; nothing more is expected."""
        if question.heard is not None:
            return
        question.heard = heard
        for line, number in question.sent:
            del line.waiting[number]
            self._close_idle(line)
        if question.parked:
            trio.lowlevel.reschedule(question.task)

    def _close_idle(self, line: Line) -> None:
        """Close a worn line once nobody waits on it."""
        if not line.waiting and not line.closed and self._lines.get(line.server) is not line:
            line.close()

    def _fail(self, line: Line, why: str) -> None:
        """Close a line whose server is not there: all who wait on it go to their next server."""
        if self._lines.get(line.server) is line:
            del self._lines[line.server]
        line.close()
        for question in dict.fromkeys(question for question, _ in line.waiting.values()):
            question.leave(line.server)
            self._send(question, why)

    def _rest(self, server: Server, error: OSError) -> str:
        """Ask *server* last for a while; return what is wrong with it."""
        self._resting[server] = trio.current_time() + REST
        return os.strerror(error.errno or 0)


def _connected(server: Server) -> socket.socket:
    """Return a UDP socket with a source port that the kernel draws at random. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        sock.connect(server)
    except OSError:
        sock.close()
        raise
    return sock


def _give_up(_: RaiseCancelT) -> Abort:
    return Abort.SUCCEEDED
