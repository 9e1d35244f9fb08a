"""The runs of `bench.backends` before real servers: Postfix twice, Exim, OpenSMTPD."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

from bench.senders import Senders
from bench.spread import SAMPLE, WEIGHTS, Found, is_over, mean_of_full, tarpit
from tests.support.backends import BACKENDS, RealBackend

ESTABLISHED: Final = "01"  # a connection's state in /proc/net/tcp


@contextmanager
def real_servers(balance: str = "round-robin") -> Iterator[tuple[list[RealBackend], int]]:
    """Run four of them, and the proxy before them; yield them and its port."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(BACKENDS[name]()) for name in ("postfix", "postfix", "exim", "opensmtpd")
        ]
        places = [
            f"{one.address[0]}:{one.address[1]}*{weight}"
            for one, weight in zip(servers, WEIGHTS, strict=True)
        ]
        yield servers, stack.enter_context(tarpit(places, BALANCE=balance))


async def stored(servers: Sequence[RealBackend], delivered: int) -> list[int]:
    """Return what each has stored, once it is all that was delivered, or half a minute has passed."""
    had, until = list[int](), trio.current_time() + 30
    while sum(had) < delivered and trio.current_time() < until:
        await trio.sleep(0.5)
        had = [len(one.stored()) for one in servers]
    return had


async def in_turn(sessions: int) -> list[Found]:
    """Four real servers."""
    with real_servers() as (servers, port):
        senders = Senders(port)
        await senders.deliver_all(sessions, at_once=10)
        had = await stored(servers, senders.delivered)
    return [Found("Postfix, Postfix, Exim, OpenSMTPD", senders, had)]


async def least(sessions: int) -> list[Found]:
    """The same, to the least busy: connections at once, as the kernel has them at each server's port."""
    with real_servers("least") as (servers, port):
        senders, seen = Senders(port), list[list[int]]()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sample_ports, [one.address[1] for one in servers], seen)
            await senders.deliver_all(sessions, at_once=40)
            nursery.cancel_scope.cancel()
    return [Found("Postfix, Postfix, Exim, OpenSMTPD, least, 40 at once", senders, mean_of_full(seen))]


async def sample_ports(ports: Sequence[int], into: list[list[int]]) -> None:
    """Note again and again how many connections each of *ports* on loopback has."""
    while True:
        into.append(open_at(ports))
        await trio.sleep(SAMPLE)


def open_at(ports: Sequence[int]) -> list[int]:
    """Return how many connections each of *ports* has, as the kernel says."""
    columns = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    places = [local for _, local, _, state, *_ in columns if state == ESTABLISHED]
    return [sum(place.endswith(f":{port:04X}") for place in places) for port in ports]


async def killed(seconds: float) -> list[Found]:
    """The same, and one of them goes and comes back. What is told of each is what it stored at the end."""
    with real_servers() as (servers, port):
        senders, began, exim = Senders(port), trio.current_time(), servers[2].running
        assert exim is not None
        async with trio.open_nursery() as nursery:
            over = partial(is_over, began + 0.7 * seconds)
            nursery.start_soon(partial(senders.deliver_all, 10**6, at_once=8, tries=5, over=over))
            await trio.sleep(seconds / 6)
            await trio.to_thread.run_sync(exim.end, signal.SIGKILL)
            await trio.sleep(seconds / 6)
            await trio.to_thread.run_sync(exim.start)
        before = await stored(servers, senders.delivered)
        over = partial(is_over, trio.current_time() + 0.3 * seconds)
        await senders.deliver_all(10**6, at_once=8, over=over)
        after = await stored(servers, senders.delivered)
        lost = senders.delivered - sum(after)
        had = [late - early for early, late in zip(before, after, strict=True)]
    return [Found(f"Exim killed, {lost} lost; 70 % later", senders, had)]
