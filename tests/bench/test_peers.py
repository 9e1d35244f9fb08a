"""The side-by-side benchmark: its arithmetic, its names, and one small run with real sockets."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import dns.rdatatype
import pytest

from bench.peers import command, report
from bench.peers.contestants import DIRECT, NAMES, OURS, START, Surroundings, running, version
from bench.peers.figures import Goal, Spread, added_ratios, cpu_ratios, goals, sound, spread
from bench.peers.names import record
from bench.peers.processor import cpu_seconds, descendants
from bench.peers.programs import Load, Ran, build, generate, parse, sink
from bench.peers.rounds import Measured, Row, turns
from bench.peers.works import ALL, WORKS, Work

COMPILER = pytest.mark.skipif(shutil.which("cc") is None, reason="the load generator is written in C")
LINE = (
    '{"sessions": 9, "failed": 1, "seconds": 0.5, "cpu": 0.1, "p50": 700.0, "p99": 900.0, "max": 950.0, '
    '"mean": 710.5, "complaint": "step 4: 450 no"}'
)


def measured(cpu: float = 0.001, *, p50: float = 500.0, failed: int = 0, lost: int = 0) -> Measured:
    return Measured(
        cpu, Ran(10, failed, 0.5, 0.1, p50, 900.0, 950.0, 510.0, "450 no" if failed else ""), lost
    )


def row(**cpu: Sequence[float]) -> Row:
    return {name: [measured(one) for one in values] for name, values in cpu.items()}


def test_the_generator_is_understood() -> None:
    """Its last line has everything, whatever it said before."""
    assert parse(f"a warning\n{LINE}\n") == Ran(9, 1, 0.5, 0.1, 700.0, 900.0, 950.0, 710.5, "step 4: 450 no")


def test_a_generator_that_fails_ends_the_run() -> None:
    """It is not taken for a contestant's fault."""
    with pytest.raises(SystemExit, match="connect: Cannot assign"):
        parse("", "connect: Cannot assign requested address\n")


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], None), ([2.0], Spread(2.0, 2.0, 2.0)), ([9.0, 1.0, 2.0], Spread(2.0, 1.0, 9.0))],
)
def test_spread(values: Sequence[float], expected: Spread | None) -> None:
    """The median, and the extremes beside it."""
    assert spread(values) == expected


def test_ratios_are_taken_within_a_round() -> None:
    """A round in which the whole machine was slow changes no ratio."""
    rows = {"small": row(tarpit=[0.002, 0.020], haproxy=[0.001, 0.010])}
    assert cpu_ratios(rows, "small", OURS, "haproxy") == [2.0, 2.0]


def test_a_round_with_a_fault_is_not_compared() -> None:
    """Neither one in which a session failed nor one in which a message was lost."""
    rows = {"small": row(tarpit=[0.002, 0.004, 0.006], haproxy=[0.001, 0.001, 0.001])}
    rows["small"]["haproxy"][0] = measured(failed=1)
    rows["small"][OURS][1] = measured(lost=1)
    assert cpu_ratios(rows, "small", OURS, "haproxy") == [6.0]
    assert [sound(one) for one in rows["small"][OURS]] == [True, False, True]


def test_added_time() -> None:
    """What each adds to going direct; a round in which the other adds nothing says nothing."""
    rows = {
        "alone": {
            OURS: [measured(p50=500.0), measured(p50=500.0)],
            "haproxy": [measured(p50=300.0), measured(p50=100.0)],
            DIRECT: [measured(p50=100.0), measured(p50=100.0)],
        }
    }
    assert added_ratios(rows, "alone", OURS, "haproxy") == [2.0]


@pytest.mark.parametrize(("values", "met"), [([], None), ([1.0, 1.3, 9.0], True), ([1.0, 1.31, 1.4], False)])
def test_a_goal_holds_for_the_median(values: Sequence[float], met: bool | None) -> None:
    """And is not met nor missed where nothing was measured."""
    assert Goal("x", 1.3, values).met is met


def test_goals_of_rows_that_were_not_measured() -> None:
    """Without an answer where somebody is missing; not mentioned where nobody asked for the row."""
    assert [(goal.what, goal.met) for goal in goals({"large": {}})] == [("large: to nginx", None)]


def test_goals() -> None:
    """The crowd is compared with the same proxy's small row, the others within theirs."""
    rows = {
        "small": row(tarpit=[0.0003], haproxy=[0.0002], nginx=[0.0002], postfix=[0.001]),
        "crowd": row(tarpit=[0.0006]),
    }
    found = {goal.what: goal.met for goal in goals(rows)}
    assert found["small: CPU a session"] is True
    assert found["small: to haproxy"] is True
    assert found["small: to haraka"] is None
    assert found["crowd: CPU a session, to small's"] is False


