"""Clean peers on loopback, and what became of them: for tests of several workers, with a sink behind."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tests.support.peer import Peer
from tests.support.proxy import RUN, Run
from tests.support.servers import LOOPBACK, Address
from tests.support.sink import sink

CONTENT: Final = b"Subject: x\r\n\r\nhello\r\n.\r\n"
OPEN_ENDED: Final = {"RELAY_TEST": "off", "ALLOW": "127.0.0.0/8", "WORKERS": "2"}


@contextmanager
def running(
    variables: Mapping[str, str] = MappingProxyType({}),
    *,
    command: Sequence[str] = RUN,
    pass_fds: Sequence[int] = (),
) -> Iterator[Run]:
    """Run a proxy of two workers, unless *variables* say otherwise, in front of a sink."""
    with sink() as behind:
        ours = OPEN_ENDED | {"BACKENDS": "{}:{}".format(*behind.address)} | dict(variables)
        ours = {name: text for name, text in ours.items() if text}
        run = Run.start(LOOPBACK, ours, command=command, pass_fds=pass_fds)
        try:
            yield run
        finally:
            run.close()


def deliver(address: Address, source: str) -> bytes:
    """Deliver a message, and return the reply to it. Raises OSError, or AssertionError for any refusal."""
    with Peer.connect(address, source=source, patience=20) as peer:
        begin(peer)
        peer.say(CONTENT)
        reply = peer.hear().reply
        assert reply[:3] == b"250", reply
        peer.ask(b"QUIT")
        return reply


def begin(peer: Peer, *, greeted: bool = False) -> None:
    """Come as far as the 354. Raises AssertionError for any refusal, and where the connection ends."""
    replies = [b"220" if greeted else peer.hear().reply]
    for line in (b"EHLO p.example", b"MAIL FROM:<a@p.example>", b"RCPT TO:<b@b.example>", b"DATA"):
        assert replies[-1][:1] == b"2", replies[-1]
        replies.append(peer.ask(line).reply)
    assert replies[-1][:3] == b"354", replies[-1]


def served_by(run: Run, count: int) -> dict[str, set[object]]:
    """Return which workers served each /24, once so many sessions are over."""
    served: dict[str, set[object]] = {}
    for event in run.closed(count):
        network = str(event["peer"]).rsplit(".", 1)[0]
        served.setdefault(network, set()).add(event.get("worker"))
    return served


@dataclass
class Crowd:
    """Peers from many networks that deliver one message after another."""

    address: Address
    delivered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def come(self, network: int) -> None:
        """Deliver from one network until it is over."""
        while not self._over.is_set():
            try:
                deliver(self.address, f"127.0.{network}.9")
            except (OSError, AssertionError) as error:
                with self._lock:
                    self.failed[f"{type(error).__name__}: {error}"] += 1
            else:
                with self._lock:
                    self.delivered += 1

    @contextmanager
    def coming(self, count: int) -> Iterator[None]:
        """Have them come from so many networks."""
        threads = [threading.Thread(target=self.come, args=(network,)) for network in range(1, count + 1)]
        with contextlib.ExitStack() as stack:
            for thread in threads:
                thread.start()
                stack.callback(thread.join)
            stack.callback(self._over.set)
            yield
