"""What supervisor and worker say to each other."""

import pytest

from tarpit.errors import Fault
from tarpit.processes import lead
from tarpit.processes.lead import Ready, Refused, Report, Stopped, Word


@pytest.mark.parametrize("word", Word)
def test_words(word: Word) -> None:
    """What is told is heard."""
    ours, theirs = lead.pair()
    lead.tell(ours, word)
    assert lead.word_in(theirs.recv(lead.LONGEST)) is word
    ours.close()
    theirs.close()


def test_reports() -> None:
    """What is reported is heard in order, each by itself; then nothing."""
    ours, theirs = lead.pair()
    reports: list[Report] = [Ready(), Refused((Fault("TARPIT_X", "is 'wrong'\n"),)), Refused(()), Stopped(3)]
    for what in reports:
        lead.report(theirs, what)
    assert [lead.hear(ours) for _ in reports] == reports
    assert lead.hear(ours) is None
    theirs.close()
    assert lead.hear(ours) is None
    ours.close()


def test_nobody_is_there() -> None:
    """The dead are told nothing, and that is no fault."""
    ours, theirs = lead.pair()
    theirs.close()
    lead.tell(ours, Word.STOP)
    lead.report(ours, Ready())
    ours.close()
    assert lead.hear(ours) is None
