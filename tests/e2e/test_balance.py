"""Mail over several backends; `python -m bench.backends` is the same, ten times over."""

import signal
import time

import pytest
import trio

from bench import backends, real
from bench.backends import CAP
from bench.senders import Senders
from bench.sinks import sinks
from bench.spread import off_by, tarpit

pytestmark = pytest.mark.e2e


async def test_shares() -> None:
    """In turn by weight, exactly; to the least busy, about so, and no backend has more than its share."""
    in_turn, least = await backends.shares(500)
    assert in_turn.senders.delivered == 500
    assert off_by(in_turn.had) <= 0.05
    assert least.senders.delivered == 100
    assert off_by(least.had) <= 0.5  # a second of samples; the benchmark has 0.15 over a minute


async def test_one_is_stopped_and_comes_back() -> None:
    """Nobody hears of it: whoever would have come to it comes to another."""
    (found,) = await backends.stopped(8, signal.SIGTERM)
    assert found.senders.delivered > 100
    assert (found.senders.cut, found.senders.refused.total()) == (0, 0)


async def test_one_is_killed() -> None:
    """Sessions that were on it are cut, one each; nobody is refused, all is delivered in the end."""
    (found,) = await backends.stopped(8, signal.SIGKILL)
    assert found.senders.refused.total() == 0
    assert found.senders.cut <= 20


async def test_a_crowd() -> None:
    """More clean senders than connections, and bots: all deliver, and the cap is never passed."""
    (found,) = await backends.crowd(60, 300, ours_only=True)
    assert found.senders.delivered == 60
    assert found.most == CAP


async def test_silent_strangers() -> None:
    """They hold all connections for 10 s, and a quarter from then on: nobody waits for longer than 15 s."""
    (found,) = await backends.silent(12, ours_only=True)
    assert found.most == CAP
    assert max(found.senders.waits) <= 15
    assert found.senders.wait(1) < 5


async def test_real_servers() -> None:
    """Postfix twice, Exim and OpenSMTPD each store what their weights say, and nothing is lost."""
    (found,) = await real.in_turn(40)
    assert found.senders.delivered == 40
    assert found.had == [4, 8, 12, 16]


async def test_a_real_one_is_killed() -> None:
    """Exim is killed and comes back: nobody is refused or cut, nothing is lost, and it gets mail again."""
    (found,) = await real.killed(6)
    assert "0 lost" in found.what
    assert found.senders.delivered > 40
    assert (found.senders.cut, found.senders.refused.total()) == (0, 0)
    assert found.had[2] > 0


async def test_all_down() -> None:
    """Peers hear 421 at once while no backend is there, and get through two seconds after one is."""
    with sinks(1, seconds=0.0) as (sink,), tarpit([f"127.0.0.1:{sink.port}"]) as port:
        await trio.to_thread.run_sync(sink.stop, signal.SIGKILL)
        senders = Senders(port)
        for _ in range(4):
            await senders.deliver("127.0.7.1")
        began = time.monotonic()
        await senders.deliver("127.0.7.1")
        assert time.monotonic() - began < 1
        assert senders.refused == {421: 5}
        await trio.to_thread.run_sync(sink.start_again)
        began = time.monotonic()
        while not await senders.deliver("127.0.7.1"):
            pass
        assert time.monotonic() - began < 5
