"""Lists of names: what they are asked about, and what their answers amount to."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.signals.rhsbl import ask_name_zone, asked_domain, signal_of, wanted_by
from scoring.verdict import Result
from scoring.zones import Identity, is_domain, masked, parse_zones
from tests.support.dns_zone import FakeResolver, found

DBL = parse_zones("dbl.example=127.0.1.[2..99]*3 dbl.example=127.0.1.[102..106]*1;ask=mail")


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("mail.Example.ORG", "mail.example.org"),
        ("mail.example.org.", "mail.example.org"),
        ("a@b.example", "b.example"),
        ("<a@b.example>", "b.example"),
        ('"a@x.example"@b.example', "b.example"),
        (None, ""),
        ("", ""),
        ("<>", ""),
        ("localhost", ""),
        ("localhost.", ""),
        ("postmaster", ""),
        ("192.0.2.1", ""),
        ("192.0.2.1.", ""),
        ("[192.0.2.1]", ""),
        ("a@[192.0.2.1]", ""),
        ("[IPv6:2001:db8::1]", ""),
        ("2001:db8::1", ""),
        ("a@[IPv6:2001:db8::1.2.3.4]", ""),
        ("b..example", ""),
        (".example", ""),
        ("b example.org", ""),
        ("b\0.example.org", ""),
        ("bücher.example", ""),
        (f"{'a.' * 130}example", ""),
    ],
)
def test_asked_domain(name: str | None, domain: str) -> None:
    """DNS-06: no list of names is asked about an address, or a name without a dot."""
    assert asked_domain(name) == domain


@given(st.text(max_size=300) | st.text(alphabet="aA1-._@<>[]: ", max_size=300))
def test_any_name_is_asked_about_as_a_domain(name: str) -> None:
    """Whatever a peer calls itself, what is asked about is a domain in lower case, with a dot."""
    domain = asked_domain(name)
    assert not domain or (is_domain(domain) and "." in domain and domain == domain.lower())


@pytest.mark.parametrize(
    ("identity", "code", "result", "points"),
    [
        (Identity.HELO, "127.0.1.2", Result.LISTED, 3),
        (Identity.MAIL, "127.0.1.2", Result.LISTED, 3),
        (Identity.MAIL, "127.0.1.102", Result.LISTED, 1),
        (Identity.HELO, "127.0.1.102", Result.ERROR, 0),
        (Identity.RDNS, "127.0.1.255", Result.ERROR, 0),
        (Identity.RDNS, "127.255.255.254", Result.ERROR, 0),
        (Identity.RDNS, "203.0.113.1", Result.ERROR, 0),
        (Identity.RDNS, "", Result.NONE, 0),
    ],
)
async def test_codes(identity: Identity, code: str, result: Result, points: float) -> None:
    """DNS-05, DNS-06: codes count as in a list of addresses; filters for other names stay out of it."""
    answers = {("b.example.dbl.example", "A"): found(code)} if code else {}
    finding = await ask_name_zone(FakeResolver(answers), "b.example", DBL, identity, until=math.inf)
    assert finding.signal == f"rhsbl:dbl.example:{identity.value}"
    assert (finding.result, finding.points) == (result, points)


def test_wanted_by() -> None:
    """A filter is for the names that it says it asks about."""
    assert wanted_by(DBL, Identity.HELO) == DBL[:1]
    assert wanted_by(DBL, Identity.MAIL) == DBL


def test_signal_is_masked() -> None:
    """An API key is no more shown here than in a list of addresses."""
    zones = masked(parse_zones("secret.dbl.example"), {"secret.dbl.example": "dbl.example"})
    assert signal_of(zones, Identity.RDNS) == "rhsbl:dbl.example:rdns"
