"""Values: equal by what they hold, and not to be altered."""

import pytest

from tarpit.smtp.values import value


@value
class Point:
    """One with a default."""

    x: int
    y: int = 0


@value
class Other:
    """One that could be mistaken for the first."""

    x: int
    y: int = 0


def test_equal_by_what_they_hold() -> None:
    """Two that hold the same are one to a set; another class's is another."""
    assert {Point(1), Point(1, 0), Point(1, 2)} == {Point(1), Point(1, 2)}
    assert len({Point(1), Other(1)}) == 2


def test_slotted() -> None:
    """There is no room for what was not declared."""
    with pytest.raises(AttributeError):
        setattr(Point(1), "z", 3)  # noqa: B010 - mypy would see it


def test_not_to_be_altered() -> None:
    """Mypy refuses it: were it to allow it one day, it would complain of the comment that is not needed."""
    Point(1).x = 2  # type: ignore[misc]
