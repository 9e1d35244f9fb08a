"""Who may come in: how many sessions are open, by address, by network and by a wider second, and who is held.

The one idea: the fuller we are, the less a stranger may take, so that no flood takes the places of mail.

    up to nine tenths   everybody, within the caps of its address and its networks
    the next twentieth  a stranger only while its network has less than half of an average network's sessions
    the last twentieth  only who is remembered as good, or in TARPIT_ALLOW

When a peer is accepted nothing else is known of it, so what is reserved is reserved for *those who take
little*: a sender that is new to us has a session or two open; whoever floods has more, in each of his
networks. Those places come free at once, for above the same mark nobody is slowed any more (`policy`).
(One session a network, tried first, refused a sender its next connection while its last was being closed:
93 of 1,000 messages of `bench.flood` had to wait.)

Who is remembered as good is exempt from the caps of its networks (a neighbour's bots must not lock it out),
not from that of its address. Who is in TARPIT_ALLOW is exempt from all but TARPIT_MAX_SESSIONS: a relay in
front of us or a monitor has one address for everything, and that was the operator's choice.

Rejected: caps by connections a minute. A big sender is fast and brief, a bot slow and long; what costs a
place is to be here. Rates are a signal of `scoring`, never a refusal.

Pure but for its counts: no clock, no sockets. What a refused peer hears is sent by `listen`.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from tarpit.load import SPARE_ABOVE
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import BUSY

# IPv4 /20: sixteen times a /24, what a registry gives a small hoster, who may let all of it. A /16 would make
# hostages of strangers: most are split among hundreds of owners by now. IPv6 /48: one site (RFC 6177), whose
# every /64 is as cheap as an address.
WIDE: Final = 4  # times the cap of a network

KNOWN_KEYS: Final = 4096  # addresses; 1 MB

RESERVED: Final = 1.0 - SPARE_ABOVE  # share of all sessions
MAPPED: Final = bytes(10) + b"\xff\xff"  # how an IPv4 address is written as an IPv6 one (RFC 4291, 2.5.5.2)

FROM_ADDRESS: Final = Reply.of(421, "4.7.0 Too many connections from your address, try again later")
FROM_NETWORK: Final = Reply.of(421, "4.7.0 Too many connections from your network, try again later")

Keys = tuple[bytes, bytes, bytes]
Counts = dict[bytes, int]


class Standing(Enum):
    """What is known of an address before anybody was asked."""

    STRANGER = "stranger"
    GOOD = "good"  # its mail was accepted again and again (`store`)
    ALLOWED = "allowed"  # TARPIT_ALLOW


NOBODY: Final[frozenset[Standing]] = frozenset()
KNOWN: Final = frozenset({Standing.GOOD, Standing.ALLOWED})
ALLOWED: Final = frozenset({Standing.ALLOWED})


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a peer hears instead of a banner, and the limit it ran into."""

    reply: Reply
    limit: str  # the variable
    sessions: int  # that count against it


def everybody_is_strange(_address: str) -> Standing:
    """Nothing is known of anybody."""
    return Standing.STRANGER


