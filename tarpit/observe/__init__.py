"""What can be seen from outside: `events` (what is said), `log` (how it is written).

`python -m tarpit.observe` prints docs/events.md.
"""
