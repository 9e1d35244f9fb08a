"""A peer whose recipients were taken one by one and refused together is known for an hour, by its network."""

from ipaddress import ip_address

import trio

from tarpit.backend.introduce import Introduction
from tarpit.backend.splits import HOUR, Splits
from tarpit.smtp.commands import Mail, parse


def peer(address: str) -> Introduction:
    return Introduction(ip_address(address), 25)


def mail(path: str) -> Mail:
    parsed = parse(f"MAIL FROM:<{path}>".encode())
    assert isinstance(parsed, Mail)
    return parsed


async def test_by_network_and_reverse_path(autojump_clock: trio.testing.MockClock) -> None:
    """A /24 or a /64, with this reverse-path, for an hour."""
    splits = Splits()
    splits.add(peer("192.0.2.7"), mail("a@peer.example"))
    splits.add(peer("2001:db8::1"), mail(""))
    assert splits.holds(peer("192.0.2.200"), mail("a@peer.example"))
    assert splits.holds(peer("2001:db8::ffff:1"), mail(""))
    assert not splits.holds(peer("192.0.3.7"), mail("a@peer.example"))
    assert not splits.holds(peer("192.0.2.7"), mail("b@peer.example"))
    assert not splits.holds(peer("2001:db8:0:1::1"), mail(""))
    await trio.sleep(HOUR)
    assert not splits.holds(peer("192.0.2.7"), mail("a@peer.example"))


async def test_bounded() -> None:
    """Beyond the bound the oldest is forgotten; one that comes again is the newest."""
    splits = Splits(most=2)
    for address in ("192.0.2.1", "198.51.100.1", "192.0.2.1", "203.0.113.1"):
        splits.add(peer(address), mail(""))
    held = [splits.holds(peer(a), mail("")) for a in ("192.0.2.1", "198.51.100.1", "203.0.113.1")]
    assert held == [True, False, True]