class Caps:
    """The counts of one worker, exact at any time; an address without a session takes no memory."""

    def __init__(
        self,
        *,
        sessions: int,
        peer: int,
        network: int,
        held: int,
        workers: int = 1,
        standing: Callable[[str], Standing] = everybody_is_strange,
    ) -> None:
        self.sessions = 0
        self.held = 0
        self.awaited = 0  # connections whose peer a trusted proxy has yet to name
        self._most = sessions
        self._for_known = sessions - int(sessions * RESERVED / 2 + 1e-9)  # from here on only the known
        self._for_few = sessions - int(sessions * RESERVED + 1e-9)  # from here on networks that take little
        self._peer = peer
        self._network = network
        # Networks side by side are met by different workers: each counts its part of the wide one.
        self._wider = max(WIDE * network // workers, network)
        self._held = held
        self._standing = standing  # asked only where it makes a difference
        self._peers: Counts = {}
        self._networks: Counts = {}
        self._wide: Counts = {}

    def admit(self, address: str) -> Refusal | None:
        """Return None when *address* may come in. Nothing is counted yet."""
        refusal, pardoned = self._objection(keys_of(address))
        if refusal is None or (pardoned and self._standing(address) in pardoned):
            return None
        return refusal

    def expect(self) -> Refusal | None:
        """Take a place for a peer that a trusted proxy has yet to name, whose own address counts nowhere.

        Return None when there was one; `arrived` gives it back.
        """
        if (total := self.sessions + self.awaited) >= self._most:
            return Refusal(BUSY, "TARPIT_MAX_SESSIONS", total)
        self.awaited += 1
        return None

    def arrived(self) -> None:
        """Give such a place back: the peer has its name, or the connection is over."""
        assert self.awaited > 0, "nobody is awaited"
        self.awaited -= 1

    def entered(self, address: str) -> None:
        """Count a session of *address*."""
        self.sessions += 1
        peer, network, wide = keys_of(address)
        peers, networks, wides = self._peers, self._networks, self._wide
        peers[peer] = peers.get(peer, 0) + 1
        networks[network] = networks.get(network, 0) + 1
        wides[wide] = wides.get(wide, 0) + 1

    def left(self, address: str) -> None:
        """Count it no longer. `KeyError` says that it had not entered: a bug of ours."""
        peer, network, wide = keys_of(address)
        _one_less(self._peers, peer)
        _one_less(self._networks, network)
        _one_less(self._wide, wide)
        self.sessions -= 1

    def hold(self) -> bool:
        """Take a place among those that are slowed, if one is free; whoever gets none is not slowed."""
        free = self.held < self._held
        self.held += free
        return free

    def release(self) -> None:
        """Give such a place back."""
        assert self.held > 0, "nobody is held"
        self.held -= 1

    def _objection(self, keys: Keys) -> tuple[Refusal | None, frozenset[Standing]]:
        """Return what speaks against one more of *keys*, the gravest first, and who need not care."""
        peer, network, wide = keys
        networks, sessions = self._networks, self.sessions
        here, total = networks.get(network, 0), sessions + self.awaited
        if total >= self._most:
            return Refusal(BUSY, "TARPIT_MAX_SESSIONS", total), NOBODY
        if (count := self._peers.get(peer, 0)) >= self._peer:
            return Refusal(FROM_ADDRESS, "TARPIT_MAX_SESSIONS_PEER", count), ALLOWED
        if here >= self._network:
            return Refusal(FROM_NETWORK, "TARPIT_MAX_SESSIONS_NETWORK", here), KNOWN
        if (count := self._wide.get(wide, 0)) >= self._wider:
            return Refusal(FROM_NETWORK, "TARPIT_MAX_SESSIONS_NETWORK", count), KNOWN
        if total < self._for_few:
            return None, NOBODY
        little = here < max(sessions // (2 * len(networks) or 1), 1)
        if total >= self._for_known or not little:
            return Refusal(BUSY, "TARPIT_MAX_SESSIONS", total), KNOWN
        return None, NOBODY


def _one_less(counts: Counts, key: bytes) -> None:
    if (count := counts[key]) > 1:
        counts[key] = count - 1
    else:
        del counts[key]


@lru_cache(KNOWN_KEYS)  # a session asks four times, and senders come again
def keys_of(address: str) -> Keys:
    """Return what *address* counts as: itself, its /24 or /64, its /20 or /48."""
    if ":" not in address:
        return _ipv4(socket.inet_pton(socket.AF_INET, address))
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    return _ipv4(packed[12:]) if packed.startswith(MAPPED) else (packed, packed[:8], packed[:6])


def _ipv4(packed: bytes) -> Keys:
    return packed, packed[:3], packed[:2] + bytes((packed[2] & 0xF0,))
