"""Scoring: how likely is it that a mail peer is a spammer? A library of its own.

    verdict = await scoring.score(Peer("192.0.2.1"), Config(zones=parse_zones("zen.example*3")))

Read `verdict`, then `config`, `score`, and one file of `signals`; `resolve` is DNS underneath.
It never reads the environment, never slows or refuses anybody, and knows nothing of SMTP servers.
"""

from scoring.config import DEFAULT_WEIGHTS, Config, Zone, parse_weights, parse_zone, parse_zones
from scoring.resolve import Answer, Lookup, Resolver, Status
from scoring.score import Peer, Scorer, score
from scoring.verdict import UNKNOWN_HOST, Conduct, Finding, HostName, HostState, Opinion, Result, Verdict

__all__ = [
    "DEFAULT_WEIGHTS",
    "UNKNOWN_HOST",
    "Answer",
    "Conduct",
    "Config",
    "Finding",
    "HostName",
    "HostState",
    "Lookup",
    "Opinion",
    "Peer",
    "Resolver",
    "Result",
    "Scorer",
    "Status",
    "Verdict",
    "Zone",
    "parse_weights",
    "parse_zone",
    "parse_zones",
    "score",
]
