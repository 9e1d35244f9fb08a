"""The sockets that peers connect to."""

import os
import socket

import pytest

from tarpit.errors import SettingsError
from tarpit.processes import listeners
from tarpit.processes.listeners import Door, inherited_from, open_doors
from tests.support.servers import free_port, ipv6_or_skip
from tests.support.wires import NOBODY, load


def opened(**variables: str) -> list[Door]:
    return open_doors(load(BACKENDS=NOBODY, **variables), {})


def test_each_address_has_a_socket_a_worker() -> None:
    """Every address of TARPIT_LISTEN is listened on, once for each worker, all on one port."""
    ipv6_or_skip()
    ports = free_port(), free_port()
    doors = opened(LISTEN=f"127.0.0.1:{ports[0]} [::1]:{ports[1]}", WORKERS="3")
    assert [door.address for door in doors] == [("127.0.0.1", ports[0]), ("::1", ports[1])]
    for door in doors:
        assert len({door.of(slot).fileno() for slot in range(3)}) == 3
        assert {sock.getsockname()[:2] for sock in door.sockets} == {door.address}
        door.close()


def test_one_worker_shares_with_nobody() -> None:
    """With one worker there is one socket, and no other process can join it."""
    (door,) = opened(LISTEN=f"127.0.0.1:{free_port()}")
    assert not door.of(0).getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    door.close()


def test_an_address_in_use_is_a_fault() -> None:
    """What cannot be listened on is named, all at once, and nothing stays open."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        used = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"TARPIT_LISTEN: cannot listen on 127.0.0.1:{used}"):
            opened(LISTEN=f"127.0.0.1:{port},127.0.0.1:{used}")
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())},
    ],
)
def test_nothing_is_inherited(environ: dict[str, str]) -> None:
    """What systemd gave to somebody else, or did not give, is not taken."""
    assert inherited_from(environ) == []
    assert not environ


def test_what_systemd_gives_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sockets take the place of TARPIT_LISTEN; one is for all workers, and no child hears of it."""
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "tarpit.socket"}
    with socket.create_server(("127.0.0.1", 0)) as sock:
        monkeypatch.setattr(listeners, "FIRST_INHERITED", os.dup(sock.fileno()))
        (door,) = open_doors(load(BACKENDS=NOBODY, WORKERS="2"), environ)
        assert door.address == sock.getsockname()
        assert door.of(0) is door.of(1)
        assert not os.get_inheritable(door.of(0).fileno())
        assert not environ
        door.close()


def test_what_is_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a socket that does not listen nor a local one is a place for peers."""
    near, far = socket.socketpair()
    monkeypatch.setattr(listeners, "FIRST_INHERITED", os.dup(near.fileno()))
    with pytest.raises(SettingsError, match="is no listening TCP socket"):
        inherited_from({"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})
    near.close()
    far.close()
