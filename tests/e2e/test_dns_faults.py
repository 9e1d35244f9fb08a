"""DNS-01 to DNS-14, one by one, through the whole of scoring: trouble only ever makes a verdict milder.

The zones here are asked without a watch. Whether a zone is in order at all, DNS-07 and DNS-08, is shown
in tests/scoring/test_watch.py.
"""

import socket
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio

from scoring import Config, HostState, Result, Scorer, Verdict, parse_zones
from scoring.answer import IN_TIME
from scoring.resolve import Resolver, Status
from tests.support.dns_faults import FAULTS, faulty
from tests.support.servers import rbldnsd

pytestmark = pytest.mark.e2e

PEER = "192.0.2.9"
WAIT = 0.6  # seconds; a late answer takes 1 s

SILENT = (Result.NO_OPINION, IN_TIME)
LISTED = (Result.LISTED, "127.0.0.2: a reason")


async def verdict_on(peer: str, zone: str, server: tuple[str, int], *, wait: float = WAIT) -> Verdict:
    config = Config(zones=parse_zones(f"{zone}*3"), wait=wait)
    return await Scorer(config, Resolver([server])).score_connection(peer)


@pytest.mark.parametrize(
    ("fault", "result", "why"),
    [
        pytest.param("none", *LISTED, id="no fault"),
        pytest.param("nxdomain", Result.NONE, "not listed", id="no fault, not listed"),
        pytest.param("servfail", Result.NO_OPINION, "SERVFAIL", id="DNS-01 SERVFAIL"),
        pytest.param("refused", Result.NO_OPINION, "REFUSED", id="DNS-01 REFUSED"),
        pytest.param("notimp", Result.NO_OPINION, "NOTIMP", id="DNS-01 NOTIMP"),
        pytest.param("silence", *SILENT, id="DNS-01 silence"),
        pytest.param("late", *SILENT, id="DNS-01 after the deadline"),
        pytest.param("parked", Result.ERROR, "203.0.113.80: outside 127.0.0.0/8", id="DNS-03 parked"),
        pytest.param("listed-and-parked", Result.ERROR, "127.0.0.2, 203.0.113.80", id="DNS-03 in part"),
        pytest.param("world", Result.ERROR, "127.0.0.1", id="DNS-04"),
        pytest.param("mistyped", Result.ERROR, "127.255.255.252", id="DNS-05 mistyped"),
        pytest.param("public-resolver", Result.ERROR, "127.255.255.254", id="DNS-05 public resolver"),
        pytest.param("too-many", Result.ERROR, "127.255.255.255", id="DNS-05 too many queries"),
        pytest.param("no-such-code.test=127.0.0.[2..11]", Result.ERROR, "127.0.1.255", id="DNS-06"),
        pytest.param("wrong-number", *SILENT, id="DNS-09 number"),
        pytest.param("wrong-question", *SILENT, id="DNS-09 question"),
        pytest.param("wrong-type", *SILENT, id="DNS-09 type"),
        pytest.param("wrong-port", *SILENT, id="DNS-09 source port"),
        pytest.param("echo", *SILENT, id="DNS-09 not a reply"),
        pytest.param("garbage", *SILENT, id="DNS-09 garbage"),
        pytest.param("cut-short", Result.NO_OPINION, "", id="DNS-09 cut short"),
        pytest.param("too-long", Result.NO_OPINION, "", id="DNS-09 a byte too many"),
        pytest.param("forged-first", *LISTED, id="DNS-09 six forged, then the true one"),
        pytest.param("truncated", *LISTED, id="DNS-10 truncated"),
        pytest.param("thousand", Result.LISTED, "127.0.0.2, 127.0.0.3, ", id="DNS-11 1,000 records"),
        pytest.param("many-texts", Result.LISTED, "127.0.0.2: " + "x" * 100, id="DNS-11 400 strings"),
        pytest.param("alias", Result.LISTED, "127.0.0.2", id="DNS-12 three aliases"),
        pytest.param("long-chain", Result.NO_OPINION, "", id="DNS-12 twenty aliases"),
        pytest.param("loop", Result.NO_OPINION, "", id="DNS-12 loop"),
        pytest.param("missing-but-listed", Result.NO_OPINION, "", id="DNS-12 NXDOMAIN with an answer"),
        pytest.param("wrong-class", *SILENT, id="DNS-12 question of class CH"),
        pytest.param("other-class", Result.NO_OPINION, "", id="DNS-12 answer of class CH"),
        pytest.param("hostile-text", Result.LISTED, "127.0.0.2: ??250 ok??[31m%s?", id="DNS-14"),
        pytest.param("lower-case", *LISTED, id="a server that does not keep the case"),
    ],
)
async def test_fault(fault: str, result: Result, why: str) -> None:
    """A fault is no opinion or an error of the zone, 0 points, and in time; only a listing is a listing."""
    zone = fault if "=" in fault else f"{fault}.test"
    async with faulty() as server:
        start = trio.current_time()
        verdict = await verdict_on(PEER, zone, server.address)
        seconds = trio.current_time() - start
    finding = verdict.findings[0]
    assert finding.result is result
    assert finding.why.startswith(why)
    assert finding.points == (3 if result is Result.LISTED else 0)
    assert bool(verdict.errors) is (result is Result.ERROR)
    assert seconds < WAIT + 3  # what a busy machine adds


