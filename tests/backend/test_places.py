"""The addresses of a name: used in turn, kept when the name is gone, looked up when their time is over."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from scoring.resolve import Answer, Status
from tarpit.backend.places import AGAIN, PATIENCE, Place, Places

FOUR, SIX, OTHER = "192.0.2.1", "2001:db8::1", "192.0.2.2"


@dataclass
class Names(trio.abc.HostnameResolver):
    """What the system knows of names."""

    known: Sequence[str] = ()
    asked: list[str] = field(default_factory=list)
    silent: bool = False

    async def getaddrinfo(  # type: ignore[override]  # not all that trio allows is ever asked of it
        self, host: bytes, port: int, *_: int
    ) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
        self.asked.append(host.decode())
        await trio.lowlevel.checkpoint()
        if self.silent:
            await trio.sleep_forever()
        if not self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(*_family(address), 6, "", _end(address, port)) for address in self.known]

    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int
    ) -> tuple[str, str]:
        raise NotImplementedError(sockaddr, flags)


def _family(address: str) -> tuple[int, int]:
    return (socket.AF_INET6 if ":" in address else socket.AF_INET), socket.SOCK_STREAM


def _end(address: str, port: int) -> tuple[object, ...]:
    return (address, port, 0, 0) if ":" in address else (address, port)


@dataclass
class Lives:
    """A resolver that knows how long records hold."""

    lives: dict[str, float]

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        """Return what a test says of it."""
        assert name == "mx.example"
        assert until > trio.current_time()
        await trio.lowlevel.checkpoint()
        life = self.lives.get(kind)
        return Answer(Status.NOTHING) if life is None else Answer(Status.FOUND, addresses=(FOUR,), life=life)


@asynccontextmanager
async def names(*known: str) -> AsyncIterator[Names]:
    """Yield the system's names; they are as they were afterwards."""
    system = Names(known)
    before = trio.socket.set_custom_hostname_resolver(system)
    try:
        yield system
    finally:
        trio.socket.set_custom_hostname_resolver(before)


def turns(places: Places, count: int) -> list[str]:
    """Return which address comes first, so many times."""
    return [str(places.in_turn()[0].address[0]) for _ in range(count)]


@pytest.mark.parametrize(
    ("host", "family"), [(FOUR, socket.AF_INET), (SIX, socket.AF_INET6), ("fe80::1%lo", socket.AF_INET6)]
)
async def test_an_address_is_never_looked_up(host: str, family: int) -> None:
    """It is what it is."""
    places = Places(host, 25)
    assert places.in_turn() == [Place(family, (host, 25))]
    assert places.look_again == float("inf")


async def test_all_addresses_in_turn() -> None:
    """IPv4 and IPv6; each session begins with the next, and has all the others behind it."""
    async with names(FOUR, SIX, OTHER):
        places = Places("mx.example", 25)
        assert places.in_turn() == []
        await places.look_up()
        assert turns(places, 4) == [FOUR, SIX, OTHER, FOUR]
        assert [place.address[0] for place in places.in_turn()] == [SIX, OTHER, FOUR]


async def test_one_that_failed_comes_last() -> None:
    """Until the next look-up, it is tried when all others have failed."""
    async with names(FOUR, SIX):
        places = Places("mx.example", 25)
        await places.look_up()
        places.failed(places.places[0])
        assert turns(places, 3) == [SIX, SIX, SIX]
        await places.look_up()
        assert set(turns(places, 2)) == {FOUR, SIX}


async def test_a_name_that_is_gone_keeps_its_addresses() -> None:
    """What was known is better than nothing; why there is no more is said."""
    async with names(FOUR) as system:
        places = Places("mx.example", 25)
        await places.look_up()
        system.known = ()
        await places.look_up()
        assert turns(places, 1) == [FOUR]
        assert "not known" in places.trouble
        system.known = (OTHER, OTHER)
        await places.look_up()
        assert (turns(places, 2), places.trouble) == ([OTHER, OTHER], "")


async def test_a_system_that_is_silent(autojump_clock: MockClock) -> None:
    """It is given up after a while, and what was known stays."""
    async with names(FOUR) as system:
        places = Places("mx.example", 25)
        await places.look_up()
        system.silent, began = True, trio.current_time()
        await places.look_up()
        assert trio.current_time() == began + PATIENCE
        assert (turns(places, 1), places.trouble) == ([FOUR], "no answer in time")


@pytest.mark.parametrize(
    ("lives", "again"),
    [({"A": 300.0}, 300.0), ({"A": 300.0, "AAAA": 60.0}, 60.0), ({}, AGAIN), (None, AGAIN)],
)
async def test_when_to_look_again(
    lives: dict[str, float] | None, again: float, autojump_clock: MockClock
) -> None:
    """When the first record's time is over; soon, where no time is known (the hosts file)."""
    async with names(FOUR):
        places = Places("mx.example", 25)
        await places.look_up(None if lives is None else Lives(lives))
        assert places.look_again == trio.current_time() + again


async def test_a_name_that_fails_is_asked_again_soon(autojump_clock: MockClock) -> None:
    """Whatever its records said before."""
    async with names():
        places = Places("mx.example", 25)
        await places.look_up(Lives({"A": 3600.0}))
        assert places.look_again == trio.current_time() + AGAIN
