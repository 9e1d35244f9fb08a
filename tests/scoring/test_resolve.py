"""The resolver over real datagrams on loopback, and its rules of time without any.

Where datagrams fly the clock is real: an autojump clock does not see them and jumps.
"""

import math
import socket
from pathlib import Path

import dns.message
import dns.resolver
import dns.rrset
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from scoring import resolve
from scoring.answer import NO_ROOM
from scoring.resolve import TOO_LATE, Answer, Resolver, Status, read_message
from tests.support.dns_faults import faulty
from tests.support.dns_zone import serving


def soon(seconds: float = 5) -> float:
    return trio.current_time() + seconds


@pytest.mark.parametrize("way", ["both", "dnspython"])
@pytest.mark.parametrize(
    ("name", "kind", "answer"),
    [
        ("mail.example", "A", Answer(Status.FOUND, addresses=("192.0.2.1", "192.0.2.2"))),
        ("mail.example", "AAAA", Answer(Status.FOUND, addresses=("2001:db8::1",))),
        ("mail.example", "TXT", Answer(Status.FOUND, texts=(b"v=spf1 -all",))),
        ("mail.example", "MX", Answer(Status.FOUND, exchanges=((0, "."), (10, "mx.example")))),
        ("1.2.0.192.in-addr.arpa", "PTR", Answer(Status.FOUND, names=("mail.example", r"e\013vil.example"))),
        ("alias.example", "A", Answer(Status.FOUND, addresses=("192.0.2.1", "192.0.2.2"))),
        ("nobody.example", "SPF", Answer(Status.NOTHING, "no such name")),
        ("mail.example", "SPF", Answer(Status.NOTHING, "no SPF record")),
        ("nobody.example", "A", Answer(Status.NOTHING, "no such name")),
        ("gone.example", "A", Answer(Status.NOTHING, "no such name")),
        ("sick.example", "A", Answer(Status.UNKNOWN, "SERVFAIL")),
        ("loop.example", "A", Answer(Status.UNKNOWN, "SERVFAIL")),
        ("a..example", "A", Answer(Status.NOTHING, "not a DNS name")),
        ("x" * 64 + ".example", "A", Answer(Status.NOTHING, "not a DNS name")),
        ("\ud800.example", "A", Answer(Status.NOTHING, "not a DNS name")),
        (r"bad\999.example", "A", Answer(Status.NOTHING, "not a DNS name")),
    ],
)
async def test_query(name: str, kind: str, answer: Answer, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing that DNS does becomes one typed answer, the same on both ways to it; nothing is raised."""
    if way == "dnspython":
        monkeypatch.setattr(resolve, "encode_question", lambda name, kind: None)
    records = {
        ("mail.example", "A"): ["192.0.2.1", "192.0.2.2"],
        ("mail.example", "AAAA"): ["2001:db8::1"],
        ("mail.example", "TXT"): ['"v=spf1" " -all"'],
        ("mail.example", "MX"): ["10 mx.example.", "0 ."],
        ("1.2.0.192.in-addr.arpa", "PTR"): ["mail.example.", r"e\013vil.example."],
        ("alias.example", "CNAME"): ["mail.example."],
        ("gone.example", "A"): "NXDOMAIN",
        ("sick.example", "A"): "SERVFAIL",
        ("loop.example", "A"): "SERVFAIL",
    }
    async with serving(records) as zone:
        assert await Resolver([zone.address]).query(name, kind, until=soon()) == answer


async def test_truncated_answer_over_tcp() -> None:
    """DNS-10: a truncated answer is asked for again over TCP."""
    records = {("big.example", "A"): [f"192.0.2.{n}" for n in range(1, 151)]}
    async with serving(records, truncated=frozenset({"big.example"})) as zone:
        answer = await Resolver([zone.address]).query("big.example", "A", until=soon())
        assert (answer.status, len(answer.addresses)) == (Status.FOUND, 100)
        assert zone.asked == [("big.example", "A")] * 2


@pytest.mark.parametrize("kind", ["A", "SPF"])
@pytest.mark.parametrize("trouble", ["SILENT", "GARBAGE"])
async def test_silent_server(trouble: str, kind: str) -> None:
    """DNS-01, DNS-09: silence, or datagrams that are no answer, end at the deadline."""
    async with serving({("quiet.example", kind): trouble}) as zone:
        started = trio.current_time()
        answer = await Resolver([zone.address]).query("quiet.example", kind, until=soon(0.2))
        assert answer == Answer(Status.UNKNOWN, "no answer in time")
        assert 0.2 <= trio.current_time() - started < 1


async def test_servers_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller with all the time in the world is told when every try has been in vain."""
    monkeypatch.setattr(resolve, "ALL_TRIES", 0.2)
    async with serving({("quiet.example", "SPF"): "SILENT"}) as zone:
        answer = await Resolver([zone.address]).query("quiet.example", "SPF", until=math.inf)
        assert answer == Answer(Status.UNKNOWN, "no answer in time")


async def test_no_servers() -> None:
    """DNS-02: with no server at all nothing is known, at once."""
    for kind, why in (("A", "no server"), ("SPF", "NoNameservers")):
        answer = await Resolver([]).query("mail.example", kind, until=soon())
        assert answer == Answer(Status.UNKNOWN, why)


def test_system_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without servers, those of the system; if it names none, 127.0.0.1."""

    def unconfigured(resolver: dns.resolver.Resolver, path: str) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", unconfigured)
    assert Resolver()._servers == (("127.0.0.1", 53),)


@pytest.mark.parametrize("name", ["mail.example", "nobody.example", "empty.example", "sick.example"])
async def test_remembered(name: str) -> None:
    """An answer is asked for once, whatever the case of the name, and even if it is that there is none."""
    records = {
        ("mail.example", "A"): ["192.0.2.1"],
        ("empty.example", "MX"): ["0 ."],
        ("sick.example", "A"): "SERVFAIL",
    }
    async with serving(records) as zone:
        resolver = Resolver([zone.address])
        first = await resolver.query(name, "A", until=soon())
        assert await resolver.query(name.upper() + ".", "A", until=soon()) == first
        assert zone.asked == [(name, "A")]


async def test_unusual_answer_is_dnspythons() -> None:
    """A reply that is out of the ordinary is asked for again, and read by dnspython."""
    async with faulty() as server:
        answer = await Resolver([server.address]).query("a.lower-case.test", "A", until=soon())
        assert answer == Answer(Status.FOUND, addresses=("127.0.0.2",))
        assert len(server.asked) == 2


def test_answer_of_another_class() -> None:
    """DNS-12: records of class CHAOS are no answer, and no proof that there is none."""
    response = dns.message.make_response(dns.message.make_query("a.test.", "TXT"))
    response.answer.append(dns.rrset.from_text("a.test.", 300, "CH", "TXT", '"127.0.0.2"'))
    assert isinstance(response, dns.message.QueryMessage)
    assert read_message(response) == Answer(Status.UNKNOWN, "an answer of another class")


async def test_dead_resolvers() -> None:
    """DNS-02: a thousand questions to servers that say nothing all end by the deadline."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        resolver, late = Resolver([sock.getsockname(), ("127.0.0.1", 9)]), list[float]()
        until = soon(0.5)

        async def ask_one(number: int) -> None:
            answer = await resolver.query(f"{number}.example", "A", until=until)
            late.append(trio.current_time() - until)
            assert answer.status is Status.UNKNOWN

        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(ask_one, number)
        assert max(late) < 3  # what a busy machine adds; without a deadline it would be minutes
        assert not resolver._flying


def test_one_run_after_another() -> None:
    """A resolver serves one run of trio after another; what it knew ends with the run, as the clock does."""
    resolver, asked = Resolver([]), list[int]()

    async def ask_once() -> None:
        async with serving({("mail.example", "A"): ["192.0.2.1"]}) as zone:
            resolver._servers = (zone.address,)
            for _ in range(2):
                answer = await resolver.query("mail.example", "A", until=soon())
                assert answer.addresses == ("192.0.2.1",)
            asked.append(len(zone.asked))

    for _ in range(2):
        trio.run(ask_once)
    assert asked == [1, 1]


@pytest.mark.parametrize(("ttl", "life"), [(0, 60), (300, 300), (2**31 - 1, 3600)])
async def test_time_to_live(ttl: int, life: float) -> None:
    """DNS-13: a time to live of nothing or of 68 years is brought within bounds."""
    async with serving({("mail.example", "A"): ["192.0.2.1"]}, ttl=ttl) as zone:
        answer = await Resolver([zone.address]).query("mail.example", "A", until=soon())
        assert (answer.life, answer.age) == (life, 0)


async def test_negative_time_to_live() -> None:
    """That there is nothing is believed for five minutes at most: a peer gets listed any minute."""
    async with serving({("mail.example", "A"): ["192.0.2.1"]}) as zone:
        for name in ("nobody.example", "mail.example"):
            answer = await Resolver([zone.address]).query(name, "MX", until=soon())
            assert (answer.status, answer.life) == (Status.NOTHING, 300)


class Counting(Resolver):
    """Answers after 2 s of trio's clock, for 60 s; counts how many look-ups are in the air."""

    def __init__(self, *, in_flight: int = 200, cache_size: int = 10_000) -> None:
        super().__init__([], in_flight=in_flight, cache_size=cache_size)
        self.asked: list[str] = []
        self.in_the_air = 0
        self.most = 0

    async def _ask(self, name: str, kind: str, until: float) -> Answer:
        self.asked.append(name)
        self.in_the_air += 1
        self.most = max(self.most, self.in_the_air)
        try:
            with trio.move_on_at(until):
                await trio.sleep(2)
                return Answer(Status.FOUND, addresses=("192.0.2.1",), life=60)
        finally:
            self.in_the_air -= 1
        return TOO_LATE


async def ask(
    resolver: Resolver, name: str, answers: list[tuple[float, Status]], until: float = math.inf
) -> None:
    answer = await resolver.query(name, "A", until=until)
    answers.append((trio.current_time(), answer.status))


async def test_cache_obeys_trios_clock(autojump_clock: MockClock) -> None:
    """A remembered answer lives exactly as long as it says."""
    resolver, answers = Counting(), list[tuple[float, Status]]()
    start = trio.current_time()
    await ask(resolver, "mail.example", answers)
    await trio.sleep(59)
    await ask(resolver, "mail.example", answers)
    await trio.sleep(1)
    await ask(resolver, "mail.example", answers)
    assert [moment - start for moment, _ in answers] == [2, 61, 64]
    assert len(resolver.asked) == 2


async def test_age(autojump_clock: MockClock) -> None:
    """A remembered answer says how old it is, and for how much longer it holds."""
    resolver = Counting()
    fresh = await resolver.query("mail.example", "A", until=math.inf)
    await trio.sleep(20)
    aged = await resolver.query("mail.example", "A", until=math.inf)
    assert (fresh.age, fresh.life, aged.age, aged.life) == (0, 60, 20, 40)


async def test_strangers_leave_memory_flat(autojump_clock: MockClock) -> None:
    """However many names are asked for, what is remembered is bounded."""
    resolver = Counting(in_flight=1000, cache_size=500)
    answers = list[tuple[float, Status]]()
    for batch in range(5):
        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(ask, resolver, f"{batch}.{number}.example", answers)
        assert (len(resolver._known), len(resolver._flying)) == (500, 0)


async def test_identical_queries_share(autojump_clock: MockClock) -> None:
    """Many who ask the same at once cost one look-up."""
    resolver, answers = Counting(), list[tuple[float, Status]]()
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask, resolver, "mail.example", answers)
    assert answers == [(start + 2, Status.FOUND)] * 50
    assert resolver.asked == ["mail.example"]


