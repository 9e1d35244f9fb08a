"""`tarpit settings`: the running values, or docs/settings.md."""

import json
import os
from collections.abc import Iterator
from typing import Annotated, Final

import typer

from tarpit.cli.options import EnvFile, Json
from tarpit.environment import PREFIX
from tarpit.settings import Settings, later_of, load, unit_of
from tarpit.variables import Computed, Variables

Markdown = Annotated[bool, typer.Option("--markdown", help="Print docs/settings.md: every variable.")]

INTRODUCTION: Final = """\
# Settings

Made by `tarpit settings --markdown`; do not edit. `tarpit settings` prints the running values.

Settings are environment variables. Each may be given by a file: `TARPIT_STORE_FILE=/run/secrets/store` reads
`TARPIT_STORE` from there. `--env-file FILE` reads variables from a file; the environment goes before it.
An unknown `TARPIT_` name is a fault, as is a wrong value: all faults are named at once, with exit code 78.

| unit | written as |
|---|---|
| duration | `500ms` `30s` `5m` `1h` `0` |
| size | `512` `64k` `10m` `1g` `0` |
| rate | `10/s` `30/m` `600/h`, `0` for no limit |
| count | a whole number, at least 1 |
| share | `0.2` or `20%` |
| host:port | `192.0.2.1:25` `mx.example.org:25` `[::]:25` |
| network | `192.0.2.0/24` `2001:db8::/32` `192.0.2.1` |
| backend | `host:port[*weight][;max=N][;introduce=xclient][;tls=require]` |
| route | `pattern=backend,backend` or `pattern=refuse`; a file of them has many lines, and `#` comments |
| zone | `zone[=filter][*weight]`, as in postscreen: `zen.example=127.0.0.[2..11]*3` |
| | `;test=none` behind it: a list without test points; `;ask=helo+mail`: a list of names asked for these |
| list | values with blanks or commas between; `none` for empty |

† is not in this version yet: the variable is known and checked, and set to anything but the default it is a
warning.
"""


def command(env_file: EnvFile = None, json_: Json = False, markdown: Markdown = False) -> None:
    """Print the settings as `run` would see them, each as it would be written; passwords are masked."""
    if markdown:
        print("\n".join(page()))
        return
    values = running(load(os.environ, env_file))
    if json_:
        print(json.dumps(values, indent=2))
    else:
        print("\n".join(f"{name}={text}" for name, text in values.items()))


def running(values: Settings) -> dict[str, str]:
    """Return each variable's value as text, by its full name."""
    return {PREFIX + field.upper(): values.text(field) for field in Variables.model_fields}


def page() -> Iterator[str]:
    """Return the lines of docs/settings.md."""
    yield INTRODUCTION
    yield "| variable | default | unit | meaning |\n|---|---|---|---|"
    for field, info in Variables.model_fields.items():
        meaning = f"{info.description}{_mark(field)}"
        yield f"| {PREFIX}{field.upper()} | {_default(field)} | {unit_of(field).name} | {meaning} |"


def _default(field: str) -> str:
    info = Variables.model_fields[field]
    computed = [mark.what for mark in info.metadata if isinstance(mark, Computed)]
    return computed[0] if computed else unit_of(field).format(info.get_default(call_default_factory=True))


def _mark(field: str) -> str:
    later = later_of(field)
    if later is None:
        return ""
    return f" († {' '.join(f'`{value}`' for value in sorted(later.values))})" if later.values else " †"
