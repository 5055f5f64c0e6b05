"""The one way in for changes on this node: judged, committed, published, and acknowledged when the dataplane serves it (or after 2 s).

Before anything is written the store's history is compared with what the dataplane serves, in the same transaction: a database that was
exchanged a moment ago takes no write (link.md section 1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from geodns.control.keeper import DatabaseKeeper
from geodns.control.publisher import Publisher
from geodns.errors import Problem
from geodns.store import changes, whole_zone
from geodns.store.audit import Actor
from geodns.store.database import Session
from geodns.store.requests import ChangeRecords, ChangeRequest, Committed, CreateZone, Operation, ReplaceZone, Step, WritePolicy

# Contract section 6: a write waits at most this long for the dataplane to adopt it.
ADOPTION_S = 2.0


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of a write: what was committed, and whether this node serves it."""

    committed: Committed
    applied: bool

    @property
    def revision(self) -> int:
        return self.committed.revision

    @property
    def serial(self) -> int | None:
        return self.committed.serial

    @property
    def changed(self) -> bool:
        return self.committed.changed

    @property
    def created(self) -> bool:
        return self.committed.created

    @property
    def steps(self) -> Sequence[Step]:
        return self.committed.steps

    @property
    def counts(self) -> Sequence[tuple[Operation, int]]:
        return self.committed.counts

    @property
    def problems(self) -> Sequence[Problem]:
        return self.committed.problems


class Writer:
    """Used by REST, by seeding and by mirroring alike."""

    def __init__(self, keeper: DatabaseKeeper, publisher: Publisher, policy: WritePolicy) -> None:
        self._keeper = keeper
        self._publisher = publisher
        self._policy = policy

    async def write(self, request: ChangeRequest, actor: Actor) -> WriteResult:
        """Commit, publish every revision up to this one, and wait at most two seconds until the dataplane has adopted it."""
        committed = await self.commit(request, actor)
        return WriteResult(committed, await self._publisher.wait_adopted(committed.revision, ADOPTION_S))

    async def commit(self, request: ChangeRequest, actor: Actor) -> Committed:
        """The same without the waiting. Raises what the store raises, ForeignHistory, and SchemaTooNew."""
        await self._keeper.require()
        if isinstance(request, CreateZone | ReplaceZone):
            # Judged before the transaction begins, so that a large zone delays no other writer.
            judged = await whole_zone.judge(request.contents, self._policy)
            async with self._transaction(request) as session:
                return await whole_zone.commit_whole_zone(session, request, judged, actor)
        async with self._transaction(request) as session:
            return await changes.commit_changeset(session, request, actor, self._policy)

    @asynccontextmanager
    async def _transaction(self, request: ChangeRequest) -> AsyncIterator[Session]:
        """On the history that is served. A dry run only reads: comparing a zone of a million names must hold up nobody's write."""
        database = self._keeper.database
        only_reads = isinstance(request, ChangeRecords | CreateZone | ReplaceZone) and request.dry_run
        async with database.read() if only_reads else database.write() as session:
            await self._publisher.check_history(session)
            yield session
