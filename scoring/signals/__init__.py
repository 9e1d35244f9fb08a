"""The signals, one file each. `SIGNALS` lists them in the order in which a session meets them.

A signal is a plain function from what it needs to a `Finding`. It never raises for what a peer, a zone or
a domain does, and it returns by the deadline it is given.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Signal:
    """What a signal is called in a finding, which weights it uses and what it looks at."""

    name: str
    weights: tuple[str, ...]
    about: str


SIGNALS: Final[tuple[Signal, ...]] = (
    Signal(
        "dnsbl", (), "is the address listed? One finding a zone, `dnsbl:ZONE`, with the zone's own weight"
    ),
    Signal("rdns", ("no-rdns",), "has the address a name that leads back to it?"),
    Signal("pregreet", ("pregreet",), "did the peer speak before the banner?"),
    Signal(
        "spf",
        tuple(
            f"spf-{word}"
            for word in ("pass", "fail", "softfail", "neutral", "none", "temperror", "permerror")
        ),
        "may this address send for the domain of the reverse-path (RFC 7208)?",
    ),
)