def test_turns() -> None:
    """Everybody begins a round once."""
    assert [turns(["a", "b", "c"], number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert turns([], 3) == []


def test_works_are_scaled() -> None:
    """Never to fewer sessions than are to go on at once."""
    work = Work("w", "", Load(1000, 20, 1024), ())
    assert [work.scaled(share).load.sessions for share in (1, 0.5, 0.001)] == [1000, 500, 20]


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("1.7.8.127.in-addr.arpa", dns.rdatatype.PTR, "mail.n7.test."),
        ("mail.n7.test", dns.rdatatype.A, "127.8.7.1"),
        ("mail.n7.test", dns.rdatatype.AAAA, ""),
        ("n7.test", dns.rdatatype.TXT, '"v=spf1 ip4:127.8.7.1 -all"'),
        ("2.0.0.127.dnsbl.test", dns.rdatatype.A, "127.0.0.2"),
        ("1.7.8.127.dnsbl.test", dns.rdatatype.A, None),
    ],
)
def test_names(name: str, kind: dns.rdatatype.RdataType, text: str | None) -> None:
    """Each peer of the load is known as a good sender is, and listed nowhere."""
    assert record(name, kind) == text


def test_everybody_has_a_start_script() -> None:
    """And who is in a row has a name."""
    assert {path.stem for path in START.glob("*.sh")} == set(ALL)
    assert {name for work in WORKS for name in work.who} == set(NAMES)


@pytest.mark.parametrize("script", sorted(START.parent.rglob("*.sh")), ids=lambda path: path.stem)
def test_scripts_are_shell(script: Path) -> None:
    """Each is read by sh without complaint."""
    subprocess.run(["sh", "-n", str(script)], check=True)


def test_cpu_of_a_family() -> None:
    """Of a process, of its child that lives and of its child that has ended."""
    burn = "x = sum(range(2_000_000))"
    living = f"{burn}; print(flush=True); import time; time.sleep(60)"
    parent = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); "
        f"child = subprocess.Popen([sys.executable, '-c', {living!r}], stdout=subprocess.PIPE); "
        "child.stdout.readline(); print(child.pid, flush=True); sys.stdin.read(); child.kill()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert descendants(process.pid) == [process.pid, child]
        assert cpu_seconds(process.pid) > cpu_seconds(child) > 0.0
        assert cpu_seconds(process.pid) - cpu_seconds(child) > time.clock_gettime(~process.pid << 3 | 2)
        process.communicate("")


def test_who_is_not_installed_has_no_version(tmp_path: Path) -> None:
    """Its script fails, and it is left out."""
    assert version("haraka", Surroundings(tmp_path, 25, 53)) is None


def test_who_does_not_start_says_why(tmp_path: Path) -> None:
    """With the last that it said."""
    with (
        pytest.raises(TimeoutError, match=r"it has ended: .*relay"),
        running("relay", Surroundings(tmp_path, 1, 1)),
    ):
        pass


@COMPILER
@pytest.mark.parametrize(
    "load",
    [Load(60, 20, 1024), Load(60, 20, 1024, rate=500), Load(3, 2, 2**20), Load(3, 2, 2**20, blind=True)],
)
@pytest.mark.parametrize("floor", ["relay", "bare"])
def test_the_floors(tmp_path: Path, load: Load, floor: str) -> None:
    """Through either relay every message arrives whole, after STARTTLS too."""
    for name in ("generator", "sink", "relay"):
        build(name, tmp_path)
    with sink(tmp_path) as backend, running(floor, Surroundings(tmp_path, backend.port, 0)) as relay:
        ran = generate(tmp_path, relay.port, load)
        assert (ran.sessions, ran.failed, ran.complaint) == (load.sessions, 0, "")
        assert backend.taken().messages == load.sessions
        assert backend.taken().octets > load.sessions * load.size


@COMPILER
def test_paced_sessions_begin_by_the_clock(tmp_path: Path) -> None:
    """The last of thirty at a hundred a second begins after 290 ms, however fast they are served."""
    for name in ("generator", "sink", "relay"):
        build(name, tmp_path)
    with sink(tmp_path) as backend:
        ran = generate(tmp_path, backend.port, Load(30, 20, 1024, rate=100))
    assert (ran.sessions, ran.failed) == (30, 0)
    assert ran.seconds >= 0.29


@pytest.mark.e2e
@COMPILER
def test_a_small_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """This proxy and the C relay, a round each: nothing fails, the table and the JSON have both."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = "--no-install --quick --rounds 1 --sessions 40 --only tarpit relay --work small blind --json"
    command.main(arguments.split())
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert {name: sorted(part) for name, part in found["rows"].items()} == {
        "small": ["relay", OURS],
        "blind": ["relay", OURS],
    }
    for part in found["rows"].values():
        assert all((one["failed"], one["lost"], one["rounds"]) == (0, 0, 1) for one in part.values())
    assert found["rows"]["small"][OURS]["cpu_ms"]["median"] > 0
    assert NAMES["relay"] in told.err


def test_the_table_says_what_failed() -> None:
    """In the place of figures."""
    rows = {"small": {OURS: [measured(failed=2, lost=1)]}}
    work = Work("small", "some", Load(10, 1, 1024), (OURS,))
    lines = list(report.table(rows, [work], [Goal("g", 1.0, [2.0])]))
    assert any("2 sessions failed, 1 messages lost: 450 no" in one for one in lines)
    assert any("NOT MET" in one for one in lines)


@pytest.mark.parametrize("arguments", ["--rounds 0", "--only nobody", "--work nothing"])
def test_wrong_options(arguments: str) -> None:
    """End with what argparse has for them."""
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments.split())


def test_the_command_is_known() -> None:
    """`python -m bench` lists it."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"],
        capture_output=True, text=True, check=True, env=os.environ, cwd=START.parent.parent.parent,
    )  # fmt: skip
    assert "peers" in done.stdout
