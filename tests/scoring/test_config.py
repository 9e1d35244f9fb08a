"""Zones and weights as an operator writes them."""

from ipaddress import IPv4Address

import pytest

from scoring.config import DEFAULT_WEIGHTS, Config, parse_weights, parse_zone, parse_zones


@pytest.mark.parametrize(
    ("text", "name", "weight", "yes", "no"),
    [
        ("zen.example", "zen.example", 1, "127.0.0.2 127.9.9.9", "128.0.0.2"),
        ("Zen.Example.", "zen.example", 1, "127.0.0.2", ""),
        ("zen.example*3", "zen.example", 3, "127.0.0.2", ""),
        ("zen.example=127.0.0.4", "zen.example", 1, "127.0.0.4", "127.0.0.5"),
        (
            "zen.example=127.0.0.[2..11;14]*3",
            "zen.example",
            3,
            "127.0.0.2 127.0.0.11 127.0.0.14",
            "127.0.0.1 127.0.0.12 127.0.0.13 127.0.1.2",
        ),
        ("dnswl.example=127.0.[0..255].[1..3]*-2", "dnswl.example", -2, "127.0.7.3", "127.0.7.4"),
        ("dbl.example=127.0.[1;3].2*+0.5", "dbl.example", 0.5, "127.0.1.2 127.0.3.2", "127.0.2.2"),
    ],
)
def test_parse_zone(text: str, name: str, weight: float, yes: str, no: str) -> None:
    """The syntax is that of postscreen, with ranges, sets and negative weights."""
    zone = parse_zone(text)
    assert (zone.name, zone.weight) == (name, weight)
    assert all(zone.counts(IPv4Address(code)) for code in yes.split())
    assert not any(zone.counts(IPv4Address(code)) for code in no.split())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not zone"),
        ("zen.example=", "is not zone"),
        ("zen.example*", "is not zone"),
        ("zen.example*2*3", "is not zone"),
        ("zen..example", "is not a domain name"),
        ("zen_.-example", "is not a domain name"),
        ("zen.example*three", "'three' is not a number of points"),
        ("zen.example*inf", "'inf' is not a number of points"),
        ("zen.example=127.0.0", "is not four octets"),
        ("zen.example=127.0.0.[2", "is not four octets"),
        ("zen.example=127.0.0.256", "'256' is not a number or a range within 0..255"),
        ("zen.example=127.0.0.99999999999999999999", "is not a number or a range"),
        ("zen.example=127.0.0.[2..]", "is not a number or a range"),
        ("zen.example=127.0.0.[]", "is not a number or a range"),
        ("zen.example=127.0.0.[11..2]", "counts downwards"),
        ("zen.example=[126..127].0.0.2", "never a listing"),
    ],
)
def test_parse_zone_refuses(text: str, complaint: str) -> None:
    """A zone that cannot be meant says what is wrong with it."""
    with pytest.raises(ValueError, match=complaint):
        parse_zone(text)


def test_parse_zones() -> None:
    """A list has spaces or commas, and a zone may come again with another filter."""
    zones = parse_zones("zen.example=127.0.0.2*3, zen.example=127.0.0.10*1 bl.example")
    assert [(zone.name, zone.weight) for zone in zones] == [
        ("zen.example", 3),
        ("zen.example", 1),
        ("bl.example", 1),
    ]


def test_parse_weights() -> None:
    """Named weights change, the others stay."""
    weights = parse_weights("pregreet=5,spf-fail=2.5 spf-pass=-1")
    assert weights == {**DEFAULT_WEIGHTS, "pregreet": 5, "spf-fail": 2.5, "spf-pass": -1}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("pregreet", "is not signal=points"),
        ("pregret=4", "did you mean pregreet?"),
        ("zzz=4", "there are pregreet, spf-fail"),
        ("pregreet=many", "'many' is not a number of points"),
    ],
)
def test_parse_weights_refuses(text: str, complaint: str) -> None:
    """A mistyped weight is not passed over."""
    with pytest.raises(ValueError, match=complaint):
        parse_weights(text)


def test_config_weight_falls_back() -> None:
    """Weights given in part leave the rest at their defaults."""
    config = Config(weights={"no-rdns": 2})
    assert (config.weight("no-rdns"), config.weight("pregreet")) == (2, 4)


def test_config_thresholds() -> None:
    """The hold threshold leaves room for listed peers to be suspects."""
    with pytest.raises(ValueError, match="at least 1 above"):
        Config(suspect_at=3, hold_at=3.5)


def test_no_hearsay_default_holds() -> None:
    """By default only a failed SPF or pregreeting makes a suspect alone."""
    assert {key for key, points in DEFAULT_WEIGHTS.items() if points >= Config().suspect_at} == {
        "pregreet",
        "spf-fail",
    }
