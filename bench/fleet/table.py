"""The report for a terminal: a column a policy, and what became of each model."""

from collections.abc import Iterator, Mapping
from typing import Final

from bench.fleet.figures import Figures

# figure -> what it is called; those with a second name are shown as a share of it
ROWS: Final[tuple[tuple[str, str, str], ...]] = (
    ("honest messages sent", "honest_sent", ""),
    ("  lost", "honest_lost", ""),
    ("  delay p50, s", "honest_delay_p50", ""),
    ("  delay p95, s", "honest_delay_p95", ""),
    ("  delay p99, s", "honest_delay_p99", ""),
    ("  of clean ones p99, s", "clean_delay_p99", ""),
    ("  one-time codes late", "codes_late", "codes_sent"),
    ("  python-slimta lost", "apart_lost", "apart_sent"),
    ("bots", "bots", ""),
    ("  gone before RCPT", "bots_gone_before_rcpt", "bots"),
    ("  spam delivered", "spam_delivered", "bots"),
    ("  hours of theirs", "bot_seconds", ""),
    ("connections", "connections", ""),
    ("  open at once", "sessions_peak", ""),
    ("  slowed at once", "held_peak", ""),
    ("backend: at once", "backend_connections_peak", ""),
    ("  hours of it", "backend_seconds", ""),
)
WIDE: Final = 26
COLUMN: Final = 16


def lines(preset: str, seed: int, sessions: int, found: Mapping[str, Figures]) -> Iterator[str]:
    """Yield the report, line by line."""
    yield f"{preset}, seed {seed}, {sessions} senders; delays from the first connection to the acceptance"
    yield ""
    yield _row("", list(found))
    for title, name, of in ROWS:
        yield _row(title, [_shown(figures, name, of) for figures in found.values()])
    yield ""
    yield "delivered, of those sent, by model"
    yield _row("", list(found))
    for model in _models(found):
        yield _row(f"  {model}", [_delivered(figures, model) for figures in found.values()])


def _row(title: str, cells: list[str]) -> str:
    return title.ljust(WIDE) + "".join(cell.rjust(COLUMN) for cell in cells)


def _shown(figures: Figures, name: str, of: str) -> str:
    value = figures[name]
    assert isinstance(value, int | float)
    if name.endswith("_seconds"):
        return f"{value / 3600:.2f}"
    if not of:
        return f"{value:.1f}" if isinstance(value, float) else str(value)
    whole = figures[of]
    assert isinstance(whole, int)
    return f"{value} ({value / whole:.0%})" if whole else "-"


def _models(found: Mapping[str, Figures]) -> list[str]:
    return [] if not found else list(_of_models(next(iter(found.values()))))


def _of_models(figures: Figures) -> Mapping[str, Mapping[str, float]]:
    models = figures["models"]
    assert isinstance(models, Mapping)
    return models


def _delivered(figures: Figures, model: str) -> str:
    row = _of_models(figures)[model]
    return f"{row['delivered'] / row['sent']:.0%}" if row["sent"] else "-"
