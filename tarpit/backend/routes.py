"""Which group of backends a recipient's mail goes to (TARPIT_ROUTES). Pure: names, no connections.

    user@example.org     an address, before all
    example.org          its domain
    *.example.org        a domain below, the longest first; example.org itself is not below
    *                    all others; without it they go to TARPIT_BACKENDS

Case does not count, in the local part neither: `Info@` is the same department as `info@`. Nor does it matter
how a domain is written (A-labels or U-labels) or a local part quoted. `<postmaster>` without a domain is ours
(RFC 5321 section 4.5.1): it goes to the backends for all others, and is never refused.

Rejected: routes in the order in which they are written. Whoever adds one below `*` would wonder for long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tarpit.destinations import Route, fold, fold_domain
from tarpit.smtp.addresses import ForwardPath


@dataclass(frozen=True, slots=True)
class Group:
    """Backends by name, any of which may have a recipient's mail. *number* is its place among all groups."""

    names: tuple[str, ...]
    number: int = 0

    def __str__(self) -> str:
        return ",".join(self.names)

    def shared_with(self, other: "Group") -> "Group":
        """Return those backends that may have the mail of either."""
        return Group(tuple(name for name in self.names if name in other.names), self.number)


class Routes:
    """All routes of a server: for every recipient a group, or none where it is refused."""

    __slots__ = ("_others", "_table", "default", "groups", "refusing", "several")

    def __init__(self, routes: Sequence[Route], backends: Sequence[str]) -> None:
        """*backends* are the names of those that TARPIT_BACKENDS has."""
        found: dict[frozenset[str], Group] = {}

        def group(names: Sequence[str]) -> Group:
            return found.setdefault(frozenset(names), Group(tuple(names), len(found)))

        self._table: Mapping[str, Group | None] = {
            route.pattern: group([backend.name for backend in route.backends]) if route.backends else None
            for route in routes
        }
        rest = self._table.get("*") or group(backends)
        self.default = rest
        self._others = self._table.get("*", rest)
        self.groups = tuple(found.values())
        self.several = len(found) > 1  # whether it takes a recipient to know where a message goes
        self.refusing = self._others is None or None in self._table.values()  # whether some recipients are

    def leading_to(self, name: str) -> Sequence[str]:
        """Return whose mail the backend *name* gets: patterns as above, or `<postmaster>`."""
        postmaster = self.default if self._others is None else None
        table = {**self._table, "*": self._others, "<postmaster>": postmaster}
        return [pattern for pattern, group in table.items() if group is not None and name in group.names]

    def find(self, path: ForwardPath) -> Group | None:
        """Return where mail for *path* goes; None: it is refused."""
        if path.mailbox is None:
            return self.default
        domain = fold_domain(path.mailbox.domain)
        for pattern in (fold(path.mailbox), domain, *_above(domain)):
            if pattern in self._table:
                return self._table[pattern]
        return self._others


def _above(domain: str) -> Sequence[str]:
    """Return the patterns of all that *domain* is below, the longest first; an address is below nothing."""
    if domain.startswith("["):
        return ()
    labels = domain.split(".")
    return ["*." + ".".join(labels[start:]) for start in range(1, len(labels))]
