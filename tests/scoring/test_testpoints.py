"""A zone's self-test: what is asked, and what the answers say of the zone (RFC 5782, section 5)."""

import math
from ipaddress import ip_address

import pytest

from scoring.resolve import Answer, Status
from scoring.testpoints import Checkup, Form, Health, examine, form_of, judge, points_of
from scoring.zones import parse_zones
from tests.support.dns_zone import FakeResolver, found

NOTHING = Answer(Status.NOTHING, "no such name")
SILENCE = Answer(Status.UNKNOWN, "no answer in time")
GOOD = found("127.0.0.2")

MAPPED = ".0.0.0.0.0.f.7.f.f.f.f" + ".0" * 20 + ".zen.example"  # ::ffff:127.0.0.x, after its last nibble


@pytest.mark.parametrize(
    ("zones", "form", "listed", "unlisted"),
    [
        ("zen.example", Form.IPV4, "2.0.0.127.zen.example", "1.0.0.127.zen.example"),
        ("zen.example", Form.IPV6, "2" + MAPPED, "1" + MAPPED),
        ("dbl.example", Form.NAMES, "test.dbl.example", "invalid.dbl.example"),
        ("zen.example;test=192.0.2.9", Form.IPV4, "9.2.0.192.zen.example", "1.0.0.127.zen.example"),
        ("zen.example;test=point", Form.IPV4, "point.zen.example", "1.0.0.127.zen.example"),
        ("zen.example;test=192.0.2.9", Form.IPV6, "2" + MAPPED, "1" + MAPPED),
        ("a.example a.example*2;test=b.example", Form.NAMES, "b.example.a.example", "invalid.a.example"),
        ("zen.example;test=none", Form.IPV4, "2.0.0.127.zen.example", "1.0.0.127.zen.example"),
    ],
)
def test_points_of(zones: str, form: Form, listed: str, unlisted: str) -> None:
    """Each form has its test points; a zone's own point stands for the one that it must list."""
    points = points_of(parse_zones(zones), form)
    assert (points.listed, points.unlisted[0]) == (listed, unlisted)


@pytest.mark.parametrize(
    ("form", "ending"),
    [(Form.IPV4, ".127.zen.example"), (Form.IPV6, MAPPED[10:]), (Form.NAMES, ".invalid.zen.example")],
)
def test_a_question_nobody_has_asked(form: Form, ending: str) -> None:
    """One question of each test is new, so that no cache answers it, and about nothing that may be listed."""
    news = {points_of(parse_zones("zen.example"), form).unlisted[1] for _ in range(20)}
    assert len(news) > 15
    assert all(new.endswith(ending) for new in news)


def test_form_of() -> None:
    """Which test a question depends on."""
    assert form_of(ip_address("192.0.2.1")) is Form.IPV4
    assert form_of(ip_address("2001:db8::1")) is Form.IPV6


@pytest.mark.parametrize(
    ("listed", "unlisted", "health", "words"),
    [
        pytest.param(GOOD, [NOTHING, NOTHING], Health.GOOD, "127.0.0.2", id="in order"),
        pytest.param(found("127.0.0.10", "127.0.0.4"), [NOTHING], Health.GOOD, "127.0.0.10", id="own codes"),
        pytest.param(GOOD, [GOOD, NOTHING], Health.WRONG, "world", id="lists the world"),
        pytest.param(GOOD, [NOTHING, GOOD], Health.WRONG, "world", id="the world, cached points apart"),
        pytest.param(SILENCE, [NOTHING, GOOD], Health.WRONG, "world", id="the world, half silent"),
        pytest.param(found("203.0.113.7"), [found("203.0.113.7")], Health.WRONG, "203.0.113.7", id="parked"),
        pytest.param(SILENCE, [NOTHING], Health.SILENT, "no answer in time", id="silent"),
        pytest.param(GOOD, [SILENCE], Health.SILENT, "no answer in time", id="silent but for its cache"),
        pytest.param(NOTHING, [NOTHING], Health.ABSENT, "retired", id="empty"),
        pytest.param(found("127.255.255.254"), [NOTHING], Health.WRONG, "refuses", id="refuses"),
        pytest.param(found("127.0.0.1"), [NOTHING], Health.WRONG, "refuses", id="refuses by 127.0.0.1"),
        pytest.param(found("198.51.100.7"), [NOTHING], Health.WRONG, "rewrites", id="rewritten"),
    ],
)
def test_judge(listed: Answer, unlisted: list[Answer], health: Health, words: str) -> None:
    """DNS-03, DNS-05, DNS-07: what a zone answers for its test points says whether to ask it."""
    checkup = judge(listed, unlisted)
    assert (checkup.health, checkup.usable) == (health, health is Health.GOOD)
    assert words in checkup.why


@pytest.mark.parametrize(
    ("listed", "unlisted", "health"),
    [
        (NOTHING, NOTHING, Health.GOOD),
        (GOOD, NOTHING, Health.GOOD),
        (NOTHING, GOOD, Health.WRONG),
        (found("127.0.0.255"), NOTHING, Health.WRONG),
        (SILENCE, NOTHING, Health.SILENT),
    ],
)
def test_judge_leniently(listed: Answer, unlisted: Answer, health: Health) -> None:
    """A zone that needs no entry must still not list the world, nor refuse."""
    assert judge(listed, [unlisted], lenient=True).health is health


@pytest.mark.parametrize(
    ("zones", "health"),
    [
        ("zen.example", Health.ABSENT),
        ("zen.example*-2", Health.GOOD),
        ("zen.example*-2 zen.example*1", Health.ABSENT),
        ("zen.example;test=none", Health.GOOD),
    ],
)
async def test_who_needs_no_entry(zones: str, health: Health) -> None:
    """Welcome lists, and zones whose operator says so, pass without a test point."""
    checkups = await examine(FakeResolver({}), parse_zones(zones), [Form.IPV4], until=math.inf)
    assert checkups[Form.IPV4].health is health


async def test_examine() -> None:
    """All forms are asked at once, and judged apart."""
    answers = {
        ("2.0.0.127.zen.example", "A"): GOOD,
        ("test.zen.example", "A"): GOOD,
        ("invalid.zen.example", "A"): GOOD,
    }
    resolver = FakeResolver(answers)
    checkups = await examine(resolver, parse_zones("zen.example"), tuple(Form), until=math.inf)
    assert {form: checkup.health for form, checkup in checkups.items()} == {
        Form.IPV4: Health.GOOD,
        Form.IPV6: Health.ABSENT,
        Form.NAMES: Health.WRONG,
    }
    assert len(resolver.asked) == 9
    assert checkups[Form.IPV4] == Checkup(
        Health.GOOD, "lists its test point (127.0.0.2), and not what it must not"
    )
