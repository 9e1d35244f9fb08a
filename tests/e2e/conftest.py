"""The real servers of these tests, shared, and the proxy as an operator runs it: a process of its own."""

from collections.abc import Iterator

import pytest

from tests.support.postfix import Postfix, postfix
from tests.support.proxy import Run, Starts
from tests.support.servers import LOOPBACK, Rbldnsd, rbldnsd

LISTED = "127.0.0.9"  # a loopback address that the DNSBL of these tests lists


@pytest.fixture(scope="session")
def mx() -> Iterator[Postfix]:
    """Return a Postfix with four ports: trusts nobody, trusts loopback, and two that let us say who comes."""
    loopback = {"mynetworks": "127.0.0.0/8"}
    services = {
        "trusting": loopback,
        "xclient": {**loopback, "smtpd_authorized_xclient_hosts": "127.0.0.1"},
        "proxy": {**loopback, "smtpd_upstream_proxy_protocol": "haproxy"},
    }
    with postfix(services=services) as server:
        yield server


@pytest.fixture(scope="session")
def dnsbl() -> Iterator[Rbldnsd]:
    """Return a DNS server with the zone zen.test, which lists 127.0.0.9."""
    with rbldnsd({"zen.test": [f"{LISTED} :127.0.0.4:seen sending spam"]}) as server:
        yield server


@pytest.fixture
def proxy(dnsbl: Rbldnsd) -> Iterator[Starts]:
    """Return a function that starts `tarpit run` with `TARPIT_` variables, given without the prefix."""
    runs: list[Run] = []

    def start(host: str = LOOPBACK, **variables: str) -> Run:
        run = Run.start(host, {"DNS_SERVERS": str(dnsbl), "DNSBL_ZONES": "zen.test*6", **variables})
        runs.append(run)
        return run

    yield start
    for run in runs:
        run.close()
