"""Rules of the house that a machine can hold: what is tracked, how long it is, what the pages promise."""

import ast
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
import typer.main

from tarpit.cli import app

ROOT: Final = Path(__file__).parent.parent
LONGEST: Final = 320  # lines; a file that grows beyond has two jobs
BROAD: Final = frozenset({"Exception", "BaseException"})
MACHINE_PATH: Final = re.compile(r"(?<![\w.~])/(?:work|home|root|Users)/\w")
LINK: Final = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
# A command stands in backticks, or starts a line of an indented block or one after a prompt.
COMMAND: Final = re.compile(
    r"(?:`|^(?: {4,}|\$ )(?:\S*/bin/)?)(make|tarpit) +([a-z]+)(?=[ `\n])",
    re.MULTILINE,
)


def tracked() -> list[Path]:
    """Return the files of the repository; outside a clone (a source archive), those that are not hidden."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        return [
            p
            for p in ROOT.rglob("*")
            if p.is_file() and not any(part[0] == "." for part in p.relative_to(ROOT).parts)
        ]
    paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    """Return the text of a file; what is no text is no text."""
    data = path.read_bytes()
    return "" if b"\0" in data else data.decode("utf-8", "replace")


FILES: Final = tracked()
SOURCES: Final = [path for path in FILES if path.suffix == ".py"]
PAGES: Final = [path for path in FILES if path.suffix == ".md"]


def name(path: Path) -> str:
    """Return *path* as a contributor would write it."""
    return path.relative_to(ROOT).as_posix()


def broad_handlers(path: Path) -> int:
    """Count the handlers of *path* that catch everything and keep it; ending in `raise` only tidies up."""
    handlers = [
        node
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.ExceptHandler)
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    ]
    caught = [
        {n.id for n in ast.walk(h.type) if isinstance(n, ast.Name)} if h.type else BROAD for h in handlers
    ]
    return sum(bool(names & BROAD) for names in caught)


def test_one_place_catches_everything() -> None:
    """A bug ends one session, in services.py; elsewhere an exception is caught by its name or not at all."""
    packages = [path for path in SOURCES if name(path).startswith(("tarpit/", "scoring/"))]
    assert not [name(path) for path in packages if broad_handlers(path)]
    assert [name(path) for path in packages if "isinstance(error, Exception)" in text_of(path)] == [
        "tarpit/services.py"
    ]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_file_is_long(path: Path) -> None:
    """A file is read in one sitting; a table of cases may run on."""
    longest = 2 * LONGEST if name(path).startswith("tests/") else LONGEST
    assert len(text_of(path).splitlines()) <= longest


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_knows_the_machine_it_was_written_on(path: Path) -> None:
    """No path of a developer's machine is in the repository."""
    assert MACHINE_PATH.search(text_of(path)) is None


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_command_on_a_page_exists(path: Path) -> None:
    """What a page tells its reader to type is a target of the Makefile or a command of the program."""
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    group = typer.main.get_group(app)
    known = {"make": targets, "tarpit": set(group.commands)}
    asked = COMMAND.findall(text_of(path))
    assert [f"{tool} {word}" for tool, word in asked if word not in known[tool]] == []


def test_the_readme_names_the_two_commands() -> None:
    """A newcomer finds `make demo` and `make test` on the first page."""
    assert {("make", "demo"), ("make", "test")} <= set(COMMAND.findall(text_of(ROOT / "README.md")))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_link_leads_somewhere(path: Path) -> None:
    """A link from page to page names a file that is there."""
    assert [link for link in LINK.findall(text_of(path)) if not (path.parent / link).exists()] == []
