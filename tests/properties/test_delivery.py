"""Laws of the hand-over: whatever a backend or a peer does, and wherever, nothing is lost or made twice.

G3: acknowledged minus stored is nothing. G4: our dot is sent once at most, so a message is stored once at
most; where it may be stored and was not acknowledged, the outcome says so. No 5xx is invented.
"""

import itertools
import random

import pytest
import trio

from tarpit.commit import Ending, Outcome
from tests.support.backend import Answer, Connection, Does
from tests.support.delivery import OFFERS, A, C, Scene, scene

STEPS = ("BANNER", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "QUIT")
GOOD: dict[str, bytes] = {
    "BANNER": b"220 b\r\n",
    "EHLO": OFFERS,
    "MAIL": b"250 2.1.0 Ok\r\n",
    "RCPT": b"250 2.1.5 Ok\r\n",
    "DATA": b"354 Go\r\n",
    "DOT": b"250 2.0.0 Ok\r\n",
    "QUIT": b"221 Bye\r\n",
}
FAULTS: tuple[bytes | Does, ...] = (
    Does.CLOSE,
    Does.RESET,
    Does.SILENT,
    b"421 4.3.2 going\r\n",
    b"451 4.3.0 later\r\n",
    b"554 5.7.1 never\r\n",
    b"garbage\r\n",
    b"250 ok\r\n250 more\r\n",
)


class Fate:
    """What happens at one step of a backend's connections, and when the peer leaves."""

    def __init__(self, here: Scene, fault: bytes | Does, at: str, *, only: int | None, leaves_at: str | None):
        self._here = here
        self._fault = fault
        self._at = at
        self._only = only  # the number of the connection; None: all
        self._leaves_at = leaves_at
        self.taken = 0  # messages that a backend has said 250 to, or may have

    def answer(self, step: str, connection: Connection) -> bytes | Does:
        """Answer a step."""
        backend = self._here.backends[0]
        number = backend.connections.index(connection)
        if step == self._leaves_at and number > 0:
            self._here.left = True
        said = self._fault if step == self._at and self._only in {None, number} else GOOD[step]
        if step == "DOT":
            self.taken += not (isinstance(said, bytes) and said[:1] in b"45")
        return said

    def rule(self) -> None:
        """Answer from now on."""

        def answering(step: str) -> Answer:
            return lambda connection: self.answer(step, connection)

        self._here.backends[0].answers |= {step: answering(step) for step in STEPS}


def assert_lawful(outcome: Outcome, taken: int, said: bytes | Does | None) -> None:
    """Hold one outcome against what the backend did."""
    code = outcome.reply.code if outcome.reply else 0
    assert taken <= 1, "made twice"
    assert taken == 1 or code // 100 != 2, "acknowledged and not stored"
    assert taken == 0 or outcome.ending in {Ending.ACCEPTED, Ending.UNCERTAIN}, "stored, and nobody told"
    assert code // 100 != 5 or (isinstance(said, bytes) and said.startswith(b"5")), "a 5xx of our own"
    assert (outcome.reply is None) == (outcome.ending is Ending.LEFT)


async def deliver(here: Scene, identity: str) -> Outcome | None:
    """Deliver one message; None when no recipient stood."""
    codes = await here.open(A, C)
    assert set(codes) <= {250, 421, 451, 554}
    if not here.delivery.standing:
        return None
    await here.send(f"Message-ID: <{identity}>\r\n\r\nx\r\n".encode())
    return await here.delivery.commit()


@pytest.mark.parametrize("leaves_at", [None, "BANNER", "MAIL", "DATA", "DOT"])
@pytest.mark.parametrize("at", STEPS)
async def test_every_fault_at_every_step(
    at: str, leaves_at: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    """Once, on the check, on the commit or its second try, or always; while the peer stays or leaves."""
    for fault, only in itertools.product(FAULTS, (None, 0, 1, 2)):
        async with scene() as here:
            fate = Fate(here, fault, at, only=only, leaves_at=leaves_at)
            fate.rule()
            outcome = await deliver(here, "one")
            if outcome is not None:
                assert_lawful(outcome, fate.taken, fault)
                texts = here.stored
                assert len(texts) <= 1
                assert outcome.ending is not Ending.ACCEPTED or len(texts) == 1


async def test_cut_at_any_byte() -> None:
    """Backends that are reset after any number of bytes, under messages of which each has its identity."""
    chance = random.Random(5)
    acknowledged, uncertain = set[str](), set[str]()
    async with scene({}, {}) as here:
        for number in range(300):
            for backend in here.backends:
                backend.cut_after = chance.choice([None, chance.randrange(1, 400)])
            identity = f"{number}@peer.example"
            outcome = await deliver(here, identity)
            if outcome is not None and outcome.ending is Ending.ACCEPTED:
                acknowledged.add(identity)
            elif outcome is not None and outcome.ending is Ending.UNCERTAIN:
                uncertain.add(identity)
            elif outcome is not None:
                assert outcome.reply is not None
                assert outcome.reply.code == 451
        stored = [text.split(b"<")[1].split(b">")[0].decode() for text in here.stored]
    assert len(stored) == len(set(stored))
    assert acknowledged <= set(stored) <= acknowledged | uncertain
    assert len(acknowledged) > 50
    assert uncertain
