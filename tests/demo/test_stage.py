"""The demo's stage: its settings, its logger, the peers' coming, its end."""

import signal
import socket

import pytest
import structlog
import trio
import trio.testing

from tarpit.demo import stage
from tarpit.demo.peers import CAST, Ended, Kind, Peer, looks_and_leaves
from tarpit.demo.zone import DNSBL
from tarpit.errors import SettingsError
from tarpit.settings import Mode, Settings


def settings(environ: dict[str, str]) -> Settings:
    """Return the demo's settings around three sockets."""
    with (
        socket.create_server(("127.0.0.1", 0)) as door,
        socket.create_server(("127.0.0.1", 0)) as backend,
        socket.create_server(("127.0.0.1", 0)) as names,
    ):
        return stage.settings_for(environ, door=door, backend=backend, names=names)


def test_settings_are_the_demos() -> None:
    """Whatever the environment says of the real thing, the demo stays on loopback, with its own backend."""
    made = settings({"TARPIT_LISTEN": "0.0.0.0:25", "TARPIT_BACKENDS": "192.0.2.1:25", "PATH": "/bin"})
    assert made.listen[0][0] == "127.0.0.1"
    assert [backend.host for backend in made.backends] == ["127.0.0.1"]
    assert made.allow == ()
    assert not made.warnings()
    assert not made.pending()


def test_mode_and_paces_are_the_users() -> None:
    """TARPIT_MODE and TARPIT_PACE_* are taken from the environment."""
    made = settings({"TARPIT_MODE": "observe", "TARPIT_PACE_BYTE": "2s"})
    assert (made.mode, made.pace_byte) == (Mode.OBSERVE, 2.0)


def test_wrong_pace_is_a_fault() -> None:
    """A mistyped pace is not passed over."""
    with pytest.raises(SettingsError, match="TARPIT_PACE_BYTE"):
        settings({"TARPIT_PACE_BYT": "1s"})


def test_only_sessions_and_warnings_are_told() -> None:
    """What is no session's end and no warning is dropped."""
    told: list[str] = []
    ledger = stage.Ledger(told.append)
    with pytest.raises(structlog.DropEvent):
        ledger.log(None, "info", {"event": "worker.started"})
    with pytest.raises(structlog.DropEvent):
        ledger.log(None, "warning", {"event": "backend.lost", "reason": "refused"})
    assert told == ["  warning: event=backend.lost reason=refused"]


def test_every_peer_has_its_names() -> None:
    """The name server lists exactly the listed peers, and confirms the others' names."""
    names = stage.demo_names(CAST)
    listed = sum(DNSBL in str(name) for name, _ in names.records)
    assert listed == 2 * (1 + sum(peer.listed for peer in CAST))


async def test_ends_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    """With a number of seconds, nobody needs to interrupt."""
    await stage.wait_interrupted(20.0)
    assert trio.current_time() == pytest.approx(20.0)


async def test_ends_when_interrupted() -> None:
    """Ctrl-C is a request, not an exception."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.wait_interrupted, None)
        await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)


async def test_waves(autojump_clock: trio.testing.MockClock) -> None:
    """Peers come 0.3 s apart, and all of them again 15 s after the last."""
    came: list[tuple[str, float]] = []

    async def come(peer: Peer) -> None:
        came.append((peer.name, round(trio.current_time(), 1)))

    cast = [Peer(name, Kind.BAD, "127.0.0.50", looks_and_leaves) for name in ("one", "two")]
    with trio.move_on_after(17):
        await stage.send_waves(cast, come)
    assert came == [("one", 0.0), ("two", 0.3), ("one", 15.6), ("two", 15.9)]


async def test_visits_are_noted() -> None:
    """A visit that came to an end is in the ledger; here nobody is at home."""
    ledger = stage.Ledger(print)
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    address = listener.socket.getsockname()
    await listener.aclose()
    await ledger.watch(address, CAST[0])
    assert [outcome.ended for outcome in ledger.outcomes] == [Ended.CUT_OFF]
