"""SQLite for SQLAlchemy's asyncio: a connection has a thread of its own, and a statement is one trip to it.

aiosqlite, which brings the thread, goes there four times for a statement (open a cursor, execute, fetch, close) and once more to begin a
transaction. A trip wakes two threads and costs several times what SQLite needs to find a row, so here a statement begins the transaction
that it is the first of, runs, and hands its first rows back at once.

The connections' settings are here too. Which transactions there are, and who waits for whom, is `database.py`'s.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from geodns.store.location import Location

BEGIN_OPTION: Final = "geodns_begin"
"""The execution option that says how transactions begin, `BEGIN IMMEDIATE` without it."""

_FILE: Final = "geodns_file"

# An error on the way in ends the thread; longer than this only a disk that hangs takes.
_THREAD_END_S: Final = 0.9

# Rows that come back with the statement itself. All of a short query; the rest of a long one is fetched as its reader asks for it.
_FIRST_ROWS: Final = 256

# Rows that aiosqlite takes at a time where it iterates itself, which nobody here lets it do.
_CHUNK: Final = 64

Rows = list[tuple[Any, ...]]
Parameters = Sequence[Any]


def make_sqlite_engine(location: Location, path: Path, *, pool_size: int, pool_timeout_s: float, lock_s: float) -> AsyncEngine:
    """An engine for the file at `path`; `lock_s` is how long SQLite itself waits for a lock that another process holds."""

    async def connect() -> aiosqlite.Connection:
        return await _connect(path, lock_s)

    engine = create_async_engine(
        location.engine_url(),
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_s,
    )

    def remember_file(_connection: Any, record: Any) -> None:
        record.info[_FILE] = _identity(path)

    def notice_moved_file(_connection: Any, record: Any, _proxy: Any) -> None:
        """A pooled connection to a file that was moved away would go on writing to it."""
        if record.info.get(_FILE) != _identity(path):
            raise sa.exc.DisconnectionError("the file is not the one that was opened")

    sa.event.listen(engine.sync_engine, "connect", remember_file)
    sa.event.listen(engine.sync_engine, "checkout", notice_moved_file)
    sa.event.listen(engine.sync_engine, "connect", _set_up)
    sa.event.listen(engine.sync_engine, "begin", _begin)
    return engine


def use_wal(connection: Any, _record: Any) -> None:
    """For every new connection: readers and the writer do not wait for each other. `migrate.upgrade` makes files so; this is for one that
    was restored from a dump.

    Only a file of ours is changed: the switch takes a lock for which SQLite lets nobody wait, and an empty or a foreign file is for the
    eyes of whoever judges it.
    """
    cursor = connection.cursor()
    cursor.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('alembic_version', 'lineages', 'rrsets')")
    if cursor.fetchone() == (3,):
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file the path leads to; None when there is none that we may see."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


class SqliteConnection(aiosqlite.Connection):
    """A connection whose statements are one trip each.

    It also lets go of its lock when it is closed in the middle of a transaction: SQLite keeps a connection with an open statement, and its
    lock, until somebody collects the garbage.
    """

    _begin: str | None = None  # how the transaction begins whose first statement has not come yet
    _has_run = False  # whether a statement was sent since the last end of a transaction, done or not: then that end needs its trip

    def begin(self, sql: str) -> None:
        """The next statement begins a transaction with this one."""
        self._begin = sql

    def cursor(self) -> _Cursor:  # type: ignore[override] # the parent's makes a trip
        return _Cursor(self)

    async def run(self, sql: str, parameters: Parameters, *, many: bool) -> _Ran:
        """Execute a statement, once or for each of many parameters."""
        begin, self._begin = self._begin, None
        self._has_run = True
        try:
            ran: _Ran = await self.call(self._run, begin, sql, parameters, many)
        except sqlite3.Error:
            if not self.in_transaction:
                self._begin = begin  # else a statement behind it would be one without a transaction
            raise
        return ran

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns on the connection's thread."""
        return await self._execute(function, *arguments)  # type: ignore[no-untyped-call] # aiosqlite has no types there

    async def commit(self) -> None:
        await self._end(self._conn.commit)

    async def rollback(self) -> None:
        await self._end(self._conn.rollback)

    async def close(self) -> None:
        with suppress(Exception):
            if self.in_transaction:  # an interruption of nothing would keep the WAL from being written back by the closing
                await self.interrupt()
                await self.rollback()
        await super().close()

    async def _end(self, end: Callable[[], None]) -> None:
        self._begin = None
        if self._has_run:
            await self.call(end)
            self._has_run = False

    def _run(self, begin: str | None, sql: str, parameters: Parameters, many: bool) -> _Ran:
        """On the thread."""
        cursor = self._conn.cursor()
        try:
            if begin is not None:
                cursor.execute(begin)
            if many:
                cursor.executemany(sql, parameters)
            else:
                cursor.execute(sql, parameters)
            rows = [] if cursor.description is None else cursor.fetchmany(_FIRST_ROWS)
            ran = _Ran(cursor, cursor.description, rows, is_whole=len(rows) < _FIRST_ROWS)
        except BaseException:
            cursor.close()  # else the traceback keeps the statement, and it the lock
            raise
        if ran.is_whole:
            cursor.close()
        return ran


