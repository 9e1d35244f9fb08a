"""The senders of one process, and many such processes at once.

Open loop: each sender starts at its moment, however late the server is, and what it waits for is counted
from that moment. How late we were ourselves is noted too: where that is not small, the machine is what was
measured.
"""

import gc
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from typing import Final

import trio

from bench.clients import Client
from bench.fleet.memory import Stream
from bench.fleet.population import Preset, Sender
from bench.fleet.records import Record
from bench.fleet.visits import visit
from bench.load.schedule import Arrivals, Loopback, scheduled
from bench.load.socketed import Notes, TimedCaller, connect

HEAD_START: Final = 0.5  # seconds from the last process being ready to the first connection
EVERY: Final = 1.0  # seconds between two readings of the gauge


@dataclass(frozen=True, slots=True)
class Load:
    """What is to come. Nobody comes after *seconds*; *patience* is ours with those there behind the last."""

    preset: Preset
    seed: int
    sessions: int
    arrivals: Arrivals
    target: tuple[str, int]
    seconds: float
    patience: float
    from_loopback: bool  # each sender from an address of its own; otherwise whatever the kernel takes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one process is: senders started and done with, connections open."""

    started: int
    done: int
    open: int


Tell = Callable[[Sequence[Progress]], None]


def loaded(load: Load, *, processes: int, tell: Tell = lambda _: None) -> Notes:
    """Let all senders come, from *processes* processes, and return what was noted.

    Raises `PopulationError`, and `ChildProcessError` when a process ends early.
    """
    # what cannot be is better said here than by each of them
    _population(replace(load, seconds=0.0))
    with _started(load, processes) as pipes:
        for pipe in pipes:
            _heard(pipe)
        begin = time.monotonic() + HEAD_START  # one clock for all processes of a host
        for pipe in pipes:
            pipe.send(begin)
        return _gathered(pipes, tell)


@contextmanager
def _started(load: Load, processes: int) -> Iterator[list[Pipe]]:
    """Yield a pipe to each process."""
    spawn = multiprocessing.get_context("spawn")
    children, pipes = [], list[Pipe]()
    try:
        for share in range(processes):
            ours, theirs = spawn.Pipe()
            child = spawn.Process(target=_attend, args=(load, share, processes, theirs), daemon=True)
            child.start()
            theirs.close()
            children.append(child)
            pipes.append(ours)
        yield pipes
    finally:
        for pipe in pipes:
            pipe.close()
        for child in children:
            child.join(1.0)
            if child.is_alive():
                child.terminate()
                child.join()


def _gathered(pipes: Sequence[Pipe], tell: Tell) -> Notes:
    notes, pending = Notes(), list(pipes)
    progress: dict[int, Progress] = {}
    while pending:
        for pipe in wait(pending):
            assert isinstance(pipe, Pipe)
            match _heard(pipe):
                case Progress() as news:
                    progress[id(pipe)] = news
                case Notes() as all_of_it:
                    notes.add(all_of_it)
                    pending.remove(pipe)
        tell(list(progress.values()))
    return notes


def _heard(pipe: Pipe) -> object:
    try:
        return pipe.recv()
    except EOFError:
        raise ChildProcessError("a process of the load has ended early; what it said is above") from None


def _population(load: Load) -> list[Sender]:
    return scheduled(
        load.preset,
        seed=load.seed,
        sessions=load.sessions,
        arrivals=load.arrivals,
        seconds=load.seconds,
        moved=Loopback(),
    ).senders


def _attend(load: Load, share: int, processes: int, pipe: Pipe) -> None:
    """Be one of the processes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    senders = _population(load)
    crowd = _Crowd(load, senders[share::processes], pipe)
    end = (senders[-1].at if senders else 0.0) + load.patience
    gc.freeze()
    pipe.send(Progress(0, 0, 0))
    begin = pipe.recv()
    trio.run(crowd.run, begin, end)
    pipe.send(crowd.notes)


class _Crowd:
    """The senders of this process."""

    def __init__(self, load: Load, senders: Sequence[Sender], pipe: Pipe) -> None:
        self.notes = Notes()
        self._load = load
        self._senders = senders
        self._pipe = pipe
        self._begin = 0.0  # of the load, by trio's clock
        self._started = self._done = 0

    async def run(self, begin: float, end: float) -> None:
        """Let them come from *begin* (of `time.monotonic`) on, and cut off whoever is there *end* s later."""
        before = time.process_time()
        self._begin = trio.current_time() + begin - time.monotonic()
        with trio.move_on_at(self._begin + end):
            async with trio.open_nursery() as gauges:
                gauges.start_soon(self._read_gauge)
                async with trio.open_nursery() as nursery:
                    for sender in self._senders:
                        await trio.sleep_until(self._begin + sender.at)
                        nursery.start_soon(self._visit, sender)
                gauges.cancel_scope.cancel()
        self.notes.cut = len(self._senders) - self._done
        self.notes.cpu = time.process_time() - before

    async def _visit(self, sender: Sender) -> None:
        notes, load = self.notes, self._load
        due = self._begin + sender.at
        late = trio.current_time() - due
        notes.lateness.append(late)
        self._started += 1
        since: float | None = None

        async def reach(address: str) -> Stream:
            nonlocal since  # only a first attempt has a moment of its own: a pause begins when one has ended
            since = due if since is None else trio.current_time()
            return await connect(load.target, address if load.from_loopback else None, notes)

        def call(stream: Stream, client: Client) -> TimedCaller:
            assert since is not None
            return TimedCaller(stream, client, notes, since)

        def book(record: Record) -> None:
            notes.records.append(replace(record, delay=record.delay + late) if record.delivered else record)

        await visit(sender, reach, book, midnight=self._begin, calls=call)
        self._done += 1

    async def _read_gauge(self) -> None:
        moment = self._begin
        while True:
            await trio.sleep_until(moment)
            self.notes.opened.append(self.notes.open)
            self._pipe.send(Progress(self._started, self._done, self.notes.open))
            moment += EVERY
