"""What supervisor and worker say to each other, over a pair of sockets that each worker is born with.

    supervisor  go       accept connections: you are wanted
                spare    a successor is being tried: leave it one connection of each backend
                whole    it was not to be: all is yours again
                reload   read lists and certificates again
                leave    another one accepts in your place: let clean peers go on for TARPIT_DRAIN, end
                stop     accept no more, finish within TARPIT_DRAIN, end
                end      end now
    worker      ready    everything is in place
                refused  the settings cannot be used: the faults
                stopped  the sessions that were cut at the end

The end of the connection says that the other one is no more, however it died: a worker without a supervisor
stops by itself. Messages are JSON arrays, never split or joined (SOCK_SEQPACKET).

Rejected: signals. They are lost when two of a kind come at once, carry nothing, and go to a process id.
"""

import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, cast

import orjson
import trio

from tarpit.errors import Fault
from tarpit.observe.outlet import catch_up
from tarpit.processes.sheet import Sheet

LONGEST: Final = 1 << 17  # bytes of a message
BEAT: Final = 1.0  # seconds


class Word(Enum):
    """What a worker is told."""

    GO = "go"
    SPARE = "spare"
    WHOLE = "whole"
    RELOAD = "reload"
    LEAVE = "leave"
    STOP = "stop"
    END = "end"


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything is in place."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The settings cannot be used."""

    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker has stopped in order, with so many sessions cut."""

    cut: int


Report = Ready | Refused | Stopped


def pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a lead."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def tell(lead: socket.socket, word: Word) -> None:
    """Tell a worker *word*; one that is dead, or does not listen, is not told."""
    with contextlib.suppress(OSError):
        lead.send(word.value.encode(), socket.MSG_DONTWAIT)


def word_in(data: bytes) -> Word:
    """Return what a worker was told."""
    return Word(data.decode())


async def read(lead: trio.socket.SocketType) -> bytes:
    """Return the next message, as a worker or the office; b"" when there is nobody at the other end.

    One that died before it had read all of ours makes that an error (ECONNRESET), and is as dead.
    """
    try:
        return await lead.recv(LONGEST)
    except OSError:
        return b""


async def beat(sheet: Sheet) -> None:
    """Show the supervisor that we do not stand still, and write lines that are behind; until cancelled."""
    while True:
        sheet.beat()
        catch_up()
        await trio.sleep(BEAT)


def report(lead: socket.socket, what: Report) -> None:
    """Tell the supervisor; one that is no more is not told."""
    with contextlib.suppress(OSError):
        lead.send(orjson.dumps(_written(what)), socket.MSG_DONTWAIT)


def hear(lead: socket.socket) -> Report | None:
    """Return what a worker reports; None when there is nothing more to come. Never waits."""
    try:
        data = lead.recv(LONGEST, socket.MSG_DONTWAIT)
    except OSError:
        return None
    return _read(orjson.loads(data)) if data else None


def _written(what: Report) -> Sequence[object]:
    match what:
        case Ready():
            return ["ready"]
        case Refused(faults=faults):
            return ["refused", [[fault.name, fault.message] for fault in faults]]
        case Stopped(cut=cut):
            return ["stopped", cut]


def _read(message: object) -> Report:
    match message:
        case ["ready"]:
            return Ready()
        case ["refused", [*faults]]:
            return Refused(tuple(Fault(*map(str, cast("list[str]", fault))) for fault in faults))
        case ["stopped", int(cut)]:
            return Stopped(cut)
    raise AssertionError(f"no worker says {message!r}")
