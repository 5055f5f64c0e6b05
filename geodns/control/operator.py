"""The operator's desk: overrides and the freeze, read from the store, written to it, and in force here at once, database or not.

While the database is away an override goes to the spool and counts on this node from that moment; on the return the later of two words
for one target wins (health.md section 6). What an override does to a value is `overlay.py`'s business.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog

from geodns.control import healthtable
from geodns.control.health import HealthFlow
from geodns.control.healthtable import Override
from geodns.control.keeper import DatabaseKeeper
from geodns.control.loops import finish
from geodns.control.overlay import OverrideKind, Word
from geodns.control.recorder import HealthRecorder
from geodns.errors import DatabaseUnavailable, SchemaTooNew
from geodns.prober import Prober
from geodns.publish.frames import Operator
from geodns.settings import Alone
from geodns.store.audit import Actor

log = structlog.get_logger(__name__)

# Overrides take no revision, so other nodes see them by looking.
POLL_S = 1.0


class OperatorDesk:
    """`run` in a task."""

    def __init__(self, keeper: DatabaseKeeper, recorder: HealthRecorder, flow: HealthFlow, prober: Prober, alone: Alone) -> None:
        self.frozen: str | None = None
        self._keeper = keeper
        self._recorder = recorder
        self._flow = flow
        self._prober = prober
        self._alone = alone
        self._stored: dict[tuple[OverrideKind, str], Override] = {}
        self._pending: dict[tuple[OverrideKind, str], Override] = {}  # kept, but not seen in the store yet
        self._proposed: list[Override] = []  # about to be kept: in force already, for a database that hangs takes seconds to refuse
        self._freeze: str | None = None
        self._raised: set[tuple[OverrideKind, str]] = set()

    def in_force(self, now: datetime) -> list[Override]:
        """Every override that counts now."""
        return [override for override in self._merged().values() if override.is_in_force(now)]

    async def restore(self) -> None:
        """Takes up what a predecessor could only write to the spool."""
        for document in await asyncio.to_thread(self._recorder.spooled_overrides):
            self._remember(Override.from_json(document))
        self._lay()

    async def run(self) -> None:
        """Looks once a second for ever; cancel it to end."""
        while True:
            await finish(self.look())
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Reads what the store says now."""
        try:
            if not self._keeper.is_open.is_set():
                raise DatabaseUnavailable("the database is not open")
            async with self._keeper.database.read() as session:
                # Another history's words do not count here; those known before stay in force.
                if await self._keeper.is_same_history(session):
                    self._stored = {(override.kind, override.target): override for override in await healthtable.load_overrides(session)}
                    self._freeze = await healthtable.load_freeze(session)
            self._pending = {
                key: override
                for key, override in self._pending.items()
                if key not in self._stored or self._stored[key].set_at < override.set_at
            }
            self._set_frozen(self._freeze)
        except (DatabaseUnavailable, SchemaTooNew):
            alone = "the database is away, and health.alone is freeze" if self._alone is Alone.FREEZE else None
            self._set_frozen(self._freeze or alone)
        self._lay()

    def override_of(self, value_id: int) -> Override | None:
        """The override that counts for a value."""
        target = self._flow.overlay.target_in_force(value_id, datetime.now(UTC))
        return None if target is None else self._merged().get(target)

    async def set_override(self, override: Override, actor: Actor) -> bool:
        """Puts, or with `state` None takes back, an override; whether the database has it (else the spool does). In force at once, and no
        longer when this raises.

        Raises DatabaseUnavailable when neither could take it, and ForeignHistory when the database is not of the history that is served.
        """
        if self._keeper.is_refused:
            await self._keeper.require()
        self._proposed.append(override)
        try:
            self._lay()
            is_stored = await self._keep(override, actor)
            self._remember(override)
        finally:
            self._proposed.remove(override)
            self._lay()
        return is_stored

    async def _keep(self, override: Override, actor: Actor) -> bool:
        """Writes it to the database or, while that is away, to the spool; whether the database took it."""
        try:
            await self._keeper.require()
            async with self._keeper.database.write() as session:
                await self._keeper.check_history(session)
                await healthtable.put_override(session, override, actor, self._recorder.vantage)
        except DatabaseUnavailable as error:
            if not await self._recorder.spool_override(override.to_json()):
                raise DatabaseUnavailable(f"{error}, and the spool could not take the override") from error
            return False
        return True

    async def set_freeze(self, is_on: bool, reason: str, actor: Actor) -> None:
        """Stops all changes by health on every node, or lets them go on. Raises DatabaseUnavailable, ForeignHistory."""
        await self._keeper.require()
        async with self._keeper.database.write() as session:
            await self._keeper.check_history(session)
            await healthtable.put_freeze(session, is_on, reason, actor, self._recorder.vantage)
        self._freeze = reason if is_on else None
        self._set_frozen(self._freeze)

    def _remember(self, override: Override) -> None:
        """Until a look finds it, or something later, in the store: one that began before it was written does not lift it."""
        _put_later(self._pending, override)

    def _merged(self) -> dict[tuple[OverrideKind, str], Override]:
        """The store's, the spool's and what is about to be kept; of two the later."""
        merged = dict(self._stored)
        for override in (*self._pending.values(), *self._proposed):
            _put_later(merged, override)
        return merged

    def _lay(self) -> None:
        now = datetime.now(UTC)
        words = {
            key: Word(override.state, override.expires_at)
            for key, override in self._merged().items()
            if override.state is not None and override.is_in_force(now)
        }
        self._flow.put_words(words)
        raised = {key for key, word in words.items() if word.operator is Operator.UP}
        for key in raised - self._raised:
            # "up" is also the word that a check with `manual_return` waits for.
            for value_id in self._flow.overlay.named_by(*key):
                self._prober.release(value_id)
        self._raised = raised

    def _set_frozen(self, reason: str | None) -> None:
        if reason != self.frozen:
            log.warning("health is frozen" if reason else "health is no longer frozen", reason=reason or self.frozen)
        self.frozen = reason
        self._prober.set_frozen(reason)


def _put_later(known: dict[tuple[OverrideKind, str], Override], override: Override) -> None:
    """Puts it in unless something later, or said at the same moment, is there: the store judges alike."""
    key = override.kind, override.target
    if key not in known or known[key].set_at < override.set_at:
        known[key] = override
