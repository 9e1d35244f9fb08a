"""What becomes of peers while workers are killed and reloaded: the second part of `python -m bench workers`.

For a minute one worker after the other is killed, every 5 s, and HUP is sent ten times, every other time with
a setting changed. Each connection that fails, of the load's and of the prober's, must have been one of a
worker that was killed in that moment (`blame`). And while nothing happens to a worker a peer's limit is
tried: it must be exact.
"""

import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.blame import Blame, Failure, parse_failures
from bench.peers.programs import SILENCE, Load, Ran, command, parse
from bench.proxies import LIMIT, Proxy, proxy, sink
from bench.surroundings import workers_of

LOAD: Final = Load(1000, 40, 1024, sources=64)
KILL_EVERY: Final = 5.0  # seconds
RELOADS: Final = 10
PROBER: Final = "127.9.9.9"  # whose limit is tried
TOLD: Final = 10  # of what is nobody's, at most


@dataclass
class Siege:
    """Load without an end, and a peer that tries its limit."""

    folder: Path
    proxy: Proxy
    blame: Blame = field(default_factory=Blame)
    ran: list[Ran] = field(default_factory=list)
    tried: int = 0
    wrong: list[list[int]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def load(self) -> None:
        """Have sessions made, until it is over."""
        while not self.over.is_set():
            ran, failures = generate_telling(self.folder, self.proxy.port, LOAD)
            self.ran.append(ran)
            self.blame.failures += failures

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

    def torment(self, seconds: float) -> None:
        """Kill and reload for so long."""
        began, kills, reloads = time.monotonic(), 0, 0
        while (passed := time.monotonic() - began) < seconds:
            if passed >= (kills + 1) * KILL_EVERY:
                workers = {int(str(event["pid"])) for event in self.proxy.events("worker.started")}
                alive = [pid for pid in workers_of(self.proxy.process.pid) if pid in workers]
                self.blame.kill(alive[kills % len(alive)], self.proxy.port)
                kills += 1
            if passed >= (reloads + 0.5) * seconds / RELOADS:
                self.proxy.set(MAX_SESSIONS_PEER=str(LIMIT), MAX_SESSIONS_NETWORK=str(200 + reloads // 2))
                self.proxy.process.send_signal(signal.SIGHUP)
                reloads += 1
            time.sleep(0.05)

    def _codes(self) -> Iterator[int]:
        with ExitStack() as stack:
            for _ in range(LIMIT + 3):
                sock = stack.enter_context(socket.socket())
                sock.settimeout(20)
                try:
                    sock.bind((PROBER, 0))
                    sock.connect(("127.0.0.1", self.proxy.port))
                    code = int(sock.recv(3) or 0)
                    what = "closed"
                except OSError as error:
                    code, what = 0, str(error)
                if not code:
                    self.blame.failures.append(Failure(time.monotonic(), sock.getsockname(), what))
                yield code

    def _happenings(self) -> tuple[int, int]:
        names = ("worker.lost", "worker.started", "worker.stopped", "settings.reloaded")
        return len(self.proxy.events(*names)), len(workers_of(self.proxy.process.pid))


def generate_telling(folder: Path, port: int, load: Load) -> tuple[Ran, list[Failure]]:
    """Have the sessions made, and return with the figures which of them failed."""
    done = subprocess.run(
        command(folder, port, load), capture_output=True, text=True, timeout=SILENCE, check=False
    )
    return parse(done.stdout, done.stderr), parse_failures(done.stdout)


def besiege(folder: Path, names: int, *, seconds: float) -> bool:
    """Kill and reload for so long, and print; return whether nothing was lost but the killed ones' own."""
    with sink(folder) as (backend, _), proxy(2, names=names, backend=backend) as one:
        siege = Siege(folder, one)
        threads = [threading.Thread(target=work) for work in (siege.load, siege.probe)]
        for thread in threads:
            thread.start()
        try:
            siege.torment(seconds)
        finally:
            time.sleep(1)  # of the last kill's peers, all have heard
            siege.over.set()
            for thread in threads:
                thread.join()
        lost, reloaded = (len(one.events(name)) for name in ("worker.lost", "settings.reloaded"))
        alive = one.process.poll() is None
    sessions = sum(ran.sessions for ran in siege.ran)
    print(f"{sessions} sessions went well; {lost} workers killed, HUP obeyed {reloaded} times")
    print(f"longest session: {max(ran.max for ran in siege.ran) / 1000:.0f} ms")
    nobodys = told(siege.blame)
    print(f"a peer's limit: tried {siege.tried} times, {len(siege.wrong)} times not exact", siege.wrong[:1])
    met = alive and not nobodys and not siege.wrong and siege.tried > 0 and lost == len(siege.blame.kills)
    print(f"none refused or reset but the killed ones' own, limits exact: {'met' if met else 'MISSED'}")
    return met


def told(blame: Blame) -> int:
    """Print whose failures there were, kill by kill, and return how many are nobody's."""
    own = Counter(kill.pid for failure in blame.failures if (kill := blame.killer_of(failure)))
    for kill in blame.kills:
        print(f"killed worker {kill.pid}: {len(kill.ends)} connections, {own[kill.pid]} failures")
    nobodys = blame.nobodys()
    print(f"failed: {len(blame.failures)}, nobody's: {len(nobodys)}")
    for failure in nobodys[:TOLD]:
        since = min((abs(failure.when - kill.when) for kill in blame.kills), default=0.0)
        print(f"  {failure.end[0]}:{failure.end[1]} {failure.what}, {since:.3f} s from the nearest kill")
    return len(nobodys)
