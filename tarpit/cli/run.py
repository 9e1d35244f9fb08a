"""`tarpit run`: the proxy itself, in the foreground until TERM."""

import os

import typer
from structlog.typing import FilteringBoundLogger

from tarpit.cli.options import EnvFile
from tarpit.observe import log
from tarpit.settings import Settings, load


def command(env_file: EnvFile = None) -> None:
    """Run the proxy until it is told to stop (TERM or Ctrl-C)."""

    def read() -> tuple[Settings, FilteringBoundLogger]:
        settings = load(os.environ, env_file)
        return settings, log.configure(settings.log_format, settings.log_level)

    settings, logger = read()
    from tarpit import supervisor  # noqa: PLC0415 - wrong settings are told before half the program is imported

    raise typer.Exit(supervisor.run(settings, logger, reread=read))
