"""What outlives a session: verdicts with their age, and what became of mail, by address and by domain.

The one idea: trust is made of *occasions*. Whatever a backend accepts from a peer within twelve hours is one
occasion, a thousand messages as well as one; who has had `ENOUGH` of them, and nearly no mail refused, is
known as good. So nobody buys trust in one night: it takes three occasions and a day, whatever is sent. All
counts fade with a half-life of a month: a weekly newsletter is known from its third issue on, a monthly one
never, and who falls silent is a stranger again after one to five months.

What it takes, and why it is mild: a good history makes nobody clean. It halves a suspect's delays (`policy`),
exempts from the caps of a network and opens the last places of a full server (`caps`).

Fed by what the backend said in the end, and by what no honest client does (`Deed`). A domain is noted only
where SPF passed for it, for anybody may write a name.

Async, because a fleet's store is a network away; it costs 250 ms at most and then remembers nothing. Only
`knows` is asked at accept, of memory alone. Not here: the stores themselves (`store.memory`).
"""

from enum import Enum
from typing import Final, NamedTuple, Protocol

from scoring.verdict import Address, Verdict

DAY: Final = 86400.0  # seconds
HALF_LIFE: Final = 30 * DAY
OCCASION: Final = DAY / 2
ENOUGH: Final = 2.5  # occasions: three, each faded a little (weekly: 1 + 0.85 + 0.72 = 2.57)
FAULTS: Final = 0.1  # of the messages accepted, at most such a share may have been refused


class Deed(Enum):
    """What a peer did."""

    __hash__ = object.__hash__  # by identity, in C: these are keys on the path of every session

    ACCEPTED = "accepted"  # a backend said 2xx to the end of data
    REFUSED = "refused"  # a backend said 5xx to it: this happens to the best, now and then
    PREGREET = "pregreet"
    OUT_OF_TURN = "out-of-turn"
    HARVEST = "harvest"
    TRAP = "trap"

    @property
    def weight(self) -> float:
        """What it weighs; what no honest client does is outweighed by a hundred good messages."""
        return {Deed.ACCEPTED: 0.0, Deed.REFUSED: 1.0}.get(self, 10.0)


class History(NamedTuple):
    """What became of one peer's, or one domain's, mail: counts that have faded until *at* (seconds).

    A tuple, for each session makes four: a frozen dataclass is made in three times the time.
    """

    good: float = 0.0  # messages accepted
    bad: float = 0.0  # what its deeds weigh
    offences: float = 0.0  # of these, what no honest client does
    occasions: float = 0.0
    last: float = float("-inf")  # when the last occasion began
    at: float = 0.0

    @property
    def blameless(self) -> bool:
        """Whether next to nothing speaks against it."""
        return self.bad <= FAULTS * self.good

    @property
    def known_good(self) -> bool:
        """Whether a backend took its mail on several occasions, and refused hardly any."""
        return self.occasions >= ENOUGH and self.blameless

    def faded(self, now: float) -> "History":
        """Return the history as it is at *now*."""
        left = 0.5 ** ((now - self.at) / HALF_LIFE)
        return History(
            self.good * left, self.bad * left, self.offences * left, self.occasions * left, self.last, now
        )

    def after(self, deed: Deed, now: float) -> "History":
        """Return the history with *deed* done at *now*."""
        left = 0.5 ** ((now - self.at) / HALF_LIFE)
        good, bad = self.good * left, self.bad * left
        offences, occasions, last = self.offences * left, self.occasions * left, self.last
        if deed is not Deed.ACCEPTED:
            bad, offences = bad + deed.weight, offences + (deed is not Deed.REFUSED)
        else:
            good += 1
            if now - last >= OCCASION:
                occasions, last = occasions + 1, now
        return History(good, bad, offences, occasions, last, now)


NO_HISTORY: Final = History()


class Remembered(NamedTuple):
    """What is known of a peer, and of the domain it says its mail is from; made by `of`.

    A tuple as a `History` is: two are made in each session.
    """

    verdict: Verdict | None
    age: float  # of the verdict, seconds
    peer: History
    domain: History
    known_good: bool  # whether the peer is, or its domain is and nothing speaks against the peer itself
    good_before: int  # how many messages speak for a peer that is known as good, or 0
    bad_before: int  # how many offences are remembered of the peer

    @classmethod
    def of(
        cls,
        verdict: Verdict | None = None,
        age: float = 0.0,
        peer: History = NO_HISTORY,
        domain: History = NO_HISTORY,
    ) -> "Remembered":
        """Return what these come to."""
        known_good = (peer.occasions >= ENOUGH or domain.known_good) and peer.blameless
        good_before = max(round(peer.good), round(domain.good), 1) if known_good else 0
        return cls(verdict, age, peer, domain, known_good, good_before, round(peer.offences))


NOTHING: Final = Remembered.of()


class Store(Protocol):
    """A memory of peers. No method raises for what the store does: a dead one remembers nothing."""

    async def recall(self, address: Address, domain: str | None = None) -> Remembered:
        """Return what is known of *address*, and of *domain* where SPF passed for it."""

    def recall_now(self, address: Address, domain: str | None = None) -> Remembered | None:
        """Return what `recall` would, or None where that has to be waited for. Never waits."""

    def recall_domain_now(self, domain: str) -> History | None:
        """Return the history of *domain*, or None where that has to be waited for. Never waits."""

    async def remember(self, address: Address, verdict: Verdict) -> None:
        """Keep a verdict for its lifetime."""

    async def note(self, deed: Deed, address: Address, domain: str | None = None) -> None:
        """Add to the history of *address*, and of *domain* where SPF passed for it."""

    def forget_verdicts(self) -> None:
        """Forget all verdicts: what they rest on is no longer believed. Never waits."""

    def knows(self, address: Address) -> bool:
        """Whether *address* is known as good, as far as memory here tells. Never waits."""
