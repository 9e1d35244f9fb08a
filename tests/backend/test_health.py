"""Probes and the relay test, against a scripted backend."""

from collections.abc import Mapping

import pytest

from tarpit.backend import health
from tarpit.backend.health import Relays
from tarpit.backend.pool import Pool
from tarpit.destinations import BackendAddress
from tarpit.poller import Poller
from tests.support.backend import Answer, Does, fake_backend
from tests.support.wires import DIALLING, running


async def test_probe_notes_the_keywords() -> None:
    """A backend that answers is up, and what it offers is known; no mail was begun."""
    poller = Poller()
    async with running(poller.run), fake_backend() as backend:
        pool = Pool((BackendAddress(*backend.address),), poller, DIALLING, queue=1)
        assert await health.probe(pool, pool.backends[0]) == ""
        assert pool.backends[0].up
        assert {b"SIZE 10240000", b"8BITMIME"} <= set(pool.keywords)
        await backend.wait_closed(1)
        assert backend.connections[0].commands == [b"EHLO mx.example", b"QUIT"]


@pytest.mark.parametrize("answers", [{"BANNER": b"421 4.3.2 busy\r\n"}, {"EHLO": Does.CLOSE}], ids=str)
async def test_probe_says_why_it_is_down(answers: Mapping[str, Answer]) -> None:
    """A backend that was up and no longer answers is down, with the reason."""
    poller = Poller()
    async with running(poller.run), fake_backend(answers) as backend:
        pool = Pool((BackendAddress(*backend.address),), poller, DIALLING, queue=1)
        pool.backends[0].up = True
        assert await health.probe(pool, pool.backends[0]) != ""
        assert pool.backends[0].up is False


@pytest.mark.parametrize(
    ("answers", "result"),
    [
        ({}, Relays.FAILED),
        ({"RCPT": b"554 5.7.1 Relay access denied\r\n"}, Relays.PASSED),
        ({"RCPT": b"454 4.7.1 Relay access denied\r\n"}, Relays.PASSED),
        ({"RCPT": b"451 4.3.0 Temporary failure\r\n"}, Relays.UNKNOWN),
        ({"MAIL": b"451 4.3.0 Temporary failure\r\n"}, Relays.UNKNOWN),
        ({"BANNER": Does.CLOSE}, Relays.UNKNOWN),
    ],
    ids=str,
)
async def test_relay_test(answers: Mapping[str, Answer], result: Relays) -> None:
    """A backend that takes a foreign recipient fails; one that refuses passes; DATA is never said."""
    poller = Poller()
    async with running(poller.run), fake_backend(answers) as backend:
        pool = Pool((BackendAddress(*backend.address),), poller, DIALLING, queue=1)
        answer = await health.test_relay(pool, pool.backends[0], "somebody@elsewhere.example")
        await backend.wait_closed(1)
        assert answer.result is result
        assert b"DATA" not in backend.connections[0].commands
