"""A lock that one node at a time holds, across all nodes of a database: for mirroring zone files.

PostgreSQL: an advisory lock on a connection of its own, so that it ends with the node that held it. SQLite: a lock on a file beside the
database, which the kernel releases with the process.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import asyncpg

from geodns.errors import DatabaseUnavailable
from geodns.store.database import CONNECT_S, Database
from geodns.store.unreachable import unreachable

_STILL_THERE_S: Final = 1.0


class NodeLock:
    """Taken with `acquire`, given back with `release`; `is_held` says whether it still is, since a lost connection loses it."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._connection: Any = None
        self._descriptor: int | None = None

    async def acquire(self) -> bool:
        """Take it if nobody has it; True also when we have it already. Raises DatabaseUnavailable."""
        path = self._database.location.path
        if path is not None:
            return self._lock_file(path)
        return await self.is_held() or await self._lock_server()

    async def is_held(self) -> bool:
        """Whether the lock is ours at this moment."""
        if self._descriptor is not None:
            return True
        connection = self._connection
        if connection is None or connection.is_closed():
            return False
        try:
            await connection.fetchval("SELECT 1", timeout=_STILL_THERE_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()
            return False
        return True

    async def release(self) -> None:
        """Give it back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                await connection.close(timeout=_STILL_THERE_S)
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _lock_file(self, path: Path) -> bool:
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(path.with_name(f"{path.name}.{self._name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnavailable(f"the lock file beside {path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    async def _lock_server(self) -> bool:
        try:
            async with asyncio.timeout(CONNECT_S * 2):
                connection = await asyncpg.connect(**self._database.driver_options())
                held = await connection.fetchval("SELECT pg_try_advisory_lock($1)", zlib.crc32(self._name.encode()))
        except Exception as error:
            away = unreachable(error, str(self._database.location))
            if away is None:
                raise
            raise away from error
        if held:
            self._connection = connection
        else:
            await connection.close(timeout=_STILL_THERE_S)
        return bool(held)
