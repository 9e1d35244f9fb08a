"""Scoring: how likely is it that a mail peer is a spammer? A library of its own.

    verdict = await scoring.score(Peer("192.0.2.1"), Config(zones=parse_zones("zen.example*3")))

Read `verdict`, then `weights`, `config`, `score`, and one file of `signals`; `resolve` is DNS underneath,
`watch` keeps broken zones out, `networks` are an operator's own lists. docs/scoring.md has the table.
It never reads the environment, never slows or refuses anybody, and knows nothing of SMTP servers.
"""

from scoring.conduct import NO_CONDUCT, Conduct
from scoring.config import Config
from scoring.networks import Networks, NetworksError
from scoring.rates import Rate
from scoring.resolve import Answer, Lookup, Resolver, Status
from scoring.score import Peer, Scorer, score
from scoring.verdict import UNKNOWN_HOST, Basis, Finding, HostName, HostState, Opinion, Result, Verdict
from scoring.watch import Watch, ZoneChange
from scoring.weights import DEFAULT_WEIGHTS, parse_weights
from scoring.zones import Identity, Zone, masked, parse_masks, parse_zone, parse_zones

__all__ = [
    "DEFAULT_WEIGHTS",
    "NO_CONDUCT",
    "UNKNOWN_HOST",
    "Answer",
    "Basis",
    "Conduct",
    "Config",
    "Finding",
    "HostName",
    "HostState",
    "Identity",
    "Lookup",
    "Networks",
    "NetworksError",
    "Opinion",
    "Peer",
    "Rate",
    "Resolver",
    "Result",
    "Scorer",
    "Status",
    "Verdict",
    "Watch",
    "Zone",
    "ZoneChange",
    "masked",
    "parse_masks",
    "parse_weights",
    "parse_zone",
    "parse_zones",
    "score",
]
