"""A population: who comes on one day, when, from where, and what is to be found about them.

Everything is drawn from one seed, so that each policy meets the very same senders. A preset is a TOML file:
shares and arrivals of models, the policies to compare, and the settings that ours are run with.
"""

import random
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.clients import Client
from bench.fleet.arrivals import moments
from bench.fleet.conducts import Letter
from bench.fleet.models import Model, PopulationError, models_in, read_models
from bench.fleet.names import BLOCKLIST, POOLS, WELCOME, Names

PRESETS: Final = Path(__file__).with_name("presets")
OUR_DOMAIN: Final = "example.net"
MAILBOXES: Final = 500
GENERIC: Final = "dyn-{}.pool.isp{}.example"


@dataclass(frozen=True, slots=True)
class Host:
    """One sending host, and the domain that it sends for."""

    number: int
    addresses: tuple[str, ...]
    helo: str
    domain: str


@dataclass(frozen=True, slots=True)
class Sender:
    """One message (or what a bot has in its place) and who brings it."""

    number: int
    at: float  # seconds since the beginning of the day
    model: Model
    host: Host
    timers: Client
    letter: Letter

    def address(self, attempt: int) -> str:
        """Return where attempt *attempt* (from 1) comes from."""
        addresses = self.host.addresses
        return addresses[(self.number + attempt - 1) % len(addresses)]


@dataclass(frozen=True, slots=True)
class Preset:
    """A day as its file has it. *settings* and those of *ours* are without `TARPIT_`."""

    name: str
    sessions: int
    models: Mapping[str, Model]
    shares: Mapping[str, float]  # by model; they need not add up to one
    arrivals: Mapping[str, Mapping[str, object]]  # by model
    settings: Mapping[str, str] = field(default_factory=dict)
    ours: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by policy: settings on top


def read_preset(name: str) -> Preset:
    """Return the preset of that name, or of that file. Raises `PopulationError`."""
    path = Path(name) if name.endswith(".toml") else PRESETS / f"{name}.toml"
    if not path.is_file():
        raise PopulationError(f"there is no preset {name}; there are {', '.join(presets())}")
    table = tomllib.loads(path.read_text())
    models = read_models() | models_in(table.get("models", {}))
    processes: dict[str, dict[str, object]] = table["arrivals"]
    shares, arrivals = dict[str, float](), dict[str, Mapping[str, object]]()
    for model, row in table["senders"].items():
        if model not in models or row.get("arrival") not in processes:
            raise PopulationError(f"{path.name}: [senders] has {model} = {row}: no such model, or arrival")
        shares[model], arrivals[model] = row["share"], processes[row["arrival"]]
    settings = {key: str(value) for key, value in table.get("settings", {}).items()}
    ours: dict[str, Mapping[str, str]] = {"ours": {}}
    for policy, row in table.get("ours", {}).items():
        ours[policy] = {name: str(value) for name, value in row.items()}
    return Preset(path.stem, table["sessions"], models, shares, arrivals, settings, ours)


