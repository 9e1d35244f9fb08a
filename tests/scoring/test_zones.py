"""Zones as an operator writes them, and the names they are shown under."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.zones import (
    ALL_NAMES,
    ANY_CODE,
    Identity,
    Zone,
    by_name,
    complaint,
    format_masks,
    format_zone,
    idle_masks,
    masked,
    parse_masks,
    parse_zone,
    parse_zones,
    welcomes,
)

KEY = "qz7xp2lm9ab4cd6ef8gh1jk3nr"  # 26 characters, as Spamhaus gives out


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
        ("zen.example=127.000.0.007", "zen.example", 1, "127.0.0.7", "127.0.0.70"),
        ("zen.example=[127.0.0.[2;3]]", "zen.example", 1, "127.0.0.3", "127.0.0.4"),
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
        (f"{'zen.' * 70}example", "is not a domain name"),
        ("zen.example*three", "'three' is not a number of points"),
        ("zen.example*inf", "'inf' is not a number of points"),
        ("zen.example=127.0.0", "is not four octets"),
        ("zen.example=127.0.0.[2", "is not four octets"),
        ("zen.example=127.0.0.²", "is not four octets"),
        ("zen.example=127.0.0.256", "'256' is not a number or a range within 0..255"),
        ("zen.example=127.0.0.00256", "'00256' is not a number or a range within 0..255"),
        ("zen.example=127.0.0.99999999999999999999", "is not a number or a range"),
        ("zen.example=127.0.0.[2..]", "is not a number or a range"),
        ("zen.example=127.0.0.[]", "is not a number or a range"),
        ("zen.example=127.0.0.[11..2]", "counts downwards"),
        ("zen.example=[126..127].0.0.2", "never a listing"),
        ("zen.example=127.0.0.1*-2", "127.0.0.1 is never a listing"),
        ("zen.example=127.255.255.[0..255]", "is never a listing"),
        ("zen.example=127.0.[0..1].255", "is never a listing"),
        ("zen.example;test=", "'test=' is not test=POINT"),
        ("zen.example;colour=red", "'colour=red' is not test=POINT"),
        ("dbl.example;ask=helo+rnds", "'helo.rnds' is not some of"),
        ("dbl.example;ask=", "'' is not some of"),
    ],
)
def test_parse_zone_refuses(text: str, complaint: str) -> None:
    """A zone that cannot be meant says what is wrong with it."""
    with pytest.raises(ValueError, match=complaint):
        parse_zone(text)


def test_options() -> None:
    """A zone may have a test point of its own, or none; a list of names be asked about some names only."""
    assert parse_zone("bl.example*2;test=192.0.2.9").test == "192.0.2.9"
    zone = parse_zone("uri.example=127.0.0.[2;4]*3;test=Point.Example;ask=helo+mail")
    assert zone == Zone(
        "uri.example",
        3,
        (frozenset({127}), frozenset({0}), frozenset({0}), frozenset({2, 4})),
        test="point.example",
        identities=frozenset({Identity.HELO, Identity.MAIL}),
    )
    assert parse_zone("uri.example") == Zone("uri.example", 1, ANY_CODE, identities=ALL_NAMES)


def test_parse_zones() -> None:
    """A list has spaces or commas, and a zone may come again with another filter."""
    zones = parse_zones("zen.example=127.0.0.2*3, zen.example=127.0.0.10*1 bl.example")
    assert [(zone.name, zone.weight) for zone in zones] == [
        ("zen.example", 3),
        ("zen.example", 1),
        ("bl.example", 1),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "zen.example",
        "zen.example=127.0.0.[2..11;14]*3",
        "list.example*-2",
        "a.example=127.0.[1..2].5*0.5;test=none",
        "uri.example*2;test=point.example;ask=rdns+mail",
    ],
)
def test_format_zone(text: str) -> None:
    """A zone is written in the syntax it was read in."""
    assert format_zone(parse_zone(text)) == text


@given(st.text(alphabet="zen.*=[];0123456789-+ask tes", max_size=40))
def test_any_text_is_a_zone_or_refused(text: str) -> None:
    """What is read is written so that it reads the same; anything else raises ValueError and nothing else."""
    try:
        zone = parse_zone(text)
    except ValueError:
        return
    assert zone.shown != zone.name or parse_zone(format_zone(zone)) == zone


def test_by_name() -> None:
    """Filters of one zone come together; the order of the list is kept."""
    zones = parse_zones("b.example=127.0.0.2 a.example b.example=127.0.0.3")
    assert by_name(zones) == {"b.example": (zones[0], zones[2]), "a.example": (zones[1],)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wl.example*-2", True),
        ("wl.example*0 wl.example=127.0.0.2*-1", True),
        ("wl.example*-2 wl.example*1", False),
        ("bl.example*0", False),
        ("bl.example", False),
    ],
)
def test_welcomes(text: str, expected: bool) -> None:
    """A welcome list has negative weights, and no positive one."""
    assert welcomes(parse_zones(text)) is expected


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("127.0.0.2", ""),
        ("127.0.0.254", ""),
        ("127.0.0.1", "parked"),
        ("127.0.0.255", "refuses"),
        ("127.0.1.255", "refuses"),
        ("127.255.255.252", "refuses"),
        ("127.255.255.254", "refuses"),
        ("127.255.255.255", "refuses"),
        ("128.0.0.2", "outside"),
        ("203.0.113.7", "outside"),
    ],
)
def test_complaint(code: str, words: str) -> None:
    """DNS-03 to DNS-06: codes by which zones and resolvers say that they do not answer are no listings."""
    said = complaint(IPv4Address(code))
    assert bool(said) is bool(words)
    assert words in said


# --- keys


def test_masks() -> None:
    """A map as postscreen_dnsbl_reply_map: the zone is asked by its name and shown under another."""
    masks = parse_masks("Secret.zen.example.=Zen.Example, k2.dbl.example=dbl.example")
    zen, dbl, other = masked(parse_zones("secret.zen.example*3 k2.dbl.example=127.0.1.2 bl.example"), masks)
    assert (zen.name, zen.shown, zen.weight) == ("secret.zen.example", "zen.example", 3)
    assert (dbl.shown, other.shown) == ("dbl.example", "bl.example")
    assert format_zone(zen) == "zen.example*3"
    assert repr(zen) == "<Zone zen.example*3>"
    assert format_masks(masks) == "***=zen.example ***=dbl.example"
    assert format_masks({}) == "none"


@pytest.mark.parametrize("text", ["secret.zen.example", "secret..zen=zen.example", "secret.zen.example=z..n"])
def test_parse_masks_refuses(text: str) -> None:
    """A mask that cannot be meant is refused without being quoted."""
    with pytest.raises(ValueError, match=r"the 2\. mask is not zone=shown") as caught:
        parse_masks(f"k.a.example=a.example {text}")
    assert "secret" not in str(caught.value)


def test_masks_of_two_zones_differ() -> None:
    """Two zones under one name would be one signal; two filters of a zone may be."""
    masks = {"key.zen.example": "zen.example"}
    assert len(masked(parse_zones("key.zen.example=127.0.0.2 key.zen.example=127.0.0.3"), masks)) == 2
    with pytest.raises(ValueError, match=r"two zones would be shown as zen\.example"):
        masked(parse_zones("key.zen.example zen.example"), masks)


def test_idle_masks() -> None:
    """A mask for a zone that nobody asks is mistyped: it is named by what it would show."""
    masks = {"kye.zen.example": "zen.example", "key.dbl.example": "dbl.example"}
    assert idle_masks(masks, parse_zones("key.zen.example key.dbl.example")) == ("zen.example",)


def test_a_key_is_masked_unasked() -> None:
    """A label that looks like an API key is never shown, mask or not."""
    assert parse_zone(f"{KEY}.zen.dq.example").shown == "***.zen.dq.example"
    assert parse_zone("a-label-without-any-key.example").shown == "a-label-without-any-key.example"


@pytest.mark.parametrize(
    "text",
    [
        "secret.zen.example=127.0.0.256",
        "secret.zen.example*three",
        "secret.zen.example;colour=red",
        "secret.zen..example",
        "secret.zen.example*3*4",
        f"secret{KEY}=1",
        f"secret{KEY}.example*x",
    ],
)
def test_errors_quote_no_key(text: str) -> None:
    """What may be a key is not repeated where a setting is complained about."""
    with pytest.raises(ValueError, match=r"\*\*\*") as caught:
        parse_zone(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "concealed"),
    [
        (
            "see https://check.example/?q=1.2.0.192.SECRET.zen.example",
            "see https://check.example/?q=1.2.0.192.zen.example",
        ),
        ("listed, key=secret&ip=192.0.2.1", "listed, key=***&ip=192.0.2.1"),
        ("a secretary, listed by zen.example", "a secretary, listed by zen.example"),
    ],
)
def test_conceal(text: str, concealed: str) -> None:
    """A text that a zone sends may quote its name, or the key alone: neither is passed on."""
    assert Zone("secret.zen.example", mask="zen.example").conceal(text) == concealed


def test_nothing_to_conceal() -> None:
    """A zone without a mask may be named."""
    assert Zone("zen.example").conceal("listed by zen.example") == "listed by zen.example"
