"""Is mail spread as the weights say, and does a backend ever see one connection more than its cap?

`python -m bench.backends shares real` runs these two of the following; without a name, all:

    shares   10,000 sessions in turn to four sinks of weights 1 to 4; then 40 at once to the least busy
    stopped  one of them is stopped and started again in the middle; `killed`: with SIGKILL
    crowd    500 clean senders at once and 5,000 bots, before a sink with a cap of 20
    silent   100 clean strangers from two addresses that say nothing, before the same, and one sender
    real     10,000 in turn to real servers: Postfix twice, Exim, OpenSMTPD; `real-least`: 40 at once to the
             least busy; `real-killed`: Exim is killed and comes back

`crowd` and `silent` run a second time with HAProxy in our place (maxconn and queue), if it is installed. What
a sink counts is its own count. Both cores are shared by all processes: waits are upper bounds.
"""

import argparse
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

from bench import real
from bench.senders import Senders, sit
from bench.sinks import Sink, sinks
from bench.spread import SAMPLE, WEIGHTS, Found, is_over, mean_of_full, tarpit
from bench.surroundings import ROOT
from tests.support.servers import LOOPBACK, answers, free_port, wait_until

CAP: Final = 20
LONGEST: Final = 90.0  # seconds for all of a crowd
LONG: Final = 0.2  # seconds of a message, so that senders spend their time where samples can see them
HAPROXY: Final = """\
global
    maxconn 8000
defaults
    mode tcp
    timeout connect 10s
    timeout client 300s
    timeout server 300s
    timeout queue 10s
listen mail
    bind 127.0.0.1:{port}
    server sink 127.0.0.1:{backend} maxconn {cap}
"""


@contextmanager
def haproxy(sink: Sink) -> Iterator[int]:
    """Run HAProxy before *sink*, and yield its port."""
    with tempfile.TemporaryDirectory() as directory:
        port, config = free_port(), Path(directory, "haproxy.cfg")
        config.write_text(HAPROXY.format(port=port, backend=sink.port, cap=CAP), "ascii")
        with subprocess.Popen(["haproxy", "-db", "-f", str(config)], stderr=subprocess.DEVNULL) as process:
            try:
                wait_until(lambda: answers((LOOPBACK, port)), "haproxy answers")
                yield port
            finally:
                process.kill()


def weighted(running: Sequence[Sink]) -> list[str]:
    """Return sinks as TARPIT_BACKENDS has them."""
    return [f"{LOOPBACK}:{one.port}*{weight}" for one, weight in zip(running, WEIGHTS, strict=True)]


async def shares(sessions: int) -> list[Found]:
    """In turn, and to the least busy."""
    found = list[Found]()
    with (
        sinks(len(WEIGHTS), seconds=0.02) as running,
        tarpit(weighted(running), BALANCE="round-robin") as port,
    ):
        senders = Senders(port)
        await senders.deliver_all(sessions, at_once=40)
        had = [(await one.counts()).messages for one in running]
        found.append(Found("round-robin", senders, had))
    with sinks(len(WEIGHTS), seconds=LONG) as running, tarpit(weighted(running)) as port:
        senders, seen = Senders(port), list[list[int]]()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sample, running, seen)
            await senders.deliver_all(sessions // 5, at_once=40)
            nursery.cancel_scope.cancel()
        found.append(Found("least, 40 at once", senders, mean_of_full(seen)))
    return found


async def sample(running: Sequence[Sink], into: list[list[int]]) -> None:
    """Note again and again how many connections each sink has."""
    while True:
        into.append([(await one.counts()).open for one in running])
        await trio.sleep(SAMPLE)


async def stopped(seconds: float, how: signal.Signals) -> list[Found]:
    """One backend goes and comes back."""
    with sinks(len(WEIGHTS), seconds=0.02) as running, tarpit(weighted(running)) as port:
        senders, began = Senders(port), trio.current_time()
        over = partial(is_over, began + seconds)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(senders.deliver_all, 10**6, at_once=20, tries=5, over=over))
            await trio.sleep(seconds / 10)
            await trio.to_thread.run_sync(running[2].stop, how)
            await trio.sleep(seconds / 10)
            await trio.to_thread.run_sync(running[2].start_again)
            await trio.sleep_until(began + 0.7 * seconds)
            before = [(await one.counts()).sessions for one in running]
        after = [(await one.counts()).sessions for one in running]
        had = [late - early for early, late in zip(before, after, strict=True)]
    return [Found(f"{how.name}, and 70 % later", senders, had)]


async def crowd(clean: int, bots: int, *, ours_only: bool = False) -> list[Found]:
    """Many clean senders at once, and bots."""
    found = list[Found]()
    for name, before in ways(ours_only=ours_only):
        with sinks(1, seconds=0.05) as (sink,), before(sink) as port:
            with attack(port, bots):
                await trio.sleep(2)
                senders = Senders(port)
                with trio.move_on_after(LONGEST):
                    await senders.deliver_all(clean, at_once=clean, tries=20)
            counts = await sink.counts()
            found.append(Found(name, senders, most=counts.most))
    return found


@contextmanager
def attack(port: int, bots: int) -> Iterator[None]:
    """Have so many bots, a thousand a second, that stay for 12 s at most."""
    command = [sys.executable, "-m", "bench.attack", *map(str, (port, bots, 1000, 12))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


async def silent(seconds: float, *, ours_only: bool = False) -> list[Found]:
    """Strangers who only sit there, and one sender."""
    found = list[Found]()
    for name, before in ways(ours_only=ours_only, MODE="off"):
        with sinks(1, seconds=0.05) as (sink,), before(sink) as port:
            senders, began = Senders(port), trio.current_time()
            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(sit, port, f"127.0.250.{1 + number % 2}")
                await trio.sleep(1)
                with trio.move_on_after(seconds + 15):
                    async with trio.open_nursery() as several:
                        while trio.current_time() < began + seconds:
                            several.start_soon(partial(senders.deliver, "127.0.7.1", tries=10))
                            await trio.sleep(0.25)
                nursery.cancel_scope.cancel()
            counts = await sink.counts()
            found.append(Found(name, senders, most=counts.most))
    return found


def ways(
    *, ours_only: bool, **variables: str
) -> Iterator[tuple[str, Callable[[Sink], AbstractContextManager[int]]]]:
    """Yield what can stand before a sink."""
    yield "tarpit", lambda sink: tarpit([f"{LOOPBACK}:{sink.port};max={CAP}"], **variables)
    if shutil.which("haproxy") and not ours_only:
        yield "haproxy", haproxy


RUNS: Final[Mapping[str, Callable[[], Awaitable[list[Found]]]]] = {
    "shares": partial(shares, 10_000),
    "stopped": partial(stopped, 80, signal.SIGTERM),
    "killed": partial(stopped, 80, signal.SIGKILL),
    "crowd": partial(crowd, 500, 5000),
    "silent": partial(silent, 60),
    "real": partial(real.in_turn, 10_000),
    "real-least": partial(real.least, 2000),
    "real-killed": partial(real.killed, 120),
}


def main() -> int:
    """Run what is asked for, and print what was found."""
    parser = argparse.ArgumentParser(prog="bench.backends", description="Spread mail over backends.")
    parser.add_argument("runs", nargs="*", choices=[[], *RUNS], help="all of them, if none is named")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for name in parser.parse_args().runs or RUNS:
        for found in trio.run(RUNS[name]):
            print(f"{name:<10}{found}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
