"""The mail server behind us: how it is reached, how much of it we take, what it is told about the peer.

A connection is always fresh: a slot within the cap, a dial, the introduction, one session, QUIT.
Whatever goes wrong on this side is `BackendUnavailable` and becomes a 421 or 451 for the peer,
never a 5xx: the peer has done nothing wrong.

    pool         connections lent, with failover at the dial; server: one backend, and what is known of it
    routes       which backends a recipient's mail goes to; borrower: one peer's work, tried twice
    slots        the caps; lanes: who waits, clean peers first, networks in turn; idle: who is ended for them
    order        which connections of one message are had before which: nobody waits in a circle
    balance      which of several gets the next connection; marks: up, doubtful or down
    places       the addresses of a backend's name; dial: a connection; introduce: who the peer is
    health       the probe, and the relay test
    transaction  a transaction of somebody else's, on a borrowed connection
    splits       whose recipients must be checked together

Which bytes go over a joined connection is `tarpit.relay`.
"""
