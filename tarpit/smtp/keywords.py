"""Which of a backend's EHLO keywords a peer may see.

The one idea: an allow-list. An extension may change the wire format, as BDAT does, so a keyword we do
not know is one we could not relay; it is left out, cleanly, and the lines that stay keep every byte.
(The PIX firewall overwrote keywords with X instead, and mail servers still carry work-arounds for it.)

Left out on purpose: XCLIENT and XFORWARD (they are between us and the backend), CHUNKING and BINARYMIME
(content without a dot at its end), AUTH (submission has a port of its own), REQUIRETLS (a promise
about both hops), ETRN, BURL, VRFY, EXPN, HELP and every X-keyword.

Not here: keywords of our own, and whether a backend that has changed its keywords may still be used.
"""

from typing import Final

from tarpit.smtp.replies import Reply

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


def shown(ehlo: Reply, *, pipelining: bool, starttls: bool) -> bytes:
    """Return the reply to EHLO less what may not be shown; unchanged, to the byte, when all of it may."""
    if not ehlo.positive:
        return ehlo.encode()
    lines = (ehlo.lines[0], *offered(ehlo, pipelining=pipelining, starttls=starttls))
    return ehlo.encode() if lines == ehlo.lines else Reply(ehlo.code, lines).encode()


def offered(ehlo: Reply, *, pipelining: bool = False, starttls: bool = False) -> tuple[bytes, ...]:
    """Return the keyword lines of *ehlo* that may be shown, in their order; none of a refusal."""
    if not ehlo.positive:
        return ()
    allowed = PASSED | ({b"PIPELINING"} if pipelining else set()) | ({b"STARTTLS"} if starttls else set())
    return tuple(line for line in ehlo.lines[1:] if line.partition(b" ")[0].upper() in allowed)
