"""The processes around the workers: the parts of `tarpit.supervisor`, which has the whole.

    crew        the supervisor's children, made by offspring; vigil: what it waits for
    underling   a worker as a process, told what to do over its lead
    shift       how one worker takes over from another; sheet: the numbers they share
    shares      what each of several workers may take of what is limited for all
    listeners   the sockets, opened once; steering: which of them a network meets
    privileges  root, given up; notify: what systemd is told

No SMTP, and nothing a peer says, comes near any of it.
"""
