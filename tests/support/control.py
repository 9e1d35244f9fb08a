"""A control socket that answers, beside a test that asks it as a command does."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import trio

from tarpit.control.server import Obey, attend, path_in
from tarpit.services import Bugs
from tests.support.servers import wait_until
from tests.support.wires import captured

Asked = list[Mapping[str, object]]


@contextmanager
def answering(directory: Path, answer: Mapping[str, object]) -> Iterator[Asked]:
    """Give everybody *answer* on the socket in *directory*; yield the list of what is asked."""
    asked: Asked = []

    async def obey(request: Mapping[str, object], _uid: int) -> Mapping[str, object]:
        asked.append(request)
        return answer

    with serving(directory, obey):
        yield asked


@contextmanager
def serving(directory: Path, obey: Obey) -> Iterator[None]:
    """Serve the socket in *directory* from a thread of its own."""
    scope = trio.CancelScope()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def run() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        log, _ = captured()
        with scope:
            await attend(directory, obey, log=log, bugs=Bugs(log))

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    try:
        wait_until(lambda: _listens(path_in(directory)), "somebody listens on the control socket")
        yield
    finally:
        tokens[0].run_sync_soon(scope.cancel)
        thread.join()


def _listens(path: Path) -> bool:
    """Whether a connection is taken: a socket is there before anybody listens on it."""
    with (
        socket.socket(socket.AF_UNIX) as sock,
        contextlib.suppress(FileNotFoundError, ConnectionRefusedError),
    ):
        sock.connect(str(path))
        return True
    return False
