"""`tarpit settings`."""

import json

from typer.testing import CliRunner

from tarpit.cli import app
from tarpit.cli.settings import page
from tarpit.settings import later_of, load
from tarpit.variables import Variables


def test_running_values() -> None:
    """The running values are printed as they would be written, and can be read again."""
    result = CliRunner().invoke(app, ["settings"], env={"TARPIT_PACE_BYTE": "1500ms"})
    assert result.exit_code == 0
    values = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert values["TARPIT_PACE_BYTE"] == "1.5s"
    assert load(values).pace_byte == 1.5


def test_passwords_are_masked() -> None:
    """A password is not printed, in neither form."""
    for options in ([], ["--json"]):
        result = CliRunner().invoke(
            app, ["settings", *options], env={"TARPIT_STORE": "redis://user:secret@db:6379/0"}
        )
        assert "redis://***@db:6379/0" in result.stdout
        assert "secret" not in result.stdout


def test_json() -> None:
    """As JSON each variable is there by its name."""
    result = CliRunner().invoke(app, ["settings", "--json"])
    assert set(json.loads(result.stdout)) == {f"TARPIT_{field.upper()}" for field in Variables.model_fields}


def test_wrong_settings() -> None:
    """Wrong settings are told as everywhere."""
    assert CliRunner().invoke(app, ["settings"], env={"TARPIT_X": "1"}).exit_code == 78


def test_markdown() -> None:
    """The page does not need right settings, nor depend on them; a row has four cells."""
    result = CliRunner().invoke(app, ["settings", "--markdown"], env={"TARPIT_X": "1"})
    assert result.stdout == "\n".join(page()) + "\n"
    rows = [line for line in result.stdout.splitlines() if line.startswith("| TARPIT_")]
    assert len(rows) == len(Variables.model_fields)
    assert all(row.count(" | ") == 3 for row in rows)


def test_markdown_marks_what_is_not_there_yet() -> None:
    """What is not in this version yet is marked, and nothing else."""
    rows = {line.split()[1]: line for line in page() if line.startswith("| TARPIT_")}
    marked = {field for field in Variables.model_fields if later_of(field) is not None}
    assert {name for name, row in rows.items() if "†" in row} == {f"TARPIT_{one.upper()}" for one in marked}
