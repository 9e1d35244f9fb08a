"""One policy's day: everybody comes at their time, is served under that policy, and is written down.

The clock jumps from one event to the next. Same seed, same records: what is drawn is drawn from the seed, and
trio is told to run its tasks in the order in which they were made.
"""

import math
import random
import resource
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableSequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import trio

from bench.fleet.arrivals import DAY
from bench.fleet.mailserver import Processes
from bench.fleet.memory import End, Stream, pair
from bench.fleet.ours import SURROUNDINGS, Bugs, Ours, running, settings_for
from bench.fleet.population import Population, Preset, Sender, populate
from bench.fleet.records import Day, Reading, Record
from bench.fleet.rivals import RIVALS, Known
from bench.fleet.visits import visit

EVERY: Final = 60.0  # seconds between two readings of the gauges
PROCESSES: Final = 100  # of the mail server (Postfix, default_process_limit; TARPIT_BACKEND_MAX)

Progress = Callable[[int], None]


def live(
    policy: str,
    preset: Preset,
    *,
    seed: int,
    sessions: int,
    variables: Mapping[str, str],
    progress: Progress = lambda _: None,
) -> Day:
    """Let *policy* live through a day of *sessions* senders; *variables* are its settings, if ours.

    *progress* is told of each sender that is done with. Raises `SettingsError`.
    """
    random.seed(seed)
    population, began = populate(preset, seed, sessions), time.process_time()
    settings = {} if policy in RIVALS else SURROUNDINGS | dict(variables)
    scene = _Scene(policy, population, settings, progress)
    with _in_order():
        trio.run(scene.run, clock=Jumping())
    assert scene.processes is not None
    return Day(
        policy=policy,
        records=tuple(scene.records),
        readings=tuple(scene.readings),
        backend_peak=scene.processes.peak,
        backend_seconds=scene.readings[-1].backend_seconds,
        backend_messages=scene.processes.messages,
        cpu_seconds=time.process_time() - began,
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        settings=settings,
        bugs=tuple(scene.bugs.found),
    )


@contextmanager
def _in_order() -> Iterator[None]:
    """`with`: trio runs tasks that are due together in the order of their making.

    It shuffles them so that nobody relies on their order. What makes it sort them is private: it is there
    for hypothesis, which replays tests by it as days are replayed here.
    """
    from trio._core import _run  # noqa: PLC0415

    before = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r  # noqa: SLF001
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # noqa: SLF001
    _run._r = _Straight()  # noqa: SLF001
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r = before  # type: ignore[misc]  # noqa: SLF001


class _Straight(random.Random):
    """The order as it is."""

    def shuffle(self, x: MutableSequence[object]) -> None:
        pass


class Jumping(trio.abc.Clock):
    """Time by itself stands still; where nothing can be done now, it is at once when something can be.

    `trio.testing.MockClock` does the same, in two turns of the scheduler where this takes one.
    """

    def __init__(self) -> None:
        self._now = 0.0

    def start_clock(self) -> None:
        """Do nothing."""

    def current_time(self) -> float:
        """Return the seconds since the beginning of the day."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Jump: trio asks when all that it could do has been done."""
        if deadline == math.inf:
            return deadline  # something from outside is waited for: trio's own end
        self._now = max(self._now, deadline)
        return 0.0


class _Scene:
    """All that is in one day."""

    def __init__(
        self, policy: str, population: Population, settings: Mapping[str, str], progress: Progress
    ) -> None:
        self._policy = policy
        self._population = population
        self._settings = settings
        self._progress = progress
        self._open = 0  # connections to a rival
        self._ours: Ours | None = None
        self.processes: Processes | None = None
        self.records: list[Record] = []
        self.readings: list[Reading] = []
        self.bugs = Bugs()

    async def run(self) -> None:
        """Live through it."""
        self.processes = Processes(PROCESSES)
        async with self._serving() as serve, trio.open_nursery() as gauges:
            gauges.start_soon(self._read_gauges)
            async with trio.open_nursery() as nursery:
                for sender in self._population.senders:
                    await trio.sleep_until(sender.at)
                    nursery.start_soon(self._visit, sender, serve)
            gauges.cancel_scope.cancel()
            self._read()

    async def _visit(self, sender: Sender, serve: Callable[[End, str], None]) -> None:
        async def connect(address: str) -> Stream:
            near, far = pair()
            serve(near, address)
            return far

        await visit(sender, connect, self.records.append)
        self._progress(1)

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[Callable[[End, str], None]]:
        assert self.processes is not None
        if (rival := RIVALS.get(self._policy)) is None:
            settings = settings_for(self._settings)
            async with running(settings, self._population.names, self.processes, self.bugs) as self._ours:
                yield self._ours.serve
            return
        known, processes = Known(self._population.names), self.processes

        async def attend(end: End, address: str) -> None:
            self._open += 1
            await rival(end, processes, address, known)
            self._open -= 1

        async with trio.open_nursery() as nursery:
            yield lambda end, address: nursery.start_soon(attend, end, address)
            nursery.cancel_scope.cancel()

    async def _read_gauges(self) -> None:
        while trio.current_time() < DAY:
            self._read()
            await trio.sleep(EVERY)

    def _read(self) -> None:
        assert self.processes is not None
        ours = self._ours.services if self._ours else None
        self.readings.append(
            Reading(
                at=trio.current_time(),
                sessions=len(ours.open) if ours else self._open,
                held=ours.caps.held if ours else 0,
                backend=self.processes.now,
                backend_seconds=self.processes.seconds,
            )
        )
