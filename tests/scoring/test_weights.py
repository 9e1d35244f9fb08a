"""The table of signals, and its changes by name."""

from pathlib import Path

import pytest

from scoring.config import Config
from scoring.verdict import Basis, Finding, Result, Verdict
from scoring.weights import BEGIN, DEFAULT_WEIGHTS, END, SIGNALS, parse_weights, renew, renewed, table

PAGE = Path(__file__).parent.parent.parent / "docs" / "scoring.md"


def test_parse_weights() -> None:
    """Named weights change, the others stay."""
    weights = parse_weights("pregreet=5,spf-fail=2.5 spf-pass=-1")
    assert weights == {**DEFAULT_WEIGHTS, "pregreet": 5, "spf-fail": 2.5, "spf-pass": -1}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("pregreet", "is not signal=points"),
        ("pregret=4", "did you mean pregreet?"),
        ("zzz=4", "there are no-rdns, "),
        ("pregreet=many", "'many' is not a number of points"),
        ("pregreet=nan", "'nan' is not a number of points"),
    ],
)
def test_parse_weights_refuses(text: str, complaint: str) -> None:
    """A mistyped weight is not passed over."""
    with pytest.raises(ValueError, match=complaint):
        parse_weights(text)


def test_every_weight_once() -> None:
    """No name is twice in the table, and every row says what, why and at whose expense."""
    assert len(DEFAULT_WEIGHTS) == len(SIGNALS)
    assert all(row.what and row.source and row.risk for row in SIGNALS)


def test_who_is_suspect_alone() -> None:
    """By default these make a suspect by themselves; everything else needs company."""
    alone = {name for name, points in DEFAULT_WEIGHTS.items() if points >= Config().suspect_at}
    assert alone == {"spf-fail", "helo-ours", "pregreet", "not-smtp", "bad-recipients", "trap"}


def test_nothing_holds_alone() -> None:
    """By default no single finding is enough to hold a peer; two traps, or offences twice over, are."""
    config = Config()
    for name, points in DEFAULT_WEIGHTS.items():
        finding = Finding(name, Result.FAIL, points, "", basis=Basis.CONDUCT)
        assert not Verdict((finding,), config.suspect_at, config.hold_at).hostile


def test_the_page_is_fresh() -> None:
    """docs/scoring.md has the table that `make docs` would write into it."""
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in DEFAULT_WEIGHTS)
    assert renewed(page) == page


def test_the_page_is_made(tmp_path: Path) -> None:
    """What stands between the marks is replaced, what stands around them is not."""
    page = tmp_path / "page.md"
    page.write_text(f"before {BEGIN}| old |{END} after")
    renew(str(page))
    assert page.read_text() == f"before {BEGIN}{table()}{END} after"


@pytest.mark.parametrize("page", ["", BEGIN, END, END + BEGIN])
def test_a_page_without_marks(page: str) -> None:
    """A page that has no place for the table is not written over."""
    with pytest.raises(ValueError, match="the page has no"):
        renewed(page)
