"""What systemd is told of us (sd_notify(3), `Type=notify`): that we are ready, reload, stop, are alive.

Without NOTIFY_SOCKET, which is to say without systemd, nothing is told to anybody.
"""

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from math import inf


class Notifier:
    """Tells the service manager. Nobody else's trouble: what it does not hear is not said again."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Take the variables of systemd out of *environ*, so that no child speaks in our name."""
        path = environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        microseconds = environ.pop("WATCHDOG_USEC", "")
        ours = environ.pop("WATCHDOG_PID", "") in {"", str(os.getpid())}
        watched = bool(self._address) and ours and microseconds.isdigit()
        # Twice in the time within which it wants to hear of us, as sd_watchdog_enabled(3) has it.
        self.alive_every = int(microseconds) / 2e6 if watched else inf

    def ready(self) -> None:
        """Say that peers are served, for the first time or again."""
        self._say("READY=1\nSTATUS=serving")

    def reloading(self) -> None:
        """Say that the settings are read again; `ready` ends that."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._say(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=reading the settings again")

    def stopping(self, sessions: int) -> None:
        """Say that we are about to end."""
        self._say(f"STOPPING=1\nSTATUS=stopping, {sessions} sessions are open")

    def alive(self) -> None:
        """Say that we are still here."""
        self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
            sock.sendto(text.encode(), self._address)
