"""The database as the rest of the program sees it: a place for read and write transactions that may be away and come back.

What it promises:

- `read()` is one consistent snapshot (SQLite: one read transaction on WAL; PostgreSQL: REPEATABLE READ READ ONLY); `write()` commits at the
  end of its block and rolls back on any exception. On SQLite it is BEGIN IMMEDIATE from the start, so that two writers never find
  out at commit time that they read different pasts.
- Away means `DatabaseUnavailable` within two seconds, and the next call after the return works: every transaction begins with a round
  trip on its connection, and a stale connection is replaced once.
- An SQLite file is never created here (`migrate.upgrade` does), and a file that was moved or replaced is noticed before every transaction.
- A schema that is not the program's is refused at the start of every transaction (`SchemaTooNew`), because another node may have
  migrated the database while this one runs.

It holds no queries beyond those. Migration is `migrate.py`'s, revisions are `history.py`'s.
"""

from __future__ import annotations

import asyncio
import enum
import functools
import operator
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from geodns.errors import DatabaseUnavailable, SchemaTooNew
from geodns.store.listening import Listener, driver_options
from geodns.store.location import Location, locate
from geodns.store.schema import SCHEMA_VERSION
from geodns.store.sqlite import BEGIN_OPTION, make_sqlite_engine, use_wal
from geodns.store.unreachable import is_locked, lacks_schema, unreachable

# A connection is tried, found stale, and tried anew: two of these and little else fit into the two seconds that health and REST may wait.
CONNECT_S: Final = 0.9
# One ordinary statement touches a handful of index pages: longer than this means that nobody answers.
STATEMENT_S: Final = 2.0
# Statements over a whole zone.
LONG_STATEMENT_S: Final = 60.0
# On PostgreSQL writers wait for each other's locks, mostly for the revision row. Most are held for milliseconds; behind an import, or a
# forgotten transaction in a terminal, a writer is told to try again while whoever sent it still waits.
_ROW_LOCK_S: Final = 3.0

# SQLite lets one write at a time; waiting happens in our own queue, in order. PostgreSQL's writers queue at the revision row, and these
# few leave connections for writers that do not touch it (health, tokens).
_SQLITE_WRITERS: Final = 1
_POSTGRES_WRITERS: Final = 4
_READERS: Final = 8

# Another process (`geodns db`, a backup) may hold SQLite's write lock for a moment. SQLite's own waiting asks ever less often and starves
# beside a busy writer, so it is begun anew every few polls.
_LOCK_S: Final = 1.5
LOCK_POLL_S: Final = 0.05

_VERSION_QUERY: Final = sa.text("SELECT version_num FROM alembic_version")


# A row of any query; its columns are named in the query beside it.
AnyRow = sa.Row[*tuple[Any, ...]]
Arrange = Callable[[tuple[Any, ...]], tuple[Any, ...]]


