"""The control socket, over a real one: whose it is, who is heard, what a request is."""

import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import orjson
import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock

from tarpit.control import server as control
from tarpit.control.server import AT_ONCE, DEADLINE, LONGEST, Answer, Refused, answer, attend, opened, path_in
from tarpit.services import Bugs
from tests.support.wires import captured

TOO_LONG = {"error": f"a request is a line of at most {LONGEST} bytes"}
NO_OBJECT = {"error": "a request is a JSON object"}


async def obey(request: Mapping[str, object], uid: int) -> Answer:
    """Answer with what was asked and by whom; know a refusal and a bug."""
    match request:
        case {"do": "refuse"}:
            raise Refused("not today")
        case {"do": "fail"}:
            raise ZeroDivisionError("a bug")
    return {"heard": request, "uid": uid}


@asynccontextmanager
async def attended(directory: Path) -> AsyncIterator[LogCapture]:
    """Have the socket in *directory* attended to; yield the events."""
    log, capture = captured()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(attend, directory, obey, log=log, bugs=Bugs(log)))
        await trio.testing.wait_all_tasks_blocked()
        yield capture
        nursery.cancel_scope.cancel()


async def ask(directory: Path, data: bytes) -> bytes:
    """Return what comes back for *data*, up to the end."""
    async with await trio.open_unix_socket(path_in(directory)) as stream:
        await stream.send_all(data)
        return b"".join([piece async for piece in stream])


def names(capture: LogCapture) -> list[str]:
    return [cast("str", entry["event"]) for entry in capture.entries]


async def test_one_request_one_answer(tmp_path: Path) -> None:
    """A line is answered by a line, and the connection is over; the kernel says who has asked."""
    async with attended(tmp_path) as capture:
        for _ in range(2 * AT_ONCE):
            said = await ask(tmp_path, b'{"do": "x"}\n{"do": "y"}\n')
            assert said.endswith(b"}\n")
            assert orjson.loads(said) == {"heard": {"do": "x"}, "uid": os.geteuid()}
    assert names(capture) == ["control.opened"]
    assert capture.entries[0]["path"] == str(tmp_path / "control")


async def test_a_request_may_come_in_pieces(tmp_path: Path) -> None:
    """What counts is the end of the line."""
    async with attended(tmp_path), await trio.open_unix_socket(path_in(tmp_path)) as stream:
        for byte in b'{"do": "x"}\n':
            await stream.send_all(bytes((byte,)))
            await trio.testing.wait_all_tasks_blocked()
        assert orjson.loads(await stream.receive_some())["heard"] == {"do": "x"}


