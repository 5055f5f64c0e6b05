"""The other vantages: our heartbeat goes to the store once a second, theirs and their votes come from it.

On SQLite there is one node, and so nobody to tell: no heartbeat is written, because each would cost a sync of the disk.
"""

from __future__ import annotations

import asyncio

import structlog

from geodns.control import healthtable
from geodns.control.keeper import DatabaseKeeper
from geodns.control.loops import finish
from geodns.errors import DatabaseUnavailable, SchemaTooNew
from geodns.prober import Prober
from geodns.store import health
from geodns.store.database import Dialect

log = structlog.get_logger(__name__)

# A vantage lives for five seconds after its last heartbeat (health.md section 4): four may be lost.
BEAT_S = 1.0


class Vantages:
    """`run` in a task."""

    def __init__(self, keeper: DatabaseKeeper, prober: Prober, vantage: str) -> None:
        self._keeper = keeper
        self._prober = prober
        self._vantage = vantage
        self._seen = 0

    async def run(self) -> None:
        """Beats and listens for ever; cancel it to end."""
        while self._keeper.database.dialect is Dialect.POSTGRESQL:
            await self._keeper.is_open.wait()
            try:
                await finish(self.exchange())
            except (DatabaseUnavailable, SchemaTooNew):
                self._seen = 0  # rows may have been replaced meanwhile
            await asyncio.sleep(BEAT_S)
        await asyncio.Event().wait()

    async def exchange(self) -> None:
        """One heartbeat, and what the others said since the last. Raises DatabaseUnavailable."""
        async with self._keeper.database.write() as session:
            await health.beat(session, self._vantage)
        async with self._keeper.database.read() as session:
            heard = await healthtable.hear(session, self._vantage, self._seen)
        self._seen = heard.position
        for vantage, age_s in heard.heartbeats.items():
            self._prober.hear_heartbeat(vantage, age_s)
        for vantage, votes in heard.votes.items():
            self._prober.hear_votes(vantage, votes)
