"""Ends of waits, as a `Sitter` is told of them."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def noting(told: list[T], what: Callable[[], T]) -> Callable[[], bool]:
    """Return an end that adds *what* to *told*, and somebody did wait."""

    def end() -> bool:
        told.append(what())
        return True

    return end
