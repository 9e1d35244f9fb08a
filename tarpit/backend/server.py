"""One mail server behind us: its slots, its addresses, whether it is up, and what it offers.

Nothing happens here: it is looked at by `health`, noted by `marks`, and used by `pool`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from tarpit.backend.marks import Marks
from tarpit.backend.places import Places
from tarpit.backend.slots import Slots
from tarpit.bell import Bell
from tarpit.destinations import BackendAddress


@dataclass(frozen=True, slots=True)
class BackendState:
    """A backend as it stands, for whoever asks."""

    name: str
    up: bool | None  # None: not probed yet
    usable: bool  # may get mail: no open relay, tested for that, and not drained
    reason: str  # of its last failure, if it is down or in doubt
    since: float  # seconds for which it has been up or down
    taken: int
    cap: int
    weight: float  # less than its own while it has only just come back
    drained: bool = False  # the operator has taken it out


class _Bar:
    """A reason to send a backend no mail, up or not; what follows from it is worked out when it is set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, backend: "Backend", owner: type) -> bool:
        return self._name in backend.bars

    def __set__(self, backend: "Backend", holds: bool) -> None:  # noqa: FBT001 - as an attribute is set
        (backend.bars.add if holds else backend.bars.discard)(self._name)
        backend.reconsider()


def _nothing() -> None:
    pass


class Backend:
    """One backend: what is known of it, and its slots."""

    open_relay = _Bar()  # it would relay for everybody who comes through us
    exposed = _Bar()  # it would believe what a peer says of its address inside TLS that we pass on
    untested = _Bar()  # the relay test is still to come: not used before
    drained = _Bar()  # the operator has taken it out

    def __init__(
        self,
        address: BackendAddress,
        *,
        checks: int | None = None,
        rise: int = 1,
        fall: int = 1,
        tell: "Callable[[Backend], None]" = lambda _: None,
        altered: Callable[[], None] = _nothing,
    ) -> None:
        """*tell* is called when it has gone up or down; *altered* then, and when a bar is set or lifted."""
        self.address = address
        self.name = address.name
        self.slots = Slots(address, share=checks)
        self.places = Places(address.host, address.port)
        self.probe_wanted = Bell()
        self.probe_seconds = 0.0  # from dialling to the end of its EHLO reply, the last time
        self.keywords: tuple[bytes, ...] = ()  # what a suspect may be shown; none before a probe succeeded
        self.held_seconds = 0.0  # of all connections lent so far, from the dial to the end
        self.plain_because = ""  # why the last connection had no TLS, where it was wanted (`may`)
        self.plain_told = ""  # what of that has been told
        self.relay_told = ""  # of relay tests that came to nothing, the last that was told
        self.bars = set[str]()  # those of the above that hold
        self.marks = Marks(rise=rise, fall=fall, changed=self._changed)
        self._tell = tell
        self._altered = altered

    @property
    def up(self) -> bool | None:
        """Whether it answers. None: not known yet."""
        return self.marks.up

    @property
    def usable(self) -> bool:
        """Whether mail may go there, up or not."""
        return not self.bars

    def takes_mail(self) -> bool:
        """Whether mail may go there now."""
        return self.slots.takes_mail

    def reconsider(self) -> None:
        """Work out whether mail may go there now: each session asks, and it changes seldom."""
        self.slots.takes_mail = not self.bars and self.marks.up is not False
        self._altered()

    @property
    def busy(self) -> float:
        """Connections per weight."""
        return self.slots.busy

    @property
    def state(self) -> BackendState:
        """What there is to see of it."""
        marks, slots = self.marks, self.slots
        since = trio.current_time() - marks.since
        return BackendState(
            self.name,
            marks.up,
            self.usable,
            marks.reason,
            since,
            slots.taken,
            slots.cap,
            slots.weight,
            self.drained,
        )

    def _changed(self) -> None:
        self.reconsider()
        if self.marks.back:
            self.slots.back = trio.current_time()
        self._tell(self)
