"""NET-*: what a peer's own connection can do to us, at every step of a session."""

import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from tarpit.listen import Listener
from tests.support.backend import FakeBackend, fake_backend
from tests.support.cases import CLEAN, EHLO, ENVELOPE, MAIL, PATHS, RCPT, SLOWED, Case, case, told
from tests.support.dns_zone import FakeResolver, found
from tests.support.sessions import ZONE_TESTS, session
from tests.support.wires import Surroundings, load, stage

on_both_paths = pytest.mark.parametrize("path", PATHS)
SLOWEST: Final = 500  # bytes a second

STEPS: Final = {
    "at once": (),
    "in a command": (EHLO, b"MAIL FR"),
    "EHLO": (EHLO,),
    "MAIL": (EHLO, MAIL),
    "RCPT": ENVELOPE,
    "DATA": (*ENVELOPE, b"DATA"),
    "in content": (*ENVELOPE, b"DATA", b"Subject: x\r\n\r\nhalf a li"),
    "at a dot": (*ENVELOPE, b"DATA", b"Subject: x\r\n\r\n\r\n."),
}


# -- too slow


async def trickle(here: Case) -> None:
    """Say a byte every ten seconds, for as long as it is borne."""
    with contextlib.suppress(trio.BrokenResourceError):
        for _ in range(100):
            await here.far.say(b"x")
            await trio.sleep(10)


@on_both_paths
async def test_a_byte_every_ten_seconds(path: str, autojump_clock: MockClock) -> None:
    """NET-01 A command has one deadline for the whole line: bytes that trickle do not move it."""
    async with case(path) as here:
        began = trio.current_time()
        await trickle(here)
        heard = await here.closes()
        assert heard.startswith(b"421 4.4.2 ")
        assert here.session.ended == "peer-silent"
        assert trio.current_time() - began <= 340


@on_both_paths
async def test_content_byte_by_byte(path: str, autojump_clock: MockClock) -> None:
    """NET-02 A byte every 10 s of content is given up after the patience for one block, not for each."""
    async with case(path, *ENVELOPE) as here:
        assert (await here.goes(b"DATA"))[0].startswith(b"354 ")
        began = trio.current_time()
        await trickle(here)
        assert trio.current_time() - began <= 230
        assert (await here.closes()).startswith((b"421 4.4.2 ", b""))
        assert (here.session.ended, here.contents()) == ("peer-silent", [])


@on_both_paths
async def test_content_slow_and_steady(path: str, autojump_clock: MockClock) -> None:
    """NET-02 At 500 bytes a second it may take as long as it takes."""
    async with case(path, *ENVELOPE) as here:
        assert (await here.goes(b"DATA"))[0].startswith(b"354 ")
        began = trio.current_time()
        for _ in range(60):
            await here.far.say(b"x" * (10 * SLOWEST - 2) + b"\r\n")
            await trio.sleep(10)
        assert trio.current_time() - began >= 600
        assert (await here.answer(b".\r\n")).startswith(b"250 ")


@on_both_paths
async def test_nothing_is_said(path: str, autojump_clock: MockClock) -> None:
    """NET-08 NET-09 The banner comes in time; the silence after it is borne for 300 s, then 421."""
    async with session(listed=path == SLOWED) as (far, _, around, one):
        began = trio.current_time()
        assert (await far.hear()).startswith(b"220 ")
        assert trio.current_time() - began <= 15
        began = trio.current_time()
        assert (await far.hear()).startswith(b"421 4.4.2 ")
        assert 300 <= trio.current_time() - began <= 340
        await far.stream.aclose()
        await around.services.wait_empty()
        assert (one.ended, len(told(around, "session.closed"))) == ("peer-silent", 1)


@on_both_paths
async def test_a_port_scan(path: str, autojump_clock: MockClock) -> None:
    """NET-08 Whoever connects and closes leaves one line in the log, and nothing else."""
    async with session(listed=path == SLOWED) as (far, _, around, _one):
        await far.stream.aclose()
        await around.services.wait_empty()
        assert len(told(around, "session.closed")) == 1
        assert around.services.caps.sessions == around.services.caps.held == 0


async def test_idle_between_commands(autojump_clock: MockClock) -> None:
    """NET-09 A clean peer may think for 299 s about each command."""
    async with case(CLEAN) as here:
        for line in (*ENVELOPE, b"NOOP"):
            await trio.sleep(299)
            assert (await here.goes(line))[0].startswith(b"250")
        await here.far.stream.aclose()