async def test_the_end_of_the_line_is_waited_for_no_longer_than_the_deadline(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Who says half a request and falls silent is let go."""
    log, _ = captured()
    near, far = socket.socketpair(socket.AF_UNIX)
    with trio.socket.from_stdlib_socket(near) as sock, far:
        far.sendall(b'{"do"')
        began = trio.current_time()
        await control._hear(sock, obey, log)
        assert trio.current_time() - began == DEADLINE


async def test_what_is_begun_is_not_cut_short(autojump_clock: MockClock) -> None:
    """An order that takes longer than a request may is carried out to its end, and answered."""

    async def slowly(_request: Mapping[str, object], _uid: int) -> Answer:
        await trio.sleep(2 * DEADLINE)
        return {"done": True}

    log, _ = captured()
    near, far = socket.socketpair(socket.AF_UNIX)
    with trio.socket.from_stdlib_socket(near) as sock, far:
        far.sendall(b"{}\n")
        await control._hear(sock, slowly, log)
        assert far.recv(100) == b'{"done":true}\n'


async def test_who_leaves_has_asked_nothing(tmp_path: Path) -> None:
    """A connection without a whole line is no request, and harms nobody."""
    async with attended(tmp_path) as capture:
        for data in (b"", b'{"do": "x"}'):
            async with await trio.open_unix_socket(path_in(tmp_path)) as stream:
                await stream.send_all(data)
        assert orjson.loads(await ask(tmp_path, b"{}\n"))["heard"] == {}
    assert names(capture) == ["control.opened"]


async def test_a_line_has_an_end(tmp_path: Path) -> None:
    """Endless lines are not read."""
    async with attended(tmp_path):
        assert orjson.loads(await ask(tmp_path, b"x" * (LONGEST + 1))) == TOO_LONG


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{}", TOO_LONG),
        (b"{}" + b" " * LONGEST + b"\n", TOO_LONG),
        (b"\n", NO_OBJECT),
        (b"[]\n", NO_OBJECT),
        (b"7\n", NO_OBJECT),
        (b"[" * 4000 + b"\n", NO_OBJECT),
        (b'{"do": NaN}\n', NO_OBJECT),
        (b'{"do": "\xff"}\n', NO_OBJECT),
        (b'{"do": "refuse"}\n', {"error": "not today"}),
    ],
)
async def test_what_is_no_request(line: bytes, expected: Answer) -> None:
    """What is wrong is said, and nothing is done."""
    assert await answer(line, obey, 0) == expected


async def test_a_bug_ends_its_own_connection_only(tmp_path: Path) -> None:
    """The traceback is told, and the next request is answered."""
    async with attended(tmp_path) as capture:
        assert await ask(tmp_path, b'{"do": "fail"}\n') == b""
        assert await ask(tmp_path, b"{}\n")
    assert names(capture) == ["control.opened", "session.failed"]


async def test_others_are_not_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is neither root nor whom we run as hears nothing, should the file's mode not have kept him away."""
    monkeypatch.setattr(control, "user_of", lambda _: os.geteuid() + 1)
    async with attended(tmp_path) as capture:
        said = b""
        with contextlib.suppress(trio.BrokenResourceError):  # what was said is not read: that is a reset
            said = await ask(tmp_path, b"{}\n")
        assert said == b""
    assert names(capture) == ["control.opened", "control.refused"]
    assert capture.entries[1]["uid"] == os.geteuid() + 1


@pytest.mark.parametrize("usual", [0o000, 0o022, 0o077])
def test_it_is_ours_alone_from_its_birth(tmp_path: Path, usual: int) -> None:
    """Its mode is 0600 and was never wider, whatever the umask, which is as before afterwards."""
    modes: list[int] = []

    class Listener(socket.socket):
        def bind(self, address: object) -> None:
            super().bind(cast("str", address))
            modes.append(stat.S_IMODE(path_in(tmp_path).stat().st_mode))

    before = os.umask(usual)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "socket", Listener)
            with opened(tmp_path / "new" / ".."):
                modes.append(stat.S_IMODE(path_in(tmp_path).stat().st_mode))
        assert os.umask(usual) == usual
    finally:
        os.umask(before)
    assert modes == [0o600, 0o600]
    assert not path_in(tmp_path).exists()


def test_its_directory_is_made(tmp_path: Path) -> None:
    """A directory that is not there is made, for us alone."""
    with opened(tmp_path / "a" / "b"):
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_dead_server_is_replaced(tmp_path: Path) -> None:
    """A socket that nobody has any more is no obstacle."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path_in(tmp_path)))
    with opened(tmp_path), socket.socket(socket.AF_UNIX) as knocking:
        knocking.connect(str(path_in(tmp_path)))


def test_its_end_is_no_matter_of_the_directory(tmp_path: Path) -> None:
    """A directory that somebody has moved away does not make the end of the server a failure."""
    with opened(tmp_path / "here"):
        (tmp_path / "here").rename(tmp_path / "there")


async def test_a_live_server_is_not(tmp_path: Path) -> None:
    """Who comes second goes without, and tells so; the first one's socket is untouched."""
    async with attended(tmp_path), attended(tmp_path) as second:
        assert names(second) == ["control.missing"]
        assert second.entries[0]["reason"] == "another server has it"
        assert await ask(tmp_path, b"{}\n")


async def test_without_a_directory_there_is_no_socket(tmp_path: Path) -> None:
    """A place that cannot be used is a warning with its reason, and nothing else."""
    (tmp_path / "file").touch()
    path_in(tmp_path).touch()
    long = tmp_path / ("x" * 120)
    reasons = []
    for directory in (tmp_path / "file", tmp_path, long):
        async with attended(directory) as capture:
            assert names(capture) == ["control.missing"]
            assert capture.entries[0]["log_level"] == "warning"
            reasons.append(capture.entries[0]["reason"])
    assert reasons == ["File exists", "something is there that is no socket", "AF_UNIX path too long"]
    assert path_in(tmp_path).is_file()
