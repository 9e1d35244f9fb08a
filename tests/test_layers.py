"""Who may import whom: a module imports from its own row and from rows above it, never from below.

    0   values and pure rules   tarpit.smtp.*, pace, errors; scoring.verdict, scoring.config
    0'  library                 the rest of scoring (never tarpit)
    1   knowledge               settings and what it is made of, policy, load, observe.*
    2   mechanism               poller, wire, drip, voice, relay, front, backend.*;
                                not policy, not scoring.score
    3   path                    classify, services, session, story
    4   edge                    listen, worker, supervisor, cli, demo

Imports are read from the source, those under TYPE_CHECKING included: nothing is executed here.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
LIBRARY: Final = 0.5  # the row 0' of the table above

ROWS: Final = {
    "tarpit": 0.0,
    "tarpit.smtp": 0.0,
    "tarpit.pace": 0.0,
    "tarpit.errors": 0.0,
    "tarpit.proxied": 0.0,
    "scoring.verdict": 0.0,
    "scoring.config": 0.0,
    "scoring.conduct": 0.0,
    "scoring.weights": 0.0,
    "scoring.rates": 0.0,
    "scoring.zones": 0.0,
    "scoring.networks": 0.0,
    "scoring": LIBRARY,
    "tarpit.units": 1.0,  # a unit is also pydantic's parser of it, so it cannot stand in row 0
    "tarpit.choices": 1.0,
    "tarpit.defaults": 1.0,
    "tarpit.destinations": 1.0,
    "tarpit.environment": 1.0,
    "tarpit.variables": 1.0,
    "tarpit.settings": 1.0,
    "tarpit.policy": 1.0,
    "tarpit.load": 1.0,
    "tarpit.caps": 1.0,
    "tarpit.limits": 1.0,
    "tarpit.rulings": 1.0,
    "tarpit.processes": 0.0,  # its map; each module has a row of its own
    "tarpit.processes.shares": 1.0,
    "tarpit.store": 1.0,
    "tarpit.recipients": 1.0,
    "tarpit.observe": 1.0,
    "tarpit.tuning": 1.0,
    "tarpit.ears": 2.0,
    "tarpit.parked": 2.0,
    "tarpit.poller": 2.0,
    "tarpit.sockets": 2.0,
    "tarpit.processes.steering": 2.0,
    "tarpit.processes.notify": 2.0,
    "tarpit.processes.privileges": 2.0,
    "tarpit.processes.sheet": 2.0,
    "tarpit.sealed": 2.0,
    "tarpit.wire": 2.0,
    "tarpit.handshake": 2.0,
    "tarpit.tls": 2.0,
    "tarpit.starttls": 2.0,
    "tarpit.drip": 2.0,
    "tarpit.buffers": 2.0,
    "tarpit.slow": 2.0,
    "tarpit.voice": 2.0,
    "tarpit.lane": 2.0,
    "tarpit.relay": 2.0,
    "tarpit.bell": 2.0,
    "tarpit.front": 2.0,
    "tarpit.backend": 2.0,
    "tarpit.spool": 2.0,
    "tarpit.intake": 2.0,
    "tarpit.deliver": 2.0,
    "tarpit.commit": 2.0,
    "tarpit.classify": 3.0,
    "tarpit.services": 3.0,
    "tarpit.story": 3.0,
    "tarpit.session": 3.0,
    "tarpit.judgement": 3.0,
    "tarpit.inquiries": 3.0,
    "tarpit.suspect": 3.0,
    "tarpit.frontdesk": 3.0,
    "tarpit.hub": 3.0,
    "tarpit.clean": 3.0,
    "tarpit.listen": 4.0,
    "tarpit.worker": 4.0,
    "tarpit.control": 4.0,
    "tarpit.watch": 4.0,
    "tarpit.watch_tls": 4.0,
    "tarpit.processes.lead": 4.0,
    "tarpit.processes.shift": 4.0,
    "tarpit.processes.underling": 4.0,
    "tarpit.processes.offspring": 4.0,
    "tarpit.processes.listeners": 4.0,
    "tarpit.processes.crew": 4.0,
    "tarpit.processes.vigil": 4.0,
    "tarpit.supervisor": 4.0,
    "tarpit.cli": 4.0,
    "tarpit.demo": 4.0,
    "tarpit.__main__": 4.0,
}
WHOLE: Final = frozenset(
    {
        "scoring",
        "tarpit.smtp",
        "tarpit.observe",
        "tarpit.store",
        "tarpit.backend",
        "tarpit.cli",
        "tarpit.control",
        "tarpit.demo",
        "tarpit.tuning",
    }
)

# Packages from outside the standard library, by row; a row that is not named may use any that we depend on.
FOREIGN: Final = {
    0.0: frozenset[str](),
    LIBRARY: frozenset({"trio", "dns", "spf", "cachetools"}),
    2.0: frozenset({"trio", "outcome"}),  # of which trio is made
    3.0: frozenset({"trio", "structlog", "cachetools"}),  # structlog for the type of the bound logger
}
OURS: Final = frozenset({"tarpit", "scoring"})
NOT_FOR_MECHANISM: Final = ("tarpit.policy", "scoring.score")

SOURCES: Final = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    """Return the dotted name of a source file; a package is named without `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES: Final = {module_of(path): path for path in SOURCES}


def row_of(module: str) -> float | None:
    """Return the row of *module*, or of the package that stands in the table as a whole."""
    if module in ROWS:
        return ROWS[module]
    parents = [module.rsplit(".", count)[0] for count in range(1, module.count(".") + 1)]
    return next((ROWS[parent] for parent in parents if parent in WHOLE), None)


def imports(module: str) -> Iterator[tuple[str, str]]:
    """Yield each import of *module*: the module it names, and the name taken out of it ("" if none)."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, "") for alias in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                assert level == 0, f"{module}: a relative import hides which row it reaches into"
                yield from (target(source or "", alias.name) for alias in names)
            case _:
                pass


def target(source: str, name: str) -> tuple[str, str]:
    """Tell `from tarpit import policy`, a module, from `from tarpit.policy import choose`, a name."""
    inner = f"{source}.{name}"
    return (inner, "") if inner in MODULES else (source, name)


def complaints(module: str) -> Iterator[str]:
    """Yield what is wrong with the imports of *module*."""
    row = row_of(module)
    assert row is not None
    for imported, name in imports(module):
        top = imported.split(".")[0]
        if top in OURS:
            yield from complaints_inside(module, row, imported, name)
        elif top not in sys.stdlib_module_names and top not in FOREIGN.get(row, {top}):
            yield f"{module} (row {row:g}) uses {top}, which its row does not"


def complaints_inside(module: str, row: float, imported: str, name: str) -> Iterator[str]:
    """Yield what is wrong with one import of a module of ours."""
    other = row_of(imported)
    if other is None:
        yield f"{module} imports {imported}, which has no row"
    elif other > row:
        yield f"{module} (row {row:g}) imports {imported}, which is below it (row {other:g})"
    if module.startswith("scoring") and imported.startswith("tarpit"):
        yield f"{module} imports {imported}: scoring is a library of its own"
    if module.startswith("tarpit.smtp") and not imported.startswith("tarpit.smtp"):
        yield f"{module} imports {imported}: smtp knows only itself"
    if row == ROWS["tarpit.wire"] and (
        imported in NOT_FOR_MECHANISM or (imported, name) == ("scoring", "Scorer")
    ):
        yield f"{module} imports {imported}: a mechanism does not know why it is used"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_row(module: str) -> None:
    """A new module is put into the table above before it is used."""
    assert row_of(module) is not None


@pytest.mark.parametrize("module", [module for module in MODULES if row_of(module) is not None])
def test_no_module_imports_from_below(module: str) -> None:
    """A module uses its own row and those above it, and the packages its row may use."""
    assert list(complaints(module)) == []


@pytest.mark.parametrize("module", ROWS)
def test_every_row_has_its_module(module: str) -> None:
    """The table names no module that has gone, and takes as a whole only what is a package."""
    if module not in {"tarpit.supervisor", "tarpit.load"}:  # rooms with a place kept for them
        assert module in MODULES
    assert (module in WHOLE) <= (MODULES.get(module, ROOT / "__init__.py").name == "__init__.py")


def test_the_table_would_notice() -> None:
    """The checks themselves find what they are there to find."""
    assert list(complaints_inside("tarpit.drip", 2.0, "tarpit.policy", "choose_pace"))
    assert list(complaints_inside("tarpit.policy", 1.0, "tarpit.relay", "relay"))
    assert list(complaints_inside("scoring.score", LIBRARY, "tarpit.pace", "Pace"))
    assert list(complaints_inside("tarpit.smtp.server", 0.0, "tarpit.pace", "Pace"))
    assert not list(complaints_inside("tarpit.session", 3.0, "tarpit.policy", "choose_pace"))
