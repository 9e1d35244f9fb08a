"""How a command asks the running server: over the control socket (`tarpit.control.server`).

The server is found by TARPIT_STATE_DIR, so a command wants the settings that the server was started with.
"""

import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NoReturn, cast

import typer

from tarpit.cli.options import EnvFile
from tarpit.control.server import path_in
from tarpit.settings import load

PATIENCE: Final = 10.0  # seconds
LONGEST: Final = 1 << 22  # bytes of an answer

Row = dict[str, object]


def ask(env_file: EnvFile, **request: object) -> Row:
    """Return the server's answer to *request*. What is in the way is printed, and ends the command with 1."""
    path = path_in(load(os.environ, env_file).state_dir)
    try:
        answer = _exchange(path, json.dumps(request).encode() + b"\n")
    except OSError as error:
        fail(f"no server is reached at {path} (TARPIT_STATE_DIR): {_reason(error)}")
    except ValueError:
        fail(f"what answers at {path} (TARPIT_STATE_DIR) is no tarpit, or does not listen to this user")
    if "error" in answer:
        fail(str(answer["error"]))
    return answer


def rows(answer: Mapping[str, object], name: str) -> list[Row]:
    """Return the list called *name* of an answer."""
    return cast("list[Row]", answer[name])


def fail(why: str) -> NoReturn:
    """Print *why*, and end the command with 1."""
    print(why, file=sys.stderr)
    raise typer.Exit(1)


def _exchange(path: Path, request: bytes) -> Row:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(path))
        sock.sendall(request)
        answer = json.loads(b"".join(_received(sock)))
    if not isinstance(answer, dict):
        raise ValueError("no object")  # noqa: TRY004 - it is the answer that is wrong
    return answer


def _received(sock: socket.socket) -> Iterator[bytes]:
    size = 0
    while size < LONGEST and (piece := sock.recv(65536)):
        size += len(piece)
        yield piece


def _reason(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such socket. Is it running, with the same TARPIT_STATE_DIR?"
        case ConnectionRefusedError():
            return "nobody listens there any more. Is it running?"
        case PermissionError():
            return "only root and whom the server runs as may speak to it"
        case TimeoutError():
            return f"no answer in {PATIENCE:g} s"
    return error.strerror or str(error)
