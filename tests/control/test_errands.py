"""Each request: what it does to the server, what it answers, and what is told of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tarpit.backend.pool import Pool
from tarpit.backend.slots import Purpose
from tarpit.cli.asking import rows
from tarpit.control.errands import carry_out
from tarpit.control.server import Answer, Refused
from tarpit.destinations import BackendAddress
from tarpit.errors import BackendUnavailable
from tarpit.pace import Stage
from tarpit.policy import Treatment
from tarpit.rulings import MOST
from tarpit.settings import Mode
from tests.support.dns_zone import FakeResolver
from tests.support.sessions import session
from tests.support.wires import DIALLING, PEER, Surroundings, load, stage

BACKENDS = "127.0.0.1:9 127.0.0.1:10*2"
UID = 42
Does = Callable[..., Answer]


@asynccontextmanager
async def scene(**variables: str) -> AsyncIterator[tuple[Surroundings, Does]]:
    """Yield what sessions share, and a function that carries out a request."""
    async with stage(load(**{"BACKENDS": BACKENDS} | variables), FakeResolver({})) as around:
        for backend in around.services.pool.backends:
            backend.marks.good()
        yield around, asking(around)


def asking(around: Surroundings) -> Does:
    def do(**request: object) -> Answer:
        return carry_out(around.services, request, UID)

    return do


def told(around: Surroundings, event: str) -> list[dict[str, object]]:
    entries = [dict(entry) for entry in around.events.entries if entry["event"] == event]
    return [{name: entry[name] for name in entry if name not in {"event", "log_level"}} for entry in entries]


async def test_status(autojump_clock: MockClock) -> None:
    """Sessions, load, backends, zones set aside and rulings are there, as plain values."""
    async with scene(MAX_SESSIONS="4") as (around, do):
        around.services.caps.hold()
        do(do="deny", network="192.0.2.0/24")
        around.services.classifier.set_aside["zen.example", "IPv4"] = "lists everybody\n"
        found = do(do="status")
    assert {key: found[key] for key in ("mode", "sessions", "held", "max_sessions", "load", "waiting")} == {
        "mode": "enforce",
        "sessions": 0,
        "held": 1,
        "max_sessions": 4,
        "load": 0.0,
        "waiting": 0,
    }
    assert (found["allowed"], found["denied"]) == (0, 1)
    zone = {"zone": "zen.example", "form": "IPv4", "reason": r"lists everybody\x0a"}
    assert found["zones_set_aside"] == [zone]
    first, second = rows(found, "backends")
    assert first == {
        "name": "127.0.0.1:9",
        "up": True,
        "usable": True,
        "reason": "",
        "since": 0.0,
        "taken": 0,
        "cap": 100,
        "weight": 1.0,
        "drained": False,
        "routes": [],
    }
    assert second["weight"] == 2


async def test_drain_and_enable(autojump_clock: MockClock) -> None:
    """A drained backend gets no new connection of mail, but probes; enabled, it serves at once."""
    async with scene(BACKENDS="127.0.0.1:9;max=1") as (around, do):
        pool = around.services.pool
        (backend,) = pool.backends
        slots, queue = backend.slots, pool.queue
        slots.take(Purpose.JOIN)
        got: list[object] = []

        async def wait() -> None:
            got.append(await queue.take([slots], Purpose.JOIN))

        around.services.nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        (state,) = rows(do(do="drain", backend="127.0.0.1:9"), "backends")
        assert (state["drained"], state["usable"], state["taken"]) == (True, False, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert got == [None]  # nobody waits for it in vain
        around.services.nursery.start_soon(wait)
        queue.give_back(slots, Purpose.JOIN)
        await trio.testing.wait_all_tasks_blocked()
        assert (slots.wanted, slots.taken) == (0, 0)
        assert await queue.take([slots], Purpose.PROBE) is slots
        queue.give_back(slots, Purpose.PROBE)
        do(do="drain", backend="127.0.0.1:9")
        do(do="enable", backend="127.0.0.1:9")
        await trio.testing.wait_all_tasks_blocked()
        assert got == [None, slots]
        with trio.fail_after(1):
            await backend.probe_wanted.wait()
        do(do="enable", backend="127.0.0.1:9")
    assert told(around, "backend.drained") == [{"uid": UID, "backend": "127.0.0.1:9", "sessions": 1}]
    assert told(around, "backend.enabled") == [{"uid": UID, "backend": "127.0.0.1:9"}]


async def test_whose_mail_a_backend_gets() -> None:
    """Its routes, or the first of them and how many more there are."""
    many = " ".join(f"d{number}.example=127.0.0.1:11" for number in range(12))
    async with scene(ROUTES=many) as (_, do):
        shown = {one["name"]: one["routes"] for one in rows(do(do="backends"), "backends")}
    assert shown["127.0.0.1:9"] == shown["127.0.0.1:10"] == ["*"]
    assert shown["127.0.0.1:11"] == [*[f"d{number}.example" for number in range(10)], "2 more"]


async def test_joined_sessions_finish() -> None:
    """A session that is joined to a drained backend goes on; the next one has none."""
    async with session() as (far, backend, around, one):
        assert (await far.hear()).startswith(b"220 ")
        asking(around)(do="drain", backend="{}:{}".format(*backend.address))
        assert (await far.ask(b"EHLO peer.example")).startswith(b"250")
        with pytest.raises(BackendUnavailable):
            await around.services.pool.borrow(one.introduction(), ours=one.wire.ours, purpose=Purpose.JOIN)
        assert (await far.ask(b"QUIT")).startswith(b"221")
    assert around.closed()["ended"] == "quit"


async def test_a_drained_backend_is_passed_over() -> None:
    """Mail goes to the others."""
    async with session() as (far, backend, around, one):
        await far.hear()
        pool = Pool((BackendAddress(*backend.address),) * 2, around.poller, DIALLING, queue=1.0)
        pool.drain(pool.backends[0], drained=True)
        with closing(await pool.borrow(one.introduction(), ours=one.ours, purpose=Purpose.JOIN)) as loan:
            assert loan.backend is pool.backends[1]
        await far.ask(b"QUIT")


async def test_a_ruling_goes_before_the_lists(autojump_clock: MockClock) -> None:
    """What is said now counts, for as long as it was said to; a reload does not end it."""
    async with scene(ALLOW="192.0.2.0/24") as (around, do):
        classifier, address = around.services.classifier, ip_address(PEER[0])
        said = do(do="deny", network="192.0.2.0/24", seconds=60)
        assert said == {
            "rulings": [{"network": "192.0.2.0/24", "allowed": False, "seconds": 60.0}],
            "sessions": 0,
        }
        classifier.lists.reload()
        denied = classifier.known(address)
        assert denied is not None
        assert denied.hostile
        assert not classifier.lists.allows(address)
        await trio.sleep(20)
        assert do(do="rulings") == {
            "rulings": [{"network": "192.0.2.0/24", "allowed": False, "seconds": 40.0}]
        }
        do(do="allow", network="::ffff:192.0.2.25", seconds=None)
        allowed = classifier.known(address)
        assert allowed is not None
        assert not allowed.suspect
        assert "tarpit allow" in allowed.findings[0].why
        assert classifier.lists.allows(address)
        await trio.sleep(60)
        assert do(do="rulings") == {
            "rulings": [{"network": "192.0.2.25/32", "allowed": True, "seconds": None}]
        }
        assert do(do="forget", network="192.0.0.0/16") == {
            "rulings": [{"network": "192.0.2.25/32", "allowed": True, "seconds": None}]
        }
        known = classifier.known(address)
        assert known is not None
        assert "TARPIT_ALLOW" in known.findings[0].why
        assert classifier.lists.allows(address)
    assert told(around, "network.denied") == [
        {"uid": UID, "network": "192.0.2.0/24", "seconds": 60.0, "sessions": 0}
    ]
    assert told(around, "network.allowed") == [
        {"uid": UID, "network": "192.0.2.25/32", "seconds": None, "sessions": 0}
    ]
    assert told(around, "network.forgotten") == [{"uid": UID, "network": "192.0.0.0/16", "rulings": 1}]


async def test_a_ruling_holds_for_open_sessions(autojump_clock: MockClock) -> None:
    """A listed peer that is slow is served at once when it is allowed; of two rulings the narrower holds."""
    async with session(listed=True, PACE_BANNER="0.1s") as (far, _, around, one):
        await far.hear()
        treatments = [one.judgement.treatment]
        for word, network in [("deny", PEER[0]), ("allow", "192.0.2.0/24"), ("allow", PEER[0])]:
            assert asking(around)(do=word, network=network)["sessions"] == 1
            treatments.append(one.judgement.treatment)
        assert treatments == [Treatment.SLOW, Treatment.HOLD, Treatment.HOLD, Treatment.PASS]
        assert (await far.ask(b"EHLO peer.example")).startswith(b"250")
        await far.ask(b"QUIT")
    assert [one["sessions"] for one in told(around, "network.allowed")] == [1, 1]


async def test_who_is_allowed_waits_no_longer(autojump_clock: MockClock) -> None:
    """The rest of a banner that has begun slowly is said at once; nobody else's is."""
    async with session(listed=True, PACE_BANNER="60s", PACE_BYTE="10s", PREGREET_WAIT="0") as run:
        far, _, around, _ = run
        await far.receive()
        began = trio.current_time()
        asking(around)(do="allow", network="192.0.2.128/25")
        asking(around)(do="deny", network=PEER[0])
        await far.receive()
        assert trio.current_time() > began
        began = trio.current_time()
        asking(around)(do="allow", network=PEER[0])
        await far.hear()
        assert trio.current_time() == began
        await far.ask(b"QUIT")


