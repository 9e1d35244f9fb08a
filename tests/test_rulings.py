"""What the operator has said of networks: which word counts, and for how long."""

from ipaddress import ip_address, ip_network

import pytest

from tarpit.rulings import MOST, Ruling, Rulings, unmapped

WIDE, NARROW = ip_network("192.0.2.0/24"), ip_network("192.0.2.25")
ADDRESS, NEIGHBOUR = ip_address("192.0.2.25"), ip_address("192.0.2.26")


class Clock:
    """A clock that stands."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_smallest_network_counts() -> None:
    """One host is let in out of a denied network, whichever was said first."""
    for order in (1, -1):
        rulings = Rulings(Clock())
        for ruling in [Ruling(WIDE, allowed=False), Ruling(NARROW, allowed=True)][::order]:
            assert rulings.put(ruling)
        found = [rulings.find(address) for address in (ADDRESS, NEIGHBOUR, ip_address("::1"))]
        assert [one and one.allowed for one in found] == [True, False, None]


def test_the_last_word_on_a_network_holds() -> None:
    """Said again, a network is not in it twice."""
    rulings = Rulings(Clock())
    rulings.put(Ruling(WIDE, allowed=False))
    rulings.put(Ruling(WIDE, allowed=True))
    assert list(rulings) == [Ruling(WIDE, allowed=True)]


def test_a_ruling_ends() -> None:
    """When its time is over the wider one holds again, and nothing of it is left."""
    clock = Clock()
    rulings = Rulings(clock)
    rulings.put(Ruling(WIDE, allowed=False))
    rulings.put(Ruling(NARROW, allowed=True, until=10.0))
    clock.now = 9.9
    assert rulings.find(ADDRESS) == Ruling(NARROW, allowed=True, until=10.0)
    clock.now = 10.0
    assert rulings.find(ADDRESS) == Ruling(WIDE, allowed=False)
    assert len(rulings) == 1


def test_forgotten_with_all_its_parts() -> None:
    """Taking back a network takes back what was said of parts of it, and not of what it is a part of."""
    rulings = Rulings(Clock())
    for network in ("192.0.2.0/25", "192.0.2.25", "192.0.0.0/16", "2001:db8::/32"):
        rulings.put(Ruling(ip_network(network), allowed=False))
    assert [str(one.network) for one in rulings.forget(WIDE)] == ["192.0.2.0/25", "192.0.2.25/32"]
    assert [str(one.network) for one in rulings] == ["192.0.0.0/16", "2001:db8::/32"]
    assert rulings.forget(WIDE) == ()


def test_there_is_a_bound() -> None:
    """There is no room beyond the bound, but for what is there already, and for what takes an ended one's."""
    clock = Clock()
    rulings = Rulings(clock)
    networks = [ip_network((0x0A000000 + number, 32)) for number in range(MOST + 1)]
    assert all(rulings.put(Ruling(network, allowed=True)) for network in networks[1:MOST])
    assert rulings.put(Ruling(networks[0], allowed=True, until=5.0))
    assert not rulings.put(Ruling(networks[MOST], allowed=True))
    assert rulings.put(Ruling(networks[1], allowed=False))
    clock.now = 5.0
    assert rulings.put(Ruling(networks[MOST], allowed=True))
    assert len(rulings) == MOST


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.25/128", "192.0.2.25/32"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("::ffff:0:0/96", "::ffff:0:0/96"),
    ],
)
def test_a_network_in_ipv6_clothes(written: str, meant: str) -> None:
    """IPv4 peers are known by their IPv4 address, and so are their networks."""
    network = unmapped(ip_network(written))
    assert network == ip_network(meant)
    rulings = Rulings(Clock())
    rulings.put(Ruling(network, allowed=True))
    assert rulings.find(network.network_address) is not None
