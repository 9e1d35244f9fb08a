"""What the supervisor waits for."""

import os
import signal
import socket

from tarpit.processes.vigil import Vigil


def test_signals_are_returned() -> None:
    """They wake it, in the order in which they came, and are not lost before it waits."""
    usual = signal.getsignal(signal.SIGHUP)
    with Vigil() as vigil:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        heard = [*vigil.wait(60), *vigil.wait(0)]
        assert heard == [signal.SIGHUP, signal.SIGTERM]
        assert list(vigil.wait(0)) == []
    assert signal.getsignal(signal.SIGHUP) is usual


def test_sockets_wake_it() -> None:
    """As long as it watches them."""
    near, far = socket.socketpair()
    with Vigil() as vigil:
        vigil.watch(near)
        far.send(b"x")
        assert list(vigil.wait(60)) == []
        vigil.forget(near)
        vigil.forget(near)
        assert list(vigil.wait(0)) == []
    near.close()
    far.close()
