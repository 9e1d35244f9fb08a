"""A slowed message's content: read off the wire, and written anew."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.smtp.content import END, ContentFault, Decoder, Encoder, header_field
from tests.support.framing import GRID, HEADERS, assert_unmistakable, singly

WIRE = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n..", b"\0", b".\0", b"a", b"\xff", END])
    | st.binary(max_size=4),
    max_size=24,
).map(b"".join)
TEXT = st.lists(
    st.sampled_from([b"\r\n", b".", b"..", b"\r\n.", b".\0", b"a", b" ", b"\x0b"]) | st.just(b"\x85\xff"),
    max_size=24,
).map(lambda words: b"".join(words) + b"\r\n")


def decoded(pieces: Iterable[bytes], *, refuse_bare: bool = False) -> tuple[bytes, Decoder]:
    """Return the content in *pieces* as far as it goes, and the decoder with what came behind in `rest`."""
    decoder, content = Decoder(refuse_bare=refuse_bare), b""
    for piece in pieces:
        if decoder.ended:
            decoder.rest += piece
        else:
            content += decoder.receive(piece)
    return content, decoder


def encoded(pieces: Iterable[bytes]) -> bytes:
    encoder = Encoder()
    sent = b"".join(map(encoder.encode, pieces))
    return sent + encoder.end()


@st.composite
def cut(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    data = draw(streams)
    at = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[i:j] for i, j in pairwise([0, *at, len(data)])]


DECODED = [
    pytest.param(b".\r\n", b"", b"", id="a dot right after DATA: an empty message"),
    pytest.param(b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n", id="what follows the end is kept"),
    pytest.param(b"\r\n.\r\n", b"\r\n", b"", id="one empty line"),
    pytest.param(b"..\r\n.\r\n", b".\r\n", b"", id="a stuffed dot at the very start"),
    pytest.param(
        b"..a\r\n...\r\n.b\r\n.\r\n", b".a\r\n..\r\nb\r\n", b"", id="dots are taken away, one a line"
    ),
    pytest.param(b"abc.\r\n\r\n.\r\n", b"abc.\r\n\r\n", b"", id="a dot at the end of a line"),
    pytest.param(b"a\nb\r\n.\r\n", b"a\r\nb\r\n", b"", id="bare LF becomes CRLF"),
    pytest.param(b"a\rb\r\n.\r\n", b"a b\r\n", b"", id="bare CR becomes a space"),
    pytest.param(b"a\r\r\n.\r\n", b"a \r\n", b"", id="CR CRLF.CRLF is the end; the first CR is bare"),
    pytest.param(
        b"a\r\n.\n.\r\n.\r\n", b"a\r\n\r\n.\r\n", b"", id="dots are judged before newlines are mended"
    ),
    pytest.param(b"a\n.\r\nMAIL\r\n.\r\n", b"a\r\n.\r\nMAIL\r\n", b"", id="a smuggled end is content"),
    pytest.param(b"\0\x01\x7f\xff\r\n.\r\n", b"\0\x01\x7f\xff\r\n", b"", id="all other octets pass"),
    pytest.param(b"From x\r\n>From y\r\n.\r\n", b"From x\r\n>From y\r\n", b"", id="no mbox here"),
]


@pytest.mark.parametrize(("wire", "content", "rest"), DECODED)
def test_decoding(wire: bytes, content: bytes, rest: bytes) -> None:
    """Content is what RFC 5321 section 4.5.2 says, its newlines mended; cut anywhere, it is the same."""
    for pieces in ([wire], singly(wire), *([wire[:i], wire[i:]] for i in range(len(wire)))):
        found, decoder = decoded(pieces)
        assert (found, decoder.rest, decoder.ended) == (content, rest, True)


@pytest.mark.parametrize("first", HEADERS, ids=["EOD-16", "EOD-17"])
@pytest.mark.parametrize(("start", "end"), GRID)
def test_no_other_spelling_ends_a_message(start: bytes, end: bytes, first: bytes) -> None:
    """EOD-02..16, EOD-18: of 107 spellings none ends it, whole or byte by byte, nor do they at the backend.

    One of them, CR CRLF.CRLF, contains the end itself (EOD-07).
    """
    is_end = END in start + b"." + end
    wire = first + b"\r\nline" + start + b"." + end + b"smuggled"
    for pieces in ([wire + END], singly(wire + END)):
        content, decoder = decoded(pieces)
        assert decoder.ended
        assert is_end or (decoder.rest == b"" and (decoder.fault or b"smuggled\r\n" in content))
        assert_unmistakable(encoded([content]))
        assert not decoded([wire])[1].ended or is_end


@pytest.mark.parametrize("wire", [b"a\nb", b"a\rb", b"a\r\r\nb", b"\n", b"a\r\n\r"])
def test_bare_newlines_can_be_refused(wire: bytes) -> None:
    """Where they are, nothing of the message is given out from there on, but its end is found."""
    for pieces in ([wire + END + b"QUIT\r\n"], singly(wire + END + b"QUIT\r\n")):
        content, decoder = decoded(pieces, refuse_bare=True)
        assert decoder.fault is ContentFault.BARE_NEWLINE
        assert decoder.ended
        assert decoder.rest == b"QUIT\r\n"
        assert b"b" not in content


@pytest.mark.parametrize("wire", [b".\0\r\n", b"a\r\n.\0\r\n", b"a\n.\0", b"a\r\n.\0x"])
@pytest.mark.parametrize("refuse_bare", [False, True])
def test_a_dot_and_a_nul_are_refused(wire: bytes, refuse_bare: bool) -> None:
    """EOD-11: OpenSMTPD would end the message there."""
    for pieces in ([wire + END], singly(wire + END)):
        fault = decoded(pieces, refuse_bare=refuse_bare)[1].fault
        assert fault in {ContentFault.DOT_NUL, ContentFault.BARE_NEWLINE if refuse_bare else fault}
        assert fault is not None


def test_bare_newlines_are_noted() -> None:
    """Whether a message had to be mended is known."""
    assert not decoded([b"a\r\nb" + END])[1].bare_newlines
    assert decoded([b"a\nb" + END])[1].bare_newlines


ENCODED = [
    pytest.param([], b".\r\n", id="an empty message"),
    pytest.param([b"\r\n"], b"\r\n.\r\n", id="an empty line"),
    pytest.param([b".\r\n"], b"..\r\n.\r\n", id="a dot alone"),
    pytest.param([b"X: y\r\n", b".a\r\n"], b"X: y\r\n..a\r\n.\r\n", id="a dot behind a seam"),
    pytest.param([b"a\r", b"\n", b".", b"\r\n"], b"a\r\n..\r\n.\r\n", id="seams everywhere"),
    pytest.param([b"a"], b"a\r\n.\r\n", id="no newline at the end: one is added"),
]


@pytest.mark.parametrize(("pieces", "sent"), ENCODED)
def test_encoding(pieces: list[bytes], sent: bytes) -> None:
    """Dots are stuffed at each start of a line, and the end is the standard one."""
    assert encoded(pieces) == sent


def test_the_end_goes_out_with_a_newline() -> None:
    """All but the last newline can be sent before it is certain that the message is to be taken."""
    encoder = Encoder()
    assert encoder.encode(b"a\r\n") == b"a"
    assert encoder.end() == b"\r\n.\r\n"


@given(cut(TEXT))
def test_what_is_written_is_read(pieces: list[bytes]) -> None:
    """decode(encode(x)) = x, however it is cut, with exactly one end."""
    text, sent = b"".join(pieces), encoded(pieces)
    assert sent == encoded([text])
    content, decoder = decoded(singly(sent))
    if decoder.fault is None:
        assert (content, decoder.rest, decoder.ended) == (text, b"", True)
    assert_unmistakable(sent)


@given(cut(WIRE), st.booleans())
def test_cuts_make_no_difference(pieces: list[bytes], refuse_bare: bool) -> None:
    """Whatever a peer sends is read the same in any pieces; after a fault nothing more is given out."""
    whole, at_once = decoded([b"".join(pieces)], refuse_bare=refuse_bare)
    cut_up, piecewise = decoded(pieces, refuse_bare=refuse_bare)
    assert (piecewise.ended, piecewise.rest) == (at_once.ended, at_once.rest)
    assert (piecewise.fault is None) == (at_once.fault is None)
    if at_once.fault is None and at_once.ended:
        assert cut_up == whole


@given(cut(WIRE))
def test_a_backend_is_never_misled(pieces: list[bytes]) -> None:
    """Whatever a peer sends, what the backend is sent of it is unmistakable."""
    content, decoder = decoded([*pieces, END])
    if decoder.fault is None:
        assert_unmistakable(encoded(singly(content)))
        assert encoded([content]) == encoded(singly(content))


def test_a_field_is_one_line() -> None:
    """HDR-01: what a stranger's text brings into a field cannot end the line, and it is never too long."""
    assert header_field("X-Tarpit", "score=3\r\nSubject: \x1bé") == b"X-Tarpit: score=3??Subject: ??\r\n"
    assert len(header_field("X-Tarpit", "a" * 5000)) < 998
