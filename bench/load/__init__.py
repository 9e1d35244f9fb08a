"""`python -m bench load`: a population over real sockets, against a proxy that runs.

schedule.py     who comes when, counted from the start, and whence on loopback
socketed.py     a client's connection over a socket, and what it notes: bytes, waits, errors
crowd.py        one process with its share of the senders; what all of them noted
surroundings.py for who has no proxy at hand: our own, a mail server and the population's DNS
report.py       figures and text
command.py      the command
"""
