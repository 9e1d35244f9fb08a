"""SMTP without input or output: bytes go in, values come out, and nothing here waits.

    lines       bytes -> command lines; only CRLF ends one
    commands    a line -> a command as a value (with addresses); garbage is a value too
    replies     replies, ours as values and the backend's as read
    states      the order of a dialogue, as one table
    dialogue    how far one dialogue has come
    server      what we answer when there is no backend
    observer    what we overhear when there is one, before it goes on
    keywords    which EHLO keywords may be shown to a peer
    guard       message content on its way through: where it ends, and that nothing in it misleads a backend
    content     message content read off the wire, and written anew
    values      what a value is: a dataclass, frozen for mypy

Whatever bytes are fed in, whole or one by one, the outcome is the same and no exception leaves.
This package imports the standard library and itself only.
"""
