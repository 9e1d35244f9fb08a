"""One message to several groups: all but the dots first, then the dots, one after the other."""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from random import Random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tarpit.backend.health import STRANGER
from tarpit.backend.order import after
from tarpit.backend.routes import Group
from tarpit.backend.server import Backend
from tarpit.backend.slots import Purpose
from tarpit.commit import SPLIT, UNCERTAIN, Ending, Part, plan
from tarpit.deliver import Delivery
from tarpit.destinations import BackendAddress
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


# -- one connection a backend, and several messages


def among(here: Scene, number: int, *which: int) -> Group:
    """Return a group of the scene's backends."""
    return Group(tuple(here.means.pool.backends[at].name for at in which), number)


async def written(here: Scene, *groups: Group, prompt: bool = False) -> Delivery:
    """Return a peer whose message has a recipient in each of *groups*, and only its dot to come."""
    delivery = here.another()
    delivery.prompt = prompt
    await delivery.begin(HELLO, MAIL)
    for recipient, group in zip((A, B, C), groups, strict=False):
        assert [reply.code for reply in await delivery.check([recipient], group)] == [250]
    await here.send(over=delivery)
    return delivery


async def all_end(*deliveries: Delivery) -> Sequence[Ending]:
    """Commit all messages at once, and return what became of each."""
    endings: dict[int, Ending] = {}

    async def commit(at: int, delivery: Delivery) -> None:
        endings[at] = (await delivery.commit()).ending

    async with trio.open_nursery() as nursery:
        for at, delivery in enumerate(deliveries):
            nursery.start_soon(commit, at, delivery)
    return [endings[at] for at in range(len(deliveries))]


@pytest.mark.parametrize("prompt", [False, True])
async def test_two_messages_never_wait_for_each_other(autojump_clock: MockClock, prompt: bool) -> None:
    """Whatever the order of the recipients, connections are had in one order: both are delivered."""
    async with scene({}, {}, most=1, queue=10.0) as here:
        first, second = among(here, 0, 0), among(here, 1, 1)
        one = await written(here, first, second, prompt=prompt)
        other = await written(here, second, first, prompt=prompt)
        assert await all_end(one, other) == [Ending.ACCEPTED] * 2
        assert here.stored == [STORED] * 4


async def test_nor_where_groups_share_backends(autojump_clock: MockClock) -> None:
    """What is for all and for one must not keep a connection that another such message waits for."""
    async with scene({}, {}, most=1, queue=10.0) as here:
        either, first, second = among(here, 0, 0, 1), among(here, 1, 0), among(here, 2, 1)
        deliveries = [await written(here, either, first), await written(here, either, second)]
        assert await all_end(*deliveries) == [Ending.ACCEPTED] * 2
        for one in here.backends:
            await one.wait_closed(len(one.connections))
        assert sorted(here.backends[0].connections[-1].commands[2:-1]) == [b"DATA", A.line, B.line]


@pytest.mark.parametrize("number", [0, 2])
async def test_a_message_never_waits_for_itself(autojump_clock: MockClock, number: int) -> None:
    """Recipients of two groups that one backend has, the only one that is up."""
    async with scene({}, {}, most=1, queue=10.0) as here:
        first, either = among(here, 1, 0), among(here, number, 0, 1)
        delivery = await written(here, either, first)
        here.means.pool.backends[1].marks.bad("gone")
        began = trio.current_time()
        assert await all_end(delivery) == [Ending.ACCEPTED]
        assert trio.current_time() - began < 1


async def test_a_wait_that_has_become_unsafe_is_not_begun(autojump_clock: MockClock) -> None:
    """The later one of a group goes down, the earlier one is in use: 451 at once."""
    async with scene({}, {}, {}, most=1, queue=10.0) as here:
        pool = here.means.pool
        delivery = await written(here, among(here, 0, 0, 2), among(here, 1, 1))

        def meanwhile(_: Connection) -> bytes:
            pool.backends[2].marks.bad("gone")
            return b"354 go on\r\n"

        here.backends[1].answers["DATA"] = meanwhile
        borrowed = partial(pool.borrow, STRANGER, ours=("192.0.2.2", 25), purpose=Purpose.JOIN)
        with closing(await borrowed(group=among(here, 0, 0))):
            began = trio.current_time()
            assert await all_end(delivery) == [Ending.UNAVAILABLE]
            assert trio.current_time() - began < 1
        assert here.stored == []


@pytest.mark.parametrize(
    ("groups", "down", "planned"),
    [
        (["a", "b"], "", ["a", "b"]),
        (["b", "a"], "", ["a", "b"]),
        (["ac", "b"], "", ["b", "ac"]),
        (["ab", "a"], "", ["a"]),
        (["ab", "b", "a"], "", ["a", "b"]),
        (["ab", "bc", "ca"], "", ["b", "ca"]),
        (["ab", "bc"], "b", ["ab", "bc"]),
        (["a", "b"], "b", ["b", "a"]),
    ],
)
def test_plan(groups: Sequence[str], down: str, planned: Sequence[str]) -> None:
    """Parts that share a backend are one; that whose last backend comes first is first."""
    got = plan(*parted(groups, down))
    assert ["".join(part.group.names) for part in got if part.group] == planned
    assert sorted(one.line for part in got for one in part.standing) == [A.line] * len(groups)


def parted(
    groups: Sequence[str], down: str = ""
) -> tuple[Sequence[Part], Callable[[Group | None], frozenset[int]]]:
    """Return what `plan` wants, of groups of backends with one letter each."""

    def up(group: Group | None) -> frozenset[int]:
        assert group is not None
        return frozenset("abcd".index(name) for name in group.names if name not in down)

    return [Part(Group((*names,), at), [A]) for at, names in enumerate(groups)], up


NAMES = st.sets(st.sampled_from("abcd"), min_size=1).map(lambda names: "".join(sorted(names)))


@given(
    st.lists(st.lists(NAMES, min_size=1, max_size=4, unique=True), min_size=1, max_size=6),
    st.text("abcd", max_size=2),
    st.randoms(use_true_random=False),
)
def test_no_circle(messages: list[list[str]], down: str, chance: Random) -> None:
    """One connection a backend, any messages and any turns, whatever goes down: somebody can always go on."""
    backends = {name: Backend(BackendAddress(name, 25)) for name in "abcd"}
    left = [[part.group for part in plan(*parted(groups)) if part.group] for groups in messages]
    held: list[list[Backend]] = [[] for _ in left]
    falls = [*down]
    going = list(range(len(left)))
    while going:
        if falls and chance.random() < 0.2:
            backends[falls.pop()].drained = True
        used = [one for those in held for one in those]
        for at in chance.sample(going, len(going)):
            members = [backends[name] for name in left[at][0].names] if left[at] else []
            wanted = [one.slots for one in members]
            may = after([*backends.values()], held[at], wanted) if held[at] else wanted
            free = [one for one in members if one.takes_mail() and one not in used]
            if free:
                held[at].append(chance.choice(free))
                del left[at][0]
                break
            if not left[at] or not any(one.takes_mail for one in may):  # delivered; or 451 at once
                assert down or not left[at], "as long as all stay up, what is planned can be waited for"
                held[at] = []
                going.remove(at)
                break
        else:
            pytest.fail("all wait for each other")
