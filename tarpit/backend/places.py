"""Where a backend is: the addresses of its name, IPv4 and IPv6, used in turn.

The one idea: names are looked up beside the sessions (`watch`), when their time to live is over; a session
takes what is known. A name that is not found any more keeps the addresses that it had. An address that could
not be connected to is the last choice until the next look-up.

The addresses are the system's (getaddrinfo), for its hosts file, search list and order of families are what
an operator expects of a host name; the time to live, which the system does not tell, is asked of our own
resolver. Rejected: our own resolver for both; `localhost` and a container's neighbour would not be found.
"""

import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import trio

from scoring.resolve import Lookup

AGAIN: Final = 30.0  # seconds to the next look-up where no time to live is known
PATIENCE: Final = 10.0  # seconds for a look-up


@dataclass(frozen=True, slots=True)
class Place:
    """One address to connect to."""

    family: int
    address: tuple[object, ...]  # as the socket takes it


class Places:
    """The addresses of one backend."""

    __slots__ = ("_bad", "_first", "host", "look_again", "places", "port", "trouble")

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.places: tuple[Place, ...] = ()
        self.trouble = ""  # why the last look-up found nothing
        self.look_again = 0.0  # when: at once; never, for an address
        self._first = 0  # whose turn it is
        self._bad: set[Place] = set()
        if (version := _version(host)) is not None:
            self.places = (Place(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port)),)
            self.look_again = float("inf")

    def in_turn(self) -> list[Place]:
        """Return all addresses in the order in which to try them; the next call begins with the next."""
        count = len(self.places)
        if count <= 1:
            return list(self.places)
        self._first = (self._first + 1) % count
        turned = [self.places[(self._first - 1 + number) % count] for number in range(count)]
        return sorted(turned, key=self._bad.__contains__)

    def failed(self, place: Place) -> None:
        """Take note that *place* could not be connected to."""
        self._bad.add(place)

    async def look_up(self, lookup: Lookup | None = None) -> None:
        """Look the name up, and note when that is to be done again, by *lookup*'s word. Never raises."""
        found: list[Place] | None = None
        with trio.move_on_after(PATIENCE):
            found = await self._ask()
        if found:
            self.places, self.trouble = tuple(found), ""
        elif found is None:
            self.trouble = "no answer in time"
        self._bad.clear()
        self.look_again = trio.current_time() + (await self._life(lookup) if found and lookup else AGAIN)

    async def _ask(self) -> list[Place]:
        try:
            found = await trio.socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return []
        return list(dict.fromkeys(Place(family, address) for family, _, _, _, address in found))

    async def _life(self, lookup: Lookup) -> float:
        """Return for how many seconds the records hold; `AGAIN` where there are none (the hosts file)."""
        until = trio.current_time() + PATIENCE
        answers = [await lookup.query(self.host, kind, until=until) for kind in ("A", "AAAA")]
        return min((answer.life for answer in answers if answer.addresses), default=AGAIN)


def _version(host: str) -> int | None:
    try:
        return ip_address(host.partition("%")[0]).version
    except ValueError:
        return None
