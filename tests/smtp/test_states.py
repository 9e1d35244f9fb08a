"""The order of a dialogue: the one table, and what a reply code does to it."""

import pytest

from tarpit.smtp.commands import Verb
from tarpit.smtp.states import ANYTIME, ON_ACCEPT, State, after, after_content, in_order

V, S = Verb, State

MOVES = [
    pytest.param(S.GREETED, V.HELO, 250, S.READY, id="HELO introduces"),
    pytest.param(S.GREETED, V.EHLO, 250, S.READY, id="EHLO introduces"),
    pytest.param(S.READY, V.MAIL, 250, S.MAIL, id="MAIL opens a transaction"),
    pytest.param(S.MAIL, V.RCPT, 250, S.RCPT, id="first recipient"),
    pytest.param(S.MAIL, V.RCPT, 251, S.RCPT, id="recipient to be forwarded"),
    pytest.param(S.RCPT, V.RCPT, 250, S.RCPT, id="one more recipient"),
    pytest.param(S.RCPT, V.DATA, 354, S.DATA, id="DATA opens content"),
    pytest.param(S.READY, V.STARTTLS, 220, S.OPAQUE, id="STARTTLS ends what can be heard"),
    pytest.param(S.MAIL, V.RSET, 250, S.READY, id="RSET ends the transaction"),
    pytest.param(S.RCPT, V.RSET, 250, S.READY, id="RSET forgets recipients"),
    pytest.param(S.RCPT, V.EHLO, 250, S.READY, id="EHLO resets as RSET does"),
    pytest.param(S.GREETED, V.RSET, 250, S.GREETED, id="RSET introduces nobody"),
    pytest.param(S.RCPT, V.NOOP, 250, S.RCPT, id="NOOP changes nothing"),
    pytest.param(S.MAIL, V.QUIT, 221, S.CLOSED, id="QUIT closes"),
    pytest.param(S.MAIL, V.QUIT, 500, S.MAIL, id="QUIT refused"),
    pytest.param(S.GREETED, V.EHLO, 502, S.GREETED, id="EHLO refused"),
    pytest.param(S.READY, V.MAIL, 451, S.READY, id="MAIL refused for now"),
    pytest.param(S.MAIL, V.RCPT, 550, S.MAIL, id="only recipient refused"),
    pytest.param(S.RCPT, V.RCPT, 550, S.RCPT, id="later recipient refused"),
    pytest.param(S.RCPT, V.DATA, 554, S.RCPT, id="DATA refused"),
    pytest.param(S.RCPT, V.DATA, 250, S.RCPT, id="DATA with 250 opens nothing"),
    pytest.param(S.READY, V.MAIL, 354, S.READY, id="354 to anything else opens nothing"),
    pytest.param(S.READY, V.STARTTLS, 454, S.READY, id="STARTTLS refused"),
]

ALLOWED = {
    S.GREETED: {V.HELO, V.EHLO},
    S.READY: {V.HELO, V.EHLO, V.MAIL, V.STARTTLS},
    S.MAIL: {V.HELO, V.EHLO, V.RCPT},
    S.RCPT: {V.HELO, V.EHLO, V.RCPT, V.DATA},
    S.DATA: set[Verb](),
    S.OPAQUE: set[Verb](),
    S.CLOSED: set[Verb](),
}


@pytest.mark.parametrize(("state", "verb", "code", "then"), MOVES)
def test_move(state: State, verb: Verb, code: int, then: State) -> None:
    """The reply decides, not the command."""
    assert after(state, verb, code) is then


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", Verb)
def test_421_ends_any_dialogue(state: State, verb: Verb) -> None:
    """After 421 nothing more is said, whatever it answered."""
    assert after(state, verb, 421) is S.CLOSED


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", Verb)
def test_refusal_changes_nothing(state: State, verb: Verb) -> None:
    """A refused command was not said."""
    assert after(state, verb, 450) is after(state, verb, 550) is state


@pytest.mark.parametrize("state", State)
def test_what_is_in_order(state: State) -> None:
    """In each state exactly these may come, besides those that may always come."""
    assert {verb for verb in Verb if in_order(state, verb)} == ALLOWED[state] | ANYTIME


@pytest.mark.parametrize("state", State)
def test_table_knows_every_state(state: State) -> None:
    """No state is without its row."""
    assert state in ON_ACCEPT


@pytest.mark.parametrize(
    ("code", "then"),
    [
        pytest.param(250, S.READY, id="taken"),
        pytest.param(451, S.READY, id="refused for now"),
        pytest.param(554, S.READY, id="refused"),
        pytest.param(421, S.CLOSED, id="closing"),
    ],
)
def test_after_content(code: int, then: State) -> None:
    """The transaction is over whatever is said to the content."""
    assert after_content(code) is then


@pytest.mark.parametrize("state", [State.GREETED, State.READY, State.MAIL], ids=lambda state: state.value)
def test_what_a_laxer_backend_accepted_has_happened(state: State) -> None:
    """354 is content and 220 to STARTTLS is ciphertext, in whatever state the backend said so."""
    assert after(state, Verb.DATA, 354) is State.DATA
    assert after(state, Verb.STARTTLS, 220) is State.OPAQUE
