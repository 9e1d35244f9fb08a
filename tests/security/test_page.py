"""docs/security.md is true: each case has a test that names it, and the page names that test."""

import pytest

from tests.security.__main__ import GUARANTEES, resting_on
from tests.support.ids import PAGE, PENDING, covered, filled, ids_in, listed

COVERED = covered()
LENGTHS = {"EOD": 24, "CMD": 27, "PIP": 9, "TLS": 13, "NET": 12, "ID": 11, "HDR": 2, "LOG": 3}
WITHOUT_A_TEST: frozenset[str] = frozenset()  # it only ever shrinks


def test_every_case_is_listed() -> None:
    """No number is left out."""
    page = listed(PAGE.read_text("utf-8"))
    assert len(page) == len(set(page))
    wanted = {f"{group}-{number:02}" for group, count in LENGTHS.items() for number in range(1, count + 1)}
    assert wanted <= set(page)


@pytest.mark.parametrize("case", listed(PAGE.read_text("utf-8")))
def test_every_case_has_a_test(case: str) -> None:
    """What is promised on the page is shown by a test that carries its number."""
    assert (case in COVERED) is (case not in WITHOUT_A_TEST)


def test_the_page_is_fresh() -> None:
    """The last column is what `python -m tests.security --fill` writes."""
    page = PAGE.read_text("utf-8")
    assert filled(page, COVERED) == page
    assert page.count(PENDING) == len(WITHOUT_A_TEST)


@pytest.mark.parametrize("name", GUARANTEES)
def test_every_guarantee_rests_on_tests(name: str) -> None:
    """None is only words."""
    assert len(set(resting_on(name, COVERED))) > 0


def test_ranges() -> None:
    """`EOD-02..06` is five of them."""
    assert list(ids_in("EOD-02..04 and CMD-05, G5")) == ["EOD-02", "EOD-03", "EOD-04", "CMD-05", "G5"]
