"""The policies that ours is compared with, each as its servers do it; over the same connections in memory.

    none             a mail server, and nothing in front of it
    greet-pause      Sendmail's FEATURE(`greet_pause', 5000): silence for 5 s; who speaks meanwhile gets 554
    greylist         Postgrey: a client network, sender and recipient not met before are told 450 for 300 s;
                     a network that came back five times is asked no more
    postscreen-like  Postfix's postscreen: 6 s of silence for a client not met within a day, and 450 for it if
                     it passes: when it comes again it is let through; 550 for who is listed, or speaks early
    spamd-like       OpenBSD's spamd with blacklists: who is listed hears a byte a second and always 450, and
                     never reaches the server; nobody else is met

What all of these know about a peer is what ours does: the same DNS, the same lists.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import trio

from bench.fleet.mailserver import Conversation, Over, Processes
from bench.fleet.memory import End
from bench.fleet.names import BLOCKLIST, Names

PAUSE: Final = 5.0  # seconds
GREET_WAIT: Final = 6.0  # postscreen_greet_wait
GREY: Final = 300.0  # postgrey --delay
COME_BACK: Final = 5  # postgrey --auto-whitelist-clients
PASSED: Final = 86400.0  # seconds that a pass lasts (postscreen_greet_ttl)
STUTTER: Final = 1.0  # seconds a byte (spamd -s 1)
SLUGGISH: Final = 10.0  # seconds after which a stutter sends a piece at once: the simulator's own beat
EARLY: Final = b"554 5.7.1 You spoke before the banner\r\n"
LATER: Final = b"450 4.2.0 Greylisted, come again in 5 minutes\r\n"
PASSED_NOW: Final = b"450 4.3.2 Service currently unavailable\r\n"
BLOCKED: Final = b"550 5.7.1 Service unavailable; client blocked\r\n"
NEVER: Final = b"450 Your address has sent spam to us before\r\n"


@dataclass(slots=True)
class Known:
    """What a policy has learnt in the course of the day."""

    names: Names
    greeted: dict[tuple[str, str, str], float] = field(default_factory=dict)  # greylist: first met
    came_back: dict[str, int] = field(default_factory=dict)  # by network
    passed: dict[str, float] = field(default_factory=dict)  # postscreen: until when

    async def lists(self, address: str) -> bool:
        """Whether the blocklist has *address*."""
        question = f"{'.'.join(reversed(address.split('.')))}.{BLOCKLIST}"
        return bool((await self.names.query(question, "A", until=float("inf"))).addresses)


class Rival(Conversation):
    """A conversation under a policy."""

    def __init__(self, end: End, processes: Processes, address: str, known: Known) -> None:
        super().__init__(end, processes, address)
        self.known = known

    async def spoke_within(self, seconds: float) -> bool:
        """Be silent for *seconds*; return at once whether the client spoke. Raises `Over` when it left."""
        with trio.move_on_after(seconds):
            if not (data := await self.end.receive_some()):
                raise Over
            self._buffer += data
            return True
        return False


class GreetPause(Rival):
    """Sendmail's."""

    async def serve(self) -> None:
        """Be silent first."""
        if await self.spoke_within(PAUSE):
            await self.say(EARLY)
            raise Over
        await super().serve()


class Greylist(Rival):
    """Postgrey's."""

    async def recipient(self, forward_path: str) -> bytes:
        """Ask whoever was not met before to come again."""
        known, now = self.known, trio.current_time()
        network = self.address.rpartition(".")[0]
        met = known.greeted.setdefault((network, self.reverse_path, forward_path), now)
        if known.came_back.get(network, 0) < COME_BACK:
            if now - met < GREY:
                return LATER
            known.came_back[network] = known.came_back.get(network, 0) + 1
        return await super().recipient(forward_path)


class _Screen(Rival):
    """Postscreen's own dialogue with a client that it has not met; no process of the server's stands."""

    verdict = PASSED_NOW

    async def run(self) -> None:
        """Serve without a process."""
        try:
            with self._patience:
                await self.serve()
        except Over:
            pass
        finally:
            self.end.shut()

    async def serve(self) -> None:
        """Test, then refuse: for now whoever has passed, for good whoever has not."""
        listed = await self.known.lists(self.address)
        if listed or await self.spoke_within(GREET_WAIT):
            self.verdict = BLOCKED
            if listed:
                await self.spoke_within(GREET_WAIT)
        await super().serve()

    async def answer(self, verb: bytes, line: bytes) -> bytes:
        """Return the reply to a command; who has said the next one already has failed the pipelining test."""
        if self._buffer:
            self.verdict = BLOCKED
        return await super().answer(verb, line)

    async def recipient(self, forward_path: str) -> bytes:  # noqa: ARG002 - as the base class
        """Refuse, and remember who has passed."""
        if self.verdict is PASSED_NOW:
            self.known.passed[self.address] = trio.current_time() + PASSED
        return self.verdict


class _Stutter(_Screen):
    """Spamd's dialogue with who is on a blacklist."""

    async def serve(self) -> None:
        """Answer everything, slowly, and never say yes to a recipient."""
        await Conversation.serve(self)

    async def recipient(self, forward_path: str) -> bytes:  # noqa: ARG002 - as the base class
        """Say that it has sent spam before."""
        return NEVER

    async def say(self, reply: bytes) -> None:
        """Send a byte a second; here a piece every few seconds. Ends at once when the client leaves."""
        start, piece = 0, int(SLUGGISH / STUTTER)
        while start < len(reply):
            data, told = reply[start : start + piece], trio.Event()
            self.end.told = told.set
            with trio.move_on_after(len(data) * STUTTER):
                while not self.end.ended:
                    await told.wait()
                    told = trio.Event()
                    self.end.told = told.set
            self.end.told = None
            await super().say(data)
            start += piece


async def _screened(end: End, processes: Processes, address: str, known: Known) -> None:
    """Serve whoever has passed lately, and test everybody else."""
    passed = known.passed.get(address, 0.0) > trio.current_time()
    await (Conversation(end, processes, address) if passed else _Screen(end, processes, address, known)).run()


async def _stuttered(end: End, processes: Processes, address: str, known: Known) -> None:
    """Serve whoever is not listed."""
    listed = await known.lists(address)
    await (
        _Stutter(end, processes, address, known) if listed else Conversation(end, processes, address)
    ).run()


async def _plain(end: End, processes: Processes, address: str, known: Known) -> None:  # noqa: ARG001
    await Conversation(end, processes, address).run()


async def _paused(end: End, processes: Processes, address: str, known: Known) -> None:
    await GreetPause(end, processes, address, known).run()


async def _greylisted(end: End, processes: Processes, address: str, known: Known) -> None:
    await Greylist(end, processes, address, known).run()


Serve = Callable[[End, Processes, str, Known], Awaitable[None]]

RIVALS: Final[Mapping[str, Serve]] = {
    "none": _plain,
    "greet-pause": _paused,
    "greylist": _greylisted,
    "postscreen-like": _screened,
    "spamd-like": _stuttered,
}

__all__ = ["RIVALS", "Known", "Rival", "Serve"]
