"""Backends by name: a name has addresses of both families, and a server that listens on one of them only."""

import smtplib
import socket

import pytest

from tests.support.proxy import Starts
from tests.support.servers import LOOPBACK, ipv6_or_skip
from tests.support.sink import sink

pytestmark = pytest.mark.e2e

BODY = "Subject: hello\n\nhello\n"


@pytest.mark.parametrize("host", [LOOPBACK, "::1"])
def test_the_address_that_answers(proxy: Starts, host: str) -> None:
    """The peer hears nothing of the address that nobody listens on, whichever of them comes first."""
    if ":" in host:
        ipv6_or_skip()
    found = {place[4][0] for place in socket.getaddrinfo("localhost", 25, type=socket.SOCK_STREAM)}
    if host not in found:
        pytest.skip(f"localhost is not {host} here")
    with sink(host) as backend:
        run = proxy(BACKENDS=f"localhost:{backend.address[1]}", RELAY_TEST="off")
        assert not run.ended, run.output
        for number in range(3):  # addresses are used in turn
            with smtplib.SMTP(*run.address, local_hostname="p.example", timeout=30) as client:
                client.sendmail(f"a{number}@example.org", ["b@example.net"], BODY)
        assert list(backend.stored) == ["a0@example.org", "a1@example.org", "a2@example.org"]
