"""The signals, one file each. A session meets them in this order:

    dnsbl          is the address on a list, or on a welcome list?
    reverse_dns    has the address a name that leads back to it, and what does the name look like?
    conduct        what has the peer done itself, here or before?
    rate           how fast does it come?
    helo           is the HELO name a lie?
    rhsbl          is a name (HELO, reverse, reverse-path) on a list?
    spf            may the address send for the domain of the reverse-path, or of the HELO name (RFC 7208)?

A signal is a plain function from what it needs to a `Finding`. It never raises for what a peer, a zone or
a domain does, and it returns by the deadline it is given. What each one weighs is in `scoring.weights`;
how to write another is in docs/scoring.md.
"""
