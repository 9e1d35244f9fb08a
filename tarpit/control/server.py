"""The control socket: how an operator speaks to the running server, and who counts as one.

A Unix stream socket in TARPIT_STATE_DIR, for root and for whom we run as (the file's mode says so, and the
kernel is asked who has connected). A connection is one request and one answer, each a JSON object on a line.

The server that holds the lock on the directory has the socket; one that lies there unlocked was left behind
by a dead process, and is replaced. Rejected: to knock at it and see, which two that start at once both do.
Where the socket cannot be had, mail is served all the same.

What may be asked is `errands`. The side of the commands is `cli.asking`.
"""

import errno
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
import trio
from structlog.typing import FilteringBoundLogger as Log

from tarpit.observe import orders

if TYPE_CHECKING:
    from tarpit.services import Bugs

NAME: Final = "control"
LONGEST: Final = 4096  # bytes of a request
DEADLINE: Final = 5.0  # seconds for a request to come, and for its answer to go
AT_ONCE: Final = 8  # who comes beyond that waits to be accepted
RETRY: Final = 1.0  # seconds until the next try, when the system lets us accept nothing
ONLY_OURS: Final = 0o177  # what is taken from the mode of the socket at its birth: it is never any wider
CREDENTIALS: Final = struct.Struct("iII")  # struct ucred: process, user, group

Answer = Mapping[str, object]
Obey = Callable[[Mapping[str, object], int], Awaitable[Answer]]


class Refused(Exception):  # noqa: N818 - named for what happened
    """A request that is not carried out; `str()` says why, to whoever asked."""


def path_in(directory: Path) -> Path:
    """Return where the socket of a server with that TARPIT_STATE_DIR is."""
    return directory / NAME


async def attend(directory: Path, obey: Obey, *, log: Log, bugs: "Bugs") -> None:
    """Have requests carried out by *obey*, until cancelled. Without a socket, tell why, and return."""
    with ExitStack() as stack:
        try:
            sock = stack.enter_context(opened(directory))
        except OSError as error:
            orders.control_missing(log, path=str(path_in(directory)), reason=error.strerror or str(error))
            return
        orders.control_opened(log, path=str(path_in(directory)))
        await _accept(trio.socket.from_stdlib_socket(sock), obey, log, bugs)


@contextmanager
def opened(directory: Path) -> Iterator[socket.socket]:
    """Yield the socket, listening; it is gone afterwards. Raises OSError when it cannot be had."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = path_in(directory)
    with _locked(directory), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        _clear(path)
        usual = os.umask(ONLY_OURS)
        try:
            sock.bind(str(path))
        finally:
            os.umask(usual)
        try:
            sock.listen(AT_ONCE)
            yield sock
        finally:
            with suppress(OSError):  # it may be gone, or its directory not ours any more
                path.unlink()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock on *directory*, which ends with the process however that ends."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise OSError(taken.errno, "another server has it") from None
        yield
    finally:
        os.close(lock)


def _clear(path: Path) -> None:
    """Remove what a dead server has left."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "something is there that is no socket")
    path.unlink()


async def _accept(listener: trio.socket.SocketType, obey: Obey, log: Log, bugs: "Bugs") -> None:
    places = trio.Semaphore(AT_ONCE)

    async def hear(sock: trio.socket.SocketType) -> None:
        try:
            with bugs, sock:
                await _hear(sock, obey, log)
        finally:
            places.release()

    async with trio.open_nursery() as nursery:
        while True:
            await places.acquire()
            try:
                sock, _ = await listener.accept()
            except OSError:
                places.release()
                await trio.sleep(RETRY)
            else:
                nursery.start_soon(hear, sock)


async def _hear(sock: trio.socket.SocketType, obey: Obey, log: Log) -> None:
    """Take one request, and answer it. Whoever is too slow, or leaves, has asked nothing."""
    uid = user_of(sock)
    if uid not in {0, os.geteuid()}:
        orders.control_refused(log, uid=uid)
        return
    with suppress(OSError, trio.BrokenResourceError):
        line = b""
        with trio.move_on_after(DEADLINE):
            line = await _line(sock)
        if line:
            # what is begun is not cut short: a late answer is better than an order that holds by half
            said = orjson.dumps(await answer(line, obey, uid))
            with trio.move_on_after(DEADLINE):
                await trio.SocketStream(sock).send_all(said + b"\n")


def user_of(sock: trio.socket.SocketType) -> int:
    """Return the user id of whoever has connected, as the kernel noted it then."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    _, uid, _ = CREDENTIALS.unpack(raw)
    return int(uid)


async def _line(sock: trio.socket.SocketType) -> bytes:
    """Return what comes up to the end of the line or of our patience with it; nothing, if it has no end."""
    data = b""
    while b"\n" not in data and len(data) <= LONGEST:
        if not (more := await sock.recv(LONGEST)):
            return b""
        data += more
    return data


async def answer(line: bytes, obey: Obey, uid: int) -> Answer:
    """Return the answer to a request as it came."""
    request, end, _ = line.partition(b"\n")
    if not end or len(request) > LONGEST:
        return {"error": f"a request is a line of at most {LONGEST} bytes"}
    try:
        asked = orjson.loads(request)
    except orjson.JSONDecodeError:
        return {"error": "a request is a JSON object"}
    if not isinstance(asked, dict):
        return {"error": "a request is a JSON object"}
    try:
        return await obey(asked, uid)
    except Refused as refused:
        return {"error": str(refused)}
