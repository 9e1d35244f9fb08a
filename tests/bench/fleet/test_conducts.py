"""Each conduct by what it says: recognisable on the wire, and by what a mail server makes of it."""

import pytest
import trio
from trio.testing import MockClock

from bench.clients import Client, Kind, Limit
from bench.fleet.caller import Caller, Closed
from bench.fleet.conducts import CONDUCTS, Letter, Result
from bench.fleet.mailserver import BANNER, Conversation, Processes
from bench.fleet.memory import pair
from bench.fleet.records import Ended

LETTER = Letter("pc1", "a@bank.example", ("user1@example.net", "user2@example.net"), 300)


class Overheard(Conversation):
    """The mail server, with all that it was told."""

    said: list[bytes]

    async def line(self) -> bytes:
        line = await super().line()
        self.said.append(line)
        return line


async def converse(name: str) -> tuple[Result | None, list[bytes], Processes]:
    """Let the conduct *name* loose on a mail server: how it ended, and what was said."""
    near, far = pair()
    processes = Processes(10)
    server, result = Overheard(near, processes), None
    server.said = []
    caller = Caller(far, Client("it", Limit(60, Kind.WHOLE)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        try:
            with caller.patience:
                result = await CONDUCTS[name].deliver(caller, LETTER)
        except Closed:
            pass
        await caller.hang_up()
    return result, server.said, processes


@pytest.mark.parametrize("name", ["mail", "no-quit", "pregreet", "early-pipeline", "http"])
async def test_spam_arrives_where_nothing_is_in_its_way(name: str, autojump_clock: MockClock) -> None:
    """Whatever the conduct, a plain mail server takes the message."""
    result, said, processes = await converse(name)
    assert result == Result(Ended.DELIVERED, 250, 1)
    assert processes.messages == 1
    assert LETTER.rcpts[1].strip() in said
    assert (said[0] == b"POST / HTTP/1.1") is (name == "http")


async def test_pregreet_speaks_first() -> None:
    """Before the banner has begun."""
    near, far = pair()
    caller = Caller(far, Client("it", Limit(60, Kind.WHOLE)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(CONDUCTS["pregreet"].deliver, caller, LETTER)
        assert await near.receive_some() == LETTER.hello
        nursery.cancel_scope.cancel()


async def test_early_pipeline_waits_for_the_banner_and_for_nothing_else() -> None:
    """All up to DATA is there before a reply is."""
    near, far = pair()
    caller = Caller(far, Client("it", Limit(60, Kind.WHOLE)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(CONDUCTS["early-pipeline"].deliver, caller, LETTER)
        await trio.testing.wait_all_tasks_blocked()
        assert not near.inbox
        near.put(BANNER)
        said = await near.receive_some()
        assert said.startswith(LETTER.hello)
        assert said.endswith(b"DATA\r\n")
        nursery.cancel_scope.cancel()


async def test_a_harvester_asks_for_many_and_has_no_message(autojump_clock: MockClock) -> None:
    """Until it is thrown out for its errors."""
    result, said, processes = await converse("harvest")
    assert result is None
    assert sum(line.startswith(b"RCPT") for line in said) > 20
    assert processes.messages == 0


async def test_a_slowloris_holds_a_process_with_a_few_bytes(autojump_clock: MockClock) -> None:
    """For as long as a command may take."""
    _, said, processes = await converse("slowloris")
    assert said == []
    assert processes.seconds == pytest.approx(300)


async def test_who_is_deaf_stays_as_well(autojump_clock: MockClock) -> None:
    """Everything is said at once, and nothing follows."""
    result, said, processes = await converse("deaf")
    assert result == Result(Ended.DONE)
    assert said[-1] == b"DATA"
    assert processes.seconds == pytest.approx(300, abs=1)
