"""The sockets that peers connect to: opened once, before any worker, and kept by the supervisor to the end.

Each address has a socket for each worker slot, in one SO_REUSEPORT group. Whoever serves the slot inherits
it, so a worker that dies or is replaced takes no connection with it: what waits in the socket's queue is
accepted by the next. (Handing over by SO_REUSEPORT alone, where the old worker closes its own, lost 12 of
1,268 connections; kept sockets lost none of 1,410.)

A worker has its own slot's alone, and lets go of it as soon as it accepts no more. So if the supervisor is
killed, nobody listens any more, and the next one has the port while transfers still finish. (A socket left in
the group would take connections that nobody accepts; one that is alone on the port, the port.)

Sockets that systemd has opened (sd_listen_fds(3)) take the place of TARPIT_LISTEN. There is one for each
address then, and all workers accept from it.

Which socket of a group a connection goes to is `steering`; who accepts, `listen`.
"""

import errno
import os
import socket
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

from tarpit.errors import Fault, SettingsError
from tarpit.settings import Settings

BACKLOG: Final = 1024
FIRST_INHERITED: Final = 3  # SD_LISTEN_FDS_START


@dataclass(frozen=True, slots=True)
class Door:
    """An address that is listened on: its sockets, one for each worker slot or one for all."""

    sockets: tuple[socket.socket, ...]

    @property
    def address(self) -> tuple[str, int]:
        """Where it is."""
        host, port = self.sockets[0].getsockname()[:2]
        return host, port

    def of(self, slot: int) -> socket.socket:
        """Return the socket that the worker in *slot* accepts from."""
        return self.sockets[slot % len(self.sockets)]

    def close(self) -> None:
        """Listen no more."""
        for sock in self.sockets:
            sock.close()


def open_doors(settings: Settings, environ: MutableMapping[str, str]) -> list[Door]:
    """Return what is listened on: what systemd gave us, else TARPIT_LISTEN. Raises `SettingsError`."""
    if inherited := inherited_from(environ):
        return [Door((sock,)) for sock in inherited]
    opened: list[Door] = []
    faults: list[Fault] = []
    for host, port in settings.listen:
        try:
            opened.append(_open(host, port, settings.workers))
        except OSError as error:
            reason = error.strerror or str(error)
            faults.append(Fault("TARPIT_LISTEN", f"cannot listen on {host}:{port}: {reason}"))
    if faults:
        for door in opened:
            door.close()
        raise SettingsError(faults)
    return opened


def _open(host: str, port: int, count: int) -> Door:
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sockets.append(_bound(host, port, shared=count > 1))
            port = sockets[0].getsockname()[1]  # the same for all, where any would do
        for sock in sockets:
            sock.listen(BACKLOG)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return Door(tuple(sockets))


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    """Return a socket on that address; with *shared* others of ours may join it, and no stranger's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # for who connects before a `Listener` has it
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def inherited_from(environ: MutableMapping[str, str]) -> Sequence[socket.socket]:
    """Return the sockets that systemd opened for this process, and tell no child of them.

    Raises `SettingsError` where one of them is nothing that peers can connect to.
    """
    ours = environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = int(environ.pop("LISTEN_FDS", "") or 0) if ours else 0
    environ.pop("LISTEN_FDS", None)
    environ.pop("LISTEN_FDNAMES", None)
    opened: list[socket.socket] = []
    faults: list[Fault] = []
    for number in range(FIRST_INHERITED, FIRST_INHERITED + count):
        try:
            opened.append(_taken(number))
        except OSError:
            faults.append(Fault("LISTEN_FDS", f"descriptor {number} is no listening TCP socket"))
    if faults:
        for sock in opened:
            sock.close()
        raise SettingsError(faults)
    return opened


def _taken(number: int) -> socket.socket:
    """Return the socket that the descriptor *number* is. Raises OSError where it is none for peers."""
    sock = socket.socket(fileno=number)
    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if not listens or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        sock.close()
        raise OSError(errno.EINVAL, "peers cannot connect to it")
    sock.set_inheritable(False)
    return sock
