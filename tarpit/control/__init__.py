"""How an operator speaks to the running server: one request and one answer, JSON on a line each.

    server      the Unix socket, and from whom a request is taken
    errands     all that may be asked, and what it does in one worker
    merging     one answer out of those of all workers
    office      the process that has the socket, and asks all workers

What is said of networks that way is kept in `tarpit.rulings`; the commands are in `tarpit.cli`.
"""
