"""A tarpitting and throttling SMTP proxy. This is the map, in reading order: the path of a connection.

    listen      accepts, or says 421; the one place that catches what nobody expected
    session     one connection from accept to close, as one function: start here
    services    what all sessions of a worker share
    story       the one event that tells a session's whole story
    classify    who is this: the findings of `scoring`, under a deadline; silence is no opinion
    policy      pure: verdict, stage and what was spent so far -> how slowly a reply is said
    front       our half of a suspect's dialogue, while it has no backend
    relay       peer and backend joined, bytes unchanged; an observer sits in the path
    voice       says replies at their pace and keeps the account of what that cost the peer
    drip        the wheel: bytes at a pace for thousands of sessions, by one task
    pace        the value in between: seconds before a reply, seconds between its bytes
    poller      one edge-triggered epoll that wakes parked tasks
    wire        a connected socket; its errors are translated here
    backend/    dialling, introducing the peer, the cap, the relay test
    smtp/       the protocol itself, without any input or output
    settings    every TARPIT_* variable (made of variables, units, choices and more)
    errors      what is raised, by who must act
    observe/    events (each one a function) and how they are written
    worker      builds all of the above and opens the nursery
    supervisor  the process around the worker: sockets, signals, exit codes
    cli/        the commands
    demo/       the proxy among toy peers, a toy zone and a toy backend, all on loopback

Rows above import none below: `tests/test_layers.py` has the table. Why the tree is as it is:
docs/design.md. What a session goes through, file by file: docs/path.md.
"""
