"""Giving up root, once the sockets are open (TARPIT_USER).

All our processes give it up, for good, the supervisor too: nothing that a peer's bytes come near could get it
back. What is read later (certificates and lists at HUP) has to be readable for that user. The unit in
examples/systemd needs none of this: systemd starts us as somebody else, with the one capability for port 25.
"""

import os
import pwd
from pathlib import Path

from tarpit.errors import Fault, SettingsError


def become(name: str, *, owning: Path) -> None:
    """Be the user *name* from now on, with his groups; he owns the directory *owning*, made if need be.

    Raises `SettingsError` where there is no such user, or we are somebody else and not root.
    """
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise SettingsError([Fault("TARPIT_USER", f"there is no user {name}")]) from None
    if os.geteuid() == user.pw_uid:
        return
    if os.geteuid() != 0:
        raise SettingsError([Fault("TARPIT_USER", f"only root can become {name}")])
    try:
        if not owning.exists():
            owning.mkdir(mode=0o700, parents=True)
            os.chown(owning, user.pw_uid, user.pw_gid)
    except OSError as error:
        raise SettingsError([Fault("TARPIT_STATE_DIR", f"{owning}: {error.strerror}")]) from None
    os.initgroups(name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)  # and with it all capabilities (capabilities(7))
