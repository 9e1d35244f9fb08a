"""Child processes. They are made in a process of their own: this one has threads."""

import subprocess
import sys
import time
from math import inf

import pytest

from tarpit.processes import lead
from tarpit.processes.offspring import LONGEST_PAUSE, Child, Slot
from tests.support.proxy import ROOT


def run(program: str) -> "subprocess.CompletedProcess[str]":
    """Run *program* with what it needs imported."""
    imports = "import os, signal, sys, time\nfrom tarpit.processes.offspring import *\n"
    return subprocess.run(
        [sys.executable, "-c", imports + program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("work", "code"), [("lambda: 0", 0), ("lambda: 78", 78), ("lambda: 1 / 0", 70), ("sys.exit", 70)]
)
def test_a_child_never_returns(work: str, code: int) -> None:
    """It ends with what its work returns; with a traceback, where that does not return."""
    ran = run(f"""
pid = fork({work}, lambda: None)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""")
    assert ran.stdout == f"{code}\n"
    assert ("Traceback" in ran.stderr) == (code == 70)


def test_signals_are_the_child_s_own() -> None:
    """What the parent does at a signal a child does not, nor does it wake the parent."""
    ran = run("""
signal.signal(signal.SIGTERM, lambda *_: print("told"))
near, far = socket.socketpair()
near.setblocking(False)
signal.set_wakeup_fd(near.fileno())
pid = fork(lambda: time.sleep(60), lambda: print("let go", flush=True))
os.kill(pid, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
far.setblocking(False)
try:
    print(far.recv(10))
except BlockingIOError:
    print("nothing")
""")
    assert ran.stdout.splitlines()[-2:] == ["-15", "nothing"], ran.stderr


def test_how_it_has_ended() -> None:
    """By exit code or signal, told as often as it is asked; the dead are not killed again."""
    ran = run("""
from tarpit.processes import lead
for seconds in (0, 60):
    ours, theirs = lead.pair()
    child = Child(0, fork(lambda: time.sleep(seconds) or 3, lambda: None), ours)
    if seconds:
        child.kill()
    while (how := child.ended()) is None:
        time.sleep(0.01)
    child.kill()
    assert child.ended() == how
    print(how)
    child.close()
    theirs.close()
""")
    assert ran.stdout == "exit code 3\nSIGKILL\n", ran.stderr


def child_of_age(seconds: float) -> Child:
    ours, theirs = lead.pair()
    ours.close()
    theirs.close()
    return Child(0, 1, ours, born=time.monotonic() - seconds)


def test_the_next_one_is_made_later_and_later() -> None:
    """One that has served for a while is replaced at once; those that die soon after birth, ever later."""
    slot = Slot(0)
    assert slot.due == inf
    assert slot.pause_after(child_of_age(60)) == 0
    pauses = [slot.pause_after(child_of_age(0.1)) for _ in range(9)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert slot.due > time.monotonic() + 25
    assert slot.pause_after(child_of_age(60)) == 0
    slot.rest()
    assert slot.due == inf