class Dialect(enum.Enum):
    """Which of the two databases this is."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


class Session:
    """One transaction. Statements raise DatabaseUnavailable when the database is lost under them."""

    __slots__ = ("_driver", "_where", "connection", "dialect")

    def __init__(self, connection: AsyncConnection, dialect: Dialect, driver: Any, where: str) -> None:
        self.connection = connection
        self.dialect = dialect
        self._driver = driver
        self._where = where

    async def execute(
        self,
        statement: sa.Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        limit_s: float = STATEMENT_S,
    ) -> sa.CursorResult[*tuple[Any, ...]]:
        """Run one statement, or one for each of several parameter sets; `limit_s` is how long an answer may take."""
        with self.guard(limit_s):
            return await self.connection.execute(statement, parameters)

    async def execute_rows(
        self, statement: sa.UpdateBase, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], *, limit_s: float = STATEMENT_S
    ) -> None:
        """Run `statement` for each of many rows, handed to the driver as they are: values must be what the driver takes.

        `columns` names the parts of a row. A parameter of the statement is called like one, or has the prefix `at_` or `new_`. The
        statement should be a constant: it is compiled once.
        """
        sql, arrange = _compile(statement, self.connection.dialect, tuple(columns))
        with self.guard(limit_s):
            await self.connection.exec_driver_sql(sql, list(rows) if arrange is None else [arrange(row) for row in rows])

    async def rows(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[AnyRow]:
        """All rows of a short query."""
        return (await self.execute(statement, parameters)).all()

    async def row(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> AnyRow | None:
        """The first row, or None."""
        return (await self.execute(statement, parameters)).first()

    async def scalar(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, or None."""
        return (await self.execute(statement, parameters)).scalar()

    async def batches(
        self, statement: sa.Executable, size: int, parameters: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[Sequence[AnyRow]]:
        """The rows of a long query, `size` at a time, held by the server meanwhile; the caller closes it (`aclosing`) if it stops early."""
        with self.guard(LONG_STATEMENT_S):
            result = await self.connection.stream(statement, parameters, execution_options={"yield_per": size, "max_row_buffer": size})
        try:
            while True:
                with self.guard(LONG_STATEMENT_S):
                    rows = await result.fetchmany(size)
                if not rows:
                    return
                yield rows
        finally:
            with suppress(Exception):
                await result.close()

    @contextmanager
    def guard(self, limit_s: float) -> Generator[None]:
        """Turns loss of the database inside the block into DatabaseUnavailable, at the latest after `limit_s`.

        PostgreSQL's connection is cut when the time is over, so that everybody who waits on it learns at once; a cancelled
        wait would try to say goodbye to a peer that is not there.
        """
        timer = None
        if self.dialect is Dialect.POSTGRESQL:
            timer = asyncio.get_running_loop().call_later(limit_s, self._driver.terminate)
        try:
            yield
        except Exception as error:
            away = unreachable(error, self._where)
            if away is None:
                raise
            raise away from error
        finally:
            if timer is not None:
                timer.cancel()


@functools.lru_cache(maxsize=64)
def _compile(statement: sa.UpdateBase, dialect: sa.Dialect, columns: tuple[str, ...]) -> tuple[str, Arrange | None]:
    """The text of a statement, and what puts a row into the order of its parameters; None for one that has it."""
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    parameters = tuple(name.removeprefix("at_").removeprefix("new_") for name in compiled.positiontup or ())
    return str(compiled), None if parameters == columns else operator.itemgetter(*map(columns.index, parameters))


class Database:
    """One database and its connections. Made by `open`, ended by `close`."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.dialect = Dialect.POSTGRESQL if location.path is None else Dialect.SQLITE
        self._where = str(location)
        engine = make_engine(location, pool_size=_READERS + _POSTGRES_WRITERS, row_lock_s=_ROW_LOCK_S)
        self._engine = engine
        if self.dialect is Dialect.SQLITE:
            sa.event.listen(engine.sync_engine, "connect", use_wal)
            self._read_engine = engine.execution_options(**{BEGIN_OPTION: "BEGIN"})
            self._write_engine = engine.execution_options(**{BEGIN_OPTION: "BEGIN IMMEDIATE"})
        else:
            self._read_engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            self._write_engine = engine.execution_options(isolation_level="READ COMMITTED")
        self._readers = asyncio.Semaphore(_READERS)
        self._writers = asyncio.Semaphore(_SQLITE_WRITERS if self.dialect is Dialect.SQLITE else _POSTGRES_WRITERS)
        self._outages = 0
        self._changed = asyncio.Event()
        self._listener = None if self.dialect is Dialect.SQLITE else Listener(engine, self._changed.set)

    @classmethod
    async def open(cls, url: str) -> Database:
        """Prepare the connections to `url`; none is made yet, so that a program may start while its database is away."""
        return cls(locate(url))

    async def close(self) -> None:
        """End all connections. Transactions that are still open fail."""
        if self._listener is not None:
            await self._listener.close()
        await self._engine.dispose()

    async def check(self) -> None:
        """One round trip: DatabaseUnavailable or SchemaTooNew says what is wrong, silence that all is well."""
        async with self.read():
            pass

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Session]:
        """A consistent snapshot to read from."""
        async with self._turn(self._readers), self._begin(self._read_engine) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Session]:
        """A transaction that commits at the end of the block; the commit is durable when the block has been left."""
        async with self._turn(self._writers), self._begin(self._write_engine) as session:
            yield session
            with session.guard(LONG_STATEMENT_S):
                await session.connection.commit()
        self._changed.set()

    async def wait_for_change(self, timeout_s: float) -> None:
        """Return when something was committed since the last return, at the latest after `timeout_s`.

        A hint for one follower, which reads the revision anyway: on PostgreSQL from all nodes (NOTIFY), on SQLite from this process.
        """
        if self._listener is not None:
            await self._listener.ensure()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        self._changed.clear()

    def driver_options(self) -> dict[str, Any]:
        """What asyncpg needs to connect, for the few connections that are no transactions (a lock, LISTEN)."""
        return driver_options(self._engine)

    @asynccontextmanager
    async def _turn(self, turns: asyncio.Semaphore) -> AsyncIterator[None]:
        """Wait in line. Who was waiting when the database was found away fails with it, instead of finding out one after the other."""
        outages, waits = self._outages, turns.locked()
        async with turns:
            if waits and self._outages != outages:
                raise DatabaseUnavailable(f"the database {self._where} is not available")
            yield

    @asynccontextmanager
    async def _begin(self, engine: AsyncEngine) -> AsyncIterator[Session]:
        try:
            session = await self._connect(engine)
        except DatabaseUnavailable:
            self._outages += 1
            raise
        try:
            yield session
        except DatabaseUnavailable:
            with suppress(Exception):
                await session.connection.invalidate()  # whatever was wrong with it, the next transaction begins on another
            raise
        finally:
            await self._release(session)

    async def _connect(self, engine: AsyncEngine) -> Session:
        """A connection whose first round trip succeeded. One that went stale in the pool is replaced once."""
        if self.dialect is Dialect.SQLITE:
            return await self._await_lock(engine)
        try:
            return await self._try_connection(engine)
        except DatabaseUnavailable:
            return await self._try_connection(engine)

    async def _await_lock(self, engine: AsyncEngine) -> Session:
        """On SQLite another process may hold the write lock; ask again for as long as a caller may wait."""
        give_up = time.monotonic() + _LOCK_S
        while True:
            try:
                return await self._try_connection(engine)
            except DatabaseUnavailable as error:
                if not is_locked(error.__cause__) or time.monotonic() >= give_up:
                    raise

    async def _try_connection(self, engine: AsyncEngine) -> Session:
        connection = engine.connect()
        try:
            await connection.start()
        except Exception as error:
            away = unreachable(error, self._where)
            if away is None:
                raise
            raise away from error
        raw = await connection.get_raw_connection()
        session = Session(connection, self.dialect, raw.driver_connection, self._where)
        try:
            with session.guard(CONNECT_S):
                await self._check_schema(session)
        except BaseException:
            await self._release(session)
            raise
        return session

    async def _check_schema(self, session: Session) -> None:
        """The transaction's first statement: takes the snapshot, proves the connection, and compares the schema."""
        try:
            found = (await session.connection.execute(_VERSION_QUERY)).scalar()
        except sa.exc.DBAPIError as error:
            if not lacks_schema(error):
                raise
            found = None
        if found == SCHEMA_VERSION:
            return
        if found is None or (found.isdigit() and int(found) < int(SCHEMA_VERSION)):
            state = "holds no schema yet" if found is None else f"has the older schema {found}"
            raise DatabaseUnavailable(f"the database {self._where} {state}", hint="geodns db upgrade")
        raise SchemaTooNew(
            f"the database {self._where} has schema {found}, this program knows {SCHEMA_VERSION}", hint="run the newer geodns"
        )

    async def _release(self, session: Session) -> None:
        """Give the connection back, rolled back; must neither fail nor hang, whatever happened before."""

        async def close() -> None:
            with suppress(Exception), session.guard(CONNECT_S):
                await session.connection.close()

        await asyncio.shield(asyncio.ensure_future(close()))


def make_engine(location: Location, *, pool_size: int, lock_s: float = LOCK_POLL_S, row_lock_s: float = 0) -> AsyncEngine:
    """An engine with our connection settings; its users choose how transactions begin (on SQLite by default: BEGIN IMMEDIATE).

    `lock_s` is how long SQLite itself waits for a lock that another process holds, `row_lock_s` how long PostgreSQL does for any lock (0
    = for ever).
    """
    if location.path is None:
        settings = {
            "application_name": "geodns",
            "lock_timeout": str(round(1000 * row_lock_s)),
            # A plan for any value of a parameter takes "later than this revision" for a third of the log and reads all of it.
            "plan_cache_mode": "force_custom_plan",
        }
        return create_async_engine(
            location.engine_url(),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=STATEMENT_S,
            connect_args={"timeout": CONNECT_S, "server_settings": settings},
        )
    return make_sqlite_engine(location, location.path, pool_size=pool_size, pool_timeout_s=STATEMENT_S, lock_s=lock_s)
