"""`tarpit demo`: the proxy between toy peers and a toy backend, all in one process and on loopback.

TARPIT_MODE and the TARPIT_PACE_* variables of the environment hold here too:
`TARPIT_MODE=observe tarpit demo` shows what nobody would feel. All of the play is in `tarpit.demo.stage`.
"""

import os
from functools import partial
from typing import Annotated

import trio
import typer

Seconds = Annotated[
    float | None, typer.Option(min=0.1, help="End by itself after so long; else run until interrupted.")
]


def command(seconds: Seconds = None) -> None:
    """Show the proxy at work on loopback: toy peers, clean and bad, a toy DNSBL and a toy backend."""
    from tarpit.demo import stage  # noqa: PLC0415 - no other command needs any of it

    trio.run(stage.perform, seconds, os.environ, partial(print, flush=True))
