"""Where time goes: who is compared, and what a sampler is asked. The load is that of `bench.peers`."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from bench.peers.contestants import Contestant, Surroundings
from bench.peers.processor import times
from bench.peers.works import WORKS, Work
from bench.profile import caption, compare, look, options, other, reserve

# What py-spy does, but for looking: it says that it sees system calls, and writes a stack of a busy worker.
PY_SPY: Final = """#!/bin/sh
[ "$*" = "record --help" ] && { echo "  -n, --native  also of extensions"; exit; }
while [ $# -gt 0 ]; do said="$said $1"; [ "$1" = --output ] && out=$2; shift; done
echo "$said" > "$0.said"
until [ -e "$0.busy" ]; do sleep 0.01; done
echo "run (trio/_core/_run.py:1);Session.run (tarpit/session.py:1);send (libc.so.6) 7" > "$out"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH but for the shell's."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def install(folder: Path, script: str) -> None:
    """Put a py-spy into *folder*."""
    (folder / "py-spy").write_text(script)
    (folder / "py-spy").chmod(0o755)


def watch(folder: Path, *arguments: str) -> int:
    """Watch this process with what is installed in *folder*, and make it busy."""
    return look(os.getpid(), WORKS[0], options(arguments), (folder / "py-spy.busy").touch)


def test_looking(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table is printed, the picture drawn and the stacks are kept, of one run."""
    install(folder, PY_SPY)
    flame, folded = folder / "flame.svg", folder / "folded"
    assert watch(folder, "--flame", str(flame), "--folded", str(folded), "--seconds", "3") == 0
    said = capsys.readouterr().out
    assert said.startswith("7 samples")
    assert "Alone more than 5%: send (kernel) 100.0%." in said
    assert "Session.run (tarpit/session.py) 100.0%" in flame.read_text()
    assert folded.read_text().endswith(" 7\n")
    told = (folder / "py-spy.said").read_text()
    assert f"--pid {os.getpid()} --duration 3" in told
    assert "--native" in told


def test_a_sampler_that_sees_no_system_calls(folder: Path) -> None:
    """It is not asked for them."""
    install(folder, PY_SPY.replace("--native", "--idle"))
    assert watch(folder) == 0
    assert "--native" not in (folder / "py-spy.said").read_text()


def test_a_sampler_that_is_not_let(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it says is passed on, and nothing is drawn."""
    install(folder, "#!/bin/sh\necho 'Permission Denied: try again with sudo' >&2\nexit 1\n")
    flame = folder / "flame.svg"
    assert watch(folder, "--flame", str(flame)) == 1
    assert "Permission Denied" in capsys.readouterr().out
    assert not flame.exists()


def test_no_sampler(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has none is told how to get it."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    assert watch(folder) == 2
    assert "pip install py-spy" in capsys.readouterr().out


def test_reserve() -> None:
    """A core is left free, as long as there is another."""
    before = os.sched_getaffinity(0)
    try:
        core = reserve()
        assert len(core) == 1
        assert os.sched_getaffinity(0) == (before - core or before)
    finally:
        os.sched_setaffinity(0, before)


def test_a_sampler_beside_the_interpreter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was installed into an environment is found by that environment's Python."""
    (folder / "bin").mkdir()
    install(folder / "bin", PY_SPY.replace("$0.busy", str(folder / "py-spy.busy")))
    monkeypatch.setattr("sys.executable", str(folder / "bin" / "python"))
    assert watch(folder) == 0


def test_caption() -> None:
    """A picture says of which day it is, under what load, and what the kernel counted."""
    title, made = caption(WORKS[0], 3989, 0.354, datetime(2026, 11, 4, tzinfo=UTC))
    assert title.endswith(", 4 November 2026")
    assert made.startswith("1 KiB, 20 at once; 3,989 samples; Python 3.")
    assert re.search(r"trio \d+\.\d+", made)
    assert made.endswith(" 35% of the CPU was in system calls.")


def test_times() -> None:
    """What a process has used so far never becomes less; one that has ended tells nothing."""
    before = times(os.getpid())
    assert before <= times(os.getpid())
    assert times(2**22 + 1) == (0, 0)


def test_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another tree or interpreter is what was asked for; all else is ours, and a link to Python stays one."""
    monkeypatch.chdir(tmp_path)
    ours = Surroundings(tmp_path, 25, 53)
    tree = other(options(["--against", "tree"]), ours)
    assert (tree.environment["PYTHONPATH"], tree.python) == (str(tmp_path / "tree"), ours.python)
    (tmp_path / "python").symlink_to("/usr/bin/env")
    python = other(options(["--python", "python"]), ours)
    assert (python.environment["PYTHON"], python.tree) == (str(tmp_path / "python"), ours.tree)


def test_compare() -> None:
    """Ratios are taken within a round, after one that does not count, and nobody is always the first."""
    asked: list[str] = []
    trees = {"ours": Contestant("ours", 1), "other": Contestant("other", 2)}

    def cpu(contestant: Contestant, work: Work) -> float:
        asked.append(contestant.name)
        slow = 1 + (len(asked) - 1) // 2  # the machine's mood, the same for both of a round
        return slow * (1.0 if contestant.name == "ours" else 2.0)

    said = compare(trees, WORKS[0], 3, cpu)
    assert asked == ["ours", "other", "other", "ours"] * 2
    assert float(said.partition("ratio ")[2].split()[0]) == pytest.approx(0.5, abs=0.1)
