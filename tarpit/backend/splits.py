"""Which peers' recipients a backend took one by one and refused together.

A limit of recipients a message, or a quota, shows only in one transaction. For an hour after it has shown
at a commit, `tarpit.deliver` checks such a peer's recipients in one that grows. Rejected: doing so for
everybody, because it asks a backend about n recipients n(n+1)/2 times.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

import trio

from tarpit.backend.introduce import Introduction
from tarpit.smtp.commands import Mail

REMEMBERED: Final = 10_000  # pairs of network and reverse-path
HOUR: Final = 3600.0


class Splits:
    """Which networks and reverse-paths had some recipients refused at a commit within the last hour."""

    def __init__(self, *, most: int = REMEMBERED) -> None:
        self._most = most
        self._until: dict[tuple[IPv4Network | IPv6Network, str], float] = {}  # oldest first

    def add(self, introduction: Introduction, mail: Mail) -> None:
        """Remember a pair; beyond the bound the oldest is forgotten."""
        pair = self._pair(introduction, mail)
        self._until.pop(pair, None)
        if len(self._until) >= self._most:
            del self._until[next(iter(self._until))]
        self._until[pair] = trio.current_time() + HOUR

    def holds(self, introduction: Introduction, mail: Mail) -> bool:
        """Whether a pair is remembered."""
        return self._until.get(self._pair(introduction, mail), 0.0) > trio.current_time()

    @staticmethod
    def _pair(introduction: Introduction, mail: Mail) -> tuple[IPv4Network | IPv6Network, str]:
        bits = 24 if introduction.address.version == 4 else 64
        return ip_network((introduction.address, bits), strict=False), str(mail.path)
