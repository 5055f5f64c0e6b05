"""Following the store: whatever revision it holds, the dataplane is brought there, in one step for any number of revisions.

It pulls. Nothing is queued: while a transfer is under way further revisions wait in the store, and the next step takes them all. What to do
is decided in the snapshot that is sent (link.md section 1):

    the dataplane serves                          step
    nothing                                       FULL
    the store's head                              none
    another state of the store's history          DELTA (FULL once a delta was refused, or is too large)
    a state of a lineage that the store replaces  FULL, naming the ancestors
    anything else                                 nothing: a foreign history
"""

from __future__ import annotations

import asyncio
import enum
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

import structlog

from geodns.control.loops import finish
from geodns.control.source import delta_batch, full_batches
from geodns.errors import DatabaseUnavailable, DataplaneUnavailable, ForeignHistory, SchemaTooNew
from geodns.publish.client import LinkClient
from geodns.publish.frames import Ack, Refuse, Triple
from geodns.publish.items import ItemBatch
from geodns.store import history
from geodns.store.database import Database, Session

log = structlog.get_logger(__name__)

# NOTIFY is only a hint (link.md section 1).
POLL_S = 1.0
# After a step that failed: soon enough for a dataplane that comes back, rare enough not to fill a log.
RETRY_S = 1.0
# A dataplane that refuses a FULL will refuse the same again.
REFUSED_RETRY_S = 10.0


class Step(enum.Enum):
    """What brings the dataplane to the store's head."""

    NONE = "none"
    DELTA = "delta"
    FULL = "full"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Foreign:
    """Two histories: what the store holds and what the dataplane serves."""

    stored: Triple
    served: Triple

    def __str__(self) -> str:
        return (
            f"the database holds another history ({self.stored}) than the dataplane serves ({self.served}): nothing is published until the "
            "right database is back, or `geodns db adopt --reason …` makes this one the truth"
        )


@dataclass(slots=True)
class _Waiter:
    revision: int
    future: asyncio.Future[None]


async def choose_step(session: Session, head: Triple, served: Triple | None) -> tuple[Step, tuple[uuid.UUID, ...]]:
    """The table above, and the ancestors that a FULL names."""
    if served is None:
        return Step.FULL, ()
    if served == head:
        return Step.NONE, ()
    if served.lineage == head.lineage:
        return (Step.DELTA if await history.holds(session, to_store(served)) else Step.FOREIGN), ()
    ancestors = await history.ancestors(session)
    return (Step.FULL, ancestors) if served.lineage in ancestors else (Step.FOREIGN, ())


