"""The measurement of content: what it reads and writes is whole messages, and it ends."""

from bench.content import bodies, decode, encode, pieces, rate
from tarpit.smtp.content import END


def test_what_is_measured_is_done() -> None:
    """Every body is decoded to something and encoded to one message; a rate comes of it."""
    for body in bodies(200_000).values():
        content = decode(pieces(body + END))
        sent = encode(pieces(content))
        assert len(content) > 100_000
        assert (b"\r\n" + sent).count(END) == 1
        assert rate(decode, body + END) > 0
