"""Zones as they are met in the world, served by a real rbldnsd; silent ones by nobody."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio

from scoring import Config, Resolver, Result, Scorer, Verdict, parse_zones
from scoring.resolve import Answer
from scoring.watch import PATIENCE, Watch, ZoneChange
from scoring.zones import masked
from tests.support.dns_zone import Trouble, serving
from tests.support.servers import Rbldnsd, rbldnsd

pytestmark = pytest.mark.e2e

WAIT = 1.0  # seconds that a verdict may wait for DNS
LISTED, INNOCENT = "192.0.2.9", "192.0.2.10"
POINT6 = "2.0.0.0.0.0.f.7.f.f.f.f" + ".0" * 20

ZONES = """
    secret.good.test=127.0.0.[2..4]*3 secret.good.test=127.0.0.4*2
    white.test=127.0.[0..255].[1..3]*-2
    world.test*9 worldwhite.test*-9 parked.test*9 refuses.test*9 rewritten.test*9 shut.test*9
    error.test*9 errorwhite.test*-9 code.test=127.0.0.2*9
"""
NAMES = "dbl.test=127.0.1.[2..99]*3 nodbl.test*9"
MASKS = {"secret.good.test": "good.test"}
EVERYTHING = "0.0.0.0/1 :{0}:everything\n128.0.0.0/1 :{0}:everything"


@pytest.fixture(scope="module")
def server() -> Iterator[Rbldnsd]:
    """Return a DNS server with zones in order, and with zones that are wrong in the known ways."""
    zones = {
        "secret.good.test": [f"{LISTED} :127.0.0.4:spam source, see 9.2.0.192.secret.good.test"],
        "white.test": [f"{INNOCENT} :127.0.9.2:friend", f"{LISTED} :127.0.0.255:not for you"],
        "world.test": [EVERYTHING.format("127.0.0.2")],
        "worldwhite.test": [EVERYTHING.format("127.0.0.2")],
        "parked.test": [EVERYTHING.format("203.0.113.7")],
        "refuses.test": [EVERYTHING.format("127.255.255.254")],
        "code.test": [f"{LISTED} :127.0.0.9:not a code that was asked for"],
        "error.test": [f"{LISTED} :127.255.255.254:too many queries"],
        "errorwhite.test": [f"{LISTED} :127.0.0.1:no"],
    }
    generic = {
        "rewritten.test": ["2.0.0.127 A 198.51.100.7", "9.2.0.192 A 198.51.100.7"],
        "shut.test": ["www A 192.0.2.1"],
        "four.test": ["2.0.0.127 A 127.0.0.2"],
        "dbl.test": ["test A 127.0.1.2", "bad.example A 127.0.1.4", f"{LISTED} A 127.0.1.255"],
        "nodbl.test": ["test A 127.0.1.255", "bad.example A 127.0.1.255"],
        "six.test": [f"{POINT6} A 127.0.0.2", "2.0.0.127 A 127.0.0.2", f"{'9' + '.0' * 31} A 127.0.0.2"],
    }
    with rbldnsd(zones, generic=generic) as running:
        yield running


@dataclass(slots=True)
class Watched:
    """A scorer whose zones have been tested, and what that has told."""

    scorer: Scorer
    changes: list[ZoneChange]

    async def ask(self, address: str) -> tuple[Verdict, float]:
        """Return the verdict and the seconds that it took."""
        start = trio.current_time()
        verdict = await self.scorer.score_connection(address)
        return verdict, trio.current_time() - start


@asynccontextmanager
async def watched(config: Config, resolver: Resolver) -> AsyncIterator[Watched]:
    watch = Watch(config.zones, config.name_zones, resolver)
    running = Watched(Scorer(config, resolver, watch=watch), [])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.scorer.run, running.changes.append)
        yield running
        nursery.cancel_scope.cancel()


class Both(Resolver):
    """Asks one server about dead.test, another about everything else."""

    def __init__(self, server: tuple[str, int], dead: tuple[str, int]) -> None:
        super().__init__([server])
        self._dead = Resolver([dead])

    async def query(self, name: str, kind: str, *, until: float) -> Answer:
        if name.endswith("dead.test"):
            return await self._dead.query(name, kind, until=until)
        return await super().query(name, kind, until=until)


async def test_the_world_as_it_is(server: Rbldnsd) -> None:
    """DNS-03 to DNS-07: only zones in order list anybody; the others are set aside by one test, or err."""
    config = Config(
        zones=masked(parse_zones(ZONES), MASKS), name_zones=parse_zones(NAMES), wait=WAIT, suspect_at=3
    )
    async with watched(config, Resolver([server.address])) as running:
        verdict, first = await running.ask(LISTED)
        innocent, second = await running.ask(INNOCENT)
        named = await running.scorer.score_helo(
            LISTED, helo="bad.example", host=verdict.host, until=trio.current_time() + WAIT
        )
        literal = await running.scorer.score_helo(
            LISTED, helo=f"[{LISTED}]", host=verdict.host, until=trio.current_time() + WAIT
        )
    results = {
        finding.signal: (finding.result, finding.points)
        for finding in verdict.findings
        if finding.signal != "rdns"
    }
    assert results == {
        "dnsbl:good.test": (Result.LISTED, 5),
        "dnswl:white.test": (Result.ERROR, 0),
        "dnsbl:world.test": (Result.NO_OPINION, 0),
        "dnswl:worldwhite.test": (Result.NO_OPINION, 0),
        "dnsbl:parked.test": (Result.NO_OPINION, 0),
        "dnsbl:refuses.test": (Result.NO_OPINION, 0),
        "dnsbl:rewritten.test": (Result.NO_OPINION, 0),
        "dnsbl:shut.test": (Result.NO_OPINION, 0),
        "dnsbl:error.test": (Result.ERROR, 0),
        "dnswl:errorwhite.test": (Result.ERROR, 0),
        "dnsbl:code.test": (Result.ERROR, 0),
    }
    assert sum(finding.points for finding in innocent.findings if finding.signal[:4] == "dnsb") == 0
    assert next(finding.points for finding in innocent.findings if finding.signal == "dnswl:white.test") == -2
    lists = {finding.signal: finding.result for finding in named if finding.signal.startswith("rhsbl")}
    assert lists == {"rhsbl:dbl.test:helo": Result.LISTED, "rhsbl:nodbl.test:helo": Result.NO_OPINION}
    assert not [finding for finding in literal if finding.signal.startswith("rhsbl")]
    assert {change.zone for change in running.changes} == {
        *("world.test", "worldwhite.test", "parked.test", "refuses.test", "rewritten.test", "shut.test"),
        "nodbl.test",
    }
    assert not any(change.usable for change in running.changes)
    assert "secret" not in f"{verdict} {running.changes}"
    assert max(first, second) < WAIT / 2


async def test_ipv6(server: Rbldnsd) -> None:
    """A zone with the test points of IPv6 is asked about IPv6, others are not, and that is no fault."""
    config = Config(zones=parse_zones("six.test*3 four.test*3"), wait=WAIT)
    async with watched(config, Resolver([server.address])) as running:
        verdict, _ = await running.ask("::9")
    assert [finding.result for finding in verdict.findings[:2]] == [Result.LISTED, Result.NO_OPINION]
    assert running.changes == []


async def test_a_zone_falls_silent(server: Rbldnsd) -> None:
    """DNS-08: three sessions wait for a zone that answers no more, and the rest for nothing."""
    records: dict[tuple[str, str], Sequence[str] | Trouble] = {
        (f"{number}.2.0.192.dead.test", "A"): "SILENT" for number in range(100, 120)
    }
    records["2.0.0.127.dead.test", "A"] = ["127.0.0.2"]
    config = Config(zones=parse_zones("dead.test*9 secret.good.test*3"), wait=WAIT)
    async with serving(records) as half, watched(config, Both(server.address, half.address)) as running:
        took = [(await running.ask(f"192.0.2.{number}"))[1] for number in range(100, 120)]
    assert [seconds > WAIT / 2 for seconds in took] == [True] * 3 + [False] * 17
    assert max(took) < WAIT + 0.3
    assert [(change.zone, change.usable) for change in running.changes] == [("dead.test", False)]


async def test_silent_from_the_start(server: Rbldnsd) -> None:
    """A zone that has never answered keeps those who come during its first test, and nobody after."""
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as deaf:
        await deaf.bind(("127.0.0.1", 0))
        resolver = Both(server.address, deaf.getsockname())
        config = Config(zones=parse_zones("dead.test*9 secret.good.test=127.0.0.4*3"), wait=WAIT)
        async with watched(config, resolver) as running:
            verdict, took = await running.ask(LISTED)
            assert [finding.result for finding in verdict.findings[:2]] == [Result.NO_OPINION, Result.LISTED]
            assert took == pytest.approx(WAIT, abs=0.3)
            await trio.sleep(PATIENCE)
            _, took = await running.ask(INNOCENT)
            assert took < WAIT / 2
