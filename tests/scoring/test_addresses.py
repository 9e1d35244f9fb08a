"""Addresses at hand: the same as any others."""

import pytest

from scoring.addresses import address_of
from scoring.verdict import to_address


@pytest.mark.parametrize("text", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0"])
def test_address_of(text: str) -> None:
    """It is what it would be without, and one object for all who ask."""
    address, known = to_address(text), address_of(text)
    assert (known, hash(known), str(known), known.packed) == (
        address,
        hash(address),
        str(address),
        address.packed,
    )
    assert address_of(text) is known


def test_what_is_none() -> None:
    """What is not an address is the caller's mistake."""
    with pytest.raises(ValueError, match="localhost"):
        address_of("localhost")
