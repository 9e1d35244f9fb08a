"""The events about our own processes: workers that die or are refused, reloads, how peers are spread.

They are written as those in `events`, of which this is a further page.
"""

from typing import Annotated

from structlog.typing import FilteringBoundLogger as Log

from tarpit.observe.events import Error, Info, Warn

Worker = Annotated[int, "number of the worker, from 0"]
Pid = Annotated[int, "its process"]


def worker_stopped(
    log: Log,
    *,
    worker: Worker,
    pid: Pid,
    cut: Annotated[int, "sessions that were cut when the time was over (TARPIT_DRAIN)"],
) -> Info:
    """A worker has stopped in order: at the end, or since another one has taken its place."""
    log.info("worker.stopped", worker=worker, pid=pid, cut=cut)


def worker_lost(
    log: Log,
    *,
    worker: Worker,
    pid: Pid,
    how: Annotated[str, "its exit code, or the signal that ended it"],
    sessions: Annotated[int, "sessions that were open in it, and are lost without an event of their own"],
    seconds: Annotated[float, "until it is replaced; what connects meanwhile waits"],
) -> Error:
    """A worker has died. The others serve on; another takes its place, ever later if that dies as well."""
    log.error("worker.lost", worker=worker, pid=pid, how=how, sessions=sessions, seconds=seconds)


def supervisor_lost(
    log: Log,
    *,
    worker: Worker,
    pid: Pid,
    within: Annotated[float, "seconds for transfers to finish (TARPIT_DRAIN)"],
) -> Error:
    """The supervisor has died. A worker does not outlive it: it lets go of the port, finishes and ends."""
    log.error("supervisor.lost", worker=worker, pid=pid, within=within)


def process_hung(
    log: Log,
    *,
    worker: Annotated[int, "number of the worker, from 0; -1: it is the one that has the control socket"],
    pid: Pid,
    serving: Annotated[bool, "whether it served; or else it was to get ready"],
) -> Error:
    """A process of ours stands still and is killed; where it stands is on the standard error."""
    log.error("process.hung", worker=worker, pid=pid, serving=serving)


def worker_refused(
    log: Log,
    *,
    worker: Worker,
    message: Annotated[str, "each fault, by variable"],
    seconds: Annotated[float, "until the next try"],
) -> Error:
    """A worker that was to take a dead one's place cannot use the settings; it is tried again."""
    log.error("worker.refused", worker=worker, message=message, seconds=seconds)


def peers_steered(
    log: Log,
    *,
    host: Annotated[str, "address listened on"],
    port: Annotated[int, "port"],
    workers: Annotated[int, "between which peers are divided"],
) -> Info:
    """A network (/24 or /64) always meets the same worker there: its limits are exact."""
    log.info("peers.steered", host=host, port=port, workers=workers)


def peers_scattered(
    log: Log,
    *,
    host: Annotated[str, "address listened on"],
    port: Annotated[int, "port"],
    workers: Annotated[int, "between which peers are divided"],
    reason: Annotated[str, "why they are not steered"],
) -> Warn:
    """A peer meets any worker there, and the limits of a peer or network hold in each for itself."""
    log.warning("peers.scattered", host=host, port=port, workers=workers, reason=reason)


def settings_reloaded(
    log: Log,
    *,
    changed: Annotated[list[str], "variables that have changed; none: lists and certificates are read again"],
) -> Info:
    """HUP has been obeyed. Where a variable has changed, new workers serve; the old ones finish."""
    log.info("settings.reloaded", changed=changed)


def settings_kept(log: Log, *, message: Annotated[str, "each fault, by variable"]) -> Error:
    """HUP came, and what is set now cannot be used: everything stays as it was."""
    log.error("settings.kept", message=message)


def control_lost(
    log: Log,
    *,
    pid: Pid,
    how: Annotated[str, "its exit code, or the signal that ended it"],
    seconds: Annotated[float, "until there is another"],
) -> Warn:
    """The process that holds the control socket has died. Mail goes on; orders wait for another one."""
    log.warning("control.lost", pid=pid, how=how, seconds=seconds)


def log_lost(
    log: Log,
    *,
    lines: Annotated[
        int, "events of this process that were not written, between its last one above and this one"
    ],
    pid: Pid,
) -> Error:
    """Nobody read our log, or its disk was full, for so long that more than 1 MiB of it was behind."""
    log.error("log.lost", lines=lines, pid=pid)
