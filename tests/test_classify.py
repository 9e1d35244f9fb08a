"""Whose word counts: the operator's lists, then scoring under its deadline."""

from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from scoring import Conduct, Result, Scorer
from tarpit.classify import Classifier, Lists, scoring_config
from tarpit.errors import SettingsError
from tarpit.smtp.commands import Mail, parse
from tarpit.store.memory import MemoryStore
from tests.support.dns_zone import FakeResolver, found
from tests.support.wires import PEER, load

ADDRESS = ip_address(PEER[0])
NAMED = {
    ("25.2.0.192.in-addr.arpa", "PTR"): found("mail.example"),
    ("mail.example", "A"): found(PEER[0]),
}


def classifier(resolver: FakeResolver, **variables: str) -> Classifier:
    settings = load(**variables)
    return Classifier(Lists(settings), Scorer(scoring_config(settings), resolver), MemoryStore())


def test_the_allowlist_comes_first() -> None:
    """An address in both lists is allowed, and nobody is asked."""
    judge = classifier(FakeResolver({}), ALLOW="192.0.2.0/24", DENY="192.0.0.0/16")
    known = judge.known(ADDRESS)
    assert known is not None
    assert known.findings[0].result is Result.PASS
    assert not known.suspect
    assert judge.known(ip_address("198.51.100.1")) is None


def test_the_denylist_is_hostile() -> None:
    """An address in TARPIT_DENY is hostile whatever it weighs elsewhere."""
    known = classifier(FakeResolver({}), DENY="192.0.2.0/24").known(ADDRESS)
    assert known is not None
    assert known.hostile


def test_lists_may_be_files_and_are_read_again(tmp_path: Path) -> None:
    """A path stands for the networks in it; `reload` takes what is there by then."""
    path = tmp_path / "deny"
    path.write_text("192.0.2.0/24 # a spammer\n")
    judge = classifier(FakeResolver({}), DENY=str(path))
    assert judge.known(ADDRESS) is not None
    path.write_text("\n")
    judge.lists.reload()
    assert judge.known(ADDRESS) is None


def test_lists_that_cannot_be_read_name_variable_file_and_line(tmp_path: Path) -> None:
    """Every fault of every file is told at once, and what was read before stays in force."""
    path = tmp_path / "allow"
    path.write_text("192.0.2.0/24\n")
    lists = Lists(load(ALLOW=str(path)))
    path.write_text("192.0.2.1/24\nnonsense\n")
    with pytest.raises(SettingsError) as raised:
        lists.reload()
    assert [fault.name for fault in raised.value.faults] == ["TARPIT_ALLOW"] * 2
    assert f"{path}:2" in raised.value.faults[1].message
    assert lists.allow.find(ADDRESS) is not None


async def test_dns_that_hangs_holds_nobody_longer_than_the_wait(autojump_clock: MockClock) -> None:
    """What has not answered within TARPIT_SCORE_WAIT has no opinion."""
    resolver = FakeResolver({}, seconds={"25.2.0.192.in-addr.arpa": 60})
    began = trio.current_time()
    verdict, _ = await classifier(resolver, SCORE_WAIT="3s").at_connection(ADDRESS)
    assert trio.current_time() - began == pytest.approx(3)
    assert not verdict.suspect


async def test_a_verdict_is_remembered_with_its_age(autojump_clock: MockClock) -> None:
    """Who comes again within a verdict's lifetime is not asked about again; how old it is is known."""
    resolver = FakeResolver(NAMED)
    judge = classifier(resolver, RATE_PEER="1/h")
    await judge.at_connection(ADDRESS)
    asked = len(resolver.asked)
    await trio.sleep(30)
    verdict, remembered = await judge.at_connection(ADDRESS)
    assert len(resolver.asked) == asked
    assert remembered.age == pytest.approx(30)
    assert remembered.verdict is not None
    assert set(remembered.verdict.findings) < set(verdict.findings)
    assert "rate:peer" in {one.signal for one in verdict.findings}


async def test_conduct_comes_on_top(autojump_clock: MockClock) -> None:
    """What a peer does itself is added to what others say."""
    judge = classifier(FakeResolver(NAMED))
    verdict, _ = await judge.at_connection(ADDRESS)
    verdict = verdict.with_findings(*judge.conduct_findings(Conduct(pregreet=True)))
    assert verdict.suspect
    assert "pregreet" in {finding.signal for finding in verdict.findings}


async def test_a_reverse_path_and_a_helo_name_are_asked_about(autojump_clock: MockClock) -> None:
    """SPF answers at MAIL, the HELO name is judged by itself."""
    judge = classifier(FakeResolver(NAMED | {("b.example", "TXT"): found("v=spf1 -all")}))
    mail = parse(b"MAIL FROM:<a@b.example>")
    assert isinstance(mail, Mail)
    (spf, *_) = await judge.at_mail(ADDRESS, "mail.example", mail)
    assert spf.result is Result.FAIL
    verdict, _ = await judge.at_connection(ADDRESS)
    assert {one.signal for one in await judge.at_hello(ADDRESS, "localhost", verdict.host)} >= {"helo"}


def test_our_names_are_ours_alone() -> None:
    """Our host name and addresses are ours; a loopback address is every host's own."""
    config = scoring_config(load(LISTEN="127.0.0.1:25 0.0.0.0:2525 192.0.2.7:25"))
    assert config.our_names == {"mx.example", "192.0.2.7"}


def test_rates_of_zero_are_no_rates() -> None:
    """TARPIT_RATE_PEER=0 counts nobody's connections."""
    assert scoring_config(load(RATE_PEER="0")).rate_peer is None
    rate = scoring_config(load(RATE_PEER="30/s")).rate_peer
    assert rate is not None
    assert (rate.count, rate.seconds) == (30, 1)
