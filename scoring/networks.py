"""Networks by the hundred thousand: the operator's allow and deny lists, inline or as files.

The one idea: a set of integers a prefix length. Whether an address is in a list is then one look-up for
each length that occurs, however long the list is: a list of single addresses and /24s costs two.

A file is plain text as OpenBSD's spamd-setup, Spamhaus DROP and most published lists have it: a network, an
address or a range `192.0.2.1 - 192.0.2.9` a line, comments after # or ;, blank lines. Every fault of every
file is named at once, and then nothing is loaded: half an allowlist is worse than the one of yesterday. To
read lists again, call `load` again and put what it returns in the place of the old one; if it raises, keep
the old one.

Rejected: a radix tree (py-radix, a compiled dependency, for microseconds that nobody misses).
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from itertools import islice
from pathlib import Path
from typing import Final

from scoring.verdict import Address, one_line

Network = IPv4Network | IPv6Network

COMMENT: Final = re.compile(r"[#;].*")
MOST_FAULTS: Final = 20  # of a file; the wrong file has one a line


class NetworksError(ValueError):
    """Lists that cannot be read as networks; `faults` has a line each, with file and line number."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class Networks:
    """A set of networks that is asked which of them holds an address."""

    __slots__ = ("_tables",)

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        tables: dict[tuple[int, int], set[int]] = {}
        for network in map(_unmapped, networks):
            value = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            tables.setdefault((network.version, network.prefixlen), set()).add(value)
        self._tables = {
            4: _longest_first(tables, version=4, bits=32),
            6: _longest_first(tables, version=6, bits=128),
        }

    def __len__(self) -> int:
        return sum(len(values) for tables in self._tables.values() for _, values in tables)

    def find(self, address: Address) -> Network | None:
        """Return the smallest network that holds *address*."""
        tables = self._tables[4 if isinstance(address, IPv4Address) else 6]
        if not tables:
            return None
        number = int(address)
        for shift, values in tables:
            if number >> shift in values:
                return ip_network((address, address.max_prefixlen - shift), strict=False)
        return None


def load(sources: Iterable[Network | Path]) -> Networks:
    """Return all networks of *sources*, each a network or a file of them.

    Raises `NetworksError` with every fault of every file.
    """
    networks: list[Network] = []
    faults: list[str] = []
    for source in sources:
        if isinstance(source, Path):
            _read(source, networks, faults)
        else:
            networks.append(source)
    if faults:
        raise NetworksError(faults)
    return Networks(networks)


def parse_line(text: str) -> list[Network]:
    """Return the networks of a line without its comment: one, or those of a range. Raises ValueError."""
    if "-" in text:
        first, _, last = text.partition("-")
        return list(_range(ip_address(first.strip()), ip_address(last.strip())))
    return [ip_network(text)]


def _read(path: Path, networks: list[Network], faults: list[str]) -> None:
    """Add the networks of the file, and what is wrong with it."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            wrong = _read_lines(path, lines, networks)
            faults.extend(islice(wrong, MOST_FAULTS))
            if more := sum(1 for _ in wrong):
                faults.append(f"{path}: and {more} more")
    except OSError as error:
        faults.append(f"{path}: {error.strerror}")


def _read_lines(path: Path, lines: Iterable[str], networks: list[Network]) -> Iterator[str]:
    """Add the networks of the *lines*; yield what is wrong with any."""
    for number, line in enumerate(lines, start=1):
        if text := COMMENT.sub("", line).strip():
            try:
                networks.extend(parse_line(text))
            except ValueError as error:
                yield f"{path}:{number}: {one_line(_explain(text, error))}"


def _explain(text: str, error: ValueError) -> str:
    """Return what is wrong with *text*, and what was meant where that can be told."""
    if "host bits" in str(error):
        return f"{text!r} has host bits set: did you mean {ip_network(text, strict=False)}?"
    return f"{text!r} is not a network: write 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1"


def _range(first: Address, last: Address) -> Iterator[Network]:
    """Return the networks that make up a range."""
    if isinstance(first, IPv4Address) and isinstance(last, IPv4Address):
        return summarize_address_range(first, last)
    if isinstance(first, IPv6Address) and isinstance(last, IPv6Address):
        return summarize_address_range(first, last)
    raise ValueError("a range from one kind of address to another")


def _unmapped(network: Network) -> Network:
    """Return a network of IPv4 peers as such, if it is written as an IPv6 socket has them.

    All of them together are none: lists of IPv6 bogons have ::ffff:0:0/96, and do not mean everybody.
    """
    first = network.network_address
    mapped = first.ipv4_mapped if isinstance(first, IPv6Address) and network.prefixlen > 96 else None
    return network if mapped is None else IPv4Network((mapped, network.prefixlen - 96))


def _longest_first(
    tables: dict[tuple[int, int], set[int]], *, version: int, bits: int
) -> tuple[tuple[int, set[int]], ...]:
    """Return (bits that are no part of the network, networks), the smallest networks first."""
    lengths = sorted((length for kind, length in tables if kind == version), reverse=True)
    return tuple((bits - length, tables[version, length]) for length in lengths)
