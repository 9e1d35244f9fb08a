"""Defaults that follow from the machine or from other variables.

Pydantic calls each with the fields validated so far, by name.
"""

import resource
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

from pydantic import SecretStr

from tarpit.destinations import BackendAddress, Route, every
from tarpit.units import parse_host

SPARE_DESCRIPTORS: Final = 100  # listeners, log, name servers, probes, and connections that only hear 421
UNLIMITED: Final = 1 << 20


def hostname() -> str:
    """Return the host's full name, as far as the system knows a proper one."""
    try:
        return parse_host(socket.getfqdn())
    except ValueError:
        return "localhost"


def descriptor_limit() -> int:
    """Return how many file descriptors this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


def room(backends: Sequence[BackendAddress], workers: int) -> int:
    """Return how many sessions the descriptor limit, which each worker has, leaves room for; at least 1.

    A suspect takes one descriptor; the second one of clean sessions is bounded by the backends' caps.
    """
    descriptors = (descriptor_limit() - SPARE_DESCRIPTORS) * workers
    return max(1, descriptors - sum(backend.max for backend in backends))


def backend_checks(data: dict[str, object]) -> int:
    """Return a tenth of the smallest cap; one for each worker at least, as far as the cap goes."""
    smallest = min(backend.max for backend in _backends(data))
    return max(smallest // 10, min(_workers(data), smallest))


def max_sessions(data: dict[str, object]) -> int:
    """Return as many as there is room for."""
    return room(_backends(data), _workers(data))


def max_held(data: dict[str, object]) -> int:
    """Return three quarters of all sessions."""
    return max(1, cast("int", data["max_sessions"]) * 3 // 4)


def state_dir() -> Path:
    """Return where a program without systemd keeps its state."""
    return Path("~/.local/state/tarpit").expanduser()


def store(data: dict[str, object]) -> SecretStr:
    """Return a file in the state directory."""
    return SecretStr(f"sqlite:///{data['state_dir']}/tarpit.db")


def _backends(data: dict[str, object]) -> tuple[BackendAddress, ...]:
    backends = cast("tuple[BackendAddress, ...]", data["backends"])
    return every(backends, cast("tuple[Route, ...]", data["routes"]))


def _workers(data: dict[str, object]) -> int:
    return cast("int", data["workers"])
