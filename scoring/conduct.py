"""What a peer has done itself, as the server that talks to it saw it: a plain value, handed in.

The one idea: scoring counts nothing. Whoever holds the connection counts, and hands in the whole value anew
whenever it has changed; what each fact weighs is `signals.conduct`.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Conduct:
    """The facts of one session so far. Counts are of this session, seconds since the connection."""

    pregreet: bool = False  # it spoke before the banner
    pregreet_after: float = 0.0  # seconds of silence before it did
    pregreet_hello: bool = False  # and what it said was one EHLO or HELO: E-MailRelay does so after 20 s
    early_pipelining: bool = False  # several commands at once where PIPELINING was not offered
    out_of_turn: int = 0  # commands answered 503
    junk: int = 0  # commands that are not known, or malformed
    not_smtp: str = ""  # "http", "tls" or "header": what it spoke instead
    bare_newline: bool = False  # in a command
    recipients: int = 0  # asked for, accepted or not
    recipients_refused: int = 0  # by a backend, for good (5xx)
    traps: int = 0  # recipients that nobody honest knows (the caller's list)
    messages: int = 0  # accepted by a backend
    messages_refused: int = 0  # by a backend at the end of data, for good (5xx)
    left: str = ""  # the phase in which it hung up without QUIT, as the caller calls it
    left_after: float = 0.0
    good_before: int = 0  # messages a backend took from it in earlier sessions
    bad_before: int = 0  # earlier sessions whose conduct was an offence


NO_CONDUCT: Final = Conduct()
