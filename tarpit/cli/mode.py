"""`tarpit mode`: the one switch for all delays, in the running server."""

import json
from typing import Annotated

import typer

from tarpit.choices import Mode
from tarpit.cli.asking import ask
from tarpit.cli.options import EnvFile, Json

MaybeMode = Annotated[
    Mode | None, typer.Argument(show_default=False, help="From now on; without it: how it is.")
]


def command(mode: MaybeMode = None, env_file: EnvFile = None, json_: Json = False) -> None:
    """Switch delays on (enforce) or off (observe: still score and log; off), in open sessions too."""
    answer = ask(env_file, do="mode") if mode is None else ask(env_file, do="mode", mode=mode.value)
    if json_:
        print(json.dumps(answer, indent=2))
    else:
        same = answer["mode"] == answer["settings"]
        print(answer["mode"] if same else f"{answer['mode']} (TARPIT_MODE is {answer['settings']})")
