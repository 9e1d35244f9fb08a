"""The order of an SMTP dialogue, as one table.

A command only proposes; its reply decides. So one table serves the side that writes replies
(`server`) and the side that overhears them (`observer`). Nothing about order stands anywhere else.
RFC 5321 section 4.1.4 (order of commands), RFC 3207 section 4.2 (STARTTLS).
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from tarpit.smtp.commands import Verb

V = Verb


class State(Enum):
    """Where a dialogue stands. The value is what events call the phase."""

    __hash__ = object.__hash__  # by identity, in C: these are keys on the path of every session

    GREETED = "greeted"  # the banner was said, no HELO or EHLO yet
    READY = "ready"  # introduced, no transaction open
    MAIL = "mail"  # a reverse-path stands
    RCPT = "rcpt"  # at least one recipient stands
    DATA = "data"  # 354 was said: what follows is content
    OPAQUE = "opaque"  # passed-through TLS: nothing more can be heard
    CLOSED = "closed"


S = State

HELLO: Final = {V.HELO: S.READY, V.EHLO: S.READY}
RESET: Final = HELLO | {V.RSET: S.READY}

# state -> command, once a 2xx or 3xx reply accepts it -> next state
ON_ACCEPT: Final[Mapping[State, Mapping[Verb, State]]] = {
    S.GREETED: HELLO,
    S.READY: RESET | {V.MAIL: S.MAIL, V.STARTTLS: S.OPAQUE},
    S.MAIL: RESET | {V.RCPT: S.RCPT},
    S.RCPT: RESET | {V.RCPT: S.RCPT, V.DATA: S.DATA},
    S.DATA: {},
    S.OPAQUE: {},
    S.CLOSED: {},
}

# what an accepted command leads to where the table has no row for it: a backend may be laxer than we are
# (Postfix takes MAIL without HELO), and what it accepted has happened
OVERHEARD: Final[Mapping[Verb, State]] = {
    V.MAIL: S.MAIL,
    V.RCPT: S.RCPT,
    V.DATA: S.DATA,
    V.STARTTLS: S.OPAQUE,
}

# commands that may come at any time and by themselves change nothing
ANYTIME: Final = frozenset({V.NOOP, V.RSET, V.QUIT, V.HELP, V.VRFY, V.EXPN})


def in_order(state: State, verb: Verb) -> bool:
    """Whether *verb* may be said in *state*."""
    return verb in ANYTIME or verb in ON_ACCEPT[state]


def _after(state: State, verb: Verb, *, intermediate: bool) -> State:
    """Return the state after *verb* was answered with a 2xx, or with a 3xx: only that opens DATA."""
    if verb is V.QUIT:
        return S.CLOSED
    if (verb is V.DATA) != intermediate:
        return state
    return ON_ACCEPT[state].get(verb) or OVERHEARD.get(verb, state)


# both tables and their exceptions in one look, at each command; the keys are the state and the command
_ON_2XX: Final = {s: {v: _after(s, v, intermediate=False) for v in Verb} for s in State}
_ON_3XX: Final = {s: {v: _after(s, v, intermediate=True) for v in Verb} for s in State}


def after(state: State, verb: Verb, code: int) -> State:
    """Return the state after *verb* was answered with *code*.

    421 ends any dialogue (RFC 5321 section 3.8); a refused command changes nothing; only a 3xx
    opens DATA.
    """
    if code >= 400:
        return S.CLOSED if code == 421 else state
    return (_ON_3XX if code >= 300 else _ON_2XX)[state][verb]


def after_content(code: int) -> State:
    """Return the state after the end of data was answered with *code*: the transaction is over either way."""
    return S.CLOSED if code == 421 else S.READY
