"""The token of a cluster, which lets whoever has it run code there: who else can read it, here or on its way.

`ray get-auth-token --generate` writes it with the permissions of any file, which on most machines all users may read.
Must not import Ray.
"""

import os
import stat
import sys
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from tuner.errors import ConfigError


def token_file() -> Path | None:
    """The file that the cluster's token is read from; None where a variable has it, or where none is used.

    See ray/_private/authentication, whose C++ part reads the variables.
    """
    if os.environ.get("RAY_AUTH_MODE") == "disabled" or "RAY_AUTH_TOKEN" in os.environ:
        return None
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(named) if named else Path(os.path.expanduser("~/.ray/auth_token"))


def presents_token() -> bool:
    """Whether this process presents a token to a cluster."""
    file = token_file()
    if file is not None:
        return file.is_file()
    return os.environ.get("RAY_AUTH_MODE") != "disabled"


def is_exposed(path: Path) -> bool:
    """Whether other users of this machine may read the file."""
    with suppress(OSError):
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    return False


def check_token(address: str) -> None:
    """Refuses a token that others may read, and warns where it is about to leave this machine unencrypted.

    Args:
        address: of a job server.

    Raises:
        ConfigError: other users of this machine may read the token.
    """
    path = token_file()
    if path is not None and is_exposed(path):
        raise ConfigError(
            f"{path}: other users of this machine may read the cluster's token; chmod 600 {path}, and make a new "
            "token if any of them is a stranger"
        )
    if presents_token() and not _is_private_way(address):
        print(  # noqa: T201 - for the person, whatever the command prints
            f"tuner: the cluster's token goes to {address} unencrypted; `ray dashboard` or https keep it secret",
            file=sys.stderr,
        )


def _is_private_way(address: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(address)
        if parts.scheme == "https" or parts.hostname == "localhost":
            return True
        return ip_address(parts.hostname or "").is_loopback
    return False
