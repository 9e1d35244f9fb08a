"""The process around the workers: sockets, signals, exit codes, and no SMTP.

    slot   a place for a worker, with a listening socket of its own on each address, which it inherits
    death  a worker that dies is replaced, at once, or ever later if it dies soon after birth; one that
           stands still, or does not get ready, is killed first
    HUP    the settings are read again. Where only files may have changed, the workers read those; else there
           is a second worker in each slot, and when all of those are ready, they accept and the first ones
           end. As long as one of them refuses, nothing has happened
    TERM   all workers stop in order; a second one ends them at once

It runs no event loop of trio's, for it forks (`offspring`), and does nothing that takes time: whatever an
operator may ask is answered by one more child, the `office`. So there is little here that could go wrong.
"""

import gc
import os
import signal
import time
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from math import inf
from typing import Final

from structlog.typing import FilteringBoundLogger as Log

from tarpit.environment import PREFIX
from tarpit.errors import Fault, SettingsError
from tarpit.observe import events, processes
from tarpit.observe.outlet import catch_up
from tarpit.processes import lead
from tarpit.processes.crew import Crew, Died
from tarpit.processes.lead import Report, Word
from tarpit.processes.listeners import Door, open_doors
from tarpit.processes.notify import Notifier
from tarpit.processes.offspring import Child, Slot
from tarpit.processes.privileges import become
from tarpit.processes.steering import steer
from tarpit.processes.vigil import Vigil
from tarpit.settings import Settings

AT_ONCE: Final = 2.0  # seconds from the second TERM to the end
GRACE: Final = 5.0  # seconds beyond TARPIT_DRAIN
# What takes a restart: sockets, places and privileges are had once.
FIXED: Final = ("listen", "workers", "proxy_from", "state_dir", "user")
HELD: Final = "takes a restart to change"

Reread = Callable[[], tuple[Settings, Log]]


def run(
    settings: Settings,
    log: Log,
    *,
    reread: Reread | None = None,
    environ: MutableMapping[str, str] = os.environ,
) -> int:
    """Run until TERM or INT; return the exit code. Raises `SettingsError` when the start is refused.

    *reread* returns the settings as they are written now, and a log as they want it; without it they stay.
    """
    notifier = Notifier(environ)
    with ExitStack() as stack:
        doors = open_doors(settings, environ)
        for door in doors:
            stack.callback(door.close)
        events.server_starting(
            log, version=version("tarpit-mx"), mode=settings.mode.value, max_sessions=settings.max_sessions
        )
        for doubt in settings.warnings():
            events.settings_doubtful(log, name=doubt.name, message=doubt.message)
        for name in settings.pending():
            events.settings_pending(log, name=name)
        if settings.workers > 1:
            for door in doors:
                spread(door, settings, log)
        if settings.user is not None:
            become(settings.user, owning=settings.state_dir)
        # What all processes share stays shared: no collection of theirs writes into it.
        gc.collect()
        gc.freeze()
        return Supervisor(settings, log, doors, notifier, reread or (lambda: (settings, log))).run()


def spread(door: Door, settings: Settings, log: Log) -> None:
    """Have peers divided between the workers at *door*, and tell how that is done."""
    host, port = door.address
    reason = ""
    if len(door.sockets) == 1:
        reason = "the one socket that systemd opened is accepted from by all of them"
    elif settings.proxy_from:
        reason = "connections come from TARPIT_PROXY_FROM, and not from the peers"
    elif not steer(door.sockets):
        reason = "the system does not let us (SO_ATTACH_REUSEPORT_CBPF)"
    if reason:
        processes.peers_scattered(log, host=host, port=port, workers=settings.workers, reason=reason)
    else:
        processes.peers_steered(log, host=host, port=port, workers=settings.workers)


