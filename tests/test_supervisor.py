"""The process around the worker: its sockets, and its end by signal."""

import os
import signal
import socket
import threading

import pytest

from tarpit import supervisor
from tarpit.errors import SettingsError
from tests.support.peer import Peer
from tests.support.wires import NOBODY, captured, load


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def test_each_address_is_listened_on() -> None:
    """Every address of TARPIT_LISTEN has its socket."""
    settings = load(LISTEN=f"127.0.0.1:{free_port()},[::1]:{free_port()}", BACKENDS=NOBODY)
    opened = supervisor.open_listeners(settings)
    assert [sock.getsockname()[:2] for sock in opened] == list(settings.listen)
    for sock in opened:
        sock.close()


def test_an_address_in_use_is_a_fault() -> None:
    """What cannot be listened on is named, all at once, and nothing stays open."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        used = taken.getsockname()[1]
        settings = load(LISTEN=f"127.0.0.1:{port},127.0.0.1:{used}", BACKENDS=NOBODY)
        with pytest.raises(SettingsError, match=f"TARPIT_LISTEN: cannot listen on 127.0.0.1:{used}"):
            supervisor.open_listeners(settings)
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_term_ends_it_in_order() -> None:
    """It serves until TERM, then returns 0; a backend that is down is a 421 until then."""
    port = free_port()
    log, capture = captured()
    heard = []

    def visit() -> None:
        try:
            with Peer.connect(("127.0.0.1", port), patience=20) as peer:
                heard.append(peer.hear().reply)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def knock() -> None:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            threading.Event().wait(0.05)
        visit()

    visitor = threading.Thread(target=knock)
    visitor.start()
    assert supervisor.run(load(LISTEN=f"127.0.0.1:{port}", BACKENDS=NOBODY, DRAIN="2s"), log) == 0
    visitor.join()
    assert heard[0].startswith(b"421 4.3.0 ")
    names = [entry["event"] for entry in capture.entries]
    assert (names[0], names[-1]) == ("server.starting", "server.stopped")
