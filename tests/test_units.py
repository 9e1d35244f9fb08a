"""The units of the settings: what is read, what is written, and what is refused with which words."""

import math
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit import units
from tarpit.units import Rate, listed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("1.5s", 1.5),
        ("5m", 300),
        ("1h", 3600),
        ("2d", 172800),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is seconds as a float; a bare 0 needs no unit."""
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "-1s", "1 s", "s", "1w", "1s2m", "nan", "٣s"])
def test_no_duration(text: str) -> None:
    """What is not a duration says what to write."""
    with pytest.raises(ValueError, match="write 500ms, 30s, 5m, 1h or 0"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("512", 512), ("64k", 65536), ("10m", 10 << 20), ("1G", 1 << 30), ("0", 0)]
)
def test_sizes(text: str, size: int) -> None:
    """A size is bytes; k, m and g are powers of 1,024."""
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1.5m", "-1", "10mb", "m", "1 k"])
def test_no_size(text: str) -> None:
    """What is not a size says what to write."""
    with pytest.raises(ValueError, match="write 512, 64k, 10m, 1g or 0"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("30/m", Rate(30, 60)), ("10/s", Rate(10, 1)), ("600/h", Rate(600, 3600)), ("0", Rate(0))],
)
def test_rates(text: str, rate: Rate) -> None:
    """A rate is so many in so many seconds; a bare 0 is no limit."""
    assert units.parse_rate(text) == rate


@pytest.mark.parametrize("text", ["30", "30/d", "/m", "1.5/s", "-1/m"])
def test_no_rate(text: str) -> None:
    """What is not a rate says what to write."""
    with pytest.raises(ValueError, match="is not a rate"):
        units.parse_rate(text)


def test_patience_without_end() -> None:
    """A time-out of 0 never comes."""
    assert units.parse_patience("0") == math.inf
    assert units.format_patience(math.inf) == "0"
    assert units.parse_patience("5m") == 300


@pytest.mark.parametrize(
    ("text", "words"), [("0", "at least 1"), ("-1", "whole number"), ("1.5", "whole number")]
)
def test_no_count(text: str, words: str) -> None:
    """A count is at least 1."""
    with pytest.raises(ValueError, match=words):
        units.parse_count(text)


@pytest.mark.parametrize(("text", "share"), [("0.2", 0.2), ("20%", 0.2), ("0", 0), ("1", 1), ("100%", 1)])
def test_shares(text: str, share: float) -> None:
    """A share is between 0 and 1, or in per cent."""
    assert units.parse_share(text) == share


@pytest.mark.parametrize("text", ["1.1", "120%", "-0.1", "half", ""])
def test_no_share(text: str) -> None:
    """Nothing else is a share."""
    with pytest.raises(ValueError, match="is not"):
        units.parse_share(text)


@pytest.mark.parametrize("text", ["0", "-3", "three"])
def test_no_points(text: str) -> None:
    """A threshold that everybody has reached is none."""
    with pytest.raises(ValueError, match=r"must be more than 0|not a number"):
        units.parse_points(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1:25", ("192.0.2.1", 25)),
        ("[::]:25", ("::", 25)),
        ("[2001:DB8::1]:2525", ("2001:db8::1", 2525)),
        ("MX.example.org.:25", ("mx.example.org", 25)),
        ("localhost:10025", ("localhost", 10025)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    """An address is a host and a port; IPv6 stands in brackets."""
    assert units.parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "25",
        ":25",
        "::1:25",
        "mx:",
        "mx:0",
        "mx:65536",
        "mx:smtp",
        "[::1]",
        "[mx]:25",
        "192.0.2.256:25",
        "a b:25",
    ],
)
def test_no_address(text: str) -> None:
    """Half an address, a port out of range and a mistyped number are refused."""
    with pytest.raises(ValueError, match=r"is not host:port|has no port|neither a host name nor an address"):
        units.parse_address(text)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("::1", ("::1", 53)),
        ("[::1]", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_name_servers(text: str, server: tuple[str, int]) -> None:
    """A name server's port may be left out."""
    assert units.parse_server(text) == server


def test_name_server_by_name() -> None:
    """A name server cannot be given by name: nobody could be asked for it."""
    with pytest.raises(ValueError, match="address of a name server"):
        units.parse_server("dns.example")


def test_networks() -> None:
    """A network is CIDR, or a single address."""
    assert units.parse_network("192.0.2.0/24") == ip_network("192.0.2.0/24")
    assert units.format_network(units.parse_network("::1")) == "::1"


def test_network_with_host_bits() -> None:
    """A network that is not on its boundary is refused with the one that is."""
    with pytest.raises(ValueError, match=r"did you mean 192\.0\.2\.0/24\?"):
        units.parse_network("192.0.2.1/24")


def test_no_network() -> None:
    """A name is not a network."""
    with pytest.raises(ValueError, match="is not a network"):
        units.parse_network("example.org")


def test_paths() -> None:
    """A path is absolute: where the proxy is started from must not matter."""
    assert units.parse_path("/run/tarpit") == Path("/run/tarpit")
    with pytest.raises(ValueError, match="not an absolute path"):
        units.parse_path("run/tarpit")


@pytest.mark.parametrize("text", ["", "a\r\n250 ok", "grüß", "x" * 201])
def test_no_line(text: str) -> None:
    """Text for a reply cannot end its line, nor be more than one."""
    with pytest.raises(ValueError, match="one line of at most 200 printable ASCII"):
        units.parse_line(text)


def test_lists() -> None:
    """A list has blanks or commas between; what comes twice counts once; `none` is empty."""
    counts = listed(units.COUNT)
    assert counts.parse("1, 2 3\n4,1") == (1, 2, 3, 4)
    assert counts.parse("none") == ()
    assert counts.format(()) == "none"


def test_list_that_must_not_be_empty() -> None:
    """Where one is needed, none is refused."""
    with pytest.raises(ValueError, match="at least one backend"):
        listed(units.COUNT, needed="backend").parse("none")


@given(st.integers(0, 10**12))
def test_sizes_are_read_as_written(size: int) -> None:
    """Whatever is written is read back as the same size."""
    assert units.parse_size(units.format_size(size)) == size


@given(st.integers(0, 10**9))
def test_durations_are_read_as_written(milliseconds: int) -> None:
    """Whatever is written is read back as the same duration, to the millisecond."""
    assert units.parse_duration(units.format_duration(milliseconds / 1000)) == pytest.approx(
        milliseconds / 1000
    )


@given(st.text())
def test_garbage(text: str) -> None:
    """Whatever the text is, a parser takes it or raises ValueError, nothing else."""
    for unit in (units.DURATION, units.SIZE, units.RATE, units.COUNT, units.SHARE, units.HOST, units.ADDRESS):
        try:
            unit.validate(text)
        except ValueError:
            continue