async def test_a_ruling_during_the_look_ups_counts(autojump_clock: MockClock) -> None:
    """Who is denied while others are still asked about him is hostile."""
    resolver = FakeResolver({}, seconds={"25.2.0.192.in-addr.arpa": 60})
    async with stage(load(SCORE_WAIT="3s"), resolver) as around:
        around.services.nursery.start_soon(deny_in, around, 1.0)
        verdict, _ = await around.services.classifier.at_connection(ip_address(PEER[0]))
        assert verdict.hostile


async def deny_in(around: Surroundings, seconds: float) -> None:
    await trio.sleep(seconds)
    asking(around)(do="deny", network=PEER[0])


async def test_rulings_are_bounded() -> None:
    """One too many is refused, and it is said where it belongs."""
    async with scene() as (_, do):
        for number in range(MOST):
            do(do="deny", network=str(ip_address(0x0A000000 + number)))
        with pytest.raises(Refused, match="TARPIT_DENY"):
            do(do="deny", network="192.0.2.1")


async def test_what_was_ordered_and_holds(autojump_clock: MockClock) -> None:
    """It is told as the requests that make another worker like this one; nothing, if all is as it was set."""
    async with scene() as (_, do):
        assert do(do="orders") == {"orders": []}
        orders: list[dict[str, object]] = [
            {"do": "drain", "backend": "127.0.0.1:10"},
            {"do": "mode", "mode": "observe"},
            {"do": "deny", "network": "192.0.2.0/24", "seconds": 60.0},
            {"do": "allow", "network": "198.51.100.0/24"},
        ]
        for order in orders:
            do(**order)
        assert do(do="orders") == {"orders": orders}
        do(do="enable", backend="127.0.0.1:10")
        do(do="mode", mode="enforce")
        await trio.sleep(61)
        assert do(do="orders") == {"orders": orders[3:]}


