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
        try:
            connection = await asyncpg.connect(**driver_options(self._engine) | {"timeout": _CONNECT_S})
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


def driver_options(engine: AsyncEngine) -> dict[str, Any]:
    """What asyncpg needs to connect as the engine does."""
    _, options = engine.dialect.create_connect_args(engine.url)
    return {name: value for name, value in options.items() if not name.startswith("prepared_statement")}
