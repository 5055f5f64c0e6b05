"""What is looked after now and then: the cookie secrets, their rotation, the number of zones, and what the store may forget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from geodns.control.keeper import DatabaseKeeper
from geodns.control.loops import finish
from geodns.errors import DatabaseUnavailable, ForeignHistory, SchemaTooNew
from geodns.store import cookies, retention, zones
from geodns.store.retention import Retention

log = structlog.get_logger(__name__)

# A secret that another node has made must be known here before its cookies come back by way of a client that moved: minutes would do.
LOOK_S = 10.0
# Days are what is counted in; hours are soon enough. The first time is late enough for a node that was away to have written what it knows.
FORGET_S = 3600.0
FIRST_FORGET_S = 600.0


class Housekeeper:
    """`run` in a task. `secrets_read` gets the cookie secrets, the one that makes cookies first."""

    def __init__(self, keeper: DatabaseKeeper, remembered: Retention, secrets_read: Callable[[Sequence[bytes]], None]) -> None:
        self.zones: int | None = None
        self._keeper = keeper
        self._remembered = remembered
        self._forget_at_s = time.monotonic() + FIRST_FORGET_S
        self._secrets_read = secrets_read

    async def run(self) -> None:
        """Looks for ever; cancel it to end."""
        while True:
            await self._keeper.is_open.wait()
            try:
                await finish(self.look())
            except (DatabaseUnavailable, ForeignHistory, SchemaTooNew):
                log.debug("housekeeping waits for the database, or for the right history")
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """One round. Raises DatabaseUnavailable, ForeignHistory, SchemaTooNew."""
        async with self._keeper.database.write() as session:
            secrets = await cookies.current_secrets(session)
        self._secrets_read(secrets)
        async with self._keeper.database.read() as session:
            self.zones = await zones.count_zones(session)
        if time.monotonic() >= self._forget_at_s:
            await self._forget()

    async def _forget(self) -> None:
        """A piece a round, so that other writers come in between; once nothing is left to forget, not before the next hour."""
        async with self._keeper.database.write() as session:
            await self._keeper.check_history(session)
            forgotten = await retention.forget(session, self._remembered)
        if forgotten == 0:
            self._forget_at_s = time.monotonic() + FORGET_S
        else:
            log.info("the store forgot what is past its time", rows=forgotten)
