"""The process around the workers: what it decides by itself. All of it at work: tests/e2e/test_workers.py."""

import socket

import pytest
from structlog.testing import LogCapture

from tarpit import supervisor
from tarpit.processes import steering
from tarpit.processes.listeners import Door, open_doors
from tests.support.servers import free_port
from tests.support.wires import NOBODY, captured, load


def spread(door: Door, **variables: str) -> LogCapture:
    """Have peers divided between two workers at *door*; return the events."""
    log, capture = captured()
    supervisor.spread(door, load(BACKENDS=NOBODY, WORKERS="2", **variables), log)
    door.close()
    return capture


def two_sockets() -> Door:
    (door,) = open_doors(load(BACKENDS=NOBODY, WORKERS="2", LISTEN=f"127.0.0.1:{free_port()}"), {})
    return door


def test_peers_are_steered() -> None:
    """Where each worker has its socket, and peers come themselves."""
    (event,) = spread(two_sockets()).entries
    assert (event["event"], event["workers"]) == ("peers.steered", 2)


def test_why_they_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a load balancer, with one socket for all, or where the system refuses: the event says which."""
    (event,) = spread(two_sockets(), PROXY_FROM="192.0.2.0/24").entries
    assert event["event"] == "peers.scattered"
    assert "TARPIT_PROXY_FROM" in event["reason"]
    (event,) = spread(Door((socket.create_server(("127.0.0.1", 0)),))).entries
    assert "systemd" in event["reason"]
    monkeypatch.setattr(steering, "SO_ATTACH_REUSEPORT_CBPF", 9999)
    (event,) = spread(two_sockets()).entries
    assert "SO_ATTACH_REUSEPORT_CBPF" in event["reason"]


def test_what_has_changed() -> None:
    """Settings are compared variable by variable."""
    one = load(BACKENDS=NOBODY, PACE_BYTE="1s")
    assert supervisor.differing(one, load(BACKENDS=NOBODY)) == []
    other = load(BACKENDS=NOBODY, PACE_BYTE="2s", DENY="192.0.2.0/24")
    assert supervisor.differing(one, other) == ["deny", "pace_byte"]
