"""Giving up root. That it is given up is seen in tests/e2e/test_service.py, for there is no way back."""

import os
import pwd
from pathlib import Path

import pytest

from tarpit.errors import SettingsError
from tarpit.processes.privileges import become


def test_who_is_not_there(tmp_path: Path) -> None:
    """A user that nobody knows is a fault."""
    with pytest.raises(SettingsError, match="TARPIT_USER: there is no user no-such-user"):
        become("no-such-user", owning=tmp_path)


def test_who_we_are_already(tmp_path: Path) -> None:
    """Then there is nothing to give up, and nothing is made."""
    become(pwd.getpwuid(os.geteuid()).pw_name, owning=tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_only_root_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody else cannot become a third."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(SettingsError, match="TARPIT_USER: only root can become nobody"):
        become("nobody", owning=tmp_path)


def test_a_directory_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told by its variable, and nothing is given up."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="TARPIT_STATE_DIR: "):
        become("nobody", owning=tmp_path / "file" / "state")