class Supervisor:
    """What is under way, and what follows from what happens."""

    def __init__(
        self, settings: Settings, log: Log, doors: Sequence[Door], notifier: Notifier, reread: Reread
    ) -> None:
        self._settings = settings
        self._log = log
        self._notifier = notifier
        self._reread = reread
        self._vigil = Vigil()
        self._crew = Crew(settings.workers, doors, self._vigil)
        self._starting = True
        self._stopping = False
        self._coming: tuple[Settings, Log] | None = None  # of a reload under way
        self._again = False  # HUP has come meanwhile
        self._until = inf  # when all that is left is killed
        self._cut = 0
        self._faults: tuple[Fault, ...] = ()  # why the start is refused
        self._alive_due = 0.0

    def run(self) -> int:
        """Run to the end. Raises `SettingsError` when the start is refused."""
        with self._vigil:
            try:
                self._serve()
            finally:
                self._crew.close()  # which tells everybody to stop, whatever has happened here
        if self._faults:
            raise SettingsError(self._faults)
        events.server_stopped(self._log, cut=self._cut)
        return 0

    def _serve(self) -> None:
        crew = self._crew
        crew.make(crew.slots[0], self._settings, self._log, starting=True)
        while not self._stopping or crew.workers:
            for number in self._wait():
                self._obey(number)
            for slot, child, what in crew.news():
                self._take_note(slot, child, what)
            self._make_due()
        crew.end_office(AT_ONCE)

    # -- waiting

    def _wait(self) -> Sequence[signal.Signals]:
        """Wait for signals, which are returned, for a child, or for whatever is due."""
        now = time.monotonic()
        if now >= self._alive_due:
            self._notifier.alive()
            self._alive_due = now + self._notifier.alive_every
        due = inf if self._stopping else min(slot.due for slot in (*self._crew.slots, self._crew.office))
        timeout = min(due, self._until, self._alive_due, self._crew.until, self._crew.look_due) - now
        signals = self._vigil.wait(timeout if catch_up() else min(timeout, lead.BEAT))
        if time.monotonic() >= self._until:
            self._until = inf
            for child in self._crew.workers:
                child.kill()
        self._crew.kill_late()
        for child in self._crew.hung():
            processes.process_hung(self._log, worker=child.slot, pid=child.pid, serving=child.ready)
        return signals

    def _make_due(self) -> None:
        now, crew = time.monotonic(), self._crew
        if self._stopping:
            return
        for slot in crew.slots:
            if slot.due <= now and slot.trying is None:
                crew.make(slot, self._settings, self._log)
        if crew.office.due <= now:
            crew.make_office(self._settings, self._log)

    # -- signals

    def _obey(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGHUP if not self._stopping:
                self._reload()
            case signal.SIGTERM | signal.SIGINT if self._stopping:
                self._crew.tell(Word.END)
                self._until = time.monotonic() + AT_ONCE
            case signal.SIGTERM | signal.SIGINT:
                sessions, within = self._crew.sessions, self._settings.drain
                events.server_stopping(self._log, signal=number.name, sessions=sessions, within=within)
                self._notifier.stopping(sessions)
                self._stop()

    def _stop(self) -> None:
        self._stopping = True
        self._until = time.monotonic() + self._settings.drain + GRACE
        self._crew.dismiss()
        self._crew.tell(Word.STOP)

    def _reload(self) -> None:
        """Read the settings again; try them, where any has changed."""
        self._again = self._starting or self._crew.trying
        if self._again:
            return  # when that is over
        self._notifier.reloading()
        try:
            settings, log = self._reread()
        except SettingsError as wrong:
            self._keep(wrong.faults)
            return
        changed = differing(settings, self._settings)
        if faults := [Fault(PREFIX + name.upper(), HELD) for name in FIXED if name in changed]:
            self._keep(faults)
        elif not changed:
            self._crew.tell(Word.RELOAD)
            self._reloaded(changed)
        else:
            self._coming = settings, log
            self._crew.tell(Word.SPARE)
            for slot in self._crew.slots:
                self._crew.make(slot, settings, log, starting=True)

    def _keep(self, faults: Sequence[Fault]) -> None:
        """Let everything be as it was before HUP."""
        processes.settings_kept(self._log, message="; ".join(map(str, faults)))
        self._coming = None
        self._crew.dismiss()
        self._notifier.ready()

    def _reloaded(self, changed: Sequence[str]) -> None:
        processes.settings_reloaded(self._log, changed=[PREFIX + name.upper() for name in changed])
        self._notifier.ready()

    # -- what children say, and how they end

    def _take_note(self, slot: Slot, child: Child, what: Report | Died) -> None:
        match what:
            case lead.Ready():
                child.ready = True
                self._next_step(slot)
            case lead.Refused(faults=faults):
                child.refused = True
                self._refused(slot, child, faults)
            case lead.Stopped(cut=cut):
                child.stopped = True
                self._cut += cut if self._stopping else 0
            case Died(how=how):
                self._died(slot, child, how)

    def _next_step(self, slot: Slot) -> None:
        """Go on where a worker has become ready."""
        crew = self._crew
        if self._stopping or slot.trying is None or slot.trying.dismissed:
            return
        if self._coming is None:
            crew.promote(slot)
            if self._starting:
                self._start_others()
            self._catch_up()
        elif all(one.trying is not None and one.trying.ready for one in crew.slots):
            changed = differing(self._coming[0], self._settings)
            within = self._settings.drain + GRACE  # theirs
            (self._settings, self._log), self._coming = self._coming, None
            for one in crew.slots:
                crew.promote(one, within=within)
            self._reloaded(changed)
            self._catch_up()

    def _start_others(self) -> None:
        crew = self._crew
        for slot in crew.slots:
            if not slot.children:
                crew.make(slot, self._settings, self._log)
        if all(slot.serving is not None for slot in crew.slots):
            self._starting = False
            self._notifier.ready()
            crew.make_office(self._settings, self._log)

    def _catch_up(self) -> None:
        if self._again and not self._stopping and not self._crew.trying:
            self._reload()

    def _refused(self, slot: Slot, child: Child, faults: Sequence[Fault]) -> None:
        if self._stopping or child.dismissed:
            return
        if self._starting:
            self._faults = tuple(faults)
            self._stop()
        elif self._coming is not None:
            self._keep(faults)
        else:
            message = "; ".join(map(str, faults))
            seconds = slot.pause_after(child)
            processes.worker_refused(self._log, worker=slot.number, message=message, seconds=seconds)

    def _died(self, slot: Slot, child: Child, how: str) -> None:
        sessions, was_trying = child.sheet.sessions, child is slot.trying
        was_leaving = child in slot.leaving
        self._crew.bury(slot, child)
        if slot is self._crew.office:
            seconds = slot.pause_after(child)
            processes.control_lost(self._log, pid=child.pid, how=how, seconds=seconds)
        elif was_trying and self._coming is not None and not (child.dismissed or child.refused):
            self._keep([Fault(f"worker {slot.number}", f"ended at its start: {how}")])
        elif child.dismissed or child.refused or (child.stopped and (was_leaving or self._stopping)):
            pass
        else:
            seconds = 0.0 if self._stopping or was_leaving else slot.pause_after(child)
            number, pid = slot.number, child.pid
            processes.worker_lost(
                self._log, worker=number, pid=pid, how=how, sessions=sessions, seconds=seconds
            )
        if was_trying and slot.serving is not None:
            lead.tell(slot.serving.lead, Word.WHOLE)
        elif was_trying and slot.due == inf:
            slot.due = time.monotonic()  # its place was empty before, and is so again
        self._catch_up()


def differing(one: Settings, other: Settings) -> list[str]:
    """Return which fields of two settings have different values."""
    return [name for name in Settings.model_fields if getattr(one, name) != getattr(other, name)]
