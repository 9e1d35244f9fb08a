"""Errors, junk and recipients: how many a peer may have, and what it hears beyond."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tarpit.smtp.commands import parse
from tarpit.smtp.dialogue import Dialogue
from tarpit.smtp.limits import STRAINED, TOO_MANY, TOO_MANY_RECIPIENTS, USUAL, Limits, Tally
from tarpit.smtp.lines import LineFault
from tarpit.smtp.observer import Observer
from tarpit.smtp.replies import Reply
from tarpit.smtp.server import Server
from tarpit.smtp.states import State

Exchange = tuple[bytes, int]

HELLO: Exchange = (b"EHLO client.example", 250)
MAIL: Exchange = (b"MAIL FROM:<a@x.example>", 250)
RCPT: Exchange = (b"RCPT TO:<b@y.example>", 250)
NOBODY: Exchange = (b"RCPT TO:<c@y.example>", 550)
LATER: Exchange = (b"RCPT TO:<d@y.example>", 450)
WRONG: Exchange = (b"HLEO", 500)


def after(*exchanges: Exchange, limits: Limits = USUAL) -> Dialogue:
    """Return a dialogue in which each line was answered with its code, whoever answered."""
    dialogue = Dialogue(lambda: limits)
    for line, code in exchanges:
        dialogue.settle(parse(line), code)
    return dialogue


def excess(dialogue: Dialogue, line: bytes) -> Reply | None:
    """Return what our own half and the observer both say to one too many; they never differ."""
    heard = parse(line)
    ours = dialogue.excess(heard)
    if ours is not None:
        assert Server(hostname="mx.example").judge(dialogue, heard) == ours
        assert Observer(dialogue).refusal(heard) == ours
    return ours


def served(dialogue: Dialogue, exchanges: Iterable[Exchange]) -> int:
    """Play *exchanges* until one is refused by a limit; return how many were served before."""
    count = 0
    for line, code in exchanges:
        if excess(dialogue, line):
            break
        dialogue.settle(parse(line), code)
        count += 1
    return count


@pytest.mark.parametrize(
    ("exchange", "limits", "least"),
    [
        pytest.param((b"NOOP", 250), USUAL, 100, id="NOOP"),
        pytest.param((b"RSET", 250), USUAL, 100, id="RSET"),
        pytest.param((b"VRFY root", 252), USUAL, 100, id="VRFY"),
        pytest.param((b"HELP", 214), USUAL, 100, id="HELP"),
        pytest.param(HELLO, USUAL, 100, id="EHLO, after the first"),
        pytest.param((b"STARTTLS", 502), USUAL, 20, id="STARTTLS where there is none"),
        pytest.param((b"EXPN all", 502), USUAL, 20, id="EXPN"),
        pytest.param(WRONG, USUAL, 20, id="what is no command"),
        pytest.param((b"MAIL FROM:<>", 553), USUAL, 20, id="a reverse-path refused"),
        pytest.param((b"RCPT TO:<>", 501), USUAL, 20, id="a malformed RCPT"),
        pytest.param((b"MAIL FROM:<>", 451), USUAL, 1000, id="a reverse-path put off"),
        pytest.param((b"NOOP", 250), STRAINED, 1, id="NOOP under stress"),
        pytest.param(WRONG, STRAINED, 1, id="what is no command, under stress"),
    ],
)
def test_a_thousand_of_the_same(exchange: Exchange, limits: Limits, least: int) -> None:
    """So many are answered, the next hears 421 4.7.0 and the session is over (CMD-24, CMD-25)."""
    dialogue = after(HELLO, limits=limits)
    assert served(dialogue, [exchange] * 2000) == least
    assert excess(dialogue, exchange[0]) == TOO_MANY
    assert TOO_MANY.enhanced == "4.7.0"
    assert excess(dialogue, b"QUIT") is None
    dialogue.settle(parse(exchange[0]), 421)
    assert dialogue.closed


def test_line_faults_are_errors() -> None:
    """Lines that are none count as well (CMD-25)."""
    dialogue = after(HELLO)
    for _ in range(20):
        assert dialogue.excess(LineFault.TOO_LONG) is None
        dialogue.settle(LineFault.TOO_LONG, 500)
    assert dialogue.excess(LineFault.TOO_LONG) == TOO_MANY
    dialogue.settle(LineFault.TOO_LONG, 421)
    assert dialogue.closed


def test_junk_does_not_stand_in_the_way_of_mail() -> None:
    """At the limit of junk only more junk is refused; a message is served, and pays for all."""
    dialogue = after(HELLO, *[(b"NOOP", 250)] * 100)
    assert excess(dialogue, b"NOOP") == TOO_MANY
    assert served(dialogue, [MAIL, RCPT, (b"DATA", 354)]) == 3
    dialogue.settle_content(250)
    assert excess(dialogue, b"NOOP") is None
    assert dialogue.tally.errors == dialogue.tally.junk == 0


def test_a_reset_between_messages() -> None:
    """A sender with a thousand messages may reset between them, under stress too."""
    dialogue = after(HELLO, limits=STRAINED)
    for _ in range(1000):
        assert served(dialogue, [(b"RSET", 250), MAIL, RCPT, (b"DATA", 354)]) == 4
        dialogue.settle_content(250)


@pytest.mark.parametrize(("code", "served_before"), [(550, 20), (451, 1000)])
def test_messages_that_are_not_accepted(code: int, served_before: int) -> None:
    """Who is refused at the end of data again and again is let go; who is put off, much later."""
    dialogue = after(HELLO)
    count = 0
    while served(dialogue, [MAIL, RCPT, (b"DATA", 354)]) == 3:
        dialogue.settle_content(code)
        count += 1
    assert count == served_before


def test_at_least_a_hundred_recipients() -> None:
    """No limits can be written that refuse the hundredth recipient (RFC 5321 section 4.5.3.1.8)."""
    with pytest.raises(AssertionError):
        Limits(recipients=99)
    assert min(USUAL.recipients, STRAINED.recipients) >= 100


@pytest.mark.parametrize("what", ["errors", "junk", "refused"])
def test_no_limit_is_reached_by_nothing(what: str) -> None:
    """Nor can any be written that who has done nothing is beyond."""
    with pytest.raises(AssertionError):
        Limits(**{what: 0})


@pytest.mark.parametrize("limits", [USUAL, STRAINED])
def test_the_recipient_after_the_last(limits: Limits) -> None:
    """The 1,001st hears 452 4.5.3, another 999 too; those before stand and are served (CMD-26)."""
    dialogue = after(HELLO, MAIL, limits=limits)
    assert dialogue.room == 1000
    assert served(dialogue, [RCPT] * 2000) == 1000
    assert dialogue.room == 0
    for _ in range(999):
        assert excess(dialogue, RCPT[0]) == TOO_MANY_RECIPIENTS
        dialogue.settle(parse(RCPT[0]), TOO_MANY_RECIPIENTS.code)
    assert TOO_MANY_RECIPIENTS.enhanced == "4.5.3"
    assert (dialogue.state, dialogue.standing) == (State.RCPT, 1000)
    assert served(dialogue, [(b"DATA", 354)]) == 1
    dialogue.settle_content(250)
    assert served(dialogue, [MAIL, RCPT]) == 2


def test_a_sender_that_does_not_stop_at_452() -> None:
    """After as many again as a transaction may have, it hears 421."""
    dialogue = after(HELLO, MAIL, *[RCPT] * 1000, *[(RCPT[0], 452)] * 1000)
    assert excess(dialogue, RCPT[0]) == TOO_MANY


def test_the_limit_is_of_one_transaction() -> None:
    """The next message has its own thousand."""
    dialogue = after(HELLO, MAIL, *[RCPT] * 1000, (b"RSET", 250), MAIL)
    assert dialogue.room == 1000
    assert excess(dialogue, RCPT[0]) is None


@pytest.mark.parametrize(("limits", "guesses"), [(USUAL, 100), (STRAINED, 10)])
def test_a_harvester(limits: Limits, guesses: int) -> None:
    """5,000 recipients that are all refused end after a hundred, under stress after ten (CMD-27)."""
    assert served(after(HELLO, MAIL, limits=limits), [NOBODY] * 5000) == guesses


def test_a_list_with_dead_addresses() -> None:
    """A message to 900 subscribers of whom 400 are gone is delivered to the others, under stress too."""
    recipients = [RCPT, NOBODY] * 400 + [RCPT] * 100
    dialogue = after(HELLO, limits=STRAINED)
    assert served(dialogue, [MAIL, *recipients, (b"DATA", 354)]) == 902
    assert dialogue.standing == 500


def test_a_greylist_is_no_reason_to_hang_up() -> None:
    """999 recipients put off, and still the peer may say what it likes."""
    dialogue = after(HELLO, MAIL, *[LATER] * 999, limits=STRAINED)
    assert excess(dialogue, b"RSET") is None


def test_load_does_not_cut_a_message_short() -> None:
    """Strained limits do not hold while a recipient stands: what was accepted is worth finishing."""
    limits = USUAL
    dialogue = Dialogue(lambda: limits)
    for line, code in (HELLO, WRONG, WRONG, MAIL, RCPT):
        dialogue.settle(parse(line), code)
    limits = STRAINED
    assert excess(dialogue, b"DATA") is None
    dialogue.settle(parse(b"RSET"), 250)
    assert excess(dialogue, b"MAIL FROM:<>") == TOO_MANY


LINES = st.sampled_from([b"NOOP", b"HELO a.example", b"MAIL FROM:<>", b"RCPT TO:<b@y.example>", b"?"])


@given(st.lists(st.tuples(LINES, st.sampled_from([250, 354, 450, 452, 500, 550])), max_size=300))
@settings(max_examples=50, deadline=None)
def test_no_account_is_overdrawn(exchanges: list[Exchange]) -> None:
    """Whatever is said and answered: nothing is counted beyond its limit, but refusals of a minority."""
    tally, limits = Tally(), Limits(errors=3, junk=3, refused=3, recipients=100)
    for line, code in exchanges:
        heard = parse(line)
        if tally.judge(heard, limits, standing=0) is not None:
            break
        tally.count(heard, code)
        assert max(tally.errors, tally.junk) <= 3
        assert tally.spotless is not any((tally.errors, tally.junk, tally.refused, tally.deferred))
        assert tally.refused <= max(3, tally.accepted + 1)
