"""Which values there are: the steered rrsets of the store, read once and then kept up with its revisions, for the prober and the overlay.

Static rrsets never become objects here. A change that touches no steered rrset costs one query.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress

import structlog

from geodns.control.effects import Chain
from geodns.control.health import HealthFlow
from geodns.control.keeper import DatabaseKeeper
from geodns.control.loops import finish
from geodns.control.publisher import Step, choose_step, from_store
from geodns.control.targets import Key, Watched, WatchList, watch
from geodns.errors import DatabaseUnavailable, SchemaTooNew
from geodns.model import names
from geodns.prober import CheckState, Prober
from geodns.prober.target import HealthEntry
from geodns.publish.frames import Triple
from geodns.store import history, records
from geodns.store.database import Session
from geodns.store.pacing import Pacer
from geodns.store.records import StoredSteered

log = structlog.get_logger(__name__)

# Beyond this many changed owner names all steered rrsets are read anew.
MAX_OWNERS = 5_000
RETRY_S = 1.0
# Heads are told; this is for a foreign history that becomes ours again without a new head.
LOOK_S = 5.0

Before = Callable[[Session], Awaitable[tuple[list[CheckState], Mapping[int, HealthEntry]]]]
"""The states of this vantage's checks and what the dataplane serves, from before this process."""


class Follower:
    """`run` in a task; `head_changed` wakes it."""

    def __init__(
        self, keeper: DatabaseKeeper, prober: Prober, flow: HealthFlow, *, before: Before, served: Callable[[], Triple | None]
    ) -> None:
        self._keeper = keeper
        self._served = served
        self._prober = prober
        self._flow = flow
        self._before = before
        self._watched = WatchList()
        self._read: Triple | None = None
        self._wake = asyncio.Event()
        self.needs_location = False

    def head_changed(self, head: Triple) -> None:
        """The store has another head."""
        self._wake.set()

    def chain(self, key: Key) -> Chain | None:
        """The pools of a record that is watched."""
        return self._watched.chain(key)

    async def run(self) -> None:
        """Follows for ever; cancel it to end."""
        while True:
            await self._keeper.is_open.wait()
            self._wake.clear()
            try:
                await finish(self.catch_up())
            except (DatabaseUnavailable, SchemaTooNew):
                await asyncio.sleep(RETRY_S)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()

    async def catch_up(self) -> None:
        """Reads what changed since the last time, or everything at the first."""
        async with self._keeper.database.read() as session:
            head = from_store(await history.head(session))
            if head == self._read:
                return
            step, _ = await choose_step(session, head, self._served())
            if step is Step.FOREIGN:
                return  # its value ids are not those of what is served: what was known before stays in force
            if self._read is None:
                await self._load(session, head, first=True)
            elif not await self._keep_up(session, self._read, head):
                await self._load(session, head, first=False)
            self._read = head

    async def _load(self, session: Session, head: Triple, *, first: bool) -> None:
        async with aclosing(records.steered_rrsets(session)) as found:
            watched = await _watch_all(found)
        self._watched.replace(watched)
        states: list[CheckState] = []
        served: Mapping[int, HealthEntry] = {}
        if first:
            states, served = await self._before(session)
        # The prober first: the flow then takes its word for every value.
        self._prober.replace_targets(self._watched.targets(), stored=states, served=served)
        self._flow.put_places(head.lineage, self._watched.places())
        self.needs_location = self._watched.needs_location()
        if first:
            _settle_memory()
        log.info("the steered records are watched", records=len(watched))

    async def _keep_up(self, session: Session, since: Triple, head: Triple) -> bool:
        """Whether what changed could be read alone."""
        if since.lineage != head.lineage:
            return False
        if not await history.may_change_steering(session, since.revision):
            return True
        changed = await history.changed_owners_since(session, since.revision, limit=MAX_OWNERS)
        if changed is None:
            return False
        found: dict[Key, Watched | None] = {}
        for apex in changed.dropped_zones:
            found.update(dict.fromkeys(self._watched.in_zone(names.zone_text(apex))))
        pacer = Pacer()
        for apex, owner in changed.owners:
            found.update(dict.fromkeys(self._watched.below(names.zone_text(apex), names.zone_text(owner))))
            await pacer.breathe()
        steered = await records.steered_at(session, changed.owners)
        for apex in changed.put_zones:
            async with aclosing(records.steered_in(session, apex)) as in_zone:
                async for stored in in_zone:
                    steered.append(stored)
                    if len(steered) > MAX_OWNERS:
                        return False
        for stored in steered:
            watched = watch(stored)
            found[watched.key] = watched
            await pacer.breathe()
        change = self._watched.change(found)
        if change.gone or change.places:
            self._prober.change_targets(change.targets, change.unchecked)
            self._flow.change_places(change.gone, change.places)
            self.needs_location = self._watched.needs_location()
        return True


async def _watch_all(found: AsyncIterator[StoredSteered]) -> list[Watched]:
    watched = []
    pacer = Pacer()
    async for stored in found:
        watched.append(watch(stored))
        await pacer.breathe()
    return watched


def _settle_memory() -> None:
    """Takes what was loaded out of the collector's sight: with 10,000 values each of its full rounds would hold every check's result for a
    quarter of a second. So does this one, and it is for the start alone, when no result waits. What is replaced later is freed by its count
    of references all the same; only a cycle among what the start made would stay."""
    gc.collect()
    gc.freeze()
