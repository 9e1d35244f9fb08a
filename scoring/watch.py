"""Whether zones are in order: each is tested at start and every half hour, and has a breaker.

The one idea: a zone is asked while it is known to work. One that fails its test (`testpoints`) is set
aside: nobody asks it, nobody waits for it, and it is tested again, soon at first. So is a zone that has
left three questions in a row unanswered: three sessions have waited for it, and no more do until a test,
which nobody waits for, has passed.

    untested ── passes ──► asked ── three silences, or fails ──► set aside ── passes ──► asked

Mildness decides the doubtful cases:
- A zone that has not been tested yet lists nobody. `wait_usable` waits for its first test, within the
  session's own deadline.
- A zone without the test points of IPv6 does not serve IPv6, as most do not. It is not asked about IPv6,
  which is no fault and not reported.
- A welcome list needs no entry to be in order: one that knows nobody harms nobody. It must not list what no
  list may. `;test=none` says the same of a blocklist without a test point.

An error code in an answer (`doubt`) brings the next test forward. It is the test that decides: no single
answer sets a zone aside. Time is trio's clock; there is one state a zone, and nothing grows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from scoring.answer import NO_ROOM
from scoring.resolve import Lookup
from scoring.testpoints import UNTESTED, Checkup, Form, Health, examine
from scoring.verdict import Finding, Result
from scoring.zones import Zone, by_name

EVERY: Final = 1800.0  # seconds between two tests of a zone that is in order
PATIENCE: Final = 5.0  # seconds for a test
MOST_SILENCES: Final = 3
FIRST_RETRY: Final = 5.0  # seconds; doubled with each failure
LAST_RETRY: Final = 300.0  # for a silent zone: our own resolver may be the fault
DOUBT_EVERY: Final = 60.0
SLOW: Final = 0.5  # seconds; a failure that comes sooner costs nobody anything


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """A zone has been set aside, or is back, for *forms*. `zone` is its shown name."""

    zone: str
    usable: bool
    reason: str
    forms: tuple[Form, ...]


Report = Callable[[ZoneChange], None]


class Watch:
    """Watches *zones*, which list addresses, and *name_zones*, for one process."""

    def __init__(self, zones: Sequence[Zone], name_zones: Sequence[Zone], resolver: Lookup) -> None:
        self._resolver = resolver
        addresses, names = {zone.name for zone in zones}, {zone.name for zone in name_zones}
        self._states: dict[str, _State] = {}
        for name, filters in by_name([*zones, *name_zones]).items():
            forms = [Form.IPV4, Form.IPV6] if name in addresses else []
            forms += [Form.NAMES] if name in names else []
            self._states[name] = _State(filters, dict.fromkeys(forms, UNTESTED), dict.fromkeys(forms, True))

    def usable(self, name: str, form: Form = Form.IPV4) -> bool:
        """Whether the zone *name* may be asked about *form* now."""
        return self.checkup(name, form).usable

    async def wait_usable(self, name: str, form: Form = Form.IPV4, *, until: float) -> bool:
        """Wait for the first test of the zone *name*, not beyond *until*; return whether it may be asked."""
        if not (tested := self._states[name].tested).is_set():
            with trio.move_on_at(until):
                await tested.wait()
        return self.usable(name, form)

    def checkup(self, name: str, form: Form = Form.IPV4) -> Checkup:
        """Return what is known of the zone *name*, and why; the reason may hold a key (`Zone.conceal`)."""
        return self._states[name].checkups[form]

    def learn(self, name: str, finding: Finding) -> None:
        """Take note of what a session has heard from the zone *name*.

        Remembered answers say nothing, nor does a silence for which we had no room to ask in time: in a flood
        every zone would be set aside.
        """
        match finding.result:
            case Result.NO_OPINION if finding.seconds >= SLOW and finding.why != NO_ROOM.why:
                self.heard(name, answered=False)
            case Result.LISTED | Result.NONE if not finding.age:
                self.heard(name, answered=True)
            case Result.ERROR:
                self.doubt(name)

    def heard(self, name: str, *, answered: bool) -> None:
        """Count a silence of the zone *name*; the third in a row sets it aside until a test passes."""
        state = self._states[name]
        state.silences = 0 if answered else state.silences + 1
        if state.silences >= MOST_SILENCES and any(checkup.usable for checkup in state.checkups.values()):
            state.set_aside(f"{MOST_SILENCES} questions in a row without an answer", trio.current_time())

    def doubt(self, name: str) -> None:
        """Have the zone *name* tested soon, at most once a minute: it has answered with an error code."""
        state = self._states[name]
        soon = max(trio.current_time(), state.tested_at + DOUBT_EVERY)
        if soon < state.due:
            state.wake_at(soon)

    async def run(self, report: Report) -> None:
        """Test all zones now and again, each by itself, and *report* each change; until cancelled."""
        async with trio.open_nursery() as nursery:
            for state in self._states.values():
                nursery.start_soon(self._attend, state, report)

    async def _attend(self, state: "_State", report: Report) -> None:
        while True:
            until = trio.current_time() + PATIENCE
            checkups = await examine(self._resolver, state.filters, tuple(state.checkups), until=until)
            state.take(checkups, trio.current_time())
            state.tell(report)
            while trio.current_time() < state.due:
                with trio.move_on_at(state.due):
                    await state.wait_woken()
                state.tell(report)


@dataclass(slots=True)
class _State:
    """All that is known of one zone. Times are seconds of trio's clock."""

    filters: tuple[Zone, ...]
    checkups: dict[Form, Checkup]
    told: dict[Form, bool]
    silences: int = 0  # in a row
    failures: int = 0  # tests failed in a row, and times set aside in between
    due: float = 0.0
    tested_at: float = 0.0
    tested: trio.Event = field(default_factory=trio.Event)
    woken: trio.Event = field(default_factory=trio.Event)

    def set_aside(self, why: str, now: float) -> None:
        silent = Checkup(Health.SILENT, why)
        self.checkups = {form: silent if old.usable else old for form, old in self.checkups.items()}
        self._fail(now)
        self.wake_at(self.due)

    def take(self, checkups: dict[Form, Checkup], now: float) -> None:
        """Take in a test's outcome. Failures are forgotten when a zone passes that was in order before."""
        was_in_order, self.checkups, self.tested_at = self._in_order(), checkups, now
        if self._in_order():
            self.failures = 0 if was_in_order else self.failures
            self.silences, self.due = 0, now + EVERY
        else:
            self._fail(now)
        self.tested.set()

    def wake_at(self, due: float) -> None:
        self.due = due
        self.woken.set()

    async def wait_woken(self) -> None:
        self.woken = trio.Event()
        await self.woken.wait()

    def tell(self, report: Report) -> None:
        for change in self._changes():
            report(change)

    def _fail(self, now: float) -> None:
        self.failures, self.silences = self.failures + 1, 0
        silent = any(checkup.health is Health.SILENT for checkup in self.checkups.values())
        wait = FIRST_RETRY * 2.0 ** min(self.failures - 1, 16)
        self.due = now + min(wait, LAST_RETRY if silent else EVERY)

    def _in_order(self) -> bool:
        return all(checkup.usable or self._not_served(form) for form, checkup in self.checkups.items())

    def _not_served(self, form: Form) -> bool:
        return form is Form.IPV6 and self.checkups[form].health is Health.ABSENT

    def _goes_without_saying(self, form: Form) -> bool:
        """Whether *form* is out of use as IPv6 is where it is not served, or together with IPv4."""
        if self.checkups[form].usable or form is not Form.IPV6:
            return False
        return self._not_served(form) or not self.checkups[Form.IPV4].usable

    def _changes(self) -> Iterator[ZoneChange]:
        """Yield what has changed since it was last told: what is set aside, and what is back."""
        news: dict[bool, list[Form]] = {}
        for form, checkup in self.checkups.items():
            if checkup.usable is not self.told[form] and not self._goes_without_saying(form):
                self.told[form] = checkup.usable
                news.setdefault(checkup.usable, []).append(form)
        for usable, forms in news.items():
            apart = any(other.usable is not usable for other in self.checkups.values())
            why = self.checkups[forms[0]].why
            why = self.filters[0].conceal(f"{', '.join(forms)}: {why}" if apart else why)
            yield ZoneChange(self.filters[0].shown, usable, why, tuple(forms))
