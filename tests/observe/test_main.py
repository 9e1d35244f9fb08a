"""docs/events.md is made, not written."""

from pathlib import Path

import pytest

from tarpit.observe import __main__ as observe
from tarpit.observe import events

DOCS = Path(__file__).parents[2] / "docs"


def test_docs_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/events.md is what `make docs` would write."""
    observe.main()
    assert (DOCS / "events.md").read_text(encoding="utf-8") == capsys.readouterr().out


def test_every_event_is_in_the_page() -> None:
    """The page has each event once, in the order of the file."""
    headings = [line.strip() for line in observe.page() if line.startswith("## ")]
    assert headings == [f"## {observe.name_of(function)}" for function in observe.functions()]
    assert observe.name_of(events.backend_relay_tested) == "backend.relay-tested"


def test_types() -> None:
    """A field's type is JSON's."""
    kinds = {name: kind for name, kind, _ in observe.fields_of(events.session_closed)}
    assert kinds["host"] == "string or null"
    assert (kinds["findings"], kinds["ended"], kinds["score"], kinds["blind"]) == (
        "list",
        "string",
        "number",
        "boolean",
    )
