"""A client's side of one connection: what it says, what it hears, and how long it waits for that.

The core of every client of the fleets, honest or not. It speaks over anything that sends, receives and
closes: an end in memory under a clock that jumps, or a socket in real time.
"""

from dataclasses import dataclass

import trio

from bench.clients import Client, Step
from bench.fleet.memory import Stream


class Closed(Exception):  # noqa: N818 - the server's decision
    """The server has hung up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply: its code (0 for what is none), and as it came."""

    code: int
    raw: bytes

    @property
    def good(self) -> bool:
        """Whether the command was accepted."""
        return 200 <= self.code < 400


class Caller:
    """One connection of a client with the timers of *client*; the connection stands already.

    `with caller.patience:` is around all that it does: one scope for all timers, whose end is moved. A scope
    a reply would be a tenth of what a session costs in the simulator.
    """

    __slots__ = ("_buffer", "_client", "_end", "_stream", "patience", "settled", "step")

    def __init__(self, stream: Stream, client: Client) -> None:
        self._stream = stream
        self._client = client
        self._buffer = bytearray()
        self._end = trio.current_time() + client.session
        self.patience = trio.CancelScope(deadline=self._end)
        self.step = Step.BANNER  # what it has waited for last
        self.settled = trio.current_time()  # when the last reply came that was not to QUIT

    async def say(self, data: bytes) -> None:
        """Send *data*. Raises `Closed`."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Closed from None

    async def hear(self, step: Step) -> Answer:
        """Return the next reply; the limit for *step* is the end of `patience`. Raises `Closed`."""
        self.step = step
        answer = self._take() or await self._wait(step)
        if step is not Step.QUIT:
            self.settled = trio.current_time()
        return answer

    async def _wait(self, step: Step) -> Answer:
        limit = self._client.limit(step)
        deadline = trio.current_time() + limit.seconds
        while True:
            self.patience.deadline = min(deadline, self._end)
            before = bytes(self._buffer)
            piece = await self._receive()
            self._buffer += piece
            if (answer := self._take()) is not None:
                self.patience.deadline = self._end
                return answer
            deadline = limit.renewed(deadline, now=trio.current_time(), before=before, data=piece)

    async def ask(self, step: Step, data: bytes) -> Answer:
        """Send *data*, and return the reply."""
        self.step = step
        await self.say(data)
        return await self.hear(step)

    async def heard_within(self, seconds: float) -> bool:
        """Whether anything comes within *seconds*; it stays to be heard. Raises `Closed`."""
        if not self._buffer:
            with trio.move_on_after(seconds):
                self._buffer += await self._receive()
        return bool(self._buffer)

    async def silent_for(self, seconds: float) -> None:
        """Say nothing for *seconds*, and hear nothing. Raises `Closed` when the server hangs up."""
        with trio.move_on_after(seconds):
            while True:
                await self._receive()

    async def hang_up(self) -> None:
        """Close. Nothing is said."""
        await self._stream.aclose()

    async def _receive(self) -> bytes:
        try:
            piece = bytes(await self._stream.receive_some(65536))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Closed from None
        if not piece:
            raise Closed
        return piece

    def _take(self) -> Answer | None:
        """Return the first reply of what has come, if it is whole."""
        buffer, start = self._buffer, 0
        while (end := buffer.find(b"\n", start)) >= 0:
            if buffer[start + 3 : start + 4] != b"-":
                raw = bytes(buffer[: end + 1])
                del buffer[: end + 1]
                code = raw[start : start + 3]
                return Answer(int(code) if code.isdigit() else 0, raw)
            start = end + 1
        return None
