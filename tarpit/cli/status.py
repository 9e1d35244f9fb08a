"""`tarpit status`: how the running server stands."""

import json
from collections.abc import Iterator

from tarpit.cli.asking import Row, ask, rows
from tarpit.cli.backend import as_text as backends_as_text
from tarpit.cli.options import EnvFile, Json


def command(env_file: EnvFile = None, json_: Json = False) -> None:
    """Print how the running server stands: sessions, load, backends, zones that are set aside."""
    answer = ask(env_file, do="status")
    print(json.dumps(answer, indent=2) if json_ else "\n".join(as_text(answer)))


def as_text(answer: Row) -> Iterator[str]:
    """Yield the lines for a reader."""
    yield f"tarpit {answer['version']}, process {answer['pid']}, mode {answer['mode']}"
    yield (
        f"{answer['sessions']} of {answer['max_sessions']} sessions (load {answer['load']:.0%}), "
        f"{answer['held']} slowed, {answer['waiting']} waiting for a backend"
    )
    yield f"{answer['allowed']} networks allowed and {answer['denied']} denied beyond the settings"
    workers = rows(answer, "workers") if "workers" in answer else []
    for one in workers if len(workers) > 1 else []:
        sessions = f"{one['sessions']} sessions (load {one['load']:.0%})"
        leaves = " and leaves" if one.get("leaves") else ""
        yield f"worker {one['worker']}, process {one['pid']}: {sessions}{leaves}"
    for zone in rows(answer, "zones_set_aside"):
        yield f"zone {zone['zone']} is set aside for {zone['form']}: {zone['reason']}"
    yield backends_as_text(rows(answer, "backends"))
