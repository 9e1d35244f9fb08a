"""`tarpit zone list` and `tarpit zone test`: the DNSBL zones of the running settings, API keys masked.

`list` asks nobody. `test` asks each zone for its test points (RFC 5782, section 5), as a worker does at its
start: exit code 0 when all are in order, 1 when one would be set aside.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Final

import trio
import typer

from scoring.config import Config
from scoring.resolve import Resolver
from scoring.testpoints import Checkup, Form, Health, examine
from scoring.zones import ANY_CODE, Zone, by_name, format_codes
from tarpit.cli.options import EnvFile, Json, telling_faults
from tarpit.observe.log import safe
from tarpit.settings import load

PATIENCE: Final = 10.0  # seconds; more than a worker has, for somebody wants to know
NONE: Final = "no zones: see TARPIT_DNSBL_ZONES"

app: Final = typer.Typer(no_args_is_help=True, help="The DNSBL zones: what is asked, and whether it works.")


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a list of zones."""

    zone: str
    lists: str  # "addresses" or "names"
    codes: str
    weight: float
    asked: list[str]  # which names, for a list of names


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a zone's test has shown in one form."""

    zone: str
    form: Form
    health: Health
    usable: bool
    why: str


def list_zones(env_file: EnvFile = None, json_: Json = False) -> None:
    """Print the zones with their codes and weights, as they are asked."""
    config = _config(env_file)
    rows = [*_rows(config.zones, "addresses"), *_rows(config.name_zones, "names")]
    if json_:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print("\n".join(map(_as_text, rows)) or NONE)


def try_zones(env_file: EnvFile = None, json_: Json = False) -> None:
    """Ask each zone for what it must list and must not list; exit with 1 if one fails."""
    config = _config(env_file)
    settings = load(os.environ, env_file)
    tested = trio.run(look, config, Resolver(settings.dns_servers))
    if json_:
        print(json.dumps([asdict(result) for result in tested], indent=2))
    else:
        print("\n".join(map(_told, tested)) or NONE)
    raise typer.Exit(int(any(failed(results) for results in _by_zone(tested))))


async def look(config: Config, resolver: Resolver) -> list[Outcome]:
    """Return the tests of all zones of *config*, in order, made at once."""
    found: dict[tuple[str, Form], Outcome] = {}

    async def test(filters: tuple[Zone, ...], forms: tuple[Form, ...]) -> None:
        until = trio.current_time() + PATIENCE
        for form, checkup in (await examine(resolver, filters, forms, until=until)).items():
            found[filters[0].name, form] = _tested(filters[0], form, checkup)

    wanted = [
        *((filters, (Form.IPV4, Form.IPV6)) for filters in by_name(config.zones).values()),
        *((filters, (Form.NAMES,)) for filters in by_name(config.name_zones).values()),
    ]
    async with trio.open_nursery() as nursery:
        for filters, forms in wanted:
            nursery.start_soon(test, filters, forms)
    return [found[filters[0].name, form] for filters, forms in wanted for form in forms]


def failed(results: Sequence[Outcome]) -> bool:
    """Whether a zone would be set aside for anything but for not serving IPv6."""
    served = any(result.form is Form.IPV4 and result.usable for result in results)
    return not all(
        result.usable or (served and result.form is Form.IPV6 and result.health is Health.ABSENT)
        for result in results
    )


def _config(env_file: EnvFile) -> Config:
    # imported here: the other commands do not need the path of a session
    from tarpit.classify import scoring_config  # noqa: PLC0415

    return scoring_config(load(os.environ, env_file))


def _rows(zones: Iterable[Zone], lists: str) -> Iterable[Row]:
    for zone in zones:
        codes = "any" if zone.codes == ANY_CODE else format_codes(zone.codes)
        asked = sorted(zone.identities) if lists == "names" else []
        yield Row(zone.shown, lists, codes, zone.weight, [identity.value for identity in asked])


def _as_text(row: Row) -> str:
    asked = f" ({', '.join(row.asked)})" if row.asked else ""
    return f"{row.weight:+6g}  {row.zone:<32}  {row.lists + asked:<26}  {row.codes}"


def _tested(zone: Zone, form: Form, checkup: Checkup) -> Outcome:
    why = safe(zone.conceal(checkup.why), 200)
    return Outcome(zone.shown, form, checkup.health, checkup.usable, why)


def _told(result: Outcome) -> str:
    return f"{'ok' if result.usable else result.health:<6}  {result.zone} {result.form}: {result.why}"


def _by_zone(tested: Iterable[Outcome]) -> Iterable[list[Outcome]]:
    return [list(results) for _, results in groupby(tested, key=lambda result: result.zone)]


app.command("list")(telling_faults(list_zones))
app.command("test")(telling_faults(try_zones))
