"""A socket inside TLS behaves as a plain one: what it reads, when it blocks, how it ends."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tarpit.sealed import RECORD, Sealed, seal
from tarpit.tls import Certificate
from tests.support.certificates import NAME, Authority


class Ends(NamedTuple):
    """Our end, and a client's plain Python one."""

    ours: Sealed
    theirs: ssl.SSLSocket


@pytest.fixture(params=["TLSv1.2", "TLSv1.3"])
def ends(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Ends]:
    """Return both ends of a connection inside TLS of either version."""
    highest = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[request.param]
    authority = Authority(tmp_path)
    pair = authority.issue()
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    ours = seal(near, Certificate.load(pair.cert, pair.key).context)
    theirs = authority.client(highest=highest).wrap_socket(
        far, server_hostname=NAME, do_handshake_on_connect=False, suppress_ragged_eofs=False
    )
    shaken = False
    while not ours.shake() or not shaken:
        try:
            theirs.do_handshake()
        except ssl.SSLWantReadError:
            continue
        shaken = True
    assert ours.version() == request.param
    yield Ends(ours, theirs)
    ours.close()
    theirs.close()


def test_what_was_agreed_on_is_told(ends: Ends) -> None:
    """The cipher suite is known once the handshake is over."""
    agreed = ends.ours.cipher()
    assert agreed is not None
    assert ends.ours.suite == agreed[0]


def test_what_was_agreed_on_is_told_of_a_broken_session_too(ends: Ends) -> None:
    """OpenSSL forgets the version once a session has broken off; whoever tells of the session asks then."""
    version, suite = ends.ours.version(), ends.ours.suite
    ends.theirs.shutdown(socket.SHUT_RDWR)  # no close_notify, as OpenSMTPD and many others end
    with pytest.raises(ssl.SSLEOFError):
        ends.ours.recv(1)
    assert (ends.ours.version(), ends.ours.suite) == (version, suite)


def test_a_read_goes_on_until_nothing_is_left(ends: Ends) -> None:
    """Several records are one read, and `more` says that epoll must be asked before the next."""
    for word in (b"one ", b"two ", b"three"):
        ends.theirs.send(word)
    assert ends.ours.recv(100) == b"one two three"
    assert not ends.ours.more
    with pytest.raises(BlockingIOError):
        ends.ours.recv(100)


def test_what_is_decrypted_and_not_read_is_more(ends: Ends) -> None:
    """A read that was given its fill says that there may be more, which no epoll would tell."""
    ends.theirs.send(b"abcdef")
    assert (ends.ours.recv(4), ends.ours.more) == (b"abcd", True)
    assert (ends.ours.recv(4), ends.ours.more) == (b"ef", False)


def test_a_peek_leaves_everything_where_it_is(ends: Ends) -> None:
    """To see whether something is there takes nothing away."""
    with pytest.raises(BlockingIOError):
        ends.ours.recv(1, socket.MSG_PEEK)
    ends.theirs.send(b"abc")
    assert [ends.ours.recv(1, socket.MSG_PEEK) for _ in range(2)] == [b"a", b"a"]
    ends.theirs.send(b"def")
    assert ends.ours.recv(100) == b"abcdef"


def test_a_read_takes_no_more_than_its_limit_of_what_was_peeked(ends: Ends) -> None:
    """The limit counts for what was decrypted early, too."""
    ends.theirs.send(b"abc")
    ends.ours.recv(1, socket.MSG_PEEK)
    assert (ends.ours.recv(2), ends.ours.more) == (b"ab", True)
    assert ends.ours.recv(2) == b"c"


def test_an_orderly_end(ends: Ends) -> None:
    """A close_notify is an end: b"", behind all that was sent, as often as one asks."""
    ends.theirs.send(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        ends.theirs.unwrap()
    assert (ends.ours.recv(100), ends.ours.more) == (b"last", True)
    assert ends.ours.recv(100) == ends.ours.recv(1, socket.MSG_PEEK) == ends.ours.recv(100) == b""


def test_an_end_that_anybody_could_make_is_none(ends: Ends) -> None:
    """TLS-08: an end without a close_notify is an error, behind all that was sent; yet the peer has left."""
    ends.theirs.send(b"last")
    ends.theirs.close()
    assert ends.ours.recv(100) == b"last"
    assert ends.ours.more
    assert ends.ours.recv(1, socket.MSG_PEEK) == b""
    with pytest.raises(ssl.SSLEOFError):
        ends.ours.recv(100)


def test_our_end_is_an_orderly_one(ends: Ends) -> None:
    """The other side sees a close_notify behind our last words."""
    ends.ours.send(b"bye")
    ends.ours.shutdown(socket.SHUT_WR)
    assert [ends.theirs.recv(100), ends.theirs.recv(100)] == [b"bye", b""]


def test_a_write_that_blocked_goes_on_where_it_was(ends: Ends) -> None:
    """Tried again with more behind it, nothing is lost and nothing is said twice."""
    said, sent = b"", 0
    while True:
        data = bytes((len(said) // RECORD % 256,)) * RECORD
        try:
            sent = ends.ours.send(data)
        except BlockingIOError:
            break
        said += data[:sent]
    heard = b""
    rest = data + b"and more"
    while rest or len(heard) < len(said):
        try:
            heard += ends.theirs.recv(65536)
        except ssl.SSLWantReadError:
            sent = ends.ours.send(rest)
            said, rest = said + rest[:sent], rest[sent:]
    assert heard == said
    assert said.endswith(b"and more")


def test_garbage_in_the_middle_is_an_error(ends: Ends) -> None:
    """Who breaks a record is not heard any more."""
    with socket.socket(fileno=ends.theirs.detach()) as raw:
        raw.send(b"\x17\x03\x03\x00\x05abcde")
        with pytest.raises(ssl.SSLError):
            ends.ours.recv(100)


def test_a_connection_that_is_lost_already(tmp_path: Path) -> None:
    """What was never inside TLS carries nothing, and says so as a socket does."""
    pair = Authority(tmp_path).issue()
    context = Certificate.load(pair.cert, pair.key).context
    with seal(socket.socket(), context) as never:
        for use in (
            never.shake,
            never.recv,
            lambda: never.recv(1, socket.MSG_PEEK),
            lambda: never.send(b"x"),
        ):
            with pytest.raises(OSError, match=r"TLS is over|not connected"):
                use()
        assert never.suite == ""
    with pytest.raises(OSError, match=r"closed file|Bad file"):
        seal(never, context)


def test_no_name_that_tls_knows(tmp_path: Path) -> None:
    """A host that cannot be a name in TLS is an error of the connection, which is closed."""
    context = Authority(tmp_path).client()
    context.sslsocket_class = Sealed
    near, far = socket.socketpair()
    with far, pytest.raises(OSError, match=r"label"):
        seal(near, context, "." + 300 * "x")
    assert near.fileno() < 0
