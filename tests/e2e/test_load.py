"""The load over real sockets against the simulator: the same senders, the same paces, the same end."""

from pathlib import Path
from typing import Final

import bench.load
from bench.fleet.compare import variables_of
from bench.fleet.day import live
from bench.fleet.population import read_preset
from bench.fleet.records import Record
from bench.load.crowd import Load, loaded
from bench.load.report import hang_ups
from bench.load.schedule import Arrivals
from bench.load.surroundings import own_proxy

SHORT: Final = Path(bench.load.__file__).with_name("short.toml")
SEED: Final = 1
SENDERS: Final = 150
TOLERATED: Final = 0.05  # of the simulator's number, of hang-ups in a phase and of deliveries
FEW: Final = 1  # connection: of a phase with six hang-ups, one more is more than that


def test_the_simulator_agrees_with_real_sockets() -> None:
    """Hang-ups by phase and deliveries differ by a twentieth at most; other paces would differ by more."""
    preset = read_preset(str(SHORT))
    variables = variables_of(preset, "ours")
    with own_proxy(preset, variables, seed=SEED, sessions=SENDERS) as own:
        load = Load(
            preset,
            seed=SEED,
            sessions=SENDERS,
            arrivals=Arrivals(),
            target=own.target,
            seconds=60.0,
            patience=60.0,
            from_loopback=True,
        )
        real = loaded(load, processes=2)
    virtual = live("ours", preset, seed=SEED, sessions=SENDERS, variables=variables).records
    assert not real.errors
    assert real.cut == 0
    assert differing(real.records, virtual) == []
    quick = variables | {"TARPIT_PACE_BANNER": "300ms", "TARPIT_PREGREET_WAIT": "100ms"}
    other = live("ours", preset, seed=SEED, sessions=SENDERS, variables=quick).records
    assert differing(real.records, other)
    assert own.backend_messages == sum(record.delivered for record in virtual)


def differing(real: list[Record], virtual: tuple[Record, ...]) -> list[str]:
    """Return what differs by more than is tolerated."""
    ours, theirs = counted(real), counted(virtual)
    return [
        f"{what}: {ours.get(what, 0)} over sockets, {theirs.get(what, 0)} in the simulator"
        for what in sorted(ours.keys() | theirs.keys())
        if abs(ours.get(what, 0) - theirs.get(what, 0)) > max(TOLERATED * theirs.get(what, 0), FEW)
    ]


def counted(records: list[Record] | tuple[Record, ...]) -> dict[str, int]:
    """Return hang-ups by phase and kind, and messages delivered."""
    found = {
        f"{ended} at {phase}": count
        for phase, kinds in hang_ups(records).items()
        for ended, count in kinds.items()
    }
    return found | {"delivered": sum(record.delivered for record in records)}
