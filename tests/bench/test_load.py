"""The load: its schedule, its addresses, what a connection notes, its DNS, its report."""

import json
import socket
import struct
from collections import Counter
from pathlib import Path
from typing import Final

import dns.message
import pytest
import trio
import trio.testing

import bench.load
from bench.clients import Client, Kind, Limit, Step
from bench.fleet.memory import pair
from bench.fleet.models import PopulationError
from bench.fleet.names import BLOCKLIST, Names
from bench.fleet.population import populate, read_preset
from bench.fleet.records import Ended, Record
from bench.load import command
from bench.load.report import figures, hang_ups, lines
from bench.load.schedule import Arrivals, Loopback, scheduled
from bench.load.socketed import Notes, TimedCaller, connect
from bench.load.surroundings import answer_questions

SHORT: Final = Path(bench.load.__file__).with_name("short.toml")
PATIENT: Final = Client("patient", Limit(60, Kind.WHOLE))


def test_networks_stay_networks() -> None:
    """Who shares a /24 or a /16 in the population does so on loopback; nobody else does."""
    moved = Loopback()
    assert [moved(one) for one in ("11.0.3.1", "11.0.3.61", "11.0.4.1", "11.1.3.1", "14.0.3.1")] == [
        "127.1.3.1",
        "127.1.3.61",
        "127.1.4.1",
        "127.2.3.1",
        "127.3.3.1",
    ]


def test_loopback_has_an_end() -> None:
    """A population with more /16s than there are is refused, not folded."""
    moved = Loopback()
    for number in range(254):
        moved(f"11.{number}.0.1")
    with pytest.raises(PopulationError, match="fewer --sessions"):
        moved("12.0.0.1")


def test_what_is_known_of_an_address_moves_along() -> None:
    """Names and lists are asked about the address that the proxy sees."""
    population = populate(read_preset(str(SHORT)), 1, 150, moved=Loopback())
    listed = [
        sender
        for sender in population.senders
        if (f"{'.'.join(reversed(sender.address(1).split('.')))}.{BLOCKLIST}", "A")
        in population.names.answers
    ]
    assert {sender.model.name for sender in listed} >= {"tenth-listed"}
    assert all(sender.address(1).startswith("127.") for sender in population.senders)


@pytest.mark.parametrize(
    ("arrivals", "last", "pause"),
    [
        (Arrivals(compress=86.4), pytest.approx(10.8, rel=0.01), 0.003),
        (Arrivals(rate=100.0), pytest.approx(1.5, rel=0.4), 3),
        (Arrivals(), pytest.approx(10.0, rel=0.5), 3),
    ],
)
def test_arrivals(arrivals: Arrivals, last: float, pause: float) -> None:
    """A day is squeezed with its pauses, replaced by a rate, or begins with its first sender."""
    population = scheduled(
        read_preset(str(SHORT)), seed=1, sessions=150, arrivals=arrivals, seconds=1e9, moved=Loopback()
    )
    times = [sender.at for sender in population.senders]
    assert times == sorted(times)
    assert times[-1] == last
    pool = next(one for one in population.senders if one.model.name == "tenth-pool")
    assert pool.model.retries[0] == pytest.approx(pause)


def test_nobody_comes_after_the_bound() -> None:
    """`seconds` bound the arrivals."""
    preset, arrivals = read_preset(str(SHORT)), Arrivals(rate=10.0)
    population = scheduled(preset, seed=1, sessions=150, arrivals=arrivals, seconds=3.0, moved=Loopback())
    assert 10 < len(population.senders) < 60
    assert population.senders[-1].at <= 3.0


async def test_waiting_counts_from_the_moment_due(autojump_clock: trio.testing.MockClock) -> None:
    """A banner's wait begins when its client should have come, that of other replies with the command."""
    notes, (near, far) = Notes(), pair()
    due = trio.current_time()
    await trio.sleep(5)
    caller = TimedCaller(far, PATIENT, notes, due)

    async def serve() -> None:
        for reply in (b"220 mx\r\n", b"250 mx\r\n"):
            await trio.sleep(2)
            near.put(reply)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await caller.hear(Step.BANNER)
        await caller.ask(Step.EHLO, b"EHLO a\r\n")
    assert notes.waits == {"banner": [7.0], "EHLO": [2.0]}
    assert notes.codes == {220: 1, 250: 1}