class Publisher:
    """`run` in a task; `wake` after a write or a new link. `gate` holds back the FULL to an empty dataplane until zones were seeded.

    `has_served` is set once the dataplane serves a state.
    """

    def __init__(self, database: Database, link: Callable[[], LinkClient | None]) -> None:
        self.head: Triple | None = None
        self.foreign: Foreign | None = None
        self.problem: str | None = None
        self.gate = asyncio.Event()
        self.has_served = asyncio.Event()
        self.head_changed: Callable[[Triple], None] = lambda head: None
        self.lineage_changed: Callable[[], None] = lambda: None
        self.behind_since_s: float | None = None
        self._database = database
        self._link = link
        self._wake = asyncio.Event()
        self._needs_full = False
        self._served: Triple | None = None
        self._waiters: list[_Waiter] = []

    def wake(self) -> None:
        """Look at the store now."""
        self._wake.set()

    def attached(self, link: LinkClient) -> None:
        """A new link: what the dataplane serves is known from its HELLO."""
        link.adopted = self._note_adopted
        self._served = link.served
        if link.served is not None:
            self._note_adopted(link.served)
        self._needs_full = False
        self.wake()

    @property
    def served(self) -> Triple | None:
        """What the dataplane serves, or served when it was last heard."""
        return self._served

    @property
    def lag_s(self) -> float:
        """For how long the dataplane has been behind the store's head, as far as this node has seen."""
        return 0.0 if self.behind_since_s is None else time.monotonic() - self.behind_since_s

    async def run(self) -> None:
        """Follows for ever; cancel it to end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            while True:
                pause_s = await self._catch_up()
                try:
                    async with asyncio.timeout(pause_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()

    async def _listen(self) -> None:
        """The database's change hint."""
        while True:
            try:
                await self._database.wait_for_change(POLL_S)
            except DatabaseUnavailable:
                await asyncio.sleep(RETRY_S)
            self.wake()

    async def _catch_up(self) -> float:
        """Steps until nothing is left to do; the seconds until the next look."""
        try:
            while await finish(self.step()):
                pass
        except (DatabaseUnavailable, SchemaTooNew):
            return RETRY_S  # whoever keeps the database says so
        except DataplaneUnavailable as error:
            log.warning("publishing was interrupted", reason=str(error))
            return RETRY_S
        return REFUSED_RETRY_S if self.problem else POLL_S

    async def step(self) -> bool:
        """One transfer, if one is due; whether another look is due at once."""
        link = self._link()
        async with AsyncExitStack() as snapshot:
            session = await snapshot.enter_async_context(self._database.read())
            head = from_store(await history.head(session))
            self._note_head(head, None if link is None else link.served)
            if link is None or link.closed:
                return False
            served = link.served
            kind, ancestors = await choose_step(session, head, served)
            self._note_foreign(kind, head, served)
            if kind in (Step.NONE, Step.FOREIGN) or (served is None and not self.gate.is_set()):
                return False
            batch = None
            if kind is Step.DELTA and served is not None and not self._needs_full:
                batch = await delta_batch(session, served.revision)
            if batch is None or served is None:
                async with aclosing(_until_read(session, snapshot)) as batches:
                    return self._judge(await link.full(head, ancestors, batches), was_full=True)
        return self._judge(await link.delta(served, head, batch), was_full=False)

    async def check_history(self, session: Session) -> None:
        """Raises ForeignHistory when the session's database is not the history that the dataplane serves. For every write."""
        served = self.served
        head = from_store(await history.head(session))
        kind, _ = await choose_step(session, head, served)
        self._note_foreign(kind, head, served)
        if self.foreign is not None:
            raise ForeignHistory(str(self.foreign), hint="docs/operations.md, section 6")

    async def is_same_history(self, session: Session) -> bool:
        """Whether a reading session's database is the history that the dataplane serves, without saying anything of it.

        A snapshot may be older than what was adopted since it was taken, and then looks foreign: a reader skips that look and loses
        nothing. Only `check_history` draws conclusions.
        """
        kind, _ = await choose_step(session, from_store(await history.head(session)), self.served)
        return kind is not Step.FOREIGN

    async def wait_adopted(self, revision: int, timeout_s: float) -> bool:
        """Whether the dataplane serves `revision` or a later one within the time."""
        self.wake()
        if self._is_adopted(revision):
            return True
        waiter = _Waiter(revision, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter.future
        except TimeoutError:
            return False
        finally:
            self._waiters.remove(waiter)
        return True

    def _is_adopted(self, revision: int) -> bool:
        served, head = self.served, self.head
        return served is not None and head is not None and served.lineage == head.lineage and served.revision >= revision

    def _note_adopted(self, served: Triple) -> None:
        before, self._served = self._served, served
        self.has_served.set()
        if before is None or before.lineage != served.lineage:
            self.lineage_changed()
        if self.head is not None and served.lineage != self.head.lineage:
            return
        if self.head is not None and served.revision >= self.head.revision:
            self.behind_since_s = None
        for waiter in self._waiters:
            if waiter.revision <= served.revision and not waiter.future.done():
                waiter.future.set_result(None)

    def _note_head(self, head: Triple, served: Triple | None) -> None:
        if served == head:
            self.behind_since_s = None
        elif self.behind_since_s is None:
            self.behind_since_s = time.monotonic()
        if head != self.head:
            self.head = head
            self.head_changed(head)

    def _note_foreign(self, kind: Step, head: Triple, served: Triple | None) -> None:
        if kind is not Step.FOREIGN or served is None:
            if self.foreign is not None:
                log.info("the database's history is the dataplane's again", stored=str(head), served=str(served))
            self.foreign = None
        elif self.foreign != Foreign(head, served):
            self.foreign = Foreign(head, served)
            log.error("two histories: nothing is published", stored=str(head), served=str(served))

    def _judge(self, answer: Ack | Refuse, *, was_full: bool) -> bool:
        match answer:
            case Ack():
                self._needs_full = False
                self.problem = None
                return False  # whatever was committed meanwhile has woken us
            case Refuse(revision, code, reason) if was_full:
                self.problem = f"the dataplane refuses revision {revision}: {reason} ({code.name.lower()})"
                log.error("the dataplane refuses the whole state", revision=revision, code=code.name.lower(), reason=reason)
                return False
            case Refuse():
                self._needs_full = True
                return True


async def _until_read(session: Session, snapshot: AsyncExitStack) -> AsyncGenerator[ItemBatch]:
    """The whole state. The snapshot is given back as soon as it has been read: a dataplane that takes its time must not hold it."""
    async with aclosing(full_batches(session)) as batches:
        async for batch in batches:
            yield batch
    await snapshot.aclose()


def from_store(triple: history.Triple) -> Triple:
    """The store's triple as the link's."""
    return Triple(triple.lineage, triple.revision, triple.tag)


def to_store(triple: Triple) -> history.Triple:
    """The link's triple as the store's."""
    return history.Triple(triple.lineage, triple.revision, triple.tag)
