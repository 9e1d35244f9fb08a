"""What the commands share: options, and how wrong settings are told."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Final, ParamSpec

import typer

from tarpit.errors import SettingsError

P = ParamSpec("P")

EX_CONFIG: Final = 78  # sysexits.h

EnvFile = Annotated[
    Path | None,
    typer.Option(
        "--env-file", help="Read TARPIT_* variables from this file too; the environment goes first."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def telling_faults(command: Callable[P, None]) -> Callable[P, None]:
    """Make *command* print a line a fault and exit with 78 when the settings are wrong."""

    @wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except SettingsError as error:
            for fault in error.faults:
                print(fault, file=sys.stderr)
            raise typer.Exit(EX_CONFIG) from None

    return told
