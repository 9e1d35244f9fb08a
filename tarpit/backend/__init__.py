"""The mail server behind us: how it is reached, how much of it we take, what it is told about the peer.

A connection is always fresh: a slot within the cap, a dial, the introduction, one session, QUIT.
Whatever goes wrong on this side is `BackendUnavailable` and becomes a 421 or 451 for the peer,
never a 5xx: the peer has done nothing wrong.

Which bytes go over a joined connection is `tarpit.relay`.
"""
