"""Allow and deny lists: found in files, refused with file and line, matched fast."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.networks import Network, Networks, NetworksError, load, parse_line

FILE = """\
# a list of my own
192.0.2.0/24        ; the whole of it
198.51.100.7
  203.0.113.4 - 203.0.113.9  # a range, as spamd-setup takes it

; IPv6
2001:db8::/32
2001:db8:1::5
2001:db8:2::1 - 2001:db8:2::3
"""


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.255", "192.0.2.0/24"),
        ("192.0.3.0", None),
        ("198.51.100.7", "198.51.100.7/32"),
        ("198.51.100.8", None),
        ("203.0.113.3", None),
        ("203.0.113.5", "203.0.113.4/30"),
        ("203.0.113.9", "203.0.113.8/31"),
        ("2001:db8:1::5", "2001:db8:1::5/128"),
        ("2001:db8:1::6", "2001:db8::/32"),
        ("2001:db8:2::3", "2001:db8:2::2/127"),
        ("2001:db9::", None),
        ("10.1.2.3", "10.0.0.0/8"),
        ("::1", None),
    ],
)
def test_find(tmp_path: Path, address: str, network: str | None) -> None:
    """The smallest network that holds the address, out of files and inline entries alike."""
    path = tmp_path / "allow"
    path.write_text(FILE)
    networks = load([path, ip_network("10.0.0.0/8")])
    assert networks.find(ip_address(address)) == (ip_network(network) if network else None)


@pytest.mark.parametrize(
    ("line", "network"),
    [
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.0 - ::ffff:192.0.2.255", "192.0.2.0/24"),
    ],
)
def test_ipv4_in_ipv6(line: str, network: str) -> None:
    """What an IPv6 socket has called an IPv4 peer holds that peer; bogons of IPv6 are not everybody."""
    networks = Networks(parse_line(line))
    assert networks.find(ip_address("192.0.2.7")) == ip_network(network)
    bogons = Networks([*parse_line("::/0"), *parse_line("::ffff:0:0/96")])
    assert bogons.find(ip_address("192.0.2.7")) is None


def test_everything_and_nothing() -> None:
    """A network may be the whole of one kind of address, and a list may be empty."""
    assert Networks([ip_network("0.0.0.0/0")]).find(ip_address("192.0.2.1")) == ip_network("0.0.0.0/0")
    assert Networks([ip_network("0.0.0.0/0")]).find(ip_address("::")) is None
    assert Networks().find(ip_address("192.0.2.1")) is None
    assert (len(load([])), len(Networks([ip_network("::1"), ip_network("10.0.0.0/8")]))) == (0, 2)


def test_all_faults_at_once(tmp_path: Path) -> None:
    """Every fault of every file is named by file and line, and nothing is loaded."""
    good, bad, missing = tmp_path / "good", tmp_path / "bad", tmp_path / "missing"
    good.write_text(FILE)
    bad.write_bytes(b"192.0.2.1/24\n\n# fine\nmail.example\n1.2.3.4 - ::1\n9.9.9.9-1.1.1.1\n\xff\x1b[2J\r\n")
    with pytest.raises(NetworksError) as caught:
        load([good, bad, missing])
    refusal = "is not a network: write 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1"
    assert caught.value.faults == (
        f"{bad}:1: '192.0.2.1/24' has host bits set: did you mean 192.0.2.0/24?",
        f"{bad}:4: 'mail.example' {refusal}",
        f"{bad}:5: '1.2.3.4 - ::1' {refusal}",
        f"{bad}:6: '9.9.9.9-1.1.1.1' {refusal}",
        f"{bad}:7: '?\\x1b[2J' {refusal}",
        f"{missing}: No such file or directory",
    )
    assert str(caught.value).splitlines() == list(caught.value.faults)


def test_the_wrong_file(tmp_path: Path) -> None:
    """A file that is no list at all does not fill the screen."""
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0\n" * 1000)
    with pytest.raises(NetworksError) as caught:
        load([path])
    assert (len(caught.value.faults), caught.value.faults[-1]) == (21, f"{path}: and 980 more")


def test_a_hundred_thousand_lines(tmp_path: Path) -> None:
    """A published list of 100,000 lines is read whole, and each of its networks is found."""
    path = tmp_path / "deny"
    path.write_text("".join(f"{n >> 8 & 255}.{n & 255}.{n >> 16}.0/24\n" for n in range(100_000)))
    networks = load([path])
    assert len(networks) == 100_000
    assert all(
        networks.find(ip_address(f"{n >> 8 & 255}.{n & 255}.{n >> 16}.9")) for n in range(0, 100_000, 97)
    )


NETWORKS = (
    st.ip_addresses()
    .flatmap(
        lambda address: st.integers(0, address.max_prefixlen).map(
            lambda length: ip_network((address, length), strict=False)
        )
    )
    .filter(lambda network: not str(network).startswith("::ffff:"))
)


@given(st.lists(NETWORKS, max_size=8), st.ip_addresses())
def test_as_one_by_one(entries: list[Network], address: IPv4Address | IPv6Address) -> None:
    """The tables answer as asking each network would, whichever address is asked about."""
    for one in [address, *(network.network_address for network in entries)]:
        holding = [network for network in entries if one.version == network.version and one in network]
        best = max(holding, key=lambda network: network.prefixlen, default=None)
        assert Networks(entries).find(one) == best


@given(st.text(max_size=40))
def test_any_line_is_networks_or_a_fault(text: str) -> None:
    """Garbage raises ValueError and nothing else."""
    with suppress(ValueError):
        assert parse_line(text)
