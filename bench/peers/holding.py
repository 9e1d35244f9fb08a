"""Two things beside the rows: clean sessions while thousands are held, and what holding them costs.

Both with `bench.hold`'s own means: its crowd, each an address on the denylist that gets a byte a second.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.held import compile_rival, proxy, rival
from bench.hold import crowd, measure
from bench.peers.contestants import Surroundings
from bench.peers.figures import Goal
from bench.peers.programs import Load, generate

CLEAN: Final = Load(1000, 1, 1024)
SECONDS: Final = 8  # for which bytes are watched
QUIET: Final = {"TARPIT_LOG_LEVEL": "error"}  # its events go where our report goes

Tell = Callable[[str], None]


def _variables(around: Surroundings) -> dict[str, str]:
    """Return what is added to `bench.hold`'s proxy, so that the load's peers are scored, and clean."""
    rates = {"TARPIT_RATE_PEER": "10000000/s", "TARPIT_RATE_NETWORK": "10000000/s"}
    names = {"TARPIT_DNS_SERVERS": f"127.0.0.1:{around.names}", "TARPIT_DNSBL_ZONES": "dnsbl.test"}
    return {"TARPIT_ALLOW": "none", "TARPIT_STORE": "memory:", **QUIET, **rates, **names}


def clean_among_held(around: Surroundings, held: int, rounds: int, tell: Tell) -> Goal:
    """Return the ratio of clean sessions' p99: in a process that holds *held* peers to an empty one's.

    Both processes run all the time and are measured in turns, so that the machine (and the crowd, which
    takes a part of it) is the same for both.
    """
    ratios, more = list[float](), _variables(around)
    with ExitStack() as stack:
        _, empty = stack.enter_context(proxy(held, around.backend, more))
        _, full = stack.enter_context(proxy(held, around.backend, more))
        tell(f"holding {held} peers")
        orders = stack.enter_context(crowd(full))
        orders.give(f"hold {held}")
        for number in range(rounds + 1):
            tell(f"round {number} of {rounds}: clean sessions beside {held} held ones")
            late = {port: generate(around.folder, port, CLEAN).p99 for port in (empty, full)}
            if number:  # the first one only warms up
                ratios.append(late[full] / late[empty])
        left = int(orders.give("watch 1")["held"])
    return Goal(f"clean p99 beside {left} held, to an empty process", 1.3, ratios)


def holding(around: Surroundings, folder: Path, held: int, rounds: int, tell: Tell) -> Goal:
    """Return the ratio of CPU a byte to held peers: this proxy's to bench/tarpit.c's."""
    ratios, compiled = list[float](), compile_rival(folder)
    for number in range(rounds if compiled else 0):
        assert compiled is not None
        tell(f"round {number + 1} of {rounds}: {held} peers at a byte a second")
        with rival(compiled) as (pid, port):
            theirs = measure(pid, port, held, seconds=SECONDS, clean=False)
        with proxy(held, around.backend, QUIET) as (pid, port):
            ours = measure(pid, port, held, seconds=SECONDS, clean=False)
        if ours.held == theirs.held == held and theirs.byte_cpu:
            ratios.append(ours.byte_cpu / theirs.byte_cpu)
    return Goal(f"{held} held: CPU a byte, to a C tarpit's", 1.25, ratios)
