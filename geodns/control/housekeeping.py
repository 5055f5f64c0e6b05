"""What is looked after now and then: the cookie secrets, their rotation, and the number of zones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from geodns.control.keeper import DatabaseKeeper
from geodns.control.loops import finish
from geodns.errors import DatabaseUnavailable, SchemaTooNew
from geodns.store import cookies, zones

log = structlog.get_logger(__name__)

# A secret that another node has made must be known here before its cookies come back by way of a client that moved: minutes would do.
LOOK_S = 10.0


class Housekeeper:
    """`run` in a task. `secrets_read` gets the cookie secrets, the one that makes cookies first."""

    def __init__(self, keeper: DatabaseKeeper, secrets_read: Callable[[Sequence[bytes]], None]) -> None:
        self.zones: int | None = None
        self._keeper = keeper
        self._secrets_read = secrets_read

    async def run(self) -> None:
        """Looks for ever; cancel it to end."""
        while True:
            await self._keeper.is_open.wait()
            try:
                await finish(self.look())
            except (DatabaseUnavailable, SchemaTooNew):
                log.debug("housekeeping waits for the database")
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """One round. Raises DatabaseUnavailable, SchemaTooNew."""
        async with self._keeper.database.write() as session:
            secrets = await cookies.current_secrets(session)
        self._secrets_read(secrets)
        async with self._keeper.database.read() as session:
            self.zones = await zones.count_zones(session)
