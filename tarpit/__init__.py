"""A tarpitting and throttling SMTP proxy. This is the map, in reading order: the path of a connection.

    listen      accepts, or says 421 to whom `caps` has no place for
    session     one connection from accept to close: start here
    clean       the half of it in which a peer is joined to a backend
    suspect     the rest of it once its peer is a suspect
    hub         the way to a clean half where recipients say which backend it is with
    classify    who is this: the operator's lists, then the findings of `scoring`, under a deadline
    inquiries   what is asked while the peer talks: its HELO name, its reverse-path
    judgement   what is thought of the peer by now, and how it is treated and paced for it
    policy      pure: verdict, stage and what was spent so far -> how slowly a reply is said
    load        how full we are; limits: what holds under load; recipients: traps, and who is never held
    relay       peer and backend joined, bytes unchanged; an observer sits in the path
    lane        ... and bytes carried unseen, behind a STARTTLS that was passed through
    front       our half of a suspect's dialogue
    frontdesk   what recipients and messages are answered there
    deliver     a suspect's way to the backend: check recipients, take the message; commit: hand it over
    intake      a message read to its end; spool: where it is kept meanwhile; slow: reading at a pace
    buffers     how little the kernel keeps for a peer that is held
    starttls    STARTTLS that ends with us; handshake: how many at once; tls: with which certificate;
                sealed: a socket in TLS with a plain one's manners; proxied: a PROXY header
    voice       says replies at their pace and keeps the account of what that cost the peer
    drip        the wheel: bytes at a pace for thousands of sessions, by one task
    pace        the value in between: seconds before a reply, seconds between its bytes
    poller      one edge-triggered epoll that wakes parked tasks
    wire        a connected socket; its errors are translated here (their words are in sockets)
    backend/    dialling, introducing the peer, slots and who waits for one, probes, routes, one transaction
    store/      what outlives a session: histories, verdicts
    smtp/       the protocol itself, without any input or output
    settings    every TARPIT_* variable (made of variables, units, choices and more)
    errors      what is raised, by who must act
    observe/    events (each one a function) and how they are written
    story       the one event that tells a session's whole story, and what of it is remembered
    services    what all sessions of a worker share; the one place that catches what nobody expected
    rulings     what the operator has said of networks while we run
    control/    the socket over which it comes, and all that may be said and asked
    watch       backends, zones and lists, looked at again and again; bell: how one is woken for it
    watch_tls   certificates, and what TLS that we only pass on would expose
    worker      builds all of the above and opens the nurseries
    processes/  a worker as a process, its share of what is limited, its sockets; root given up; systemd told
    supervisor  the process around the workers: signals, deaths, reloads, exit codes
    cli/        the commands
    tuning/     what a log says of other settings
    demo/       the proxy among toy peers, a toy zone and a toy backend, all on loopback

Rows above import none below: `tests/test_layers.py` has the table. Why the tree is as it is:
docs/design.md. What a session goes through, file by file: docs/path.md.
"""
