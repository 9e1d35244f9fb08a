"""`tarpit run`: the proxy itself, in the foreground until TERM."""

import os

import typer

from tarpit.cli.options import EnvFile
from tarpit.observe import log
from tarpit.settings import load


def command(env_file: EnvFile = None) -> None:
    """Run the proxy until it is told to stop (TERM or Ctrl-C)."""
    settings = load(os.environ, env_file)
    from tarpit import supervisor  # noqa: PLC0415 - wrong settings are told before half the program is imported

    raise typer.Exit(supervisor.run(settings, log.configure(settings.log_format, settings.log_level)))
