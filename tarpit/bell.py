"""A bell: whoever waits for it is woken; rung while nobody waits, it is heard by the next, once."""

import trio


class Bell:
    """Many may ring, one waits."""

    __slots__ = ("_rung",)

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Wake whoever waits, now or next. Never waits."""
        self._rung.set()

    def still(self) -> None:
        """Let what it was rung for so far be known already."""
        if self._rung.is_set():
            self._rung = trio.Event()

    async def wait(self) -> None:
        """Wait until it has been rung since the last time."""
        await self._rung.wait()
        self._rung = trio.Event()
