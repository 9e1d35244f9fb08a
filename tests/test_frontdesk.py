"""What a suspect hears where its recipients have different routes; the rest is in test_suspect."""

import pytest
import trio
from trio.testing import MockClock

from tests.support.sessions import hub_session
from tests.support.wires import PEER
from tests.test_hub import (
    DEFERRED,
    EACH,
    HELLO,
    MAIL,
    MESSAGE,
    OK,
    REFUSED,
    TAKEN,
    THREE,
    TO_A,
    TO_A2,
    TO_B,
    TO_C,
    bye,
    commands,
    contents,
    greeted,
    sent,
)


async def test_one_group_at_a_time(autojump_clock: MockClock) -> None:
    """Each recipient is asked about where it goes; those of a second group are deferred, slowly."""
    async with hub_session(THREE, *EACH, listed=True) as (far, (a, b, c), around):
        began = trio.current_time()
        await greeted(far, MAIL)
        heard = [await far.ask(line) for line in (TO_A, TO_B, TO_C, TO_A2)]
        assert heard == [OK, DEFERRED, REFUSED, OK]
        assert trio.current_time() - began > 30
        assert await sent(far) == TAKEN
        await bye(far)
    assert commands(a)[-1] == [HELLO, MAIL, TO_A, TO_A2, b"DATA", b"QUIT"]
    assert (contents(a), contents(b), contents(c)) == ([MESSAGE], [], [])
    assert around.closed()["treatment"] == "slow"


async def test_the_first_that_is_taken_names_the_group(autojump_clock: MockClock) -> None:
    """Of many at hand each group is asked once; where the first takes none, the second is it."""
    refusal = b"550 5.1.1 nobody\r\n"
    async with hub_session(THREE, {"RCPT": refusal}, {}, {}, listed=True) as (far, (a, b, _), _around):
        await greeted(far, MAIL)
        await far.say(b"\r\n".join((TO_A, TO_B, TO_A2, TO_B, b"")))
        expected = refusal + OK + refusal + OK
        heard = b""
        while len(heard) < len(expected):
            heard += await far.receive()
        assert heard == expected
        await bye(far)
    assert commands(a) == [[HELLO, MAIL, TO_A, TO_A2, b"QUIT"]]
    assert commands(b) == [[HELLO, MAIL, TO_B, TO_B, b"QUIT"]]


async def test_the_next_transaction_may_be_for_another(autojump_clock: MockClock) -> None:
    """What was asked about before is forgotten with its MAIL."""
    async with hub_session(THREE, *EACH, listed=True) as (far, (a, b, _), _around):
        await greeted(far, MAIL)
        for line in (TO_A, b"RSET", MAIL, TO_B):
            assert (await far.ask(line)).startswith(b"250 ")
        assert await sent(far) == TAKEN
        await bye(far)
    assert (contents(a), contents(b)) == ([], [MESSAGE])


async def test_fanout(autojump_clock: MockClock) -> None:
    """A suspect's message goes to all groups, too, with the header field for the filters behind."""
    async with hub_session(THREE, *EACH, listed=True, ROUTES_MIXED="fanout", HEADER="X-Tarpit") as (
        far,
        (a, b, _),
        _around,
    ):
        await greeted(far, MAIL)
        assert [await far.ask(line) for line in (TO_A, TO_B, TO_A2)] == [OK, OK, OK]
        assert await sent(far) == TAKEN
        await bye(far)
    assert commands(a)[-1] == [HELLO, MAIL, TO_A, TO_A2, b"DATA", b"QUIT"]
    assert commands(b)[-1] == [HELLO, MAIL, TO_B, b"DATA", b"QUIT"]
    for (text,) in (contents(a), contents(b)):
        assert text.startswith(b"X-Tarpit: score=3")
        assert text.endswith(MESSAGE)


@pytest.mark.parametrize(
    ("recipient", "reply"), [(b"abuse@c.example", b"550 5.7.1 "), (b"abuse@a.example", b"250 ")]
)
async def test_exempt_from_holding_not_from_routes(
    autojump_clock: MockClock, recipient: bytes, reply: bytes
) -> None:
    """TARPIT_EXEMPT_RCPT is about us; at a domain that is refused they are nobody of ours."""
    async with hub_session(THREE, *EACH, DENY=PEER[0]) as (far, _, _around):
        await greeted(far, MAIL)
        assert (await far.ask(b"RCPT TO:<" + recipient + b">")).startswith(reply)
        assert not (await far.ask(TO_A)).startswith(b"250")