async def test_sharing_survives_the_first_asker(autojump_clock: MockClock) -> None:
    """When the one whose look-up it is must give up, another takes it over."""
    resolver, answers = Counting(), list[tuple[float, Status]]()
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, resolver, "mail.example", answers, start + 1)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, resolver, "mail.example", answers)
    assert answers == [(start + 1, Status.UNKNOWN), (start + 3, Status.FOUND)]
    assert not resolver._flying


async def test_who_shares_has_his_own_deadline(autojump_clock: MockClock) -> None:
    """Who waits for the look-up of another waits no longer than he said."""
    resolver, answers = Counting(), list[tuple[float, Status]]()
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, resolver, "mail.example", answers)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, resolver, "mail.example", answers, start + 1)
    assert answers == [(start + 1, Status.UNKNOWN), (start + 2, Status.FOUND)]


async def test_no_room(autojump_clock: MockClock) -> None:
    """Who never had a fair time on the wire is told so: that is not the silence of a server."""

    class Silent(Resolver):
        async def _ask(self, name: str, kind: str, until: float) -> Answer:
            await trio.sleep_until(until)
            return TOO_LATE

    resolver, answers = Silent([], in_flight=1), dict[str, Answer]()

    async def ask(name: str, seconds: float) -> None:
        answers[name] = await resolver.query(name, "A", until=seconds)

    async with trio.open_nursery() as nursery:
        for name, seconds in (("first", 3.0), ("second", 3.0), ("third", 3.4), ("fourth", 9.0)):
            nursery.start_soon(ask, name, seconds)
            await wait_all_tasks_blocked()
    assert answers == {"first": TOO_LATE, "second": NO_ROOM, "third": NO_ROOM, "fourth": TOO_LATE}
    assert len(resolver._known) == 0


