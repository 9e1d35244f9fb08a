"""The commands, one small module each.

Wrong settings end every command in the same way: a line a fault on standard error, exit code 78.
"""

from typing import Final

import typer

from tarpit.cli import backend, check, demo, explain, mode, network, run, settings, status, tune, zone
from tarpit.cli.options import telling_faults

__all__ = ["app"]

app: Final = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A slow door for spam, in front of the mail server you already have.",
)
app.command("run")(telling_faults(run.command))
app.command("check")(telling_faults(check.command))
app.command("settings")(telling_faults(settings.command))
app.command("explain")(telling_faults(explain.command))
app.command("demo")(telling_faults(demo.command))
app.command("status")(telling_faults(status.command))
app.command("mode")(telling_faults(mode.command))
app.command("allow")(telling_faults(network.allow))
app.command("deny")(telling_faults(network.deny))
app.command("forget")(telling_faults(network.forget))
app.command("tune")(telling_faults(tune.command))
app.add_typer(backend.app, name="backend")
app.add_typer(zone.app, name="zone")
