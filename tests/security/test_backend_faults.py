"""G9: whatever a backend does, at whatever point of a session: it ends, and nothing is left over."""

import contextlib
from collections.abc import Callable
from typing import Final

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tarpit.session import Session
from tests.security.test_transport import descriptors
from tests.support.backend import ANSWERS, Answer, Does, FakeBackend, fake_backend
from tests.support.cases import CLEAN, ENVELOPE, PATHS, told
from tests.support.dns_zone import FakeResolver
from tests.support.sessions import LISTED, ZONE_TESTS
from tests.support.wires import PEER, Far, Surroundings, load, stage, wire_pair

STATES: Final = ("BANNER", "EHLO", "MAIL", "RCPT", "DATA", "DOT")
FAULTS: Final[dict[str, Answer]] = {
    "BE-03 BE-08 silence": Does.SILENT,
    "BE-06 BE-07 a close": Does.CLOSE,
    "BE-22 a reset": Does.RESET,
    "BE-05 421": b"421 4.3.2 shutting down\r\n",
    "BE-10 half a reply": b"250-2.1.0 and then\r\n",
    "BE-10 half a line": b"25",
    "BE-11 four digits": b"2500 ok\r\n",
    "BE-11 zeros": b"000 ok\r\n",
    "BE-11 negative": b"-25 ok\r\n",
    "BE-11 letters": b"ok\r\n",
    "BE-12 two codes": b"250-a\r\n550 b\r\n",
    "BE-13 a line of a MiB": b"250 " + b"x" * 2**20,
    "BE-13 100,000 lines": b"250-x\r\n" * 100_000,
    "BE-15 an unexpected 3xx": b"334 go on\r\n",
    "BE-16 two replies": b"250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n",
}
LATEST: Final = 1300.0  # seconds of the clock that jumps: the longest are two of 600 for the end of data


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("state", STATES)
async def test_each_fault_at_each_state(
    path: str,
    state: str,
    autojump_clock: MockClock,
    record_property: Callable[[str, object], None],
) -> None:
    """BE-03 BE-05..08 BE-10..13 BE-15 BE-16 G9 No false 250, an end in time, nothing left behind.

    Descriptors, tasks, watched sockets and slots are as before.
    """
    variables = {"ALLOW": PEER[0]} if path == CLEAN else {}
    async with fake_backend() as backend:
        settings = load(BACKENDS="{}:{}".format(*backend.address), DNSBL_ZONES="bl.example*3", **variables)
        async with stage(settings, FakeResolver(LISTED | ZONE_TESTS)) as around:
            counts = [await counted(around, backend)]
            for name, fault in FAULTS.items():
                around.services.pool.backends[0].marks.good()
                backend.answers = {**ANSWERS, state: fault}
                began = trio.current_time()
                heard = await session_with(around)
                assert trio.current_time() - began <= LATEST, name
                acknowledged = heard.get("DOT", b"").startswith(b"2")
                assert not acknowledged or (state == "DOT" and "BE-16" in name), (name, heard)
                assert all(reply[:1] in b"2345" for reply in heard.values()), name
                counts.append(await counted(around, backend))
    assert counts == [counts[0]] * len(counts)
    assert len(told(around, "session.closed")) == len(FAULTS)
    assert not told(around, "session.failed")
    record_property("G9", f"{len(FAULTS)} faults of a backend, one at each point of a session")


async def session_with(around: Surroundings) -> dict[str, bytes]:
    """Go through a session as far as it goes; return the reply to each step."""
    heard: dict[str, bytes] = {}
    async with wire_pair(around.poller) as (wire, far):
        one = Session(wire, around.services, 1)
        around.services.began(one)
        around.services.nursery.start_soon(one.run)
        heard["BANNER"] = await whole(far)
        for step, said in zip(STATES[1:], (*ENVELOPE, b"DATA", b"x\r\n."), strict=True):
            if one.dialogue.closed or one.wire.hung_up or heard.get("DATA", b"354")[:1] != b"3":
                break
            try:
                await far.say(said + b"\r\n")
            except trio.BrokenResourceError:
                break
            heard[step] = await whole(far)
        if not one.dialogue.closed:
            with contextlib.suppress(trio.BrokenResourceError):
                await far.say(b"QUIT\r\n")
        await far.hear_all()
        await far.stream.aclose()
        await around.services.wait_empty()
    return {step: reply for step, reply in heard.items() if reply}


async def whole(far: Far) -> bytes:
    """Return the next whole reply, or what comes before the end."""
    heard = await far.hear()
    while heard.endswith(b"\r\n") and heard[heard.rfind(b"\r\n", 0, -2) + 2 :][3:4] == b"-":
        more = await far.hear()
        heard += more
        if not more:
            break
    return heard


async def counted(around: Surroundings, backend: FakeBackend) -> tuple[int, int, int, int]:
    """Return open descriptors, tasks, wires that are watched, and slots that are taken."""
    with trio.fail_after(10):
        await backend.wait_closed(len(backend.connections))
    await trio.testing.wait_all_tasks_blocked(0.01)
    (server,) = around.services.pool.backends
    tasks = len(around.services.nursery.child_tasks)
    return descriptors(), tasks, len(around.poller), server.slots.taken
