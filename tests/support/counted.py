"""A buffer that counts how many of its bytes are searched: work, told without a clock."""

from typing import TYPE_CHECKING, SupportsIndex

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Counted(bytearray):
    """Bytes that are held, and grow in place."""

    searched = 0  # bytes, each as often as it was looked at

    def find(
        self,
        sub: "ReadableBuffer | SupportsIndex",
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        /,
    ) -> int:
        """Search, and count up to what is found."""
        found = super().find(sub, start, end)
        self.searched += len(range(len(self))[start : found + 1 if found >= 0 else end])
        return found