async def test_mode_switches_all_delays(autojump_clock: MockClock) -> None:
    """A suspect hears the rest of its banner at once, and every reply; switched on again, none of them."""
    async with session(listed=True, PACE_BANNER="60s", PACE_BYTE="10s", PREGREET_WAIT="0") as run:
        far, _, around, one = run
        do = asking(around)
        await far.receive()
        began = trio.current_time()
        assert do(do="mode", mode="observe") == {"mode": "observe", "settings": "enforce"}
        await far.hear()
        assert (await far.ask(b"EHLO peer.example")).startswith(b"250")
        assert trio.current_time() == began
        assert do(do="mode") == {"mode": Mode.OBSERVE, "settings": Mode.ENFORCE}
        do(do="mode", mode="enforce")
        do(do="mode", mode="enforce")
        assert one.judgement.pace_for(Stage.MAIL).slow
        do(do="mode", mode="off")
        await far.ask(b"QUIT")
    assert told(around, "mode.changed") == [
        {"uid": UID, "mode": "observe", "was": "enforce"},
        {"uid": UID, "mode": "enforce", "was": "observe"},
        {"uid": UID, "mode": "off", "was": "enforce"},
    ]
    assert around.closed()["treatment"] == "slow"


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({}, "no such request"),
        ({"do": "stop"}, "no such request"),
        ({"do": "drain"}, "no such request"),
        ({"do": "drain", "backend": 7}, "no such request"),
        ({"do": "drain", "backend": "\x1b[0m"}, r"\\x1b\[0m is not a backend; there are: 127"),
        ({"do": "enable", "backend": "127.0.0.1"}, "127.0.0.1:9, 127.0.0.1:10"),
        ({"do": "deny", "network": "192.0.2.1/24"}, "did you mean 192.0.2.0/24"),
        ({"do": "deny", "network": "192.0.2.1", "seconds": 0}, "above 0"),
        ({"do": "deny", "network": "192.0.2.1", "seconds": True}, "above 0"),
        ({"do": "deny", "network": "192.0.2.1", "seconds": 1e300}, "above 0"),
        ({"do": "allow", "network": "192.0.2.1", "seconds": "1d"}, "above 0"),
        ({"do": "allow"}, "no such request"),
        ({"do": "forget", "network": "192.0.2.1"}, "nothing was said of 192.0.2.1"),
        ({"do": "mode", "mode": "on"}, "enforce, observe, off"),
    ],
)
async def test_what_is_refused(request_: dict[str, object], why: str) -> None:
    """What cannot be done is said, what was asked is harmless in it, and nothing is done or told."""
    async with scene() as (around, do):
        with pytest.raises(Refused, match=why):
            do(**request_)
        assert not around.services.classifier.lists.rulings
    assert [entry for entry in around.events.entries if "uid" in entry] == []


async def test_a_file_list_is_read_again_beside_rulings(tmp_path: Path) -> None:
    """HUP changes the lists and leaves rulings alone."""
    path = tmp_path / "deny"
    path.write_text("198.51.100.0/24\n")
    async with scene(DENY=str(path)) as (around, do):
        do(do="deny", network="192.0.2.0/24")
        path.write_text("\n")
        around.services.classifier.lists.reload()
        classifier = around.services.classifier
        assert classifier.known(ip_address("198.51.100.1")) is None
        assert classifier.known(ip_address(PEER[0])) is not None
