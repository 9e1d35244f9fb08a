"""Each module has its test file at the mirrored place, and each test file its module.

`tarpit/smtp/lines.py` is tested by `tests/smtp/test_lines.py`, `scoring/verdict.py` by
`tests/scoring/test_verdict.py`. A package (`signals/__init__.py`) may have `test_signals.py`, a
`__main__.py` `test_main.py`. What has no mirror stands here with its reason.
"""

from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
TESTS: Final = ROOT / "tests"

NO_TEST: Final = {
    "tarpit/errors.py": "exceptions without behaviour; who raises one has it in its tests",
}
MAY_HAVE_NO_TEST: Final = {
    "__init__": "says what is in a package and hands names on; what it hands on is tested at its own place",
    "__main__": "a call or little more; it is run as a command by the tests of the command",
}
NO_MODULE: Final = {
    "test_layers": "about the imports of all modules",
    "test_mirror": "this file",
    "test_rfc7208": "the SPF test suite, through signals/spf.py and beside pyspf itself",
    "test_house": "about the whole repository",
    "test_zoo": "honest clients (bench/clients.py) against the whole path",
}
OTHER_ROOMS: Final = {
    "e2e": "real servers and clients around the whole program",
    "properties": "laws that span modules",
    "support": "fakes and helpers, no tests",
    "bench": "the scripts under bench/",
    "security": "the cases of docs/security.md that only a whole session can show",
    "fuzz": "every parser and whole dialogues, against everything",
    "examples": "the scripts under examples/",
}


def mirror_of(source: Path) -> Path:
    """Return where the tests of *source* (relative to the root) belong, relative to tests/."""
    folder = source.parent.relative_to("tarpit") if source.parts[0] == "tarpit" else source.parent
    name = {"__init__": source.parent.name, "__main__": "main"}.get(source.stem, source.stem)
    return folder / f"test_{name}.py"


SOURCES: Final = {
    path.relative_to(ROOT) for package in ("tarpit", "scoring") for path in (ROOT / package).rglob("*.py")
}
MIRRORED: Final = {
    source for source in SOURCES if source.stem not in MAY_HAVE_NO_TEST and source.as_posix() not in NO_TEST
}
TEST_FILES: Final = {
    path.relative_to(TESTS)
    for path in TESTS.rglob("test_*.py")
    if path.relative_to(TESTS).parts[0] not in OTHER_ROOMS and path.stem not in NO_MODULE
}


@pytest.mark.parametrize("source", sorted(MIRRORED), ids=str)
def test_every_module_is_mirrored(source: Path) -> None:
    """Who opens a module knows where its tests are."""
    assert (TESTS / mirror_of(source)).is_file(), f"{source} wants tests/{mirror_of(source)}"


@pytest.mark.parametrize("test_file", sorted(TEST_FILES), ids=str)
def test_every_test_file_mirrors_a_module(test_file: Path) -> None:
    """No test file outlives its module."""
    assert test_file in {mirror_of(source) for source in SOURCES}, f"tests/{test_file} mirrors no module"


def test_no_two_modules_share_a_mirror() -> None:
    """`tarpit/scoring.py` and a module of scoring would hide each other."""
    assert len({mirror_of(source) for source in MIRRORED}) == len(MIRRORED)
