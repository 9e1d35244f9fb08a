"""`python -m tarpit`: the same as the command `tarpit`."""

from tarpit.cli import app

app()
