"""Who asks in the scoring benchmark: scoring, plain dnspython with pyspf, and pydnsbl.

Each asks the same about a peer and returns how much it found, so that a program that is fast because it
finds nothing is noticed. The measuring is in `bench.scoring`.
"""

import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Final

import dns.asyncresolver
import dns.nameserver
import dns.resolver
import spf
import trio

from scoring import Config, Resolver, Scorer, Status, parse_zones

ZONES: Final = tuple(f"zone{number}.test" for number in range(8))
FIRST: Final = IPv4Address("10.0.0.0")  # of the peers
WAIT: Final = 10.0  # seconds

Server = tuple[str, int]

PYDNSBL: Final = """
import asyncio, sys, time, warnings
warnings.simplefilter("ignore")
import aiodns
from pydnsbl import DNSBLIpChecker
from pydnsbl.providers import Provider
port, at_once, zones, peers = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(), sys.argv[4].split()

async def main():
    loop = asyncio.get_running_loop()
    checker = DNSBLIpChecker(providers=[Provider(zone) for zone in zones], loop=loop)
    checker._resolver = aiodns.DNSResolver(nameservers=["127.0.0.1"], udp_port=port, tries=3, timeout=2)
    left, listed = iter(peers), 0

    async def work():
        nonlocal listed
        for peer in left:
            here = await checker.check_async(peer)
            listed += here.blacklisted

    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.gather(*(work() for _ in range(at_once)))
    print(time.process_time() - cpu, time.monotonic() - wall, listed)

asyncio.run(main())
"""


class Plain:
    """The same questions through dnspython, each name once, as its manual has it."""

    def __init__(self, server: Server, *, cached: bool = False) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._blocking = dns.resolver.Resolver(configure=False)
        for resolver in (self._resolver, self._blocking):
            resolver.nameservers = [dns.nameserver.Do53Nameserver(*server)]
            resolver.cache = dns.resolver.LRUCache(1_000_000) if cached else None
        dns.resolver.default_resolver = self._blocking  # pyspf asks this one

    async def zones(self, peer: IPv4Address) -> int:
        """Return in how many zones *peer* is listed."""
        listed: list[str] = []
        reverse = peer.reverse_pointer.removesuffix(".in-addr.arpa")

        async def ask(zone: str) -> None:
            if await self._values(f"{reverse}.{zone}", "A"):
                await self._values(f"{reverse}.{zone}", "TXT")
                listed.append(zone)

        async with trio.open_nursery() as nursery:
            for zone in ZONES:
                nursery.start_soon(ask, zone)
        return len(listed)

    async def connection(self, peer: IPv4Address) -> int:
        """Return in how many zones *peer* is listed, and one more if it has a name."""
        async with trio.open_nursery() as nursery:
            names: list[str] = []
            nursery.start_soon(self._name, peer, names)
            listed = await self.zones(peer)
        return listed + len(names)

    async def mail(self, peer: IPv4Address) -> int:
        """Return the same as `connection`, and one more if SPF passes."""
        found = await self.connection(peer)
        check = {"i": str(peer), "s": f"a@{domain_of(peer)}", "h": "mail.test", "querytime": 0}
        result = await trio.to_thread.run_sync(lambda: spf.check2(**check)[0])
        return found + int(result == "pass")

    async def _name(self, peer: IPv4Address, names: list[str]) -> None:
        for name in await self._values(peer.reverse_pointer, "PTR"):
            addresses = await self._values(name, "A")
            names.extend([name] * addresses.count(str(peer)))

    async def _values(self, name: str, kind: str) -> list[str]:
        try:
            answer = await self._resolver.resolve(name + "." * (name[-1] != "."), kind, lifetime=WAIT)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        return [str(record).strip('"') for record in answer]


class Ours:
    """The questions through scoring."""

    def __init__(self, server: Server, peers: int) -> None:
        self._resolver = Resolver([server], cache_size=20 * peers)
        config = Config(zones=parse_zones(" ".join(ZONES)), wait=WAIT, cache_size=2 * peers)
        self._scorer = Scorer(config, self._resolver)

    async def zones(self, peer: IPv4Address) -> int:
        """Return in how many zones *peer* is listed, by the resolver alone."""
        until, listed = trio.current_time() + WAIT, list[str]()
        reverse = peer.reverse_pointer.removesuffix(".in-addr.arpa")

        async def ask(zone: str) -> None:
            if (await self._resolver.query(f"{reverse}.{zone}", "A", until=until)).status is Status.FOUND:
                await self._resolver.query(f"{reverse}.{zone}", "TXT", until=until)
                listed.append(zone)

        async with trio.open_nursery() as nursery:
            for zone in ZONES:
                nursery.start_soon(ask, zone)
        return len(listed)

    async def connection(self, peer: IPv4Address) -> int:
        """Return in how many zones *peer* is listed, and one more if it has a name."""
        verdict = await self._scorer.score_connection(peer)
        return sum(finding.result in {"listed", "pass"} for finding in verdict.findings)

    async def mail(self, peer: IPv4Address) -> int:
        """Return the same as `connection`, and one more if SPF passes."""
        found = await self.connection(peer)
        findings = await self._scorer.score_mail(
            peer, helo="mail.test", mail_from=f"a@{domain_of(peer)}", until=trio.current_time() + WAIT
        )
        return found + sum(finding.result == "pass" for finding in findings)


def number_of(peer: IPv4Address) -> int:
    """Return the number under which *peer* has its host name and its domain."""
    return int(peer) - int(FIRST)


def domain_of(peer: IPv4Address) -> str:
    """Return the domain that *peer* sends for."""
    return f"d{number_of(peer)}.spf.test"


def ask_pydnsbl(
    python: str, server: Server, peers: Sequence[IPv4Address], *, at_once: int
) -> tuple[float, float, int]:
    """Have pydnsbl ask the zones, in the interpreter *python*; return CPU seconds, seconds, listings."""
    arguments = [str(server[1]), str(at_once), " ".join(ZONES), " ".join(map(str, peers))]
    done = subprocess.run(
        [python, "-c", PYDNSBL, *arguments], stdout=subprocess.PIPE, text=True, check=True, timeout=600
    )
    cpu, wall, listed = done.stdout.split()
    return float(cpu), float(wall), int(listed)
