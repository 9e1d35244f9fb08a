"""Which test covers which case of docs/security.md: the case's id stands in its docstring or parameters.

A test names what it covers as `CMD-05`, or as `EOD-02..06`; in its docstring, or anywhere in what it is
parametrized with. So nothing is kept in step by hand: `python -m tests.security --fill` writes the last
column of the page, and a test fails where that was forgotten, or where a case is covered by nothing. A test
that shows one of the guarantees as a whole names it in the same way: `G1`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent.parent
PAGE: Final = TESTS.parent / "docs" / "security.md"
PENDING: Final = "*pending*"
ID: Final = re.compile(
    r"\b((?:EOD|CMD|PIP|BD|TLS|NET|BE|DNS|SPF|RES|ID|HDR|LOG)-)(\d\d)(?:\.\.(\d\d))?\b|\b(G\d\d?)\b"
)
ROW: Final = re.compile(r"^\| ([A-Z]+-\d\d) \| (.*) \|[^|\n]*\|$", re.MULTILINE)

Covered = dict[str, list[str]]


def ids_in(text: str) -> Iterator[str]:
    """Yield each id in *text*, those of a range too."""
    for prefix, first, last, guarantee in ID.findall(text):
        if guarantee:
            yield guarantee
            continue
        yield from (f"{prefix}{number:02}" for number in range(int(first), int(last or first) + 1))


def covered() -> Covered:
    """Return the tests of each id, as `file::test` relative to tests/, in order."""
    found: Covered = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, ids in tests_in(ast.parse(path.read_text(encoding="utf-8"))):
            for one in sorted(ids):
                found.setdefault(one, []).append(f"{path.relative_to(TESTS).as_posix()}::{name}")
    return found


def tests_in(module: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Yield each test of a module with the ids it names."""
    tables = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            words = [ast.get_docstring(node) or ""]
            for decorator in node.decorator_list:
                words += texts(decorator, dict(tables))
            yield node.name, {one for word in words for one in ids_in(word)}


def texts(node: ast.AST, tables: dict[str, ast.expr]) -> Iterator[str]:
    """Yield the strings in *node*, and in the tables of its module that it names."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
        elif isinstance(part, ast.Name) and part.id in tables:
            yield from texts(tables.pop(part.id), tables)


def filled(page: str, found: Covered) -> str:
    """Return *page* with the tests of each case in the last cell of its row."""

    def row(match: re.Match[str]) -> str:
        return f"| {match[1]} | {match[2]} | {shown(found.get(match[1], []))} |"

    return ROW.sub(row, page)


def shown(tests: list[str]) -> str:
    """Return the names of *tests*, those of one file together."""
    files: dict[str, list[str]] = {}
    for test in tests:
        file, _, name = test.partition("::")
        files.setdefault(file, []).append(name.removeprefix("test_"))
    return "; ".join(f"{file}: {', '.join(names)}" for file, names in files.items()) or PENDING


def listed(page: str) -> list[str]:
    """Return the ids of the page's rows."""
    return [match[1] for match in ROW.finditer(page)]
