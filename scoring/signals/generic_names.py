"""Does a reverse name look like one of a pool: `dyn-192-0-2-7.isp.example`?

The one idea: a name that the provider's script made says so by its words (`dhcp`, `cable`) and by having the
address in it; a host that was set up to send mail is called `mail` or `mx`. Which words say what is data, in
`generic_names.toml` beside this file. In this order:

    a word of a server                       not generic: mail-yw1-f54.google.com, static-192-0-2-7.example
    the address, or three octets of it       generic, forwards or backwards, decimal, padded or hexadecimal
    a word of a pool and any number          generic: xdsl7.isp.example
    a word of many and the last two octets   generic: host2-7.isp.example

Everything is a search for fixed strings in at most 253 characters, so a hostile name costs no more than an
honest one; a list of regular expressions, as others have it, was rejected for that, and for its length.

What a generic name weighs is in `weights`; how the name was found is in `reverse_dns`.
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from scoring.verdict import Address

DATA: Final = Path(__file__).with_suffix(".toml")
WORDS: Final = re.compile(r"[a-z]+")
NUMBERS: Final = re.compile(r"[0-9]+")
HALF: Final = 16  # hexadecimal digits of an IPv6 address that name a network, and that name a host in it


@dataclass(frozen=True, slots=True)
class Words:
    """A list of words: whole ones, beginnings and endings."""

    whole: frozenset[str]
    heads: tuple[str, ...]
    tails: tuple[str, ...]

    def first_in(self, words: Iterable[str]) -> str | None:
        """Return the first of *words* that is on the list."""
        for word in words:
            if word in self.whole or word.startswith(self.heads) or word.endswith(self.tails):
                return word
        return None


@dataclass(frozen=True, slots=True)
class Patterns:
    """The lists of `generic_names.toml`."""

    server: Words
    pool: Words
    many: Words
    second_level: frozenset[str]


def read_patterns(text: str) -> Patterns:
    """Return the patterns that *text*, in TOML, means. Raises ValueError."""
    data: dict[str, list[str]] = tomllib.loads(text)
    wanted = {"server", "pool", "many", "second_level"}
    if set(data) != wanted:
        raise ValueError(f"there are lists {sorted(data)}, not {sorted(wanted)}")
    second_level = frozenset(data.pop("second_level"))
    return Patterns(**{key: _words(words) for key, words in data.items()}, second_level=second_level)


@cache
def default_patterns() -> Patterns:
    """Return the patterns that come with this file, read once."""
    return read_patterns(DATA.read_text(encoding="utf-8"))


def why_generic(name: str, address: Address, patterns: Patterns | None = None) -> str | None:
    """Return why *name*, the reverse name of *address*, looks generic, or None if it does not."""
    lists = patterns or default_patterns()
    host = _host_part(name.lower().rstrip("."), lists.second_level)
    words = WORDS.findall(host)
    if lists.server.first_in(words) is not None:
        return None
    if form := _address_in(host, address):
        return f"it has the address in it, {form}"
    numbers = NUMBERS.findall(host)
    if numbers and (word := lists.pool.first_in(words)) is not None:
        return f"it has a number and {word!r} in it"
    if (word := lists.many.first_in(words)) is not None and _has_octets(numbers, address, count=2):
        return f"it has {word!r} and two octets of the address in it"
    return None


def _words(listed: list[str]) -> Words:
    if bad := [word for word in listed if not re.fullmatch(r"\*?[a-z]+|[a-z]+\*", word)]:
        raise ValueError(f"{bad[0]!r} is not a word, word* or *word, in small letters")
    return Words(
        frozenset(word for word in listed if "*" not in word),
        tuple(word.rstrip("*") for word in listed if word.endswith("*")),
        tuple(word.lstrip("*") for word in listed if word.startswith("*")),
    )


def _host_part(name: str, second_level: frozenset[str]) -> str:
    """Return what is left of the registered domain in *name*; a guess without the list of public suffixes."""
    labels = name.split(".")
    under_country = len(labels[-1]) == 2 and len(labels) > 2 and labels[-2] in second_level
    return ".".join(labels[: -3 if under_country else -2])


def _address_in(host: str, address: Address) -> str | None:
    """Return in which form *address* is in *host*."""
    if isinstance(address, IPv6Address):
        return _long_address_in(host, address)
    numbers = NUMBERS.findall(host)
    if _has_octets(numbers, address, count=3):
        return "by octets"
    whole = {"".join(f"{octet:03d}" for octet in order) for order in _orders(address)} | {str(int(address))}
    if not whole.isdisjoint(numbers):
        return "as one number"
    packed = host.replace("-", "").replace("_", "")
    if any(bytes(order).hex() in packed for order in _orders(address)):
        return "in hexadecimal"
    return None


def _long_address_in(host: str, address: IPv6Address) -> str | None:
    """Return in which form an IPv6 *address*, or a half of it that is not mostly zeros, is in *host*."""
    if address.compressed.replace(":", "-") in host:
        return "with hyphens"
    digits = address.packed.hex()
    halves = [half for half in (digits[:HALF], digits[HALF:]) if half.count("0") <= HALF // 2]
    packed = host.replace("-", "").replace("_", "").replace(".", "")
    if any(part in packed for part in (digits, digits[::-1], *halves)):
        return "in hexadecimal"
    return None


def _orders(address: IPv4Address) -> tuple[Sequence[int], Sequence[int]]:
    """Return the octets forwards and backwards."""
    return tuple(address.packed), tuple(reversed(address.packed))


def _has_octets(numbers: Sequence[str], address: Address, *, count: int) -> bool:
    """Whether *count* octets of *address* in a row, for two the last ones, are in *numbers*, either way."""
    if isinstance(address, IPv6Address):
        return False
    values = [int(number) if len(number) <= 3 else -1 for number in numbers]
    rows = {tuple(values[at : at + count]) for at in range(len(values) - count + 1)}
    octets = address.packed if count > 2 else address.packed[2:]
    wanted = [tuple(octets[at : at + count]) for at in range(len(octets) - count + 1)]
    return any(row in rows or row[::-1] in rows for row in wanted)
