"""`python -m tests.fuzz [--seconds 60] [target ...]`: each target for so long, by atheris if it is there.

Without atheris (the extra `fuzz`) hypothesis goes on for as long, with no coverage to guide it. What breaks a
promise is kept in tests/fuzz/corpus, where every test run tries it again.
"""

import argparse
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, given, settings

from tests.fuzz.targets import TARGETS, WORDS
from tests.fuzz.test_targets import CORPUS, streams

LONGEST: Final = 4096  # bytes of an input


def main() -> int:
    """Fuzz the targets in turn; return how many broke."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument(
        "targets", nargs="*", choices=[*TARGETS, []], metavar="target", help="all, if none is named"
    )
    options.add_argument("--seconds", type=int, default=60, help="for each")
    options.add_argument("--one", help=argparse.SUPPRESS)  # in a process of its own: libFuzzer ends it
    given_ = options.parse_args()
    if given_.one:
        _coverage_guided(given_.one, given_.seconds)
    run = _in_a_process if importlib.util.find_spec("atheris") else _by_chance
    broken = [name for name in given_.targets or TARGETS if not run(name, given_.seconds)]
    sys.stdout.write(f"broken: {', '.join(broken) or 'none'}\n")
    return len(broken)


def _in_a_process(name: str, seconds: int) -> bool:
    command = [sys.executable, "-m", "tests.fuzz", "--one", name, "--seconds", str(seconds)]
    return subprocess.run(command, check=False).returncode == 0


def _coverage_guided(name: str, seconds: int) -> None:
    import atheris  # noqa: PLC0415 - an extra

    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as found:
        dictionary = Path(found) / "words.dict"
        dictionary.write_text("".join(f'"{_quoted(word)}"\n' for word in WORDS[name]), "ascii")
        (fresh := Path(found) / "fresh").mkdir()
        limits = [
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST}",
            f"-dict={dictionary}",
            "-rss_limit_mb=2048",
        ]
        kept = f"-artifact_prefix={CORPUS / name}/"
        atheris.Setup(
            [sys.argv[0], *limits, kept, "-print_final_stats=1", str(fresh), str(CORPUS / name)],
            TARGETS[name],
        )
        atheris.Fuzz()


def _quoted(word: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in word)


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
