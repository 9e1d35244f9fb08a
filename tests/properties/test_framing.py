"""Laws of framing: whatever is spelled, and however it is cut, backend and proxy agree on what a message is.

What a backend is sent, of a clean peer and of a slowed one, says what was spelled, with its newlines mended,
and ends once. All bodies that are made of the bytes that matter, up to a length, and longer ones by chance:
more than 10^5 in a few seconds, 10^6 in `make security`.
"""

import os
import random
from collections.abc import Callable, Iterator
from itertools import product
from typing import Final

import pytest

from tarpit.smtp.content import END
from tests.support.framing import (
    WAYS,
    assert_sound,
    assert_unmistakable,
    cleanly,
    has_bare,
    singly,
    text_of,
)

MATTER: Final = (b"\r", b"\n", b".", b"\0", b"a")
WORDS: Final = (
    *MATTER,
    b"\r\n",
    b"\r\n.",
    b"\r\n..",
    b"\n.\0",
    b"a" * 40,
    b"\xff",
    b"MAIL FROM:<a@b>\r\n",
    END,
)
SHORT: Final = 6
GENERATED: Final = "generated bodies, read back the same and ended once, whole and in pieces"
BY_CHANCE: Final = int(os.environ.get("FUZZ_BODIES", "25000"))


def all_of(size: int) -> Iterator[bytes]:
    """Return all bodies of *size* bytes."""
    return map(b"".join, product(MATTER, repeat=size))


def assert_agreed(body: bytes, *cuts: list[bytes]) -> None:
    """Whichever way *body* and its end are passed on, and in each of the pieces *cuts*, both sides agree."""
    wire = body + END
    size = (b"\r\n" + wire).index(END) + len(END) - 2
    trap = b"\n.\0" in b"\r\n" + wire[:size]
    text = text_of(wire)
    for way in WAYS:
        at_once = way([wire])[0]
        for pieces in ([wire], *cuts):
            sent, reader = way(pieces)
            assert (reader.ended, reader.rest, reader.fault is not None) == (True, wire[size:], trap), wire
            assert_sound(sent)
            assert trap or sent == at_once, wire  # cuts make no difference
        if not trap:
            assert_unmistakable(at_once)
            assert text_of(at_once) == text, wire
    if not (trap or has_bare(wire[:size])):
        assert cleanly([wire])[0] == wire[:size]  # unchanged


Record = Callable[[str, object], None]


@pytest.mark.parametrize("size", range(SHORT + 1))
def test_all_short_bodies(size: int, record_property: Record) -> None:
    """G1: nothing made of up to six of the bytes that matter misleads anybody, whole or byte by byte."""
    for body in all_of(size):
        assert_agreed(body, singly(body + END))
    record_property("G1", f"{len(MATTER) ** size} {GENERATED}")


def test_all_bodies_one_byte_longer(record_property: Record) -> None:
    """G1: nor what is made of seven, whole or cut in two, each at another place."""
    for number, body in enumerate(all_of(SHORT + 1)):
        at = number % (len(body) + len(END))
        assert_agreed(body, [(body + END)[:at], (body + END)[at:]])
    record_property("G1", f"{len(MATTER) ** (SHORT + 1)} {GENERATED}")


def test_bodies_by_chance(record_property: Record) -> None:
    """G1: nor longer ones, in any pieces."""
    chance = random.Random(6)
    for _ in range(BY_CHANCE):
        body = b"".join(chance.choices(WORDS, k=chance.randrange(4, 16)))
        cuts = sorted(chance.randrange(len(body) + 1) for _ in range(3))
        pieces = [body[i:j] for i, j in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert_agreed(body, [*pieces, END])
    record_property("G1", f"{BY_CHANCE} {GENERATED}")


def test_bodies_that_are_refused() -> None:
    """With bare newlines refused, a message goes on unchanged or is never ended."""
    for body in (body for size in range(SHORT) for body in all_of(size)):
        wire = body + END
        sent, reader = cleanly(singly(wire), refuse_bare=True)
        assert reader.ended
        assert_sound(sent)
        if reader.fault is None:
            assert sent + reader.rest == wire
            assert_unmistakable(sent)
        else:
            assert END not in b"\r\n" + sent
