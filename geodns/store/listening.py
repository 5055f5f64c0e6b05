"""LISTEN on PostgreSQL: one connection of its own that turns the NOTIFY of other nodes into a callback.

Only a hint. When the connection is lost nobody is told; the follower polls once a second anyway, and the next `ensure` connects again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

CHANNEL: Final = "geodns_revision"

# Connecting is part of a wait that lasts about a second; a hint must not make it much longer.
_CONNECT_S: Final = 0.5


class Listener:
    """Calls `on_change` for every notification while its connection lives."""

    def __init__(self, engine: AsyncEngine, on_change: Callable[[], None]) -> None:
        self._engine = engine
        self._on_change = on_change
        self._connection: Any = None

    async def ensure(self) -> None:
        """Connect and listen unless that is the case already; failing is silent."""
        if self._connection is not None and not self._connection.is_closed():
            return
        dialect = self._engine.dialect
        _, options = dialect.create_connect_args(self._engine.url)
        options.pop("prepared_statement_cache_size", None)
        try:
            connection = await asyncpg.connect(**(dict(options) | {"timeout": _CONNECT_S}))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return
        try:
            await connection.add_listener(CHANNEL, self._notified)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()
            return
        self._connection = connection
        self._on_change()  # what was committed while nobody listened

    async def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                await connection.close(timeout=1)

    def _notified(self, *_details: object) -> None:
        self._on_change()