def presets() -> list[str]:
    """Return the names of those that there are."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


@dataclass(slots=True)
class Population:
    """All senders of a day in the order in which they come, and the DNS about them."""

    senders: list[Sender]
    names: Names


def populate(
    preset: Preset, seed: int, sessions: int, *, moved: Callable[[str], str] = lambda address: address
) -> Population:
    """Draw a day of about *sessions* senders: each share is rounded, and no model is left out.

    *moved* says where each address really is: on loopback, for who comes over real sockets.
    """
    total, names = sum(preset.shares.values()), Names()
    drawn: list[tuple[float, str, Host]] = []
    for place, (name, share) in enumerate(preset.shares.items()):
        chance = random.Random(f"{seed}:{name}")
        count = max(round(sessions * share / total), 1)
        draw = _Draw(preset.models[name], place, names, chance, moved)
        moment = moments(preset.arrivals[name], chance)
        drawn += [(moment(), name, draw.host(number)) for number in range(count)]
    drawn.sort(key=lambda one: (one[0], one[1], one[2].number))
    chance = random.Random(f"{seed}:letters")
    return Population(
        [
            _sender(number, at, preset.models[name], host, chance)
            for number, (at, name, host) in enumerate(drawn)
        ],
        names,
    )


def _sender(number: int, at: float, model: Model, host: Host, chance: random.Random) -> Sender:
    first = chance.randrange(MAILBOXES)
    recipients = tuple(f"user{(first + one) % MAILBOXES}@{OUR_DOMAIN}" for one in range(model.recipients))
    size = max(int(chance.expovariate(1 / model.size)), 200)
    letter = Letter(host.helo, f"m{number}@{host.domain}", recipients, size)
    return Sender(number, at, model, host, model.timers(host.number), letter)


class _Draw:
    """Draws the hosts of one model, each once."""

    def __init__(
        self, model: Model, place: int, names: Names, chance: random.Random, moved: Callable[[str], str]
    ) -> None:
        self._model = model
        self._moved = moved
        self._place = place  # of the model among all: its addresses are its own
        self._names = names
        self._chance = chance
        self._hosts: dict[int, Host] = {}

    def host(self, number: int) -> Host:
        """Return the host of the sender of that *number*."""
        which = self._chance.randrange(self._model.hosts) if self._model.hosts else number
        if which not in self._hosts:
            self._hosts[which] = self._new(which)
        return self._hosts[which]

    def _new(self, which: int) -> Host:
        addresses = self._addresses(which)
        model, draw = self._model, self._chance.random
        owner = f"{model.name}{which}.example"
        share = draw()
        if share < model.unnamed:
            helo = f"host{which}.{owner}" if model.honest else f"pc{which}"
        elif share < model.unnamed + model.generic:
            for address in addresses:
                self._names.reverse(address, GENERIC.format(address.replace(".", "-"), which % 50))
            helo = GENERIC.format(addresses[0].replace(".", "-"), which % 50)
        else:
            helo = f"mail.{owner}"
            for number, address in enumerate(addresses):
                self._names.reverse(address, helo if number == 0 else f"mail{number}.{owner}")
        for listed, zone in ((model.listed, BLOCKLIST), (model.suspected, POOLS), (model.vouched, WELCOME)):
            if draw() < listed:
                for address in addresses:
                    self._names.list(address, zone)
        return Host(which, addresses, helo, self._domain(owner, addresses))

    def _domain(self, owner: str, addresses: tuple[str, ...]) -> str:
        """Return the domain of the reverse-path: its own, or one that it has no right to."""
        share = self._chance.random()
        if share < self._model.spf_pass:
            networks = sorted({address.rpartition(".")[0] for address in addresses})
            allowed = " ".join(f"ip4:{network}.0/24" for network in networks)
            self._names.spf(owner, f"v=spf1 {allowed} -all")
            self._names.address(owner, addresses[0])
            return owner
        if share < self._model.spf_pass + self._model.spf_fail:
            forged = f"bank{self._chance.randrange(100)}.example"
            self._names.spf(forged, "v=spf1 ip4:203.0.113.0/24 -all")
            self._names.address(forged, "203.0.113.1")
            return forged
        return f"no-record-{owner}"

    def _addresses(self, which: int) -> tuple[str, ...]:
        """Return the addresses of a host. No two models share a network; a host without others' hosts near.

        Hosts that are many (bots) are spread over 64 /16s, four to a /24.
        """
        model, first = self._model, 11 + 3 * self._place
        if model.networks > 1 or model.addresses > 1:
            base = which * model.networks
            numbers = [
                (base + one % model.networks, 1 + one // model.networks) for one in range(model.addresses)
            ]
        else:
            numbers = [(which // 4, 1 + 60 * (which % 4))]
        return tuple(self._moved(f"{first}.{net // 250 % 250}.{net % 250}.{last}") for net, last in numbers)
