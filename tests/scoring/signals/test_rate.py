"""How fast a peer and its network come, and what that weighs."""

from ipaddress import ip_address

import pytest

from scoring.config import Config
from scoring.rates import Rate
from scoring.signals.rate import Event, Rates, network_of
from scoring.verdict import Basis, Result

PEER = ip_address("192.0.2.1")
NEIGHBOUR = ip_address("192.0.2.2")
STRANGER = ip_address("198.51.100.1")
CONFIG = Config(rate_peer=Rate(2, 60), rate_network=Rate(3, 60))


def test_within() -> None:
    """Who keeps to the rate has no finding."""
    rates = Rates(CONFIG)
    for _ in range(2):
        rates.count(Event.CONNECTION, PEER, 0)
    assert rates.findings(PEER, 0) == ()


def test_peer_and_network() -> None:
    """A peer that comes too fast is found; when the sum of its neighbours does, each of them is."""
    rates = Rates(CONFIG)
    for _ in range(3):
        rates.count(Event.CONNECTION, PEER, 0)
    (peer,) = rates.findings(PEER, 0)
    assert (peer.signal, peer.result, peer.points, peer.basis) == ("rate:peer", Result.FAIL, 2, Basis.VOLUME)
    assert peer.why == "more connections than the rate of its peer, 2 in 60 s"
    rates.count(Event.CONNECTION, NEIGHBOUR, 0)
    assert [finding.signal for finding in rates.findings(PEER, 0)] == ["rate:peer", "rate:network"]
    assert [finding.signal for finding in rates.findings(NEIGHBOUR, 0)] == ["rate:network"]
    assert rates.findings(STRANGER, 0) == ()
    assert rates.findings(PEER, 60) == ()


@pytest.mark.parametrize(
    ("event", "within"), [(Event.CONNECTION, 2), (Event.RECIPIENT, 20), (Event.ERROR, 2)]
)
def test_each_event_has_its_measure(event: Event, within: int) -> None:
    """Ten recipients, or one error, may come with each connection."""
    rates = Rates(Config(rate_peer=Rate(2, 60)))
    for _ in range(within):
        rates.count(event, PEER, 0)
    assert rates.findings(PEER, 0) == ()
    rates.count(event, PEER, 0)
    (finding,) = rates.findings(PEER, 0)
    assert finding.why.startswith(f"more {event.value[0]} than")


def test_several_at_once_are_one_finding() -> None:
    """Too many connections with too many errors are said in one line, and weigh once."""
    rates = Rates(Config(rate_peer=Rate(1, 60)))
    for event in (Event.CONNECTION, Event.ERROR):
        for _ in range(2):
            rates.count(event, PEER, 0)
    (finding,) = rates.findings(PEER, 0)
    assert finding.why == "more connections and errors than the rate of its peer, 1 in 60 s"
    assert finding.points == 2


def test_one_of_two() -> None:
    """Without a rate nothing is counted; a network may have one alone."""
    rates = Rates(Config(rate_network=Rate(1, 60)))
    for _ in range(2):
        rates.count(Event.CONNECTION, PEER, 0)
    assert [finding.signal for finding in rates.findings(PEER, 0)] == ["rate:network"]
    silent = Rates(Config())
    silent.count(Event.CONNECTION, PEER, 0)
    assert silent.findings(PEER, 0) == ()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.255", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("0.0.0.0", "::", False),
    ],
)
def test_network_of(one: str, other: str, same: bool) -> None:
    """Neighbours share a /24 or a /64; an IPv4 network is never an IPv6 one."""
    assert (network_of(ip_address(one)) == network_of(ip_address(other))) is same
