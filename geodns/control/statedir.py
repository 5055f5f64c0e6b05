"""The state directory: who may use it (one `serve` at a time) and where things lie in it.

It creates the directory and takes the lock. It does not look into what the dataplane keeps there, beyond whether there is a state at all.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from geodns.errors import StartupError

# sun_path holds 108 bytes with its final zero (unix(7)).
MAX_SOCKET_PATH = 107
# Enough of a SHA-256 to tell the state directories of one machine apart, and short.
DIGEST_DIGITS = 16


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Paths below `state.directory`."""

    path: Path

    @property
    def dataplane(self) -> Path:
        """The dataplane's own directory; control never writes there."""
        return self.path / "dataplane"

    @property
    def dataplane_log(self) -> Path:
        """The standard error of a dataplane that `serve` started."""
        return self.path / "dataplane.log"

    @property
    def spool(self) -> Path:
        """What could not be written while the database was away."""
        return self.path / "spool"

    @property
    def cookie_secrets(self) -> Path:
        """The secrets last read from the store, for a start without it."""
        return self.path / "cookie-secrets.json"

    @property
    def socket(self) -> Path:
        """Where the dataplane listens. A path that is too long for a socket falls back to one derived from it (link.md section 2)."""
        wanted = self.dataplane / "link.sock"
        if len(os.fsencode(wanted)) <= MAX_SOCKET_PATH:
            return wanted
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:DIGEST_DIGITS]
        folder = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        return Path(folder) / f"geodns-{digest}.sock"

    def holds_dataplane_state(self) -> bool:
        """Whether the dataplane has ever kept a state here, sound or damaged: then no new database may be made under it."""
        return any(self.dataplane.glob("base*")) or (self.dataplane / "journal").exists()

    def create(self) -> None:
        """Makes the directories, readable by their owner alone. Raises StartupError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.dataplane.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StartupError(
                f"the state directory {self.path} cannot be used: {error.strerror}", hint="set state.directory to a writable one"
            ) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lock for the time of a block. The kernel frees it however the process ends. Raises StartupError when it is taken."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartupError(f"the state directory {self.path} cannot be locked: {error.strerror}") from error
        try:
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise StartupError(f"the state directory {self.path} cannot be locked: {error.strerror}") from error
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise StartupError(
                f"another geodns serve (pid {owner}) uses the state directory {self.path}",
                hint="stop it, or give this one its own state.directory",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
