"""`python -m tests.security`: run what the guarantees rest on, print the table, and put it on the page.

`--fill` only writes the tests' names into docs/security.md, which takes no time. What follows `--` goes to
pytest: `-- -m "not e2e"` leaves out the real servers.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

import pytest

from tests.support.ids import PAGE, TESTS, Covered, covered, filled

SECTION: Final = re.compile(r"(<!-- guarantees: .*? -->\n).*(<!-- end of guarantees -->)", re.DOTALL)
SERVERS: Final = ("postfix", "exim4-daemon-light", "opensmtpd")
SESSIONS: Final = 100_000  # by chance
BODIES: Final = 905_000  # by chance: with all the short ones 10^6
LIBRARIES: Final = ("trio", "hypothesis", "pytest")


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What is promised, and the cases whose tests show it; a test may also name the guarantee itself."""

    promise: str
    cases: tuple[str, ...]


GUARANTEES: Final[Mapping[str, Guarantee]] = {
    "G1": Guarantee("proxy and backend agree where a message ends", ("EOD",)),
    "G2": Guarantee("nothing that was not parsed reaches a backend", ("CMD", "PIP", "BD")),
    "G5": Guarantee("never an open relay, never a false identity, never a forged line", ("ID", "HDR", "LOG")),
    "G8": Guarantee("clean mail passes unchanged", ()),
    "G9": Guarantee("no peer and no backend can hang it", ("NET", "BE")),
}


@dataclass(eq=False)
class Tally:
    """What became of tests. As a plugin it hears of each."""

    outcomes: dict[str, str] = field(default_factory=dict)  # by node id
    numbers: dict[str, Counter[str]] = field(default_factory=dict)  # by guarantee: what tests counted

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of how a test went."""
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome
        if report.when == "call":
            for name, value in report.user_properties:
                count, _, what = str(value).partition(" ")
                self.numbers.setdefault(name, Counter())[what] += int(count)

    def row(self, name: str, tests: set[str]) -> str:
        """Return the row of a guarantee that rests on *tests*."""
        mine = [outcome for node, outcome in self.outcomes.items() if _function(node) in tests]
        counts = [f"{mine.count(how):,}" for how in ("passed", "failed", "skipped")]
        counted = "; ".join(f"{count:,} {what}" for what, count in self.numbers.get(name, {}).items())
        return f"| {name} | {GUARANTEES[name].promise} | {' | '.join(counts)} | {counted} |"


def main() -> int:
    """Fill in the page; run the tests and print their table, if that is wanted."""
    options = argparse.ArgumentParser(prog="python -m tests.security", description=__doc__)
    options.add_argument("--fill", action="store_true", help="only write the names of the tests")
    options.add_argument("pytest", nargs="*", help="arguments for pytest")
    chosen = options.parse_args()
    PAGE.write_text(filled(PAGE.read_text("utf-8"), covered()), "utf-8")
    if chosen.fill:
        return 0
    table, code = measured(chosen.pytest)
    sys.stdout.write(table)
    if not chosen.pytest:
        page = PAGE.read_text("utf-8")  # it takes minutes, and somebody may have written on it
        PAGE.write_text(SECTION.sub(lambda found: f"{found[1]}\n{table}\n{found[2]}", page), "utf-8")
    return code


def measured(arguments: Sequence[str]) -> tuple[str, int]:
    """Run the tests of all guarantees; return their table, and pytest's own code."""
    found = covered()
    tests = {name: set(resting_on(name, found)) for name in GUARANTEES}
    tally = Tally()
    os.environ.setdefault("FUZZ_SESSIONS", str(SESSIONS))
    os.environ.setdefault("FUZZ_BODIES", str(BODIES))
    chosen = sorted({str(TESTS / test) for some in tests.values() for test in some})
    code = pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", *arguments, *chosen], plugins=[tally])
    rows = [tally.row(name, some) for name, some in tests.items()]
    head = "| | guarantee | passed | failed | skipped | of which |\n|---|---|---|---|---|---|"
    return f"{surroundings()}\n\n{head}\n" + "\n".join(rows) + "\n", int(code)


def resting_on(name: str, found: Covered) -> Iterator[str]:
    """Yield the tests of a guarantee."""
    for one, tests in found.items():
        if one == name or one.partition("-")[0] in GUARANTEES[name].cases:
            yield from tests


def surroundings() -> str:
    """Return when and with what."""
    known = [f"{name} {version(name)}" for name in LIBRARIES]
    known += [f"{name} {found}" for name in SERVERS if (found := _packaged(name))]
    return f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {', '.join(known)}."


def _packaged(name: str) -> str:
    command = ["apt-cache", "policy", name]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
    found = re.search(r"Installed: (?!\(none\))(\S+)", said) or re.search(r"Candidate: (\S+)", said)
    return found[1] if found else ""


def _function(node: str) -> str:
    """Return `file::test` of a node id, relative to tests/."""
    return node.partition("[")[0].removeprefix("tests/")


if __name__ == "__main__":
    sys.exit(main())