async def test_a_lost_datagram() -> None:
    """DNS-01: what gets lost on the way is sent again after 1.5 s."""
    async with faulty() as server:
        verdict = await verdict_on(PEER, "lost-once.test", server.address, wait=3)
        assert verdict.findings[0].result is Result.LISTED
        assert server.asked.count("9.2.0.192.lost-once.test") >= 2


@pytest.mark.parametrize("peer", [PEER, "2001:db8::9"])
async def test_dead_resolvers(peer: str) -> None:
    """DNS-02: with every resolver dead, a hundred verdicts on eight zones each come within the deadline."""
    zones = parse_zones(" ".join(f"zone{number}.test*3" for number in range(8)))
    verdicts: list[Verdict] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        scorer = Scorer(Config(zones=zones, wait=WAIT), Resolver([silent.getsockname(), ("127.0.0.1", 9)]))

        async def score(address: str) -> None:
            verdicts.append(await scorer.score_connection(address))

        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(score, str(ip_address(peer) + number))
        assert trio.current_time() - start < WAIT + 3  # what a busy machine adds
    assert {finding.result for verdict in verdicts for finding in verdict.findings} == {Result.NO_OPINION}
    assert {verdict.score for verdict in verdicts} == {0}
    assert {verdict.host.state for verdict in verdicts} == {HostState.UNKNOWN}


async def test_nothing_listens() -> None:
    """DNS-02: where no resolver listens, that is known at once."""
    start = trio.current_time()
    verdict = await verdict_on(PEER, "zone.test", ("127.0.0.1", 9), wait=30)
    assert trio.current_time() - start < 1
    assert verdict.findings[0].why == "Connection refused"


async def test_truncated_and_tcp_refused() -> None:
    """DNS-10: a truncated answer without TCP is unknown; TCP is asked once, after UDP."""
    async with faulty(tcp=False) as server:
        verdict = await verdict_on(PEER, "truncated.test", server.address)
        assert (verdict.findings[0].result, verdict.findings[0].points) == (Result.NO_OPINION, 0)
    async with faulty() as server:
        await verdict_on(PEER, "truncated.test", server.address)
        name = "9.2.0.192.truncated.test"
        assert [asked for asked in server.asked if "truncated" in asked][:2] == [name, f"tcp:{name}"]


@pytest.mark.parametrize(("fault", "life"), [("ttl-none", 60), ("none", 300), ("ttl-long", 3600)])
async def test_time_to_live(fault: str, life: float) -> None:
    """DNS-13: a time to live of nothing or of 68 years is brought within a minute and an hour."""
    async with faulty() as server:
        answer = await Resolver([server.address]).query(
            f"2.0.0.127.{fault}.test", "A", until=trio.current_time() + 5
        )
    assert (answer.status, answer.life) == (Status.FOUND, life)


async def test_hostile_names() -> None:
    """DNS-14: a reverse name with control characters is no name, and its bytes are nowhere in the verdict."""
    async with faulty() as server:
        verdict = await verdict_on(PEER, "hostile-text.test", server.address)
    for finding in verdict.findings:
        assert all(" " <= char <= "~" for char in finding.why)


def test_every_fault_is_used() -> None:
    """The fault server knows no fault that no test here asks for."""
    text = Path(__file__).read_text("utf-8")
    assert [fault for fault in FAULTS if f'"{fault}' not in text] == []


def test_real_server() -> None:
    """The same from a real rbldnsd: listed, not listed, and a zone that lists the world."""
    zones = {
        "zen.test": ["192.0.2.9 :127.0.0.4:seen sending spam"],
        "gone.test": ["192.0.2.0/24 :127.0.0.1:this list is no more"],
    }

    async def score(peer: str) -> list[tuple[Result, str, float]]:
        config = Config(zones=parse_zones("zen.test*3 gone.test*3 unserved.test*3"))
        verdict = await Scorer(config, Resolver([server.address])).score_connection(peer)
        return [(found.result, found.why.partition(": ")[0], found.points) for found in verdict.findings[:3]]

    with rbldnsd(zones) as server:
        for peer, first in (
            ("192.0.2.9", (Result.LISTED, "127.0.0.4", 3)),
            ("192.0.2.10", (Result.NONE, "not listed", 0)),
        ):
            assert trio.run(score, peer) == [
                first,
                (Result.ERROR, "127.0.0.1", 0),
                (Result.NO_OPINION, "REFUSED", 0),
            ]
