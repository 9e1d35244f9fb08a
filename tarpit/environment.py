"""Where the text of the settings comes from: the environment, an env-file, and files named by `NAME_FILE`.

Everything that looks like ours is read and nothing is guessed: a `TARPIT_` name that is not known is a fault,
with the nearest known name. (pydantic-settings' own readers pass it in silence: a mistyped variable would
have no effect and nobody would know.) The environment goes before the env-file.

Not here: what the text means (`tarpit.variables`).
"""

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dotenv.parser import parse_stream

from tarpit.errors import Fault

PREFIX: Final = "TARPIT_"
FILE: Final = "_FILE"
LARGEST: Final = 1 << 20  # bytes; a settings file beyond this is a mistake


@dataclass(frozen=True, slots=True)
class Reading:
    """The text of each variable that is set, by its full name; the file it is in, if any; what was wrong."""

    texts: dict[str, str]
    files: dict[str, Path]
    faults: list[Fault]


def read(environ: Mapping[str, str], env_file: Path | None, known: Collection[str]) -> Reading:
    """Return what is set, and what was wrong with the reading."""
    faults: list[Fault] = []
    given = _ours(_from_file(env_file, faults)) | _ours(environ)
    faults += [_unknown(name, known) for name in given if _base(name, known) is None]
    faults += list(_said_twice(given, known))
    texts = {name: text for name, text in given.items() if name in known}
    files = {
        base: Path(given[name])
        for name in given
        if (base := _base(name, known)) and base != name and base not in given
    }
    for base, path in files.items():
        _read_into(texts, base, path, faults)
    faults += [_empty(name) for name, text in texts.items() if not text.strip()]
    return Reading({name: _bare(text) for name, text in texts.items() if text.strip()}, files, faults)


def _bare(text: str) -> str:
    """Return *text* without blanks around it; above several lines they stay, for a fault names its line."""
    return text.rstrip() if "\n" in text.strip() else text.strip()


def _ours(variables: Mapping[str, str]) -> dict[str, str]:
    """Ours in any case of letters, so that `tarpit_pace_byte` does not pass in silence."""
    return {name: text for name, text in variables.items() if name.upper().startswith(PREFIX)}


def _from_file(path: Path | None, faults: list[Fault]) -> dict[str, str]:
    if path is None:
        return {}
    texts: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as stream:
            for line in parse_stream(stream):
                if line.error or (line.key and line.value is None):
                    where = f"--env-file {path}, line {line.original.line}"
                    faults.append(Fault(where, "is not NAME=value"))
                elif line.key:
                    texts[line.key] = line.value or ""
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(f"--env-file {path}", f"cannot be read: {_reason(error)}"))
    return texts


def _read_into(texts: dict[str, str], name: str, path: Path, faults: list[Fault]) -> None:
    try:
        with path.open(encoding="utf-8") as stream:
            texts[name] = stream.read(LARGEST)
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        faults.append(Fault(name + FILE, f"{path} cannot be read: {_reason(error)}"))


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"


def _base(name: str, known: Collection[str]) -> str | None:
    """Return the variable that *name* sets, itself or by its file."""
    if name in known:
        return name
    base = name.removesuffix(FILE)
    return base if base in known else None


def _said_twice(given: Mapping[str, str], known: Collection[str]) -> Iterator[Fault]:
    for name in given:
        if name in known and name + FILE in given:
            yield Fault(name, f"is set, and so is {name}{FILE}: leave one out")


def _empty(name: str) -> Fault:
    return Fault(name, "is empty: leave it out for the default (a list says none)")


def _unknown(name: str, known: Collection[str]) -> Fault:
    upper = name.upper()
    suffix = FILE if upper.endswith(FILE) else ""
    stem = upper.removesuffix(suffix).removeprefix(PREFIX)
    stems = [variable.removeprefix(PREFIX) for variable in known]
    near = difflib.get_close_matches(stem, stems, n=1, cutoff=0.6)
    hint = f"did you mean {PREFIX}{near[0]}{suffix}?" if near else "`tarpit settings` lists all there are"
    return Fault(name, f"is not a setting: {hint}")
