"""Recipients by name: who may always be written to, who only a harvester writes to. And what a hold says.

The one idea: a false positive needs a way out. `TARPIT_EXEMPT_RCPT` (postmaster, abuse) is never held in any
treatment, and the refusal of everybody else names the reason, the list's own text and a contact.

Whether a peer is held at all is `policy`.
"""

from collections.abc import Sequence
from typing import Final

from scoring.verdict import Verdict
from tarpit.smtp.addresses import ForwardPath
from tarpit.smtp.replies import Reply

MOST_REASONS: Final = 3


class Recipients:
    """Recipients as the settings list them: `abuse` (at any domain) or `abuse@example.org`, in lower case."""

    __slots__ = ("_names",)

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def __contains__(self, path: ForwardPath) -> bool:
        """Whether *path* is one of them. A path without a domain is postmaster (RFC 5321 section 4.1.1.3)."""
        if not self._names:
            return False
        if path.mailbox is None:
            return "postmaster" in self._names
        local, domain = path.mailbox.local.lower(), path.mailbox.domain.lower()
        return local in self._names or f"{local}@{domain}" in self._names


def hold_refusal(verdict: Verdict, *, code: int, contact: str) -> Reply:
    """Return what a hostile peer hears at RCPT: the weightiest reasons, and last whom to turn to."""
    enhanced = f"{code // 100}.7.1"
    reasons = sorted((one for one in verdict.findings if one.points > 0), key=lambda one: -one.points)
    lines = [f"{enhanced} {finding.signal}: {finding.why}" for finding in reasons[:MOST_REASONS]]
    return Reply.of(code, *lines, f"{enhanced} {contact}")
