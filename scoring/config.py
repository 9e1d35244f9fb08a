"""What is asked, what each finding weighs, and when a score means something.

The one idea: points are data. `weights` has the table; a DNSBL zone carries its own weight (`zones`).

Nothing here reads the environment or asks anybody; that is the caller and `score`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scoring.rates import Rate
from scoring.weights import DEFAULT_WEIGHTS, check_weight
from scoring.zones import Zone


@dataclass(frozen=True, slots=True)
class Config:
    """Everything scoring needs to know. `wait` is in seconds: what has not answered by then has no opinion.

    Raises ValueError when the thresholds leave a merely listed peer no room to be a suspect, or for a weight
    that nothing has.
    """

    zones: tuple[Zone, ...] = ()
    name_zones: tuple[Zone, ...] = ()  # lists of names: for HELO, reverse name, domain of the reverse-path
    weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    suspect_at: float = 3.0
    hold_at: float = 8.0
    wait: float = 3.0
    allow_names: tuple[
        str, ...
    ] = ()  # domains: nothing counts against a host confirmed, or SPF-passed, in one
    our_names: frozenset[str] = frozenset()  # our host names and addresses, lower case: a HELO with one lies
    rate_peer: Rate | None = None  # connections
    rate_network: Rate | None = None
    cache_size: int = 20_000  # verdicts remembered; as many SPF answers, and marks of each rate

    def __post_init__(self) -> None:
        if self.hold_at < self.suspect_at + 1:
            raise ValueError(
                f"the hold threshold ({self.hold_at:g}) must be at least 1 above the suspect threshold "
                f"({self.suspect_at:g})"
            )
        for key, points in self.weights.items():
            check_weight(key, points)

    def weight(self, key: str) -> float:
        """Return the points of *key*, a name in `DEFAULT_WEIGHTS`."""
        return self.weights[key] if key in self.weights else DEFAULT_WEIGHTS[key]

    def allows(self, name: str) -> bool:
        """Whether *name* is one of `allow_names`, or below one."""
        dotted = "." + name.lower().rstrip(".")
        return any(dotted.endswith("." + allowed.lower()) for allowed in self.allow_names)
