"""`tarpit allow`, `deny` and `forget`: what the running server thinks of a network, whatever its lists say.

It holds at once and for sessions that are open, and no longer than the process. Without a network, `allow`
and `deny` print what was said so far.
"""

import json
from typing import Annotated, Final

import typer

from tarpit.cli.asking import Row, ask, rows
from tarpit.cli.options import EnvFile, Json
from tarpit.units import format_duration, parse_duration, parse_network

ROW: Final = "{:<6}  {:<40}  {}"

Net = Annotated[str, typer.Argument(metavar="NET", help="A network, or a single address.")]
MaybeNet = Annotated[
    str | None,
    typer.Argument(metavar="NET", show_default=False, help="A network or address; without it: list."),
]
For = Annotated[
    str | None, typer.Option("--for", metavar="DURATION", help="30m, 12h, 1d; else until the server ends.")
]


def allow(net: MaybeNet = None, for_: For = None, env_file: EnvFile = None, json_: Json = False) -> None:
    """Neither score nor slow a network from now on."""
    _rule("allow", net, for_, env_file, json_=json_)


def deny(net: MaybeNet = None, for_: For = None, env_file: EnvFile = None, json_: Json = False) -> None:
    """Treat a network as hostile from now on."""
    _rule("deny", net, for_, env_file, json_=json_)


def forget(net: Net, env_file: EnvFile = None) -> None:
    """Take back what `allow` and `deny` said of a network and of parts of it."""
    for row in rows(ask(env_file, do="forget", network=_checked(net)), "rulings"):
        print(f"forgotten: {_line(row)}")


def _rule(word: str, net: str | None, for_: str | None, env_file: EnvFile, *, json_: bool) -> None:
    seconds = None if for_ is None else _seconds(for_)
    if net is None:
        if for_ is not None:
            raise typer.BadParameter("--for wants a network")
        said = [row for row in rows(ask(env_file, do="rulings"), "rulings") if _word(row) == word]
    else:
        said = rows(ask(env_file, do=word, network=_checked(net), seconds=seconds), "rulings")
    nothing = f"nothing: see also TARPIT_{word.upper()}"
    print(json.dumps(said, indent=2) if json_ else "\n".join(map(_line, said)) or nothing)


def _checked(net: str) -> str:
    try:
        return str(parse_network(net))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not seconds:
        raise typer.BadParameter("--for 0 would be over at once")
    return seconds


def _word(row: Row) -> str:
    return "allow" if row["allowed"] else "deny"


def _line(row: Row) -> str:
    left = row["seconds"]
    until = (
        f"for {format_duration(round(left))}" if isinstance(left, float | int) else "until the server ends"
    )
    return ROW.format(_word(row), row["network"], until)
