"""Which of a backend's EHLO keywords a peer may see.

The one idea: an allow-list. An extension may change the wire format, as BDAT does, so a keyword we do
not know is one we could not relay; it is left out, cleanly, and the lines that stay keep every byte.
(The PIX firewall overwrote keywords with X instead, and mail servers still carry work-arounds for it.)

Left out on purpose: XCLIENT and XFORWARD (they are between us and the backend), CHUNKING and BINARYMIME
(content without a dot at its end), AUTH (submission has a port of its own), REQUIRETLS (a promise
about both hops), ETRN, BURL, VRFY, EXPN, HELP and every X-keyword.

Not here: keywords of our own, and whether a backend that has changed its keywords may still be used.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from tarpit.smtp.limits import USUAL
from tarpit.smtp.replies import KNOWN, ReceivedReply, Reply

PASSED: Final = frozenset(
    {
        b"SIZE",  # RFC 1870
        b"8BITMIME",  # RFC 6152
        b"SMTPUTF8",  # RFC 6531
        b"DSN",  # RFC 3461
        b"ENHANCEDSTATUSCODES",  # RFC 2034
        b"DELIVERBY",  # RFC 2852
        b"MT-PRIORITY",  # RFC 6710
        b"LIMITS",  # RFC 9422
    }
)
_ALLOWED: Final = {  # by whether PIPELINING and STARTTLS are, too
    (False, False): PASSED,
    (True, False): PASSED | {b"PIPELINING"},
    (False, True): PASSED | {b"STARTTLS"},
    (True, True): PASSED | {b"PIPELINING", b"STARTTLS"},
}
_RECIPIENTS: Final = re.compile(rb"(?<= RCPTMAX=)[0-9]+", re.IGNORECASE)
_SIZE: Final = re.compile(rb"SIZE(?: +([0-9]{1,20}))? *", re.IGNORECASE)


@lru_cache(KNOWN)  # as replies are: a tenth of the work, and a backend says the same to everybody
def introduced(
    ehlo: ReceivedReply, ways: tuple[bool, bool], ours: tuple[bytes, ...]
) -> tuple[tuple[bytes, ...], bytes]:
    """Return the keyword lines that a peer gets for *ehlo*, and the reply with them.

    *ways*: whether PIPELINING may be among them, and STARTTLS; *ours* are added.
    """
    pipelining, starttls = ways
    keywords = offered(ehlo, pipelining=pipelining, starttls=starttls) + ours
    return keywords, shown(ehlo, keywords)


def shown(ehlo: Reply, keywords: tuple[bytes, ...]) -> bytes:
    """Return the reply to EHLO with *keywords* alone; unchanged, to the byte, when those are all it has."""
    lines = (ehlo.lines[0], *keywords)
    return ehlo.encode() if lines == ehlo.lines else Reply(ehlo.code, lines).encode()


def offered(ehlo: Reply, *, pipelining: bool = False, starttls: bool = False) -> tuple[bytes, ...]:
    """Return the keyword lines of *ehlo* that may be shown, in their order; none of a refusal."""
    if not ehlo.positive:
        return ()
    allowed = _ALLOWED[pipelining, starttls]
    kept = [line for line in ehlo.lines[1:] if line.partition(b" ")[0].upper() in allowed]
    return tuple([line if line[:1] not in b"Ll" else _limited(line) for line in kept])


def _limited(line: bytes) -> bytes:
    """Return *line* as it is, or LIMITS with no more recipients than we take ourselves."""
    if line[:7].upper() != b"LIMITS ":
        return line
    return _RECIPIENTS.sub(lambda most: b"%d" % min(int(most[0][:20]), USUAL.recipients), line)


def common(shown_by: Sequence[Sequence[bytes]], *, largest: int | None = None) -> tuple[bytes, ...]:
    """Return the keyword lines that all of them showed; SIZE is the smallest of theirs and *largest*."""
    if not shown_by:
        return ()
    smallest = min(filter(None, (*map(_size, shown_by), largest)), default=0)
    size = b"SIZE %d" % smallest if smallest else b"SIZE"
    as_one = [tuple(size if _SIZE.fullmatch(w) else w for w in s) for s in shown_by]
    return tuple(word for word in as_one[0] if all(word in others for others in as_one[1:]))


def _size(lines: Sequence[bytes]) -> int:
    """Return the largest message in bytes; 0 means that none is too large (RFC 1870 section 4)."""
    return next((int(match[1] or 0) for match in map(_SIZE.fullmatch, lines) if match), 0)
