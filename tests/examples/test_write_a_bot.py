"""The bot of docs/bench.md, as a reader would run it."""

from pathlib import Path

from bench.fleet.day import live
from bench.fleet.figures import by_model, by_sender
from bench.fleet.population import read_preset

PRESET = Path(__file__).parents[2] / "examples" / "write_a_bot.toml"


def test_a_bot_of_ones_own_comes_beside_the_others() -> None:
    """It is in the records under its own name, and delivers where nothing stands in its way."""
    day = live("none", read_preset(str(PRESET)), seed=1, sessions=30, variables={})
    models = by_model(by_sender(day.records))
    assert {name: len(rows) for name, rows in models.items()} == {"site": 10, "verifier": 20}
    assert all(record.delivered for record in day.records)
