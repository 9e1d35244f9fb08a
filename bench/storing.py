"""A backend that stores messages and breaks: `python -m bench.storing PORT LEDGER SEED FIRST`.

It serves each connection in a process of its own, as Postfix does, so that it can kill or stop itself at
an exact step or byte, and the kernel ends the connection as it does for any process that dies. A message is
in the ledger before its 250 is said: no fsync, because what is killed here is a process, not the machine.

The ledger holds one line an occurrence, each written in one piece:

    listening, connection
    fault ACT STEP      what a connection was made to suffer
    dot ID              a message has come to its end: from here on the proxy cannot know
    stored ID HASH      it was taken
    refused ID          it was not, and the proxy is told so

It knows nothing of the proxy, and imports nothing but the standard library: it is started hundreds of times.
"""

import contextlib
import hashlib
import os
import random
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Final, NoReturn

STEPS: Final = ("BANNER", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "STORED", "QUIT")
ACTS: Final = ("kill", "half", "nap", "coma", "reset", "421", "451", "late")
REPLIES: Final = {
    "BANNER": b"220 backend.test ESMTP\r\n",
    "EHLO": b"250-backend.test\r\n250-SIZE 20000000\r\n250 8BITMIME\r\n",
    "DATA": b"354 go on\r\n",
    "QUIT": b"221 bye\r\n",
}
SOUND: Final = 2  # first connections that suffer nothing: the proxy's own look
NAP: Final = 2.5  # seconds: longer than the proxy waits
LATE: Final = 0.4  # seconds, within its patience


@dataclass(slots=True)
class Plan:
    """What happens to one connection: an act at a step, or at a byte that has been received."""

    act: str = ""
    step: str = ""
    offset: int = sys.maxsize

    @classmethod
    def choose(cls, dice: random.Random) -> "Plan":
        """Choose one: nothing in half of all cases."""
        roll = dice.random()
        if roll < 0.5:
            return cls()
        if roll < 0.7:
            return cls(
                dice.choice(("kill", "reset", "nap", "coma")), "BYTE", int(dice.random() ** 3 * 30_000)
            )
        return cls(dice.choice(ACTS), dice.choice(STEPS))


class Ended(Exception):  # noqa: N818 - the connection is over
    """The proxy has closed."""


class Service:
    """One connection."""

    def __init__(self, sock: socket.socket, ledger: int, plan: Plan) -> None:
        self._sock = sock
        self._ledger = ledger
        self._plan = plan
        self._buffer = b""
        self._received = 0

    def run(self) -> None:
        """Serve until QUIT."""
        self._say("BANNER")
        while True:
            line = self._line()
            verb = line[:4].upper().decode("latin-1")
            if self._say(verb) and verb == "DATA":
                self._message()
            if verb == "QUIT":
                return

    def _message(self) -> None:
        content = bytearray()
        while (line := self._line()) != b".\r\n":
            content += line
        name = content.partition(b"\r\n")[0].removeprefix(b"Subject: ").decode("latin-1")
        self._note(f"dot {name}")
        if (told := self._suffer("DOT")) is not None:
            self._note(f"refused {name}")
            self._sock.sendall(told)
            return
        self._note(f"stored {name} {hashlib.sha256(content).hexdigest()}")
        if self._plan.step == "STORED" and self._plan.act in {"421", "451"}:
            self._plan = Plan()  # it has been stored: a refusal would be a lie
        self._say("STORED")

    def _say(self, step: str) -> bool:
        """Answer, and return whether that was a good answer."""
        told, reply = self._suffer(step), REPLIES.get(step, b"250 ok\r\n")
        if told == b"":
            self._sock.sendall(reply[: len(reply) // 2])
            self._die()
        self._sock.sendall(told or reply)
        if (told or b"").startswith(b"421"):
            raise Ended
        return told is None

    def _suffer(self, step: str) -> bytes | None:
        """Do what is planned for *step*. Return what is said in place of the reply; b"": half of it."""
        if step != self._plan.step:
            return None
        act, self._plan = self._plan.act, Plan()
        self._note(f"fault {act} {step}")
        match act:
            case "kill":
                self._die()
            case "reset":
                self._reset()
            case "nap" | "coma":
                self._stop(dies=act == "coma")
            case "late":
                time.sleep(LATE)
            case "half":
                return b"" if step != "DOT" else self._die()
            case _:
                return f"{act} 4.3.0 not now\r\n".encode()
        return None

    def _stop(self, *, dies: bool) -> None:
        """Be stopped, and be killed or go on later. A process of its own sees to that."""
        ours = os.getpid()
        if os.fork() == 0:
            self._sock.close()
            time.sleep(NAP)
            os.kill(ours, signal.SIGKILL if dies else signal.SIGCONT)
            os._exit(0)
        os.kill(ours, signal.SIGSTOP)

    def _die(self) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def _reset(self) -> NoReturn:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raise Ended

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            left = self._plan.offset - self._received
            data = self._sock.recv(min(left, 65536)) if left > 0 else b""
            if not data and left > 0:
                raise Ended
            self._received += len(data)
            self._buffer += data
            if self._received == self._plan.offset:
                self._plan.offset = sys.maxsize
                self._suffer("BYTE")
        line, end, self._buffer = self._buffer.partition(b"\n")
        return line + end

    def _note(self, line: str) -> None:
        os.write(self._ledger, f"{line}\n".encode())


def serve(listener: socket.socket, ledger: int, *, seed: int, first: int) -> NoReturn:
    """Serve for ever, a process a connection."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    number = first
    while True:
        sock, _ = listener.accept()
        number += 1
        os.write(ledger, b"connection\n")
        if os.fork():
            sock.close()
            continue
        listener.close()
        plan = Plan() if number <= SOUND else Plan.choose(random.Random(seed * 1_000_003 + number))
        with contextlib.suppress(Ended, OSError):
            Service(sock, ledger, plan).run()
        sock.close()
        os._exit(0)


def main() -> None:
    """Serve on a port of loopback; *first* connections have been served before, by another."""
    port, path, seed, first = sys.argv[1:]
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=128)
    os.write(ledger, b"listening\n")
    serve(listener, ledger, seed=int(seed), first=int(first))


if __name__ == "__main__":
    main()
