"""The supervisor's children, made and buried. In a process of its own: this one has threads."""

import subprocess
import sys

from tests.support.proxy import ROOT

SURROUNDINGS = """
import os, signal, sys, time
from tarpit.processes.crew import Crew, Died
from tarpit.processes.lead import Ready, Refused, Stopped, Word
from tarpit.observe import log
from tarpit.settings import load
from tarpit.processes.vigil import Vigil

settings = load({"TARPIT_BACKENDS": "127.0.0.1:9", "TARPIT_RELAY_TEST": "off", "TARPIT_ALLOW": sys.argv[1]})
crew = Crew(1, [], vigil := Vigil())
(slot,) = crew.slots
nowhere = log.configure(log.LogFormat.JSON, log.LogLevel.ERROR, sys.stderr)

def news(wanted):
    "Take note of everything up to a piece of news of that kind, which is printed."
    while True:
        vigil.wait(1)
        for slot, child, what in crew.news():
            if isinstance(what, Died):
                crew.bury(slot, child)
            if isinstance(what, wanted):
                print(type(what).__name__, getattr(what, "how", ""))
                return child
"""


def run(program: str, allow: str = "none") -> list[str]:
    """Run *program* with a crew of one slot; return the lines it prints."""
    ran = subprocess.run(
        [sys.executable, "-c", SURROUNDINGS + program, allow],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not ran.returncode, ran.stderr
    return ran.stdout.splitlines()


def test_a_worker_s_life() -> None:
    """It is tried, serves, leaves when another one does, and is gone."""
    program = """
crew.make(slot, settings, nowhere, starting=True)
first = slot.trying
news(Ready)
crew.promote(slot)
crew.make(slot, settings, nowhere)
news(Ready)
crew.promote(slot, within=60)
assert (slot.leaving, crew.until < time.monotonic() + 61) == ([first], True)
assert news(Stopped) is first
assert news(Died) is first
assert crew.workers == [slot.serving]
crew.tell(Word.STOP)
news(Died)
assert crew.workers == []
"""
    assert run(program) == ["Ready ", "Ready ", "Stopped ", "Died exit code 0", "Died exit code 0"]


def test_settings_that_cannot_be_used() -> None:
    """The worker says why, and ends."""
    program = """
crew.make(slot, settings, nowhere, starting=True)
assert news(Refused) is slot.trying
news(Died)
"""
    assert run(program, "/nonexistent") == ["Refused ", "Died exit code 78"]


def test_who_does_not_leave_is_killed() -> None:
    """When its time is over."""
    program = """
crew.make(slot, settings, nowhere)
news(Ready)
crew.promote(slot)
os.kill(slot.serving.pid, signal.SIGSTOP)
crew.make(slot, settings, nowhere)
news(Ready)
crew.promote(slot, within=0)
crew.kill_late()
news(Died)
crew.dismiss()
slot.serving.kill()
news(Died)
"""
    assert run(program) == ["Ready ", "Ready ", "Died SIGKILL", "Died SIGKILL"]


def test_it_ends_with_its_parent() -> None:
    """A parent that lets go of its children has told them to stop."""
    program = """
crew.make(slot, settings, nowhere)
news(Ready)
crew.promote(slot)
child = slot.serving
crew.close()
while (how := child.ended()) is None:
    time.sleep(0.01)
print(how)
"""
    assert run(program) == ["Ready ", "exit code 0"]


def test_who_never_gets_ready_is_killed() -> None:
    """A trial has its time, and says where it stands; one that serves has less to show that it goes on."""
    program = """
from tarpit.processes import crew as bounds
bounds.LOOK, bounds.STILL, bounds.TRIAL = 0.0, 3, 5

def looks():
    "Count the looks until somebody has hung."
    for count in range(1, 100):
        for child in crew.hung():
            print(child.ready, count)
            return child

crew.make(slot, settings, nowhere)
news(Ready)  # but nobody has taken note of it
assert looks() is slot.trying
assert list(crew.hung()) == []
news(Died)
crew.make(slot, settings, nowhere)
news(Ready).ready = True
crew.promote(slot)
os.kill(slot.serving.pid, signal.SIGSTOP)
crew.office.rest()
list(crew.hung())
looks()
list(crew.hung())
news(Died)
"""
    assert run(program) == ["Ready ", "False 5", "Died SIGKILL", "Ready ", "True 3", "Died SIGKILL"]
