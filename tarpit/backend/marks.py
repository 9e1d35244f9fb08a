"""Whether a backend is up, counted from what was seen of it: probes, and sessions that reached it or did not.

The one idea: one failure makes it doubtful, `fall` in a row make it down, `rise` probes in a row make it up
again. What is doubtful or down is looked at every second (`watch`), so both are known soon, and no single
lost packet turns the mail around. Of a backend not seen before the first look is enough.

Who looks, and how, is `health`; what may count as its failure, and not as a refusal of the peer, is `dial`.
"""

from collections.abc import Callable

import trio


class Marks:
    """What is known of one backend. *changed* is called when it has gone up or down."""

    __slots__ = ("_changed", "_fall", "_rise", "_row", "back", "reason", "since", "up")

    def __init__(self, *, rise: int = 1, fall: int = 1, changed: Callable[[], None] = lambda: None) -> None:
        self._rise = rise
        self._fall = fall
        self._changed = changed
        self._row = 0  # marks in a row that speak against `up`
        self.up: bool | None = None  # None: nothing is known yet
        self.reason = ""  # the last failure, of one that is down or doubtful
        self.back = False  # whether it was down before
        self.since = 0.0  # when `up` became what it is

    @property
    def doubtful(self) -> bool:
        """Whether it wants to be looked at soon."""
        return not self.up or self._row > 0

    def good(self) -> None:
        """Take note that it has answered."""
        if self.up:
            self._row, self.reason = 0, ""
            return
        self._row += 1
        if self.up is None or self._row >= self._rise:
            self.reason = ""
            self._become(up=True)

    def bad(self, reason: str) -> None:
        """Take note that it has not."""
        self.reason = reason
        if self.up is False:
            self._row = 0
            return
        self._row += 1
        if self.up is None or self._row >= self._fall:
            self._become(up=False)

    def _become(self, *, up: bool) -> None:
        self.back = up and self.up is False
        self.up, self._row, self.since = up, 0, trio.current_time()
        self._changed()
