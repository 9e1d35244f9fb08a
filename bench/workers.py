"""What several workers are worth, and what becomes of peers while they are killed and reloaded.

`python -m bench workers [--rounds 5] [--sessions 4000] [--seconds 60]` has two parts.

*Two workers against one*: both proxies run, and take turns, with all that a site in production has on (warm
verdicts, the guard, events as JSON in a file). The load comes from 64 networks, 40 sessions at a time. With
one worker, that has a core for itself, and load generator and sink have the other; with two, each has a core,
and the generator is on the first one, the sink on the second. From four cores on everybody has his own.

*Crash and reload*: for a minute one worker after the other is killed, every 5 s, and HUP is sent ten times,
every other time with a setting changed. What peers lose must not be more than the sessions that the killed
ones had, by the proxy's own count; and while nothing happens to a worker a peer's limit is tried: it must be
exact.
"""

import argparse
import contextlib
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.held import free_port
from bench.peers.names import name_server
from bench.peers.processor import cpu_seconds
from bench.peers.programs import Load, Ran, build, cache, generate, wait_listening
from bench.surroundings import ROOT, workers_of

NETWORKS: Final = 64
AT_ONCE: Final = 40
KILL_EVERY: Final = 5.0  # seconds
RELOADS: Final = 10
PROBER: Final = "127.9.9.9"  # whose limit is tried
LIMIT: Final = 45  # TARPIT_MAX_SESSIONS_PEER; the load needs 40
SPEED: Final = 1.3  # times the sessions a second of one worker
COST: Final = 1.15  # times its CPU a session


@dataclass
class Proxy:
    """One that runs."""

    port: int
    process: "subprocess.Popen[bytes]"
    folder: Path

    def events(self, *names: str) -> list[dict[str, object]]:
        """Return the events of these names so far."""
        lines = (self.folder / "events").read_bytes().splitlines(keepends=True)
        wanted = [name.encode() for name in names]
        return [
            json.loads(line)
            for line in lines
            if line.endswith(b"\n") and any(b'"event":"' + name + b'"' in line for name in wanted)
        ]

    def set(self, **variables: str) -> None:
        """Write the settings that HUP reads."""
        text = "".join(f"TARPIT_{name}={value}\n" for name, value in variables.items())
        (self.folder / "env").write_text(text)


@contextmanager
def proxy(workers: int, *, names: int, backend: int) -> Iterator[Proxy]:
    """Run a proxy of so many workers."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, port = Path(temporary), free_port()
        settings = {
            "LISTEN": f"127.0.0.1:{port}",
            "BACKENDS": f"127.0.0.1:{backend}",
            "DNS_SERVERS": f"127.0.0.1:{names}",
            "WORKERS": str(workers),
            "HOSTNAME": "mx.d.test",
            "ALLOW": "none",
            "DNSBL_ZONES": "dnsbl.test",
            "STORE": "memory:",
            "STATE_DIR": str(folder),
            "ADMIN": "off",
            "LOG_FORMAT": "json",
            "RELAY_TEST": "off",
            "RATE_PEER": "10000000/s",
            "RATE_NETWORK": "10000000/s",
            "BACKEND_MAX": "400",
            "DRAIN": "5s",
        }
        environment = {name: text for name, text in os.environ.items() if not name.startswith("TARPIT_")}
        environment |= {f"TARPIT_{name}": text for name, text in settings.items()}
        (folder / "env").write_text(f"TARPIT_MAX_SESSIONS_PEER={LIMIT}\n")
        command = [sys.executable, "-m", "tarpit", "run", "--env-file", str(folder / "env")]
        with (folder / "events").open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out)
        one = Proxy(port, process, folder)
        try:
            while len(one.events("worker.started")) < workers:
                if process.poll() is not None:
                    raise SystemExit("the proxy does not start; what it said is above")
                time.sleep(0.1)
            yield one
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()


@contextmanager
def sink(folder: Path) -> Iterator[tuple[int, int]]:
    """Run the sink: its port and process id."""
    port = free_port()
    process = subprocess.Popen([str(folder / "sink"), str(port)], stdout=sys.stderr)
    try:
        wait_listening(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


# --- two workers against one


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to."""

    speed: float  # sessions a second
    cost: float  # milliseconds of CPU a session, all processes of the proxy


def compare(folder: Path, names: int, *, rounds: int, sessions: int) -> bool:
    """Measure in turn, and print; return whether the goals are met."""
    found: dict[int, list[Round]] = {1: [], 2: []}
    with sink(folder) as (backend, pid), ExitStack() as stack:
        proxies = {count: stack.enter_context(proxy(count, names=names, backend=backend)) for count in found}
        for number in range(rounds + 1):
            for count, one in proxies.items():
                generator = pin(count, one.process.pid, pid)
                measured = measure(folder, one, sessions, generator)
                if number:  # the first warms the verdicts
                    found[count].append(measured)
    speed, cost = (
        [statistics.median(getattr(one, name) for one in found[count]) for count in (1, 2)]
        for name in ("speed", "cost")
    )
    print(f"sessions a second: {speed[0]:.0f} with one worker, {speed[1]:.0f} with two")
    print(f"CPU a session: {cost[0]:.3f} ms with one worker, {cost[1]:.3f} ms with two")
    met = [
        told("sessions a second, two workers to one", speed[1] / speed[0], SPEED, at_least=True),
        told("CPU a session, two workers to one", cost[1] / cost[0], COST, at_least=False),
    ]
    return all(met)


def told(what: str, ratio: float, goal: float, *, at_least: bool) -> bool:
    """Print a ratio beside its goal, and return whether that is met."""
    met = ratio >= goal if at_least else ratio <= goal
    print(f"{what}: {ratio:.2f} (goal {'>=' if at_least else '<='} {goal:g}): {'met' if met else 'MISSED'}")
    return met


