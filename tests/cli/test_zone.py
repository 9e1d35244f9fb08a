"""`tarpit zone`: the zones as they are asked, and whether they work."""

import json

import pytest
from typer.testing import CliRunner, Result

from scoring.config import Config
from scoring.resolve import Resolver
from scoring.testpoints import Form, Health
from scoring.zones import masked, parse_zones
from tarpit.cli import app
from tarpit.cli.zone import Outcome, failed, look
from tests.support.dns_zone import serving

KEY = "qz7xp2lm9ab4cd6ef8gh1jk3nr"
ZONES = f"zen.example=127.0.0.[2..11]*3 {KEY}.wl.example*-2.5"


def run(*arguments: str, **variables: str) -> Result:
    env = {"TARPIT_BACKENDS": "127.0.0.1:9", "TARPIT_DNS_SERVERS": "127.0.0.1:9"}
    return CliRunner().invoke(app, ["zone", *arguments], env=env | variables)


def test_list() -> None:
    """Each entry is a line with its weight and its codes; a key is masked."""
    result = run("list", TARPIT_DNSBL_ZONES=ZONES, TARPIT_RHSBL_ZONES="dbl.example*2;ask=helo+mail")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["+3", "zen.example", "addresses", "127.0.0.[2..11]"],
        ["-2.5", "***.wl.example", "addresses", "any"],
        ["+2", "dbl.example", "names", "(helo,", "mail)", "any"],
    ]


def test_list_as_json() -> None:
    """The same for a program."""
    (zen, _) = json.loads(run("list", "--json", TARPIT_DNSBL_ZONES=ZONES).stdout)
    assert zen == {
        "zone": "zen.example",
        "lists": "addresses",
        "codes": "127.0.0.[2..11]",
        "weight": 3.0,
        "asked": [],
    }


@pytest.mark.parametrize("command", ["list", "test"])
def test_no_zones(command: str) -> None:
    """Without zones there is nothing wrong, and it is said what to set."""
    result = run(command)
    assert result.exit_code == 0
    assert result.stdout == "no zones: see TARPIT_DNSBL_ZONES\n"


def test_wrong_settings() -> None:
    """Wrong settings end it as every command, without the key."""
    result = run("list", TARPIT_DNSBL_ZONES=f"{KEY}.zen.example=127.0.0.256")
    assert result.exit_code == 78
    assert KEY not in result.output
    assert "'256' is not a number" in result.output


async def test_look() -> None:
    """Each zone is asked for its test points in each form; a zone's mask stands for its name."""
    records = {
        ("2.0.0.127.secret.zen.example", "A"): ["127.0.0.2"],
        ("2.0.0.127.world.example", "A"): ["127.0.0.2"],
        ("1.0.0.127.world.example", "A"): ["127.0.0.2"],
        ("test.dbl.example", "A"): ["127.0.1.2"],
    }
    zones = masked(parse_zones("secret.zen.example world.example"), {"secret.zen.example": "zen.example"})
    config = Config(zones=zones, name_zones=parse_zones("dbl.example"))
    async with serving(records) as server:
        tested = await look(config, Resolver([server.address]))
    assert [(result.zone, result.form, result.health) for result in tested] == [
        ("zen.example", Form.IPV4, Health.GOOD),
        ("zen.example", Form.IPV6, Health.ABSENT),
        ("world.example", Form.IPV4, Health.WRONG),
        ("world.example", Form.IPV6, Health.ABSENT),
        ("dbl.example", Form.NAMES, Health.GOOD),
    ]
    assert "secret" not in str(tested)


def test_command() -> None:
    """A zone that does not answer fails, as a line or as JSON."""
    result = run("test", TARPIT_DNSBL_ZONES="zen.example")
    assert result.exit_code == 1
    assert result.stdout.startswith("silent  zen.example IPv4: ")
    result = run("test", "--json", TARPIT_DNSBL_ZONES="zen.example")
    assert result.exit_code == 1
    assert [(row["zone"], row["form"], row["usable"]) for row in json.loads(result.stdout)] == [
        ("zen.example", "IPv4", False),
        ("zen.example", "IPv6", False),
    ]


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "expected"),
    [
        (Health.GOOD, Health.GOOD, False),
        (Health.GOOD, Health.ABSENT, False),
        (Health.GOOD, Health.WRONG, True),
        (Health.ABSENT, Health.ABSENT, True),
        (Health.SILENT, Health.SILENT, True),
    ],
)
def test_failed(ipv4: Health, ipv6: Health, expected: bool) -> None:
    """Not to serve IPv6 is no failure; everything else is."""
    results = [
        Outcome("zen.example", form, health, health is Health.GOOD, "")
        for form, health in ((Form.IPV4, ipv4), (Form.IPV6, ipv6))
    ]
    assert failed(results) is expected
