"""Models of senders, as they stand in `populations.toml`: who they are, how they speak, how long they wait.

A model is data; what it does on a connection is its *conduct*, a small class (`conducts`, or one of your own,
named `module:Class`). Who of them comes when, and how many, is a preset's choice (`population`).
"""

import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from math import inf
from pathlib import Path
from typing import Final

from bench.clients import SLIMTA, ZOO, Client, Kind, Limit
from bench.fleet.conducts import CONDUCTS, Conduct

MODELS: Final = Path(__file__).with_name("populations.toml")
CLIENTS: Final = {client.name: client for client in (*ZOO, SLIMTA)}
NOBODY_IN_PARTICULAR: Final = "of its own"


class PopulationError(ValueError):
    """A file of models or a preset that cannot be used."""


@dataclass(frozen=True, slots=True)
class Model:
    """One kind of sender. Shares are from 0 to 1."""

    name: str
    what: str  # for the reader of a report
    source: str  # where its numbers are from, or that they are assumed
    conduct: str = "mail"
    honest: bool = False
    apart: bool = False  # reported apart: known to need other settings
    patience: float = inf  # seconds for each whole reply; inf: as the clients have it
    clients: tuple[str, ...] = ()  # names of `bench.clients`, drawn evenly; none: only `patience`
    hosts: int = 0  # how many there are; 0: each comes from a host of its own
    addresses: int = 1  # of a host: each attempt may come from another of them
    networks: int = 1  # /24s over which these are spread
    listed: float = 0.0  # share of hosts that the blocklist has
    suspected: float = 0.0  # share that the list of pools has
    vouched: float = 0.0  # share that the welcome list has
    unnamed: float = 0.0  # share without a reverse name
    generic: float = 0.0  # share with a name that its provider's script made
    spf_pass: float = 1.0  # share whose domain allows the address
    spf_fail: float = 0.0  # share whose domain forbids it; the rest has no record
    recipients: int = 1
    size: int = 2000  # bytes of a message
    retries: tuple[float, ...] = ()  # seconds from one attempt to the next; then it is given up
    within: float = inf  # seconds after which its message is of no use any more

    @property
    def clean(self) -> bool:
        """Whether it is honest and nobody could hold anything against it."""
        blemishes = self.listed + self.suspected + self.unnamed + self.generic + self.spf_fail
        return self.honest and not self.apart and blemishes == 0

    def timers(self, number: int) -> Client:
        """Return the timers of the host of that *number*."""
        if not self.clients:
            return Client(NOBODY_IN_PARTICULAR, Limit(self.patience, Kind.WHOLE))
        return CLIENTS[self.clients[number % len(self.clients)]]


def read_models(path: Path = MODELS) -> dict[str, Model]:
    """Return all models of a file by name. Raises `PopulationError` for what it does not understand."""
    return models_in(tomllib.loads(path.read_text()))


def models_in(tables: Mapping[str, Mapping[str, object]]) -> dict[str, Model]:
    """Return the models of *tables* by name. Raises `PopulationError`."""
    return {name: _model(name, table) for name, table in tables.items()}


def _model(name: str, table: Mapping[str, object]) -> Model:
    known = {field.name for field in fields(Model)} - {"name"}
    if unknown := sorted(set(table) - known):
        raise PopulationError(f"[{name}] has no {', '.join(unknown)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    try:
        model = Model(name=name, **values)  # type: ignore[arg-type]  # TOML's types; a wrong one shows below
    except TypeError as wrong:
        raise PopulationError(f"[{name}]: {wrong}") from None
    if strangers := [client for client in model.clients if client not in CLIENTS]:
        raise PopulationError(f"[{name}] names clients that bench.clients has not: {', '.join(strangers)}")
    conduct_of(model)
    return model


@cache
def conduct_of(model: Model) -> Conduct:
    """Return what *model* does on a connection. Raises `PopulationError` where there is no such conduct."""
    if model.conduct in CONDUCTS:
        return CONDUCTS[model.conduct]
    module, _, name = model.conduct.partition(":")
    try:
        conduct = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as missing:
        raise PopulationError(f"[{model.name}] has a conduct that is not there: {missing}") from None
    assert isinstance(conduct, Conduct)
    return conduct
