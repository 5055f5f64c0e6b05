"""From root to the setting `user`, for good: after the API's socket is bound and the dataplane has been started.

Control keeps the one capability that the dataplane needs when it is started again, CAP_NET_BIND_SERVICE, as an ambient capability
(capabilities(7)), so that a restarted dataplane can bind port 53 though both have left root.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import struct
from contextlib import suppress
from pathlib import Path

import structlog

from geodns.errors import StartupError

log = structlog.get_logger(__name__)

_CAP_NET_BIND_SERVICE = 10
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
# linux/capability.h: version 3 has two 32-bit words for each of the three sets.
_CAPABILITY_VERSION_3 = 0x20080522


def hand_over_to(user: str | None, directory: Path) -> None:
    """Gives the state directory to `user` when started as root; otherwise nothing. Raises StartupError."""
    account = _account_to_become(user)
    if account is not None:
        try:
            hand_over(directory, account.pw_uid, account.pw_gid)
        except OSError as error:
            raise StartupError(f"user: {directory} cannot be given to {user!r}: {error.strerror}") from error


def drop_to(user: str | None, directory: Path) -> None:
    """Becomes `user` when started as root; otherwise nothing. The state directory is handed over first. Raises StartupError."""
    account = _account_to_become(user)
    if account is None:
        return
    try:
        # Again: what was made since the dataplane was started is still root's.
        hand_over(directory, account.pw_uid, account.pw_gid)
        _prctl(_PR_SET_KEEPCAPS, 1)
        os.setgroups(os.getgrouplist(account.pw_name, account.pw_gid))
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
        _keep_bind_capability()
    except OSError as error:
        raise StartupError(f"user: cannot become {user!r}: {error.strerror}") from error
    log.info("left root", user=user)


def _account_to_become(user: str | None) -> pwd.struct_passwd | None:
    """None where there is nobody to become: no setting, not root, or the setting is root itself."""
    if user is None or os.geteuid() != 0:
        return None
    account = pwd.getpwnam(user)
    return account if account.pw_uid != 0 else None


def hand_over(directory: Path, uid: int, gid: int) -> None:
    """Everything in the state directory belongs to the user from now on; links are not followed."""
    os.chown(directory, uid, gid)
    for folder, names, files in os.walk(directory):
        for name in (*names, *files):
            # The dataplane runs already: what it writes beside a file and renames into place may be gone by now.
            with suppress(FileNotFoundError):
                os.chown(Path(folder) / name, uid, gid, follow_symlinks=False)


def _keep_bind_capability() -> None:
    mask = 1 << _CAP_NET_BIND_SERVICE
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable of the low word, then of the high one
    data = struct.pack("=6I", mask, mask, mask, 0, 0, 0)
    _check(_libc().capset(header, data))
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_NET_BIND_SERVICE)


def _prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    _check(_libc().prctl(option, *padded))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
