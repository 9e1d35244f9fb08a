"""`tarpit backend list`, `drain` and `enable`: the mail servers behind a running proxy.

Drained, a backend gets no new connection of mail; sessions that are joined to it go on to their end.
"""

import json
from typing import Annotated, Final, cast

import typer

from tarpit.cli.asking import Row, ask, rows
from tarpit.cli.options import EnvFile, Json, telling_faults

ROW: Final = "{:<32}  {:<8}  {:>11}  {:>6}  {:>8}  {}"

app: Final = typer.Typer(no_args_is_help=True, help="The backends of the running server.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The backend, host:port as in TARPIT_BACKENDS.")]


def list_backends(env_file: EnvFile = None, json_: Json = False) -> None:
    """Print each backend as it stands."""
    backends = rows(ask(env_file, do="backends"), "backends")
    print(json.dumps(backends, indent=2) if json_ else as_text(backends))


def drain(name: Name, env_file: EnvFile = None) -> None:
    """Give a backend no new connections of mail; those it has may finish. Until `enable`, or a restart."""
    print(as_text(rows(ask(env_file, do="drain", backend=name), "backends")))


def enable(name: Name, env_file: EnvFile = None) -> None:
    """Give a backend that was drained mail again."""
    print(as_text(rows(ask(env_file, do="enable", backend=name), "backends")))


def as_text(backends: list[Row]) -> str:
    """Return a line a backend, and one with its routes if there are any, under a heading."""
    lines = [ROW.format("backend", "state", "connections", "weight", "since", "reason")]
    lines += [_line(backend) for backend in backends]
    return "\n".join(line.rstrip() for line in lines)


def _line(backend: Row) -> str:
    taken = f"{backend['taken']}/{backend['cap']}"
    since = f"{backend['since']:.0f} s"
    line = ROW.format(
        backend["name"], state(backend), taken, f"{backend['weight']:.3g}", since, backend["reason"]
    )
    routes = ", ".join(map(str, cast("list[str]", backend["routes"])))
    return f"{line.rstrip()}\n    for {routes}" if routes else line


def state(backend: Row) -> str:
    """Return in a word whether a backend gets mail."""
    if backend["drained"]:
        return "drained"
    if backend["up"] is None:
        return "unknown"
    if not backend["up"]:
        return "down"
    return "up" if backend["usable"] else "unusable"  # it would relay for everybody, or was not tested yet


app.command("list")(telling_faults(list_backends))
app.command("drain")(telling_faults(drain))
app.command("enable")(telling_faults(enable))
