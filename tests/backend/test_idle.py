"""Who is silent for too long hears of it, the longest first, and no more of them than are wanted."""

import trio
from trio.testing import MockClock

from tarpit.backend.idle import LONGEST, REMEMBERED, SOON, Idlers, Sitter
from tests.support.sitters import noting

A, B = b"a", b"b"


class Scene:
    """Sessions that wait, and those told to end."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.idlers = Idlers()
        self.ended: list[str] = []
        self._nursery = nursery

    async def wait(self, name: str, network: bytes = A) -> Sitter:
        """Let a session begin to wait for its peer."""
        sitter = Sitter(self.idlers, network)
        await self._nursery.start(self._wait, name, sitter)
        return sitter

    async def _wait(
        self, name: str, sitter: Sitter, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        with sitter.waiting(noting(self.ended, lambda: name)):
            task_status.started()
            await trio.sleep_forever()


async def test_the_longest_silent_first(autojump_clock: MockClock) -> None:
    """Not before their time, and one for each that is wanted."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery)
        for name in ("one", "two", "three"):
            await scene.wait(name)
            await trio.sleep(1)
        scene.idlers.end(9)
        assert scene.ended == []
        await trio.sleep(LONGEST - 3)
        scene.idlers.end(9)
        assert scene.ended == ["one"]
        await trio.sleep(LONGEST)
        scene.idlers.end(2)
        assert scene.ended == ["one", "two"]
        nursery.cancel_scope.cancel()


async def test_who_is_on_his_way_out_counts(autojump_clock: MockClock) -> None:
    """Until its slot is back nobody else is ended for the same one who waits."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery)
        first = await scene.wait("one")
        await scene.wait("two")
        await trio.sleep(LONGEST)
        for _ in range(3):
            scene.idlers.end(1)
        assert scene.ended == ["one"]
        first.gone()
        scene.idlers.end(1)
        assert scene.ended == ["one", "two"]
        nursery.cancel_scope.cancel()


async def test_who_speaks_in_the_last_moment(autojump_clock: MockClock) -> None:
    """A session that goes on all the same is not counted as one that ends."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery)
        sitter = await scene.wait("one")
        await trio.sleep(LONGEST)
        scene.idlers.end(1)
        with sitter.waiting(noting(scene.ended, lambda: "again")):
            await trio.sleep(LONGEST)
            scene.idlers.end(1)
        assert scene.ended == ["one", "again"]
        nursery.cancel_scope.cancel()


async def test_who_is_being_woken_is_not_ended(autojump_clock: MockClock) -> None:
    """What its peer has just said comes first: it holds no other's place among those on their way out."""
    idlers, ended = Idlers(), list[str]()
    woken, silent = Sitter(idlers, A), Sitter(idlers, B)
    woken.rests(lambda: False, trio.current_time())
    silent.rests(noting(ended, lambda: "silent"), trio.current_time())
    await trio.sleep(LONGEST)
    idlers.end(1)
    assert not idlers.ending
    woken.stirs()  # it has heard a command
    idlers.end(1)
    assert ended == ["silent"]
    assert idlers.ending == {silent}
    assert not idlers.silent(A)


async def test_who_was_woken_by_a_piece_is_met_again(autojump_clock: MockClock) -> None:
    """A byte in the moment of the end that is no whole command saves nobody for the rest of it."""
    idlers, waits = Idlers(), [False, True]
    sitter = Sitter(idlers, A)
    sitter.rests(lambda: waits.pop(0), trio.current_time())
    await trio.sleep(LONGEST)
    idlers.end(1)
    assert (sitter in idlers.resting, idlers.silent(A)) == (True, True)
    idlers.end(1)
    assert idlers.ending == {sitter}


async def test_by_a_time_that_is_known(autojump_clock: MockClock) -> None:
    """Whoever knows the time says it, and it is as if it had been asked for."""
    idlers, ended, now = Idlers(), list[str](), trio.current_time()
    sitter = Sitter(idlers, A)
    sitter.rests(noting(ended, lambda: "one"), now)
    assert idlers.next_end() == now + LONGEST
    sitter.stirs()
    assert idlers.next_end() == float("inf")
    sitter.rests(noting(ended, lambda: "two"), now)
    await trio.sleep(LONGEST)
    idlers.end(1)
    assert ended == ["two"]
    sitter.stirs()
    sitter.gone()
    assert not idlers.ending


async def test_when_the_next_is_due(autojump_clock: MockClock) -> None:
    """Known to the second, and never while nobody waits."""
    scene_began = trio.current_time()
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery)
        assert scene.idlers.next_end() == float("inf")
        await scene.wait("one")
        assert scene.idlers.next_end() == scene_began + LONGEST
        nursery.cancel_scope.cancel()
    assert scene.idlers.next_end() == float("inf")


async def test_whose_sessions_are_silent(autojump_clock: MockClock) -> None:
    """A network whose sessions merely are between two commands is not."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery)
        await scene.wait("one")
        assert not scene.idlers.silent(A)
        await trio.sleep(SOON)
        assert scene.idlers.silent(A)
        assert not scene.idlers.silent(B)
        nursery.cancel_scope.cancel()


async def test_who_had_to_be_ended_is_remembered(autojump_clock: MockClock) -> None:
    """A network that comes again is taken for silent for a minute; nobody is remembered for longer."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery)
        for network in (A, B, b"c"):
            await scene.wait("one", network)
            await trio.sleep(LONGEST)
            scene.idlers.end(9)
        assert [scene.idlers.silent(network) for network in (A, B, b"c", b"d")] == [True, True, True, False]
        await trio.sleep(REMEMBERED - LONGEST)
        assert [scene.idlers.silent(network) for network in (A, B, b"c")] == [False, False, True]
        await scene.wait("again", b"c")
        await trio.sleep(LONGEST)
        scene.idlers.end(9)
        assert list(scene.idlers._ended) == [b"c"]
        nursery.cancel_scope.cancel()