@dataclass(slots=True)
class _Ran:
    """What came back with a statement; the cursor is closed when the rows are whole."""

    cursor: sqlite3.Cursor
    description: Any
    rows: Rows
    is_whole: bool


class _Cursor:
    """What SQLAlchemy's adapter asks of a cursor. Only what is left of a long result makes a further trip."""

    arraysize = 1

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection
        self._ran: _Ran | None = None

    async def __aenter__(self) -> Self:
        return self

    @property
    def description(self) -> Any:
        return None if self._ran is None else self._ran.description

    @property
    def rowcount(self) -> int:
        return -1 if self._ran is None else self._ran.cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        return None if self._ran is None else self._ran.cursor.lastrowid

    async def execute(self, sql: str, parameters: Parameters = ()) -> None:
        self._ran = await self._connection.run(sql, parameters, many=False)

    async def executemany(self, sql: str, parameters: Parameters) -> None:
        self._ran = await self._connection.run(sql, parameters, many=True)

    async def fetchall(self) -> Rows:
        """All rows that are left."""
        rows = self._take(None)
        if self._ran is not None and not self._ran.is_whole:
            rows += await self._connection.call(self._ran.cursor.fetchall)
            await self.close()
        return rows

    async def fetchmany(self, size: int = 1) -> Rows:
        """The next `size` rows, fewer at the end."""
        rows = self._take(size)
        if len(rows) < size and self._ran is not None and not self._ran.is_whole:
            rows += await self._connection.call(self._ran.cursor.fetchmany, size - len(rows))
        return rows

    async def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None."""
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def close(self) -> None:
        if self._ran is not None and not self._ran.is_whole:
            self._ran.is_whole = True
            await self._connection.call(self._ran.cursor.close)

    def _take(self, size: int | None) -> Rows:
        """Of the rows that came with the statement."""
        if self._ran is None:
            return []
        rows, self._ran.rows = self._ran.rows[:size], [] if size is None else self._ran.rows[size:]
        return rows


async def _connect(path: Path, lock_s: float) -> aiosqlite.Connection:
    """A connection to a file that is there: `mode=rw` never makes an empty one.

    The driver's own transaction control is switched off, because it begins late and not IMMEDIATE.
    """
    uri = f"file:{quote(str(path))}?mode=rw"
    connection = SqliteConnection(lambda: sqlite3.connect(uri, uri=True, timeout=lock_s, isolation_level=None), _CHUNK)
    thread = connection._thread
    thread.daemon = True  # a disk that hangs must not keep the process
    try:
        return await connection
    except BaseException:
        # aiosqlite tells its thread to end and does not wait; a loop that closes meanwhile would make it print a traceback.
        await asyncio.shield(asyncio.to_thread(thread.join, _THREAD_END_S))
        raise


def _set_up(connection: Any, _record: Any) -> None:
    """Every new connection."""
    cursor = connection.cursor()
    for pragma in (
        "synchronous = FULL",  # an acknowledged write survives a power cut: WAL is synced at each commit
        "foreign_keys = ON",
        "cache_size = -8000",  # 8 MB: the inner pages of a million rrsets
        "temp_store = MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    driver: Any = connection.connection.driver_connection
    driver.begin(connection.get_execution_options().get(BEGIN_OPTION, "BEGIN IMMEDIATE"))