def pin(count: int, supervisor: int, sink_: int) -> int:
    """Give each his core, as far as there are enough; return the generator's."""
    cores = sorted(os.sched_getaffinity(os.getppid()))
    workers = cores[:count]
    last, before = cores[-1], cores[-2] if count == 1 or len(cores) > 3 else cores[0]
    for worker, core in zip(workers_of(supervisor)[:count], workers, strict=False):
        os.sched_setaffinity(worker, {core})
    os.sched_setaffinity(sink_, {last})
    return before if len(cores) > 3 or count > 1 else last


def measure(folder: Path, one: Proxy, sessions: int, core: int) -> Round:
    """Have so many sessions made, from *core*."""
    before, usual = cpu_seconds(one.process.pid), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # the generator inherits it
    try:
        ran = generate(folder, one.port, Load(sessions, AT_ONCE, 1024, sources=NETWORKS))
    finally:
        os.sched_setaffinity(0, usual)
    if ran.failed:
        raise SystemExit(f"{ran.failed} sessions failed: {ran.complaint}")
    used = cpu_seconds(one.process.pid) - before
    return Round(ran.sessions / ran.seconds, used / ran.sessions * 1000)


# --- crash and reload


@dataclass
class Siege:
    """Load without an end, and a peer that tries its limit."""

    folder: Path
    proxy: Proxy
    ran: list[Ran] = field(default_factory=list)
    tried: int = 0
    wrong: list[list[int]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def load(self) -> None:
        """Have sessions made, until it is over."""
        load = Load(1000, AT_ONCE, 1024, sources=NETWORKS)
        while not self.over.is_set():
            self.ran.append(generate(self.folder, self.proxy.port, load))

    def probe(self) -> None:
        """Try the limit again and again; it counts where nothing has happened to a worker meanwhile."""
        while not self.over.is_set():
            before = self._happenings()
            codes = [code for code in self._codes() if code]
            time.sleep(0.2)
            if self._happenings() == before:
                self.tried += 1
                if codes != [220] * LIMIT + [421] * 3:
                    self.wrong.append(codes)

    def _codes(self) -> Iterator[int]:
        with ExitStack() as stack:
            for _ in range(LIMIT + 3):
                try:
                    sock = socket.create_connection(("127.0.0.1", self.proxy.port), 20, (PROBER, 0))
                    stack.callback(sock.close)
                    yield int(sock.recv(3) or 0)
                except OSError:
                    yield 0

    def _happenings(self) -> tuple[int, int]:
        names = ("worker.lost", "worker.started", "worker.stopped", "settings.reloaded")
        return len(self.proxy.events(*names)), len(workers_of(self.proxy.process.pid))


def besiege(folder: Path, names: int, *, seconds: float) -> bool:
    """Kill and reload for so long, and print; return whether nothing was lost beyond the killed."""
    with sink(folder) as (backend, _), proxy(2, names=names, backend=backend) as one:
        siege = Siege(folder, one)
        threads = [threading.Thread(target=work) for work in (siege.load, siege.probe)]
        for thread in threads:
            thread.start()
        try:
            _torment(one, seconds)
        finally:
            siege.over.set()
            for thread in threads:
                thread.join()
        lost = one.events("worker.lost")
        reloaded = one.events("settings.reloaded")
        alive = one.process.poll() is None
    killed = sum(int(str(event["sessions"])) for event in lost)
    sessions, failed = (sum(getattr(ran, name) for ran in siege.ran) for name in ("sessions", "failed"))
    print(f"{sessions} sessions went well; {len(lost)} workers killed, HUP obeyed {len(reloaded)} times")
    print(f"longest session: {max(ran.max for ran in siege.ran) / 1000:.0f} ms")
    print(f"failed: {failed}; open in the killed workers: {killed}")
    print(f"a peer's limit: tried {siege.tried} times, {len(siege.wrong)} times not exact", siege.wrong[:1])
    met = alive and failed <= killed and not siege.wrong and siege.tried > 0
    print(f"none refused or reset but the killed ones' own, limits exact: {'met' if met else 'MISSED'}")
    return met


def _torment(one: Proxy, seconds: float) -> None:
    began, kills, reloads = time.monotonic(), 0, 0
    while (passed := time.monotonic() - began) < seconds:
        if passed >= (kills + 1) * KILL_EVERY:
            workers = [int(str(event["pid"])) for event in one.events("worker.started")]
            alive = [pid for pid in workers_of(one.process.pid) if pid in workers]
            os.kill(alive[kills % len(alive)], signal.SIGKILL)
            kills += 1
        if passed >= (reloads + 0.5) * seconds / RELOADS:
            one.set(MAX_SESSIONS_PEER=str(LIMIT), MAX_SESSIONS_NETWORK=str(200 + reloads // 2))
            one.process.send_signal(signal.SIGHUP)
            reloads += 1
        time.sleep(0.05)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a goal is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench workers", description="Two workers, and one.")
    parser.add_argument("--rounds", type=int, default=5, help="of each, in turn")
    parser.add_argument("--sessions", type=int, default=4000, help="a round")
    parser.add_argument("--seconds", type=float, default=60.0, help="of crash and reload")
    options = parser.parse_args(arguments)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder = cache()
    for program in ("generator", "sink"):
        build(program, folder)
    met = []
    with name_server() as names:
        if options.rounds:
            met.append(compare(folder, names, rounds=options.rounds, sessions=options.sessions))
        if options.seconds:
            met.append(besiege(folder, names, seconds=options.seconds))
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
