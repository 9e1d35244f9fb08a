"""What all sides of `bench.faults` have written down, compared.

Peers know what they were told, the backend has its ledger (`bench.storing`), the proxy has written events. An
attempt is ambiguous when the backend had the whole message and its peer heard no answer of the backend's.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Attempt:
    """One attempt to deliver one message, as its peer saw it."""

    name: str
    leaves: str = ""  # at which step; "": it stays
    acknowledged: bool = False
    codes: list[int] = field(default_factory=list)
    hash: str = ""


@dataclass(slots=True)
class Books:
    """What all sides have written down."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    undelivered: int = 0
    masters: Counter[str] = field(default_factory=Counter)  # what was done to the whole backend
    ledger: list[list[str]] = field(default_factory=list)
    events: list[dict[str, object]] = field(default_factory=list)
    seconds: float = 0.0

    def noted(self, kind: str) -> Counter[str]:
        """Return how often the ledger says *kind* of each attempt."""
        return Counter(words[1] for words in self.ledger if words[0] == kind)

    def faults(self) -> Counter[str]:
        """Return how often connections suffered each act."""
        return Counter(words[1] for words in self.ledger if words[0] == "fault")

    @property
    def kills(self) -> int:
        """Processes that were killed, at a step or a byte of theirs, or all at once."""
        faults = self.faults()
        return faults["kill"] + faults["half"] + faults["coma"] + self.masters["kill"]

    def acknowledged(self) -> set[str]:
        """Return the attempts whose peer heard 250."""
        return {one.name for one in self.attempts.values() if one.acknowledged}

    def ambiguous(self) -> set[str]:
        """Return the attempts that the backend had whole, and of which the peer heard no answer of its."""
        answered = self.acknowledged() | set(self.noted("refused"))
        return (set(self.noted("dot")) | set(self.noted("stored"))) - answered

    def told_ambiguous(self) -> set[str]:
        """Return the attempts of which the proxy has said so."""
        sessions = {e["id"] for e in self.events if e["event"] == "message.ambiguous"}
        closed = (e for e in self.events if e["event"] == "session.closed")
        return {str(e["helo"]).removesuffix(".test") for e in closed if e["id"] in sessions}

    def altered(self) -> set[str]:
        """Return the attempts whose message was not stored as it was sent."""
        kept = ((words[1], words[2]) for words in self.ledger if words[0] == "stored")
        return {name for name, hash_ in kept if self.attempts[name].hash != hash_}

    def wrong(self) -> Iterator[tuple[str, int]]:
        """Yield each promise with the number of times that it was broken."""
        stored, ambiguous = self.noted("stored"), self.ambiguous()
        codes = [code for one in self.attempts.values() for code in one.codes]
        yield "acknowledged minus stored", len(self.acknowledged() - set(stored))
        yield "stored more than once an attempt", sum(count > 1 for count in stored.values())
        yield "stored with another content", len(self.altered())
        yield "ambiguous without an event", len(ambiguous - self.told_ambiguous())
        yield "5xx invented", sum(code >= 500 for code in codes)
        yield "bugs that ended a session", sum(e["event"] == "session.failed" for e in self.events)
        yield "never delivered", self.undelivered


def table(books: Books) -> Iterator[tuple[str, str]]:
    """Yield the lines of the report."""
    messages = {name.partition("-")[0] for name in books.attempts}
    closed = [event for event in books.events if event["event"] == "session.closed"]
    treatments = Counter(str(event["treatment"]) for event in closed)
    yield "messages / attempts", f"{len(messages)} / {len(books.attempts)}"
    yield "sessions", ", ".join(f"{count} {what}" for what, count in treatments.items())
    yield "peers that left", str(sum(one.leaves != "" for one in books.attempts.values()))
    yield "faults of a connection", ", ".join(f"{n} {act}" for act, n in sorted(books.faults().items()))
    yield "faults of the whole backend", ", ".join(f"{n} {act}" for act, n in books.masters.items())
    yield "kills", str(books.kills)
    yield "acknowledged / stored", f"{len(books.acknowledged())} / {len(books.noted('stored'))}"
    yield "ambiguous / with an event", f"{len(books.ambiguous())} / {len(books.told_ambiguous())}"
    yield from ((name, str(count)) for name, count in books.wrong())
    yield "seconds", f"{books.seconds:.0f}"
