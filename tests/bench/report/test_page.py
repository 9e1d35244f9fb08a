"""The page about a run."""

from html.parser import HTMLParser

from bench.fleet.records import Ended
from bench.report.page import page
from tests.bench.report.test_charts import BOTS, day, record


class _Outside(HTMLParser):
    """Collects what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag in {"script", "link", "img", "iframe"} or "src" in names:
            self.loads.append(tag)


def made() -> str:
    """Return the page about two small days."""
    days = [day("ours", *BOTS, record(40, Ended.DELIVERED, honest=True)), day("none <b>", *BOTS)]
    figures = {one.policy: {"bots": 4, "spam_delivered": 1, "honest_delay_p50": 0.25} for one in days}
    return page(days, figures, preset="busy-day", seed=1, sessions=5)


def test_it_stands_alone() -> None:
    """Nothing is loaded, and no script runs."""
    parser = _Outside()
    parser.feed(made())
    assert parser.loads == []


def test_what_it_says() -> None:
    """The figures of each policy, each kind of sender, and the settings that made it."""
    text = made()
    assert "busy-day, seed 1, 5 senders" in text
    assert "<td>spam delivered</td><td>1</td><td>1</td>" in text
    assert "<td>honest delay p50</td><td>0.25</td>" in text
    assert "<td>bot</td><td>5</td><td>2</td><td>2</td>" in text
    assert "TARPIT_SCORE_SUSPECT=3" in text
    assert "<td>ours</td><td>1.0</td><td>1</td>" in text  # CPU seconds, and MiB
    assert text.count("<svg") == 9


def test_names_are_escaped() -> None:
    """A policy may be called anything."""
    assert "none <b>" not in made()
    assert "none &lt;b&gt;" in made()


def test_the_same_twice() -> None:
    """Same days, same bytes."""
    assert made() == made()
