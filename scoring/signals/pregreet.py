"""Pregreet: the peer spoke before the banner.

RFC 5321, section 4.3.1 has the client wait for the greeting. Bots that fire their lines into any open port
do not. Whether bytes came is seen by the server and handed in as `Conduct`.
"""

from scoring.config import Config
from scoring.verdict import Conduct, Finding, Result


def find_pregreet(conduct: Conduct, config: Config) -> tuple[Finding, ...]:
    """Return one finding if the peer spoke before the banner, else none."""
    if not conduct.pregreet:
        return ()
    points = config.weight("pregreet")
    return (Finding("pregreet", Result.FAIL, points, "spoke before the banner", conduct=True),)
