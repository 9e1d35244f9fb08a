"""`tarpit run`: the proxy itself, in the foreground until TERM."""

import os
from functools import partial
from typing import Final

import typer
from structlog.typing import FilteringBoundLogger

from tarpit.cli.options import EnvFile
from tarpit.observe import log, processes
from tarpit.observe.outlet import Outlet, finish
from tarpit.settings import Settings, load

STDOUT: Final = 1


def command(env_file: EnvFile = None) -> None:
    """Run the proxy until it is told to stop (TERM or Ctrl-C)."""
    _take_standard()
    outlet = Outlet(STDOUT)

    def read() -> tuple[Settings, FilteringBoundLogger]:
        settings = load(os.environ, env_file)
        logger = log.configure(settings.log_format, settings.log_level, outlet)
        outlet.on_loss = partial(_tell_loss, logger)
        return settings, logger

    settings, logger = read()
    from tarpit import supervisor  # noqa: PLC0415 - wrong settings are told before half the program is imported

    try:
        code = supervisor.run(settings, logger, reread=read)
    finally:
        finish()
    raise typer.Exit(code)


def _take_standard() -> None:
    """Have a standard stream that is closed be nowhere: else a socket takes its number, and hears us."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one


def _tell_loss(logger: FilteringBoundLogger, lines: int) -> None:
    processes.log_lost(logger, lines=lines, pid=os.getpid())
