"""The other vantages: our heartbeat goes to the store once a second, theirs and their votes come from it, and so do reports of PUSH checks,
which any node may be given.

On SQLite there is one node, and so nobody to tell: no heartbeat is written, because each would cost a sync of the disk.
"""

from __future__ import annotations

import asyncio
import time

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
        self._reports: dict[str, tuple[bool, str, float]] = {}  # by endpoint id: up, cause, monotonic time
        self._early: dict[str, tuple[bool, str, float]] = {}  # the same of others, until the prober knows what there is

    def report(self, endpoint_id: str, *, is_up: bool, cause: str) -> None:
        """A PUSH check reported to this node: the others hear of it with the next exchange."""
        if self._keeper.database.dialect is Dialect.POSTGRESQL:
            self._reports[endpoint_id] = is_up, cause, time.monotonic()

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
        reports = dict(self._reports)
        now_s = time.monotonic()
        async with self._keeper.database.write() as session:
            await health.beat(session, self._vantage)
            if reports:
                rows = [health.ReportRow(key, is_up, cause, now_s - at_s) for key, (is_up, cause, at_s) in reports.items()]
                await health.save_reports(session, rows)
        self._reports = {key: report for key, report in self._reports.items() if reports.get(key) is not report}
        async with self._keeper.database.read() as session:
            heard_s = time.monotonic()
            heard = await healthtable.hear(session, self._vantage, self._seen)
        self._seen = heard.position
        for vantage, age_s in heard.heartbeats.items():
            self._prober.hear_heartbeat(vantage, age_s)
        for vantage, votes in heard.votes.items():
            self._prober.hear_votes(vantage, votes)
        told = self._early | {
            report.endpoint_id: (report.is_up, report.cause, heard_s - max(0.0, report.age_s)) for report in heard.reports
        }
        # At the start reports come before the records that name their checks, and each is heard only once or twice.
        is_early, self._early = not self._prober.knows_targets, {}
        for endpoint_id, (is_up, cause, at_s) in told.items():
            is_known = self._prober.report(endpoint_id, is_up=is_up, cause=cause, age_s=time.monotonic() - at_s)
            if is_early and not is_known:
                self._early[endpoint_id] = is_up, cause, at_s
