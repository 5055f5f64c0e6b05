"""The database's keeper: opens it when it is there, makes it when that is allowed, and says in a sentence what is wrong with it.

    what is found                    under a served state             without one
    no SQLite file                   DNS from disk, wait for it       made
    an empty SQLite file             a foreign history: 409           made
    an empty PostgreSQL database     made; then a foreign history     made
    somebody else's tables           a foreign history: 409           not ready, no writes
    an older schema                  migrated (`database.migrate`)    the same
    a newer schema                   DNS from disk, no writes         not ready, no writes
    away                             DNS from disk, wait for it       not ready, wait for it

It looks once a second for ever: whatever is mended is taken up without a restart.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from geodns.control.loops import finish
from geodns.errors import DatabaseUnavailable, ForeignHistory, GeodnsError, SchemaTooNew, StartupError
from geodns.store import migrate
from geodns.store.database import Database, Session
from geodns.store.migrate import SchemaState

log = structlog.get_logger(__name__)

LOOK_S = 1.0
# While it is away: "the first write after its return succeeds", so its return must be seen soon.
AWAY_LOOK_S = 0.5

Stamp = tuple[tuple[str, int, int, int], ...]


class DatabaseKeeper:
    """`look` once, then `run` in a task. `is_open` is set while transactions are to be expected to succeed.

    `check_history` raises ForeignHistory when a writing session's database is not the history that is served, and `is_same_history` says
    so to a reading one: whoever writes, or reads what changes answers, asks first. The publisher brings both.
    """

    def __init__(self, database: Database, url: str, *, migrate_allowed: bool, has_state: Callable[[], bool]) -> None:
        self.database = database
        self.is_open = asyncio.Event()
        self.problem: str | None = "the database has not been opened yet"
        self.too_new = False
        self._is_foreign = False
        self.away_since_s: float | None = time.monotonic()
        self.check_history: Callable[[Session], Awaitable[None]] = _any_history
        self.is_same_history: Callable[[Session], Awaitable[bool]] = _is_any_history
        self._url = url
        self._migrate_allowed = migrate_allowed
        self._has_state = has_state
        self._returning: Stamp | None = None
        self._one_look = asyncio.Lock()
        self._looked_at_s = -math.inf

    async def run(self) -> None:
        """Looks for ever; cancel it to end."""
        while True:
            await finish(self.look())
            await asyncio.sleep(LOOK_S if self.is_open.is_set() else AWAY_LOOK_S)

    async def require(self) -> None:
        """For a write: looks again when the database was away, so that the first one after its return succeeds. Raises what is wrong."""
        if self.is_open.is_set():
            return
        async with self._one_look:
            if not self.is_open.is_set() and time.monotonic() - self._looked_at_s > AWAY_LOOK_S:
                await self._look()
        if not self.is_open.is_set():
            raise self._refusal(self.problem or "the database is not open")

    @property
    def is_refused(self) -> bool:
        """Whether a database is there, as far as is known, that must not be written: waiting does not help."""
        return self.too_new or self._is_foreign

    def _refusal(self, sentence: str) -> GeodnsError:
        """What a write gets: only a database that is away is worth another try."""
        if self.too_new:
            return SchemaTooNew(sentence)
        return ForeignHistory(sentence) if self._is_foreign else DatabaseUnavailable(sentence)

    async def look(self) -> bool:
        """Whether the database is open now."""
        async with self._one_look:
            return await self._look()

    async def _look(self) -> bool:
        self._looked_at_s = time.monotonic()
        try:
            if not self.is_open.is_set():
                await self._prepare()
            await self.database.check()
        except (DatabaseUnavailable, ForeignHistory, SchemaTooNew, StartupError) as error:
            self._note_away(error)
            return False
        if not self.is_open.is_set():
            log.info("the database is open", database=str(self.database.location))
        self.problem, self.too_new, self._is_foreign, self.away_since_s = None, False, False, None
        self.is_open.set()
        return True

    def _note_away(self, error: GeodnsError) -> None:
        sentence = f"{error}" + (f" ({error.hint})" if error.hint else "")
        if self.problem != sentence:
            log.error("the database cannot be used: DNS goes on, writes are refused", reason=str(error), hint=error.hint)
        if self.away_since_s is None:
            self.away_since_s = time.monotonic()
        self.problem = sentence
        self.too_new = isinstance(error, SchemaTooNew)
        # A StartupError here is a database with somebody else's tables in it.
        self._is_foreign = isinstance(error, ForeignHistory) or (isinstance(error, StartupError) and self._has_state())
        self.is_open.clear()

    async def _prepare(self) -> None:
        """Makes or migrates the schema where the table above allows it. Raises what the database raises."""
        path = self.database.location.path
        if path is not None and self._has_state():
            self._await_whole(path)
        state = await migrate.schema_state(self._url)
        if state is SchemaState.CURRENT:
            return
        if path is not None and state is SchemaState.ABSENT and self._has_state():
            raise self._missing(path)
        if path is not None and state is SchemaState.EMPTY and self._has_state():
            raise ForeignHistory(
                f"the database {path} is empty under a state that is being served: nothing is published",
                hint="bring the right file back; or, to begin anew, `geodns db upgrade` and `geodns db adopt`",
            )
        upgraded = await migrate.upgrade(self._url, migrate=self._migrate_allowed)
        log.info("the schema was made or migrated", found=upgraded.found.value, version=upgraded.version, backup=str(upgraded.backup or ""))

    def _await_whole(self, path: Path) -> None:
        """A file that is back must have stood still for one look: it and its WAL are moved one after the other, and opened in between they
        would be torn apart."""
        if not path.exists():
            self._returning = ()
            raise self._missing(path)
        if self._returning is not None and self._returning != (stamp := _stamp(path)):
            self._returning = stamp
            raise self._missing(path)
        self._returning = None

    def _missing(self, path: Path) -> DatabaseUnavailable:
        return DatabaseUnavailable(
            f"the database {path} is missing under a state that is being served, and no new one is made in its place",
            hint="bring the file back; it is taken up without a restart",
        )


async def _any_history(session: Session) -> None:
    """Before the publisher is there, nothing is served that a database could contradict."""


async def _is_any_history(session: Session) -> bool:
    """As `_any_history`."""
    return True


def _stamp(path: Path) -> Stamp:
    """The file with its WAL: which, how large, how old."""
    found = []
    for file in sorted(path.parent.glob(f"{path.name}*")):
        try:
            status = os.stat(file)
        except OSError:
            continue
        found.append((file.name, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
