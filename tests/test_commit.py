"""One message to several groups: all but the dots first, then the dots, one after the other."""

import pytest

from tarpit.backend.routes import Group
from tarpit.commit import SPLIT, UNCERTAIN, Ending
from tarpit.smtp.server import NO_BACKEND
from tests.support.backend import Answer, Connection, Does
from tests.support.delivery import HELLO, MAIL, STORED, A, B, C, Scene, scene


async def addressed(here: Scene) -> None:
    """Open a transaction with A and C for the first backend and B for the second, and send the message."""
    await here.delivery.begin(HELLO, MAIL)
    first, second = (Group((one.name,), at) for at, one in enumerate(here.means.pool.backends))
    assert [reply.code for reply in await here.delivery.check([B], second)] == [250]
    assert [reply.code for reply in await here.delivery.check([A, C], first)] == [250, 250]
    await here.send()


async def test_each_group_gets_its_own() -> None:
    """The whole message, to its own recipients alone; the last word is the peer's."""
    async with scene({}, {"DOT": b"250 2.0.0 Ok: second\r\n"}) as here:
        await addressed(here)
        outcome = await here.delivery.commit()
        assert outcome.ending is Ending.ACCEPTED
        assert outcome.reply is not None
        assert outcome.reply.encode() == b"250 2.0.0 Ok: second\r\n"
        assert outcome.taken_by == tuple(one.name for one in here.means.pool.backends)
        assert here.stored == [STORED, STORED]
        for one in here.backends:
            await one.wait_closed(2)
        said = [one.connections[-1].commands for one in here.backends]
        assert [words[2:-1] for words in said] == [[A.line, C.line, b"DATA"], [B.line, b"DATA"]]


async def test_no_dot_before_all_have_the_message() -> None:
    """The first server's dot comes when the second one has everything but its own."""
    order: list[str] = []

    def says(what: str, reply: bytes) -> Answer:
        def answer(_: Connection) -> bytes:
            order.append(what)
            return reply

        return answer

    data, dot = b"354 go on\r\n", b"250 ok\r\n"
    first = {"DATA": says("data 1", data), "DOT": says("dot 1", dot)}
    second = {"DATA": says("data 2", data), "DOT": says("dot 2", dot)}
    async with scene(first, second) as here:
        await addressed(here)
        await here.delivery.commit()
        assert order == ["data 1", "data 2", "dot 1", "dot 2"]


@pytest.mark.parametrize("refusing", [0, 1])
@pytest.mark.parametrize("code", [b"452", b"550"])
async def test_refused_before_the_first_dot(refusing: int, code: bytes) -> None:
    """Nobody has it, whatever the others would have said: for now, and one group at a time for an hour."""
    answers: list[dict[str, Answer]] = [{}, {}]
    answers[refusing] = {"DATA": code + b" no\r\n"}
    async with scene(*answers) as here:
        await addressed(here)
        outcome = await here.delivery.commit()
        assert (outcome.ending, outcome.reply, outcome.taken_by) == (Ending.SPLIT, SPLIT, ())
        assert here.stored == []
        await here.delivery.begin(HELLO, MAIL)
        assert here.delivery.split_before


@pytest.mark.parametrize("verb", ["BANNER", "MAIL", "RCPT"])
async def test_one_group_that_cannot_be_reached_in_the_end(verb: str) -> None:
    """It is tried twice; then nobody has the message."""
    async with scene({}, {}) as here:
        await addressed(here)
        here.backends[1].answers[verb] = Does.CLOSE
        outcome = await here.delivery.commit()
        assert (outcome.ending, outcome.reply) == (Ending.UNAVAILABLE, NO_BACKEND)
        assert here.stored == []
        assert len(here.backends[1].connections) == 3
        assert len(here.backends[0].connections) == 2  # it is not tried again because another has failed


async def test_the_first_refuses_its_dot() -> None:
    """Then nobody has the message, and the peer hears why."""
    async with scene({"DOT": b"554 5.7.1 spam\r\n"}, {}) as here:
        await addressed(here)
        outcome = await here.delivery.commit()
        assert (outcome.ending, outcome.taken_by) == (Ending.REFUSED, ())
        assert [len(one.connections[-1].contents) for one in here.backends] == [1, 0]


async def test_the_second_refuses_its_dot() -> None:
    """The first one has the message: that is said, and for an hour not done again."""
    async with scene({}, {"DOT": b"554 5.7.1 spam\r\n"}) as here:
        await addressed(here)
        outcome = await here.delivery.commit()
        assert outcome.ending is Ending.REFUSED
        assert outcome.taken_by == (here.means.pool.backends[0].name,)
        assert outcome.backend == here.means.pool.backends[1].name
        await here.delivery.begin(HELLO, MAIL)
        assert here.delivery.split_before


async def test_a_lost_answer_to_the_first_dot() -> None:
    """Whether that one has the message nobody knows; the second one has not."""
    async with scene({"DOT": Does.CLOSE}, {}) as here:
        await addressed(here)
        outcome = await here.delivery.commit()
        assert (outcome.ending, outcome.reply) == (Ending.UNCERTAIN, UNCERTAIN)
        assert here.backends[1].connections[-1].contents == []


async def test_one_that_speaks_before_its_dot() -> None:
    """It is going: it is tried once more, and then nobody has the message."""
    async with scene({}, {}) as here:
        await addressed(here)
        here.backends[0].answers["DATA"] = b"354 go on\r\n421 4.3.2 going down\r\n"
        outcome = await here.delivery.commit()
        assert outcome.ending is Ending.UNAVAILABLE
        assert here.stored == []


async def test_a_peer_that_leaves() -> None:
    """Before the first dot nothing is committed anywhere."""
    async with scene({}, {}) as here:
        await addressed(here)

        def leave(_: Connection) -> bytes:
            here.left = True
            return b"354 go on\r\n"

        here.backends[1].answers["DATA"] = leave
        outcome = await here.delivery.commit()
        assert (outcome.ending, outcome.reply) == (Ending.LEFT, None)
        assert here.stored == []


async def test_one_that_goes_while_another_is_filled() -> None:
    """All are looked at once more before the first dot: nobody has the message, and that is certain."""

    def last_words(connection: Connection) -> bytes:
        here.backends[0].cut_after = len(connection.received) + len(STORED) - 4
        return b"354 go on\r\n"

    async with scene({"DATA": last_words}, {}) as here:
        await addressed(here)
        outcome = await here.delivery.commit()
        assert (outcome.ending, outcome.reply, outcome.taken_by) == (Ending.UNAVAILABLE, NO_BACKEND, ())
        assert here.stored == []
        assert [len(one.connections) for one in here.backends] == [2, 2]  # the second one has been filled
        assert here.backends[1].connections[1].commands[-1] == b"DATA"