async def test_a_closed_port_is_an_error_and_a_gone_connection() -> None:
    """Refused connections are counted, and the sender sees a server that hangs up."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        notes = Notes()
        stream = await connect(closed.getsockname(), "127.1.2.3", notes)
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    assert notes.errors == {"refused": 1}
    assert notes.open == 0


async def test_drips_resets_and_the_source() -> None:
    """Bytes that come alone are drips; a reset is an error; each sender has its own address."""
    notes, listener = Notes(), trio.socket.socket()
    with listener:
        await listener.bind(("127.0.0.1", 0))
        listener.listen()
        stream = await connect(listener.getsockname(), "127.7.8.9", notes)
        server, (source, _) = await listener.accept()
        with server:
            for data in (b"2", b"20 ", b"x"):
                await server.send(data)
                await stream.receive_some()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await stream.aclose()
        await stream.aclose()
    assert source == "127.7.8.9"
    assert (notes.drips, notes.pieces, notes.received, notes.open) == (2, 3, 5, 0)
    assert notes.errors == {"reset": 1}


def test_notes_of_processes_are_added() -> None:
    """Gauges of one second are added, however long each process ran."""
    notes = Notes(opened=[1, 2], drips=3, errors=Counter(reset=1))
    notes.add(Notes(opened=[10, 20, 30], drips=4, errors=Counter(reset=2)))
    assert notes.opened == [11, 22, 30]
    assert notes.drips == 7
    assert notes.errors == {"reset": 3}


async def test_dns_says_what_the_population_does() -> None:
    """A long record comes whole, what has another type is no data, what is not there does not exist."""
    names, record = Names(), "v=spf1 " + "ip4:127.1.2.0/24 " * 20 + "-all"
    names.spf("long.example", record)
    names.reverse("127.1.2.3", "mail.example")
    with (
        trio.socket.socket(type=trio.socket.SOCK_DGRAM) as server,
        trio.socket.socket(type=trio.socket.SOCK_DGRAM) as asker,
    ):
        await server.bind(("127.0.0.1", 0))

        async def ask(name: str, kind: str) -> dns.message.Message:
            query = dns.message.make_query(name, kind)
            await asker.sendto(query.to_wire(), server.getsockname())
            return dns.message.from_wire(await asker.recv(4096))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_questions, server, names.answers)
            long = await ask("long.example", "TXT")
            assert b"".join(long.answer[0][0].strings).decode() == record
            assert str((await ask("3.2.1.127.in-addr.arpa", "PTR")).answer[0][0]) == "mail.example."
            assert [(await ask(name, "MX")).rcode() for name in ("mail.example", "no.example")] == [0, 3]
            nursery.cancel_scope.cancel()


def test_figures_and_text() -> None:
    """Hang-ups go by phase, and the text shows every table."""
    records = [a_record(1, Ended.DELIVERED), a_record(2, Ended.GAVE_UP), a_record(3, Ended.CLOSED)]
    found = figures(Notes(records=records, lateness=[0.0, 0.001, 0.002], opened=[0, 3]))
    assert hang_ups(records) == {"banner": {"gave-up": 1, "closed": 1}}
    assert (found["delivered"], found["connections"], found["open_peak"]) == (1, 3, 3)
    text = "\n".join(lines({"preset": "short"}, found))
    assert all(word in text for word in ("hang-ups by phase", "by model", "(ourselves late)", "errors: none"))


def a_record(sender: int, ended: Ended) -> Record:
    """Return one connection of a site."""
    delivered = int(ended is Ended.DELIVERED)
    phase = "QUIT" if delivered else "banner"
    return Record(
        model="site",
        honest=True,
        clean=True,
        apart=False,
        sender=sender,
        attempt=1,
        began=0.0,
        seconds=1.0,
        phase=phase,
        ended=ended,
        code=0,
        delivered=delivered,
        delay=0.5 * delivered,
        wanted_within=60.0,
    )


def test_an_unknown_preset_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 78, and what there is."""
    assert command.main(["--preset", "nothing"]) == command.UNUSABLE
    assert "busy-day" in capsys.readouterr().err


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a proxy the report has errors only, and the exit code says so."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        code = command.main(
            [
                *("--port", str(port), "--preset", str(SHORT), "--sessions", "20", "--rate", "40"),
                *("--wait", "1", "--processes", "2", "--json"),
            ]
        )
    found = json.loads(capsys.readouterr().out)
    assert code == command.NOBODY_THERE
    assert set(found["errors"]) == {"refused"}
    assert found["hang_ups"]["banner"]["gave-up"] == 0
