"""Lines of the log: whoever reads them is never waited for."""

import fcntl
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from math import inf
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tarpit.observe import outlet
from tarpit.observe.outlet import Outlet

Ends = tuple[int, int]  # to read from, to write to


@contextmanager
def pipe() -> Iterator[Ends]:
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(reads, False)
    try:
        yield reads, writes
    finally:
        os.close(reads)
        os.close(writes)


@contextmanager
def stream() -> Iterator[Ends]:
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        yield reader.fileno(), writer.fileno()


def drained(descriptor: int, size: int = 2**21) -> bytes:
    """Return up to *size* bytes that are there."""
    parts: list[bytes] = []
    while size:
        try:
            part = os.read(descriptor, size)
        except BlockingIOError:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def drained_after(descriptor: int) -> bytes:
    """Return all that is there, once nobody reads it in a thread any more."""
    os.set_blocking(descriptor, False)
    return drained(descriptor)


@pytest.mark.parametrize("between", [pytest.param(pipe, id="pipe"), pytest.param(stream, id="socket")])
def test_nobody_reads(
    between: Callable[[], AbstractContextManager[Ends]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is kept, then lost and counted; who reads again has whole lines, in their order."""
    monkeypatch.setattr(outlet, "BEHIND", 100_000)
    with between() as (reads, writes), closing(Outlet(writes)) as out:
        said, lost = [b"line %d" % number for number in range(50_000)], list[int]()
        out.on_loss = lost.append
        for line in said:
            out.msg(line)
        seen = drained(reads)
        while not lost:
            said.append(b"line %d" % len(said))
            out.msg(said[-1])
            seen += drained(reads)
        (missing,) = lost
        *kept, last = seen.splitlines()
        assert kept == said[: len(kept)]
        assert last == said[-1]
        assert len(kept) + missing + 1 == len(said)


def test_others_who_share_the_pipe_wait_as_before() -> None:
    """That nobody waits is ours alone: the open file that a shell has too stays as it was."""
    with pipe() as (_, writes):
        with closing(Outlet(writes)) as out:
            out.msg("line")
        assert os.get_blocking(writes)


def test_a_file_takes_lines_at_once() -> None:
    """A line is in its file when the call returns, if it comes as text or as bytes."""
    with tempfile.TemporaryFile() as file:
        out = Outlet(file.fileno())
        out.msg("text")
        out.msg(b"bytes")
        assert os.pread(file.fileno(), 100, 0) == b"text\nbytes\n"


FORKS: Final = """
import os
from tarpit.observe.outlet import Outlet

reads, writes = os.pipe()
out = Outlet(writes)
for _ in range(100):
    out.msg(b"x" * 1000)
if not os.fork():
    os.read(reads, 2**20)  # now there is room
    out.msg("the child's")
    os.write(1, os.read(reads, 2**20))
    os._exit(0)
os.wait()
"""


def test_a_child_writes_nothing_of_its_parents() -> None:
    """What is behind at a fork is the parent's to write."""
    done = subprocess.run([sys.executable, "-c", FORKS], stdout=subprocess.PIPE, check=True, timeout=30)
    assert done.stdout == b"the child's\n"


@pytest.mark.parametrize("again", [pytest.param(True, id="opened"), pytest.param(False, id="refused")])
def test_room_without_an_event(monkeypatch: pytest.MonkeyPatch, *, again: bool) -> None:
    """What is behind is written when the process looks, though nothing happens; to another's pipe, too."""

    def refuse(*_: object) -> int:
        raise PermissionError

    with pipe() as (reads, writes):
        if not again:
            monkeypatch.setattr(os, "open", refuse)
        with closing(Outlet(writes)) as out:
            said = [b"%d " % number + b"x" * 3000 for number in range(20)]
            for line in said:
                out.msg(line)
            seen = b""
            while not outlet.catch_up():
                seen += drained(reads)
            assert (seen + drained(reads)).splitlines() == said


def test_a_slow_reader_at_the_end() -> None:
    """The last lines wait for it."""
    with pipe() as (reads, writes), closing(Outlet(writes)) as out:
        said = [b"%d " % number + b"x" * 1000 for number in range(20)]
        for line in said:
            out.msg(line)
        os.set_blocking(reads, True)
        with ThreadPoolExecutor() as threads:
            seen = threads.submit(lambda: b"".join(os.read(reads, 1000) for _ in range(20)))
            outlet.finish()
        assert (seen.result() + drained_after(reads)).splitlines() == said


@pytest.mark.parametrize("dead", [True, False])
def test_nobody_is_waited_for_who_cannot_come(*, dead: bool) -> None:
    """A reader that has died, or a disk that is full, is no error, and is not waited for."""
    reads, writes = os.pipe()
    with os.fdopen(writes, "wb"), Path("/dev/full").open("wb") as full:
        os.close(reads)
        with closing(Outlet(writes if dead else full.fileno())) as out:
            for _ in range(3):
                out.msg("line")
            assert not out.catch_up()
            out.finish(inf)


def writer(line: bytes) -> int:
    """Return who wrote a *line* of the next test."""
    return int(line.split()[1])


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 9000), st.integers(0, 1)), max_size=40))
@settings(max_examples=100, deadline=None)
def test_lines_of_several_processes(steps: list[tuple[int, int, int]]) -> None:
    """Who share a pipe do not write into each other's lines, and each one's stand in their order."""
    with pipe() as (reads, writes), closing(Outlet(writes)) as one, closing(Outlet(writes)) as other:
        said = [b"%d %d " % (number, who) + b"x" * size for number, (size, _, who) in enumerate(steps)]
        seen = b""
        for line, (_, read, who) in zip(said, steps, strict=True):
            (one, other)[who].msg(line)
            seen += drained(reads, read)
        while not all([one.catch_up(), other.catch_up()]):
            seen += drained(reads)
        lines = (seen + drained(reads)).splitlines()
        for who in range(2):
            assert [line for line in lines if writer(line) == who] == [
                line for line in said if writer(line) == who
            ]
        assert len(lines) == len(said)


@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 9000)), max_size=30))
@settings(max_examples=50, deadline=None)
def test_lines_stay_whole(steps: list[tuple[int, int]]) -> None:
    """However long they are and however it is read: each line once, whole, in order; or counted as lost."""
    with pipe() as (reads, writes), pytest.MonkeyPatch.context() as patch:
        patch.setattr(outlet, "BEHIND", 20_000)
        out, lost, seen = Outlet(writes), list[int](), b""
        out.on_loss = lost.append
        said = [b"%d " % number + b"x" * size for number, (size, _) in enumerate(steps)]
        for line, (_, read) in zip(said, steps, strict=True):
            out.msg(line)
            seen += drained(reads, read)
        while not out.catch_up():
            seen += drained(reads)
        written = (seen + drained(reads)).splitlines()
        assert written == [line for line in said if line in set(written)]
        assert len(written) + sum(lost) == len(said)
        out.close()
