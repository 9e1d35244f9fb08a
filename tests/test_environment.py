"""Where the settings' text comes from."""

from pathlib import Path

from tarpit import environment

KNOWN = ("TARPIT_MODE", "TARPIT_PACE_BYTE", "TARPIT_STORE")


def read(environ: dict[str, str], env_file: Path | None = None) -> tuple[dict[str, str], list[str]]:
    reading = environment.read(environ, env_file, KNOWN)
    return reading.texts, [str(fault) for fault in reading.faults]


def test_others_are_not_ours() -> None:
    """Variables of other programs are left alone."""
    assert read({"HOME": "/root", "TARPITS": "1", "TARPIT_MODE": " off "}) == ({"TARPIT_MODE": "off"}, [])


def test_unknown_name() -> None:
    """A mistyped name is a fault with the nearest known one, in small letters too, and for a file."""
    _, faults = read({"TARPIT_PACE_BYT": "1s", "tarpit_mode": "off", "TARPIT_STOR_FILE": "/x"})
    assert faults == [
        "TARPIT_PACE_BYT: is not a setting: did you mean TARPIT_PACE_BYTE?",
        "tarpit_mode: is not a setting: did you mean TARPIT_MODE?",
        "TARPIT_STOR_FILE: is not a setting: did you mean TARPIT_STORE_FILE?",
    ]


def test_unknown_name_like_no_other() -> None:
    """Without a near name the whole list is pointed to."""
    _, faults = read({"TARPIT_XYZZY": "1"})
    assert faults == ["TARPIT_XYZZY: is not a setting: `tarpit settings` lists all there are"]


def test_name_file(tmp_path: Path) -> None:
    """NAME_FILE gives the text of NAME, without the final newline."""
    (tmp_path / "store").write_text("redis://user:secret@db\n")
    texts, faults = read({"TARPIT_STORE_FILE": str(tmp_path / "store")})
    assert texts == {"TARPIT_STORE": "redis://user:secret@db"}
    assert faults == []


def test_name_and_name_file(tmp_path: Path) -> None:
    """Both together are a fault: nobody knows which was meant."""
    _, faults = read({"TARPIT_STORE": "memory:", "TARPIT_STORE_FILE": str(tmp_path)})
    assert faults == ["TARPIT_STORE: is set, and so is TARPIT_STORE_FILE: leave one out"]


def test_unreadable_name_file(tmp_path: Path) -> None:
    """A file that cannot be read is a fault that names it."""
    (tmp_path / "latin").write_bytes(b"\xfc")
    missing, latin = tmp_path / "missing", tmp_path / "latin"
    _, faults = read({"TARPIT_STORE_FILE": str(missing), "TARPIT_MODE_FILE": str(latin)})
    assert faults == [
        f"TARPIT_STORE_FILE: {missing} cannot be read: No such file or directory",
        f"TARPIT_MODE_FILE: {latin} cannot be read: it is not UTF-8 text",
    ]


def test_empty() -> None:
    """An empty variable is a fault: it may mean the default or nothing."""
    _, faults = read({"TARPIT_MODE": " "})
    assert faults == ["TARPIT_MODE: is empty: leave it out for the default (a list says none)"]


def test_env_file(tmp_path: Path) -> None:
    """An env-file has NAME=value, comments, quotes and `export`; the environment goes before it."""
    path = tmp_path / "env"
    path.write_text("# ours\nexport TARPIT_MODE=observe\nTARPIT_PACE_BYTE='2s'\nOTHER=1\n\n")
    texts, faults = read({"TARPIT_MODE": "off"}, path)
    assert texts == {"TARPIT_MODE": "off", "TARPIT_PACE_BYTE": "2s"}
    assert faults == []


def test_env_file_with_faults(tmp_path: Path) -> None:
    """A line that is no variable is a fault with its number."""
    path = tmp_path / "env"
    path.write_text("TARPIT_MODE=off\nTARPIT_STORE\n")
    _, faults = read({}, path)
    assert faults == [f"--env-file {path}, line 2: is not NAME=value"]


def test_env_file_that_is_not_there(tmp_path: Path) -> None:
    """An env-file that was asked for and cannot be read is a fault."""
    _, faults = read({}, tmp_path / "env")
    assert faults == [f"--env-file {tmp_path / 'env'}: cannot be read: No such file or directory"]