# -- closing one half, or all


@on_both_paths
async def test_half_closed_behind_quit(path: str, autojump_clock: MockClock) -> None:
    """NET-04 Whoever has said all, and closes its half, hears every reply."""
    async with case(path, *ENVELOPE) as here:
        assert (await here.goes(b"DATA"))[0].startswith(b"354 ")
        await here.far.say(b"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
        await here.far.stream.send_eof()
        heard = await here.far.hear_all()
        assert [line[:3] for line in heard.split(b"\r\n") if line] == [b"250", b"221"]
        assert (here.session.ended, len(here.contents())) == ("quit", 1)


@on_both_paths
@pytest.mark.parametrize("step", STEPS)
async def test_half_closed_anywhere_else(
    path: str, step: str, autojump_clock: MockClock, record_property: Callable[[str, object], None]
) -> None:
    """NET-05 It is a hang-up: no end of data goes on, and the backend is rid of it."""
    async with case(path) as here:
        for said in STEPS[step]:
            whole = said in {EHLO, MAIL, RCPT, b"DATA"}
            await here.goes(said) if whole else await here.far.say(said)
        await here.far.stream.send_eof()
        await here.far.hear_all()
        await here.far.stream.aclose()
        await here.around.services.wait_empty()
        assert (here.session.ended, here.contents()) == ("peer-left", [])
        await here.backend.wait_closed(len(here.backend.connections))
        assert len(told(here.around, "session.closed")) == 1
    record_property("G9", "1 half-closes")


# -- over TCP, where a reset is one


@dataclass(frozen=True, slots=True)
class Door:
    """A listener, what is shared behind it, and its backend."""

    address: tuple[str, int]
    around: Surroundings
    backend: FakeBackend

    async def arrive(self) -> socket.socket:
        """Return a connection that has heard its banner."""
        sock = socket.create_connection(self.address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        assert (await heard(sock)).startswith(b"220 ")
        return sock


async def heard(sock: socket.socket) -> bytes:
    """Return what comes next up to the end of a line, or up to the end of all."""
    data = b""
    with trio.fail_after(20):
        while not data.endswith(b"\r\n"):
            await trio.lowlevel.wait_readable(sock)
            try:
                piece = sock.recv(65536)
            except ConnectionError:
                return data
            if not piece:
                return data
            data += piece
    return data


async def says(sock: socket.socket, said: bytes) -> None:
    """Say a line and hear its reply, or say what is none."""
    whole = said in {EHLO, MAIL, RCPT, b"DATA"}
    sock.sendall(said + b"\r\n" if whole else said)
    if whole:
        assert (await heard(sock))[:1] in {b"2", b"3"}


def reset(sock: socket.socket) -> None:
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@asynccontextmanager
async def door(variables: Mapping[str, str] | None = None) -> AsyncIterator[Door]:
    """Run a listener before a backend that takes all; peers are slowed by no more than they must be."""
    calm = {"PACE_BYTE": "1ms", "PACE_DELAY": "0", "PREGREET_WAIT": "0", "DNSBL_ZONES": "bl.example*3"}
    async with fake_backend() as backend:
        settings = load(BACKENDS="{}:{}".format(*backend.address), **{**calm, **(variables or {})})
        async with stage(settings, FakeResolver(LISTED)) as around:
            with socket.create_server(("127.0.0.1", 0)) as sock:
                around.services.nursery.start_soon(Listener(sock, around.services).run)
                yield Door(sock.getsockname(), around, backend)
                around.services.nursery.cancel_scope.cancel()
                await trio.lowlevel.checkpoint()


LISTED: Final = ZONE_TESTS | {("1.0.0.127.bl.example", "A"): found("127.0.0.2")}
KINDS: Final = {CLEAN: {"ALLOW": "127.0.0.0/8"}, SLOWED: {"ALLOW": "none"}}


@on_both_paths
@pytest.mark.parametrize("step", STEPS)
async def test_a_reset_at_each_step(
    path: str, step: str, record_property: Callable[[str, object], None]
) -> None:
    """NET-06 No exception leaves the session, both sides are free within a second, no end of data goes on."""
    async with door(KINDS[path]) as house:
        sock = await house.arrive()
        for said in STEPS[step]:
            await says(sock, said)
        reset(sock)
        with trio.fail_after(1):
            await house.around.services.wait_empty()
            await house.backend.wait_closed(len(house.backend.connections))
        assert [one.contents for one in house.backend.connections if one.contents] == []
        assert not told(house.around, "session.failed")
    record_property("G9", "1 resets")


@on_both_paths
async def test_a_reset_while_a_reply_is_written(path: str) -> None:
    """NET-06 So it is when we are in the middle of a reply, dripped or not."""
    async with door(KINDS[path] | {"PACE_BYTE": "50ms"}) as house:
        sock = await house.arrive() if path == CLEAN else socket.create_connection(house.address)
        sock.sendall(b"NOOP\r\n" * 1000)
        await trio.sleep(0.05)
        reset(sock)
        with trio.fail_after(1):
            await house.around.services.wait_empty()
        assert not told(house.around, "session.failed")


@on_both_paths
async def test_nothing_is_left_behind(path: str, record_property: Callable[[str, object], None]) -> None:
    """NET-06 After resets and half-closes at every step: descriptors, tasks and counts are as before."""
    async with door(KINDS[path]) as house:
        counts = []
        for end in (reset, socket.socket.close, reset, reset):
            for steps in STEPS.values():
                sock = await house.arrive()
                for said in steps:
                    await says(sock, said)
                end(sock)
            with trio.fail_after(2):
                await house.around.services.wait_empty()
                await house.backend.wait_closed(len(house.backend.connections))
            await trio.testing.wait_all_tasks_blocked(0.01)
            tasks = len(house.around.services.nursery.child_tasks)
            counts.append((descriptors(), tasks, len(house.around.poller)))
        assert counts[1:] == [counts[1]] * 3  # the first round opens what is kept open
        caps = house.around.services.caps
        assert (caps.sessions, caps.held, caps._peers, caps._networks, caps._wide) == (0, 0, {}, {}, {})
    record_property("G9", f"{4 * len(STEPS)} broken sessions that left nothing behind")


def descriptors() -> int:
    """Return how many are open in this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


@on_both_paths
@pytest.mark.parametrize("step", ["EHLO", "DATA"])
async def test_urgent_data(path: str, step: str) -> None:
    """NET-12 A byte out of band is no byte of the dialogue, in a command or in content."""
    async with door(KINDS[path]) as house:
        sock = await house.arrive()
        for line in (*ENVELOPE, b"DATA"):
            sock.send(line[:3])
            if line.startswith(step.encode()):
                sock.send(b"!", socket.MSG_OOB)
            sock.send(line[3:] + b"\r\n")
            assert (await heard(sock))[:1] in {b"2", b"3"}
        sock.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        assert (await heard(sock)).startswith(b"250 ")
        sock.close()
        assert [one.contents for one in house.backend.connections if one.contents] == [
            [b"Subject: x\r\n\r\nx\r\n"]
        ]


@on_both_paths
async def test_single_bytes(path: str) -> None:
    """NET-12 EOD-18 A session in segments of one byte each is the same session."""
    async with door(KINDS[path]) as house:
        sock = await house.arrive()
        for line in (*ENVELOPE, b"DATA"):
            for octet in line + b"\r\n":
                sock.send(bytes((octet,)))
            assert (await heard(sock))[:1] in {b"2", b"3"}
        for octet in b"Subject: x\r\n\r\n..x\r\n\r\n.\r\n":
            sock.send(bytes((octet,)))
        assert (await heard(sock)).startswith(b"250 ")
        sock.close()
        (taken,) = [one.contents for one in house.backend.connections if one.contents]
        assert taken in ([b"Subject: x\r\n\r\n..x\r\n\r\n"], [b"Subject: x\r\n\r\n.x\r\n\r\n"])


async def test_quit_and_much_behind_it() -> None:
    """PIP-06 The 221 arrives, and no reset eats it, though a megabyte of junk stood behind the QUIT."""
    async with door(KINDS[CLEAN]) as house:
        sock = await house.arrive()
        sock.setblocking(True)
        sock.settimeout(5)
        await trio.to_thread.run_sync(sock.sendall, b"QUIT\r\n" + b"JUNK\r\n" * 100_000)
        sock.setblocking(False)
        assert (await heard(sock)).startswith(b"221 ")
        assert await heard(sock) == b""
        sock.close()
