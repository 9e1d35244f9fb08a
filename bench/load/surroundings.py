"""For who has no proxy at hand: our own, the simulator's mail server behind it, and the population's DNS.

Mail server and DNS are one process. The mail server is the one that the simulator has
(`bench.fleet.mailserver`), each of its connections in memory joined to a socket.
"""

import multiprocessing
import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Final

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import trio

from bench import surroundings
from bench.fleet.mailserver import Conversation, Processes
from bench.fleet.memory import End, pair
from bench.fleet.names import Names
from bench.fleet.ours import SURROUNDINGS
from bench.fleet.population import Preset, populate
from bench.load.schedule import Loopback
from bench.peers.processor import cpu_seconds
from scoring.resolve import Answer
from tarpit.environment import PREFIX

PROCESSES: Final = 1000  # of the mail server
BACKLOG: Final = 1024
TTL: Final = 300
# what says where things are is not the simulator's here, but that of `bench.surroundings.proxy`
PLACES: Final = frozenset({"BACKENDS", "DNS_SERVERS", "MAX_SESSIONS", "STATE_DIR", "STORE", "RELAY_TEST"})


@dataclass(slots=True)
class Own:
    """The proxy's address and process; when all is over, what it and the mail server have used."""

    target: tuple[str, int]
    backend_peak: int = 0
    backend_seconds: float = 0.0
    backend_messages: int = 0
    cpu: float = 0.0  # seconds, of the proxy's processes


@contextmanager
def own_proxy(preset: Preset, variables: Mapping[str, str], *, seed: int, sessions: int) -> Iterator[Own]:
    """Run a proxy with *variables* (their whole names) for that population; its log goes when it does."""
    settings = {name.removeprefix(PREFIX): text for name, text in (SURROUNDINGS | dict(variables)).items()}
    most = int(settings["MAX_SESSIONS"])
    with (
        _around(preset, seed=seed, sessions=sessions) as (pipe, names, backend),
        tempfile.TemporaryDirectory(prefix="tarpit-load-") as folder,
        surroundings.proxy(
            most,
            names=names,
            backend=backend,
            log=Path(folder, "log"),
            STATE_DIR=folder,
            **{name: text for name, text in settings.items() if name not in PLACES},
        ) as (worker, port),
    ):
        own = Own(("127.0.0.1", port))
        before = cpu_seconds(worker)
        yield own
        own.cpu = cpu_seconds(worker) - before
        try:
            pipe.send(None)
            own.backend_peak, own.backend_seconds, own.backend_messages = pipe.recv()
        except (BrokenPipeError, EOFError):
            raise ChildProcessError("DNS and mail server have ended early; what they said is above") from None


@contextmanager
def _around(preset: Preset, *, seed: int, sessions: int) -> Iterator[tuple[Pipe, int, int]]:
    """Run DNS and the mail server: a pipe to them, and their ports."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    child = spawn.Process(target=_be_around, args=(preset, seed, sessions, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        names, backend = ours.recv()
        yield ours, names, backend
    finally:
        child.terminate()
        child.join()
        ours.close()


def _be_around(preset: Preset, seed: int, sessions: int, pipe: Pipe) -> None:
    random.seed(seed)
    names = populate(preset, seed, sessions, moved=Loopback()).names
    trio.run(_serve, names, pipe)


async def _serve(names: Names, pipe: Pipe) -> None:
    processes = Processes(PROCESSES)
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as udp:
        await udp.bind(("127.0.0.1", 0))
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=BACKLOG)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_questions, udp, names.answers)
            nursery.start_soon(trio.serve_listeners, partial(attend, processes=processes), listeners)
            pipe.send((udp.getsockname()[1], listeners[0].socket.getsockname()[1]))
            await trio.lowlevel.wait_readable(pipe.fileno())
            pipe.send((processes.peak, processes.seconds, processes.messages))
            await trio.sleep_forever()


async def attend(stream: trio.SocketStream, processes: Processes) -> None:
    """Let the mail server have one connection."""
    near, far = pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Conversation(near, processes).run)
        nursery.start_soon(_take_in, stream, far)
        try:
            while data := await far.receive_some():
                await stream.send_all(data)
        except trio.BrokenResourceError:
            far.shut()
        await stream.aclose()
        nursery.cancel_scope.cancel()


async def _take_in(stream: trio.SocketStream, far: End) -> None:
    try:
        while data := await stream.receive_some():
            far.put(bytes(data))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    far.shut()


async def answer_questions(udp: trio.socket.SocketType, answers: Mapping[tuple[str, str], Answer]) -> None:
    """Be the DNS server."""
    owners = {name for name, _ in answers}
    while True:
        question, asker = await udp.recvfrom(4096)
        await udp.sendto(_reply(question, answers, owners), asker)


def _reply(wire: bytes, answers: Mapping[tuple[str, str], Answer], owners: set[str]) -> bytes:
    query = dns.message.from_wire(wire)
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    asked = query.question[0]
    name = asked.name.to_text(omit_final_dot=True).lower()
    answer = answers.get((name, asked.rdtype.name))
    if answer is not None:
        reply.answer.append(dns.rrset.from_text(asked.name, TTL, "IN", asked.rdtype.name, *_texts(answer)))
    elif name not in owners:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply.to_wire()


def _texts(answer: Answer) -> list[str]:
    return [*answer.addresses, *(f"{name}." for name in answer.names), *map(_quoted, answer.texts)]


def _quoted(text: bytes) -> str:
    """Return a text as strings of a TXT record: 255 bytes each at most (RFC 1035, section 3.3)."""
    return " ".join(f'"{text[start : start + 255].decode("ascii")}"' for start in range(0, len(text), 255))