async def test_wait_room(autojump_clock: MockClock) -> None:
    """Who is about to ask much waits until all who asked before are on their way."""
    resolver, entered = Counting(in_flight=2), list[float]()

    async def ask(number: int) -> None:
        await resolver.query(f"n{number}.example", "A", until=math.inf)

    async with trio.open_nursery() as nursery:
        await resolver.wait_room()
        entered.append(trio.current_time())
        for number in range(4):
            nursery.start_soon(ask, number)
        await wait_all_tasks_blocked()
        await resolver.wait_room()
        entered.append(trio.current_time())
    assert entered == [0, 4]


async def test_in_flight_cap(autojump_clock: MockClock) -> None:
    """No more look-ups than the cap are in the air; the others wait their turn."""
    resolver, answers = Counting(in_flight=2), list[tuple[float, Status]]()
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(ask, resolver, f"{number}.example", answers)
    assert [moment - start for moment, _ in answers] == [2, 2, 4, 4, 6]
    assert resolver.most == 2


async def test_waiting_for_a_turn_counts(autojump_clock: MockClock) -> None:
    """Time spent waiting for a turn is time of the deadline."""
    resolver, answers = Counting(in_flight=1), list[tuple[float, Status]]()
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for name in ("a.example", "b.example"):
            nursery.start_soon(ask, resolver, name, answers, start + 3)
    assert answers == [(start + 2, Status.FOUND), (start + 3, Status.UNKNOWN)]


def test_cap_by_default() -> None:
    """200 look-ups in flight, as many as a small DNSBL server has been seen to take without loss."""
    assert Resolver([])._room.max_value == 200
