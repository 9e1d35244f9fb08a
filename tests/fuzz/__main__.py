"""`python -m tests.fuzz [--seconds 60] [target ...]`: each target for so long, by atheris if it is there.

Without atheris (the extra `fuzz`) hypothesis goes on for as long, with no coverage to guide it. What breaks a
promise is kept in tests/fuzz/corpus, where every test run tries it again.
"""

import argparse
import hashlib
import importlib.util
import re
import subprocess
import sys
import time

from hypothesis import HealthCheck, given, settings

from tests.fuzz.targets import TARGETS
from tests.fuzz.test_targets import CORPUS, streams


def main() -> int:
    """Fuzz the targets in turn; return how many broke."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("targets", nargs="*", metavar="target", help=f"of {', '.join(TARGETS)}")
    options.add_argument("--seconds", type=int, default=60, help="for each")
    chosen = options.parse_args()
    run = _guided if importlib.util.find_spec("atheris") else _by_chance
    broken = [name for name in chosen.targets or TARGETS if not run(name, chosen.seconds)]
    sys.stdout.write(f"broken: {', '.join(broken) or 'none'}\n")
    return len(broken)


def _guided(name: str, seconds: int) -> bool:
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(seconds)]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    tried = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    said = f"{int(tried[1]):,} inputs by atheris" if tried and not done.returncode else done.stderr
    sys.stdout.write(f"{name}: {said}\n")
    return done.returncode == 0


def _by_chance(name: str, seconds: int) -> bool:
    until, tried = time.monotonic() + seconds, 0

    @settings(max_examples=1000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(streams(name))
    def attempt(data: bytes) -> None:
        nonlocal tried
        tried += 1
        _try(name, data)

    try:
        while time.monotonic() < until:
            attempt()
    except AssertionError as broken:
        sys.stdout.write(f"{name}: {broken!r}\n")
        return False
    sys.stdout.write(f"{name}: {tried:,} inputs by hypothesis\n")
    return True


def _try(name: str, data: bytes) -> None:
    try:
        TARGETS[name](data)
    except AssertionError:
        (CORPUS / name / f"crash-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
        raise


if __name__ == "__main__":
    sys.exit(main())
