"""The keeper of the health table: transitions at once and in order, routine results in batches, all of it in the spool while the
database is away (health.md section 6).

It implements the prober's `Recorder`: its methods queue and return. What goes first, the vector or the table, is not decided here: the
vector has gone out before these are called.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from geodns.control import healthtable
from geodns.control.healthtable import TransitionRow
from geodns.control.keeper import DatabaseKeeper
from geodns.control.loops import finish
from geodns.control.spool import Spool
from geodns.errors import DatabaseUnavailable, ForeignHistory, SchemaTooNew
from geodns.prober import CheckState, Transition
from geodns.store.database import Session

log = structlog.get_logger(__name__)

# Routine results wait this long for company; transitions and votes do not wait.
BATCH_S = 1.0
# Replayed in one transaction: large enough to be quick, small enough not to hold the write lock for long.
REPLAY_ROWS = 1000

TRANSITION = "transition"
OVERRIDE = "override"


class HealthRecorder:
    """`run` in a task. Overrides that are set while the database is away go through the same spool (`spool_override`).

    `describe_effects` says what a transition changed on the wire; the node brings it.
    """

    def __init__(self, keeper: DatabaseKeeper, spool: Spool, vantage: str) -> None:
        self.transitions: Counter[str] = Counter()
        self.problem: str | None = None
        self.describe_effects: Callable[[Transition], Sequence[Mapping[str, Any]]] = _no_effects
        self._keeper = keeper
        self._spool = spool
        self.vantage = vantage
        self._rows: list[TransitionRow] = []
        self._states: dict[str, CheckState] = {}
        self._urgent = asyncio.Event()
        self._spooling = asyncio.Lock()

    @property
    def spooled(self) -> int:
        """Records that wait in the spool."""
        return self._spool.count

    # ---- the prober's side ----

    def turned(self, transitions: Sequence[Transition]) -> None:
        """Verdicts changed."""
        for transition in transitions:
            self.transitions[transition.verdict.value] += 1
            self._rows.append(TransitionRow.of(transition, self.vantage, self.describe_effects(transition)))
            self._states[transition.endpoint_id] = transition.state
        self._urgent.set()

    def voted(self, states: Sequence[CheckState]) -> None:
        """Own votes changed: other vantages wait for them."""
        self.observed(states)
        self._urgent.set()

    def observed(self, states: Sequence[CheckState]) -> None:
        """Routine results."""
        self._states.update((state.endpoint_id, state) for state in states)

    # ---- the table's side ----

    async def run(self) -> None:
        """Writes for ever; cancel it to end (and call `flush` once more). While the database is away this is also how often it is tried; a
        transition goes to the spool at once then, too."""
        while True:
            try:
                async with asyncio.timeout(BATCH_S):
                    await self._urgent.wait()
            except TimeoutError:
                pass
            self._urgent.clear()
            await finish(self.flush())

    async def flush(self) -> bool:
        """Writes what waits, to the database or, while that is away, to the spool; whether the database took it. What a defect kept from
        being written goes to the spool as well, before it is raised."""
        rows, self._rows = self._rows, []
        states, self._states = self._states, {}
        try:
            if not self._keeper.is_open.is_set():
                raise DatabaseUnavailable(self._keeper.problem or "the database is not open")
            await self._replay()
            if rows or states:
                async with self._keeper.database.write() as session:
                    await self._keeper.check_history(session)
                    await healthtable.save(session, self.vantage, rows, list(states.values()))
        except (DatabaseUnavailable, ForeignHistory, SchemaTooNew):
            await self._keep(rows, states)
            return False
        except Exception:
            await self._keep(rows, states)
            raise
        self.problem = None
        return True

    async def _keep(self, rows: list[TransitionRow], states: Mapping[str, CheckState]) -> None:
        """Transitions go to the spool; of routine results the newest are enough, and they stay in memory."""
        self._states = {**states, **self._states}
        if rows and not await self._append([{"kind": TRANSITION, **row.to_json()} for row in rows]):
            self._rows = rows + self._rows if len(self._rows) + len(rows) <= self._spool.limit else self._rows

    async def spool_override(self, document: Mapping[str, Any]) -> bool:
        """Keeps an override until the database is back; False when the spool is full or cannot be written."""
        return await self._append([{"kind": OVERRIDE, **document}])

    async def _append(self, records: Sequence[Mapping[str, Any]]) -> bool:
        async with self._spooling:
            try:
                kept = await asyncio.to_thread(self._spool.append, records)
            except OSError as error:
                self._name_problem(f"the spool {self._spool.path} cannot be written: {error.strerror}")
                return False
        if not kept:
            self._name_problem(f"the spool {self._spool.path} is full: transitions are lost from the history until the database is back")
        return kept

    def _name_problem(self, sentence: str) -> None:
        if self.problem != sentence:
            log.error("health cannot be kept while the database is away", reason=sentence)
        self.problem = sentence

    # ---- replay ----

    async def _replay(self) -> None:
        """Writes the spool to the database, oldest first, and empties it; twice is as good as once. Raises DatabaseUnavailable."""
        if self._spool.count == 0:
            return
        async with self._spooling:
            records = await asyncio.to_thread(lambda: list(self._spool.records()))
            for start in range(0, len(records), REPLAY_ROWS):
                async with self._keeper.database.write() as session:
                    await self._keeper.check_history(session)
                    await self._replay_batch(session, records[start : start + REPLAY_ROWS])
            await asyncio.to_thread(self._spool.clear)
        log.info("the spool was written to the database", records=len(records))

    async def _replay_batch(self, session: Session, records: Sequence[Mapping[str, Any]]) -> None:
        rows = [TransitionRow.from_json(record) for record in records if record.get("kind") == TRANSITION]
        newest = {row.state.endpoint_id: row.state for row in rows}
        await healthtable.save(session, self.vantage, rows, list(newest.values()))
        for record in records:
            if record.get("kind") == OVERRIDE:
                await healthtable.merge_override(session, record, self.vantage)

    def spooled_states(self) -> dict[str, CheckState]:
        """The newest state of each check in the spool: newer than the table's, for a start while it waits. Blocking."""
        found: dict[str, CheckState] = {}
        for record in self._spool.records():
            if record.get("kind") == TRANSITION:
                row = TransitionRow.from_json(record)
                found[row.state.endpoint_id] = row.state
        return found

    def spooled_overrides(self) -> list[dict[str, Any]]:
        """Overrides that wait in the spool, oldest first. Blocking."""
        return [record for record in self._spool.records() if record.get("kind") == OVERRIDE]


def _no_effects(transition: Transition) -> Sequence[Mapping[str, Any]]:
    """Where nobody knows of records."""
    return ()
