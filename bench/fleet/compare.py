"""Many policies' days, each in a process of its own, as many at once as there are cores."""

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from ctypes import c_longlong
from dataclasses import dataclass, replace
from multiprocessing.sharedctypes import Synchronized
from typing import Final

from bench.fleet.day import live
from bench.fleet.figures import Figures, figures
from bench.fleet.population import Preset
from bench.fleet.records import Day
from bench.fleet.rivals import RIVALS
from tarpit.worker import COLLECT_EVERY

TELL_EVERY: Final = 200  # senders
LOOK_EVERY: Final = 0.5  # seconds

Tell = Callable[[Mapping[str, int]], None]  # how many senders of each policy are done with


@dataclass(frozen=True, slots=True)
class Task:
    """One policy's day to be lived. *variables* are settings with their whole names."""

    policy: str
    place: int  # among all
    preset: Preset
    seed: int
    sessions: int
    variables: Mapping[str, str]
    keep_records: bool


def variables_of(preset: Preset, policy: str) -> dict[str, str]:
    """Return the settings that *preset* has for a *policy* of ours."""
    return {f"TARPIT_{name}": value for name, value in {**preset.settings, **preset.ours[policy]}.items()}


def policies_of(preset: Preset) -> list[str]:
    """Return all policies that *preset* compares: ours first."""
    return [*preset.ours, *RIVALS]


def compare(
    preset: Preset,
    policies: Mapping[str, Mapping[str, str]],
    *,
    seed: int,
    sessions: int,
    tell: Tell = lambda _: None,
    keep_records: bool = False,
    processes: int | None = None,
) -> list[tuple[Day, Figures]]:
    """Return each policy's day and its figures, in the order of *policies* (settings by policy).

    Without *keep_records* the days have none: a day of 100,000 sessions takes 40 MB of them.
    """
    counters = [_counter() for _ in policies]
    tasks = [
        Task(policy, place, preset, seed, sessions, variables, keep_records)
        for place, (policy, variables) in enumerate(policies.items())
    ]
    with (
        _hashing_alike(),
        ProcessPoolExecutor(
            processes or os.cpu_count(),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(counters,),
            max_tasks_per_child=1,  # what one day has learnt (caches) is not the next one's
        ) as pool,
    ):
        futures = [pool.submit(_live, task) for task in tasks]
        for _ in _meanwhile(futures):
            tell({task.policy: counters[task.place].value for task in tasks})
        return [future.result() for future in futures]


def _counter() -> "Synchronized[int]":
    return multiprocessing.get_context("spawn").Value(c_longlong, 0)


def _meanwhile(futures: Sequence[Future[tuple[Day, Figures]]]) -> Iterator[None]:
    """Yield now and again until all are done, or one has failed."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=LOOK_EVERY)
        for future in done:
            future.result()
        yield


class _hashing_alike:  # noqa: N801 - a context manager
    """`with`: processes started now have sets of strings in one order, whatever that of this process is."""

    def __enter__(self) -> None:
        self._before = os.environ.get("PYTHONHASHSEED")
        os.environ["PYTHONHASHSEED"] = "0"

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = self._before


_counters: list["Synchronized[int]"] = []  # of this process, for the parent to read


def _begin(counters: list["Synchronized[int]"]) -> None:
    _counters[:] = counters


def _live(task: Task) -> tuple[Day, Figures]:
    gc.set_threshold(*COLLECT_EVERY)
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        if done % TELL_EVERY == 0:
            _counters[task.place].value = done

    day = live(
        task.policy,
        task.preset,
        seed=task.seed,
        sessions=task.sessions,
        variables=task.variables,
        progress=progress,
    )
    _counters[task.place].value = done
    found = figures(day)
    return (day if task.keep_records else replace(day, records=())), found
