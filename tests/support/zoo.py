"""The zoo: honest clients as data, and one scripted peer that waits exactly as long as each of them does.

Their timers are `bench.clients`, which the fleets of `bench.fleet` have as well.
`deliver` speaks over any trio stream, so by the mock clock as in real time. docs/policy.md shows the tables
made here, and what each budget is derived from; tests/test_policy.py fails when they are stale.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

import trio

from bench.clients import SLIMTA, ZOO, Client, Kind, Limit, Step
from bench.fleet.memory import Stream

CONTENT: Final = b"Subject: from the zoo\r\n\r\n" + 400 * b"a line that is neither short nor long\r\n"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a delivery ended, and the seconds that each step took (the last of its kind)."""

    name: str
    seconds: Mapping[Step, float]
    gave_up: Step | None = None
    refused: bytes = b""

    @property
    def delivered(self) -> bool:
        """Whether the message was accepted, or the recipient of a call-out."""
        return self.gave_up is None and not self.refused


class _GaveUp(Exception):  # noqa: N818 - a decision of the client's, not an error
    pass


class _Refused(Exception):  # noqa: N818 - the server's decision
    pass


async def deliver(client: Client, stream: Stream, *, recipients: int = 1) -> Outcome:
    """Deliver a message as *client* would, and return how that went. The connection stands already."""
    visit = _Visit(client, stream)
    try:
        await visit.run(recipients)
    except _GaveUp:
        return Outcome(client.name, visit.seconds, gave_up=visit.step)
    except _Refused as refused:
        return Outcome(client.name, visit.seconds, refused=refused.args[0])
    return Outcome(client.name, visit.seconds)


class _Visit:
    """One delivery."""

    def __init__(self, client: Client, stream: Stream) -> None:
        self._client = client
        self._stream = stream
        self._end = trio.current_time() + client.session
        self.step = Step.BANNER
        self.seconds: dict[Step, float] = {}

    async def run(self, recipients: int) -> None:
        hello = f"EHLO {self._client.name.replace(' ', '-')}.example\r\n".encode()
        await self._greeting(hello)
        await self._ask(Step.EHLO, hello, 250)
        await self._ask(Step.MAIL, b"MAIL FROM:<>\r\n", 250)
        for number in range(recipients):
            await self._ask(Step.RCPT, b"RCPT TO:<rcpt%d@there.example>\r\n" % number, 250)
        if not self._client.calls_out:
            await self._ask(Step.DATA, b"DATA\r\n", 354)
            await self._ask(Step.DOT, CONTENT + b".\r\n", 250)
        await self._ask(Step.RSET, b"RSET\r\n", 250)
        await self._ask(Step.QUIT, b"QUIT\r\n", 221)

    async def _greeting(self, hello: bytes) -> None:
        try:
            await self._ask(Step.BANNER, b"", 220)
        except _GaveUp:
            if self._client.hasty:
                await self._stream.send_all(hello)  # whatever comes now is taken for its answer
            raise

    async def _ask(self, step: Step, data: bytes, code: int) -> None:
        self.step, began = step, trio.current_time()
        try:
            reply = await self._exchange(self._client.limit(step), data)
        finally:
            self.seconds[step] = trio.current_time() - began
        if not reply.startswith(b"%d" % code):
            raise _Refused(reply)

    async def _exchange(self, limit: Limit, data: bytes) -> bytes:
        """Send *data*, and return the reply; both within *limit*."""
        deadline = trio.current_time() + limit.seconds
        with trio.move_on_at(min(deadline, self._end)) as patience:
            await self._stream.send_all(data)
            reply = b""
            while not _is_whole(reply):
                piece = await self._stream.receive_some(4096)
                if not piece:
                    raise _Refused(reply + b"(closed)")
                now = trio.current_time()
                deadline = limit.renewed(deadline, now=now, before=reply, data=bytes(piece))
                patience.deadline = min(deadline, self._end)
                reply += piece
            return reply
        raise _GaveUp


def _is_whole(reply: bytes) -> bool:
    """Whether the last line is there. One reply at a time is all that is ever on its way."""
    return reply.endswith(b"\r\n") and reply.splitlines()[-1][3:4] != b"-"


CONTENT_STEPS: Final = frozenset({Step.DATA, Step.DOT})  # a call-out gets no further than RCPT


@dataclass(frozen=True, slots=True)
class Budget:
    """One promise of `tarpit.policy`: settings, the waits it bounds, and the kinds of timer that run then.

    No steps: it is about a session as a whole. No settings: what is never slowed.
    """

    what: str
    settings: tuple[str, ...]
    steps: tuple[Step, ...]
    kinds: frozenset[Kind] = frozenset(Kind)

    def tightest(self, count: int) -> list[tuple[float, str]]:
        """Return the *count* least patient of those it protects, python-slimta aside."""
        protected = [(self._patience(client), client.name) for client in ZOO if client is not SLIMTA]
        return sorted((seconds, name) for seconds, name in protected if seconds < inf)[:count]

    def _patience(self, client: Client) -> float:
        limits = [
            client.limit(step) for step in self.steps if not (client.calls_out and step in CONTENT_STEPS)
        ]
        mine = [limit.seconds for limit in limits if limit.kind in self.kinds]
        return min(mine, default=inf) if self.steps else client.session


BUDGETS: Final = (
    Budget(
        "whole banner, since the connection",
        ("pace_banner",),
        (Step.BANNER,),
        frozenset({Kind.WHOLE, Kind.LINE}),
    ),
    Budget(
        "whole reply to EHLO, MAIL, RCPT, DATA, and so any silence in it",
        ("pace_reply",),
        (Step.EHLO, Step.MAIL, Step.RCPT, Step.DATA),
    ),
    Budget("from content to its reply, the backend aside", ("pace_data",), (Step.DOT,)),
    Budget("all added delay of a session", ("pace_session",), ()),
    Budget("STARTTLS, RSET, NOOP, QUIT", (), (Step.RSET,)),
)


def budgets_table(default: Callable[[str], float]) -> str:
    """Return the budgets as markdown, with the *default* seconds of each setting."""
    rows = ["| what is bounded | by | default | the least patient it protects |", "|---|---|---|---|"]
    for budget in BUDGETS:
        names = " ".join(f"`TARPIT_{name.upper()}`" for name in budget.settings) or "never slowed"
        seconds = " + ".join(f"{default(name):g} s" for name in budget.settings) or "0 s"
        protected = ", ".join(f"{name} {limit:g} s" for limit, name in budget.tightest(3))
        rows.append(f"| {budget.what} | {names} | {seconds} | {protected} |")
    return "\n".join(rows)


def clients_table() -> str:
    """Return the zoo as markdown."""
    rows = ["| client (sending side) | usual limit | kind | other limits |", "|---|---|---|---|"]
    for client in ZOO:
        others = [f"{step.value} {limit.seconds:g} s" for step, limit in client.limits.items()]
        others += [f"whole delivery {client.session:g} s"] if client.session < inf else []
        usual = f"{client.usual.seconds:g} s | {client.usual.kind.value}"
        rows.append(f"| {client.name} | {usual} | {', '.join(others) or '-'} |")
    return "\n".join(rows)
