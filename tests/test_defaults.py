"""Defaults that follow from the machine."""

import resource
import socket

import pytest

from tarpit import defaults
from tarpit.destinations import BackendAddress


def test_hostname(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host's name is taken as it is if it is one; else we say localhost."""
    monkeypatch.setattr(socket, "getfqdn", lambda: "MX.example.org")
    assert defaults.hostname() == "mx.example.org"
    monkeypatch.setattr(socket, "getfqdn", lambda: "no name")
    assert defaults.hostname() == "localhost"


def test_unlimited_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a limit a million is as good."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert defaults.descriptor_limit() == 1 << 20


def test_room_is_never_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """However low the limit, there is room for one session."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    assert defaults.room([BackendAddress("mx", 25, max=100)], 1) == 56
    assert defaults.room([BackendAddress("mx", 25, max=500)], 1) == 1


def test_each_worker_has_its_own_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is a process's; the backends' caps are divided, and stand against it once."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    assert defaults.room([BackendAddress("mx", 25, max=100)], 4) == 4 * 156 - 100
