"""What a peer does wrong in a dialogue, as it meets the replies. What that weighs is `scoring`.

`count` moves with each, so that a reader need look only when it has. Most peers do nothing wrong, and share
`NONE`: thousands of them are held at once.
"""

from typing import Final


class Offences:
    """Those of one session."""

    __slots__ = (
        "bare_newline",
        "count",
        "denied",
        "early",
        "junk",
        "messages_refused",
        "not_smtp",
        "out_of_turn",
    )

    def __init__(self) -> None:
        self.count = 0  # of all that follow
        self.early = False  # several commands at once, and PIPELINING was not shown
        self.out_of_turn = 0  # commands answered with 503
        self.junk = 0  # commands unknown or malformed
        self.not_smtp = ""  # what it spoke instead of SMTP: "http", "tls" or "header"
        self.bare_newline = False  # in a command
        self.denied = 0  # recipients refused for good
        self.messages_refused = 0  # ends of data answered with 5xx


NONE: Final = Offences()  # never written to
