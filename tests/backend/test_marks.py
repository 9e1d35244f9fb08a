"""Up and down are counted: one failure is a doubt, several in a row are a fact."""

import pytest
import trio
from trio.testing import MockClock

from tarpit.backend.marks import Marks


class Told:
    """What was said of changes."""

    def __init__(self, *, rise: int = 2, fall: int = 3) -> None:
        self.heard: list[bool | None] = []
        self.marks = Marks(rise=rise, fall=fall, changed=self._changed)

    def _changed(self) -> None:
        self.heard.append(self.marks.up)

    def see(self, marks: str) -> None:
        """Take note of `+` and `-`, in order."""
        for mark in marks:
            self.marks.good() if mark == "+" else self.marks.bad("refused")


@pytest.mark.parametrize(
    ("seen", "heard", "doubtful"),
    [
        ("", [], True),
        ("+", [True], False),
        ("-", [False], True),
        ("+--", [True], True),
        ("+--+--", [True], True),
        ("+--+", [True], False),
        ("+---", [True, False], True),
        ("+----", [True, False], True),
        ("-+", [False], True),
        ("-++", [False, True], False),
        ("-+-+", [False], True),
        ("+---++---", [True, False, True, False], True),
    ],
)
async def test_rise_and_fall(seen: str, heard: list[bool], *, doubtful: bool) -> None:
    """Two successes in a row bring it up, three failures down; the first look of all decides alone."""
    told = Told()
    told.see(seen)
    assert told.heard == heard
    assert told.marks.doubtful is doubtful


async def test_the_reason_is_kept_as_long_as_it_holds() -> None:
    """Of one that is down or in doubt the last failure is known; of one that is well, none."""
    told = Told()
    told.see("+-")
    assert told.marks.reason == "refused"
    told.see("+")
    assert told.marks.reason == ""
    told.see("---+")
    assert told.marks.reason == "refused"
    told.see("+")
    assert told.marks.reason == ""


async def test_since_and_back(autojump_clock: MockClock) -> None:
    """When it changed last is known, and whether it has come back or was never away."""
    marks, began = Marks(), trio.current_time()
    marks.good()
    assert not marks.back
    await trio.sleep(5)
    marks.bad("gone")
    assert (marks.back, marks.since) == (False, began + 5)
    marks.good()
    assert marks.back
