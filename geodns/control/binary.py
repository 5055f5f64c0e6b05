"""Where the dataplane's binary is, and with which arguments it is started."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from geodns.control.statedir import StateDirectory
from geodns.errors import StartupError
from geodns.publish.frames import Ownership
from geodns.settings import Settings

BINARY_NAME = "geodns-dataplane"
BINARY_VARIABLE = "GEODNS_DATAPLANE_BINARY"


def make_command(settings: Settings, directory: StateDirectory, ownership: Ownership) -> list[str]:
    """The command line of a dataplane; what stands here and its digest is all that it cannot change while it runs. Raises StartupError."""
    command = [str(find_binary()), "--state", str(directory.dataplane), "--socket", str(directory.socket)]
    for address in settings.dns.listen:
        command += ["--listen", str(address)]
    command += ["--workers", str(settings.dns.workers), "--settings-digest", settings.start_digest.hex()]
    if settings.user is not None:
        command += ["--user", settings.user]
    if ownership is Ownership.SUPERVISED:
        command.append("--supervised")
    return command


def find_binary(environ: Mapping[str, str] | None = None) -> Path:
    """The binary that the wheel installed beside its scripts, or the one that the environment names. Raises StartupError."""
    named = (os.environ if environ is None else environ).get(BINARY_VARIABLE)
    path = Path(named) if named else Path(sysconfig.get_path("scripts")) / BINARY_NAME
    if not path.is_file() or not os.access(path, os.X_OK):
        where = f"{BINARY_VARIABLE} names {path}" if named else f"it is looked for at {path}"
        raise StartupError(
            f"the dataplane's binary is not there: {where}", hint=f"install the geodns wheel, or set {BINARY_VARIABLE} to a built one"
        )
    return path.absolute()
