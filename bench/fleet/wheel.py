"""The wheel of the simulator: replies as slow as the real ones, in few pieces.

A byte a second under a clock that jumps costs more than all else. So a reply takes what `Pace.takes` says,
as the real one's does but for the jitter, and leaves at the end in one go. One that takes longer than a
`BEAT` leaves a piece every so often, or clients whose timers any byte renews would give up on it.
"""

from collections.abc import Coroutine
from typing import Final

import trio

from tarpit.drip import Account, Drip, Wheel
from tarpit.errors import PeerGone
from tarpit.pace import Pace
from tarpit.wire import Wire

BEAT: Final = 9.0  # seconds; less than any timer that a byte renews, of those that may run meanwhile


class WholeReplies(Wheel):
    """All waits of a day. `run` must be running."""

    def say(
        self,
        wire: Wire,
        data: bytes,
        pace: Pace,
        *,
        patience: float,
        account: Account | None = None,
        left_after_fin: bool = True,
    ) -> Coroutine[None, None, None]:
        """Send *data* so that the last of it leaves when it would have. Raises as the real one does."""
        now = trio.current_time()
        drip = Drip(wire, data, now=now, patience=patience)
        drip.gap, drip.by_line = pace.shape(data)
        drip.by = now + pace.takes(len(data))
        drip.due = min(now + pace.before_reply + max(drip.gap, BEAT), drip.by)
        drip.account = account
        drip.after_fin = left_after_fin
        return self._see_out(drip)

    def _goes_on(self, drip: Drip, now: float) -> bool:
        """Send what would have left by now."""
        if now >= drip.by:
            drip.finish(None)
            return False
        share = (now - drip.began) / (drip.by - drip.began)
        end = int(share * len(drip.data))
        if drip.by_line:
            end = drip.data.rfind(b"\n", 0, end) + 1
        if end > drip.position:
            try:
                drip.wire.send_now(drip.data[drip.position : end])
            except PeerGone as gone:
                drip.finish(gone)
                return False
            drip.position = end
        drip.due = min(now + max(drip.gap, BEAT), drip.by)
        return True
