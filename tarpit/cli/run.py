"""`tarpit run`: the proxy itself, in the foreground until TERM."""

import os
from functools import partial
from typing import Final

import typer
from structlog.typing import FilteringBoundLogger

from tarpit.cli.options import EnvFile
from tarpit.observe import log, processes
from tarpit.observe.outlet import Outlet
from tarpit.settings import Settings, load

STDOUT: Final = 1


def command(env_file: EnvFile = None) -> None:
    """Run the proxy until it is told to stop (TERM or Ctrl-C)."""
    outlet = Outlet(STDOUT)
    os.register_at_fork(after_in_child=outlet.forget)

    def read() -> tuple[Settings, FilteringBoundLogger]:
        settings = load(os.environ, env_file)
        logger = log.configure(settings.log_format, settings.log_level, outlet)
        outlet.on_loss = partial(_tell_loss, logger)
        return settings, logger

    settings, logger = read()
    from tarpit import supervisor  # noqa: PLC0415 - wrong settings are told before half the program is imported

    raise typer.Exit(supervisor.run(settings, logger, reread=read))


def _tell_loss(logger: FilteringBoundLogger, lines: int) -> None:
    processes.log_lost(logger, lines=lines, pid=os.getpid())
