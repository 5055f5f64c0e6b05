"""Transactions, and a database that goes away and comes back."""

from __future__ import annotations

import asyncio
import gc
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from geodns.errors import DatabaseUnavailable
from geodns.store import audit, history, migrate
from geodns.store.audit import Actor
from geodns.store.database import Database, Dialect, make_engine
from geodns.store.location import locate
from geodns.store.sqlite import SqliteConnection
from tests.support.databases import PostgresCluster, opened

ACTOR = Actor("test")
# For a change that wakes whoever waits, on a machine that is busy with other suites.
WAITED_S = 60.0


async def take_revision(database: Database) -> int:
    async with database.write() as session:
        return (await history.begin_revision(session, ACTOR)).revision


async def revision_of(database: Database) -> int:
    async with database.read() as session:
        return (await history.head(session)).revision


async def fails_as_unavailable_in_time(database: Database) -> None:
    for attempt in (revision_of, take_revision):
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await attempt(database)
        assert time.monotonic() - started < 2.5, attempt


async def test_exception_in_a_write_undoes_it(database: Database) -> None:
    before = await revision_of(database)

    async def write_and_fail() -> None:
        async with database.write() as session:
            await history.begin_revision(session, ACTOR)
            raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await write_and_fail()
    assert await revision_of(database) == before


async def test_read_is_one_snapshot_while_others_write(database: Database) -> None:
    async with database.read() as session:
        before = await history.head(session)
        await take_revision(database)
        assert await history.head(session) == before
    assert await revision_of(database) == before.revision + 1


async def test_read_transaction_cannot_write_on_postgresql(database: Database) -> None:
    if database.dialect is Dialect.SQLITE:
        return  # SQLite has no such transaction; that reads do not write is the code's own promise there
    async with database.read() as session:
        with pytest.raises(DatabaseUnavailable):
            await history.begin_revision(session, ACTOR)


async def test_cancelled_write_leaves_nothing_and_blocks_nobody(database: Database) -> None:
    inside = asyncio.Event()

    async def write_for_ever() -> None:
        async with database.write() as session:
            await history.begin_revision(session, ACTOR)
            inside.set()
            await asyncio.Event().wait()

    before = await revision_of(database)
    task = asyncio.create_task(write_for_ever())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await take_revision(database) == before + 1


async def test_statement_that_is_cancelled_lets_go_of_its_lock_at_once(database: Database) -> None:
    numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100000000) SELECT count(*) FROM c"

    async def count_for_ever(inside: asyncio.Event) -> None:
        async with database.write() as session:
            await history.begin_revision(session, ACTOR)
            inside.set()
            await session.execute(sa.text(numbers), limit_s=60)

    before = await revision_of(database)
    gc.collect()
    gc.disable()  # it must not depend on it
    try:
        for number, pause_s in enumerate((0.0, 0.05, 0.2), start=1):
            inside = asyncio.Event()
            task = asyncio.create_task(count_for_ever(inside))
            await inside.wait()
            await asyncio.sleep(pause_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await take_revision(database) == before + number
    finally:
        gc.enable()


async def test_many_readers_and_writers_at_once_all_finish(database: Database) -> None:
    before = await revision_of(database)
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(take_revision(database))
            group.create_task(revision_of(database))
    assert await revision_of(database) == before + 100


async def test_two_processes_on_one_database_take_turns(database: Database, database_url: str) -> None:
    other = await Database.open(database_url)
    taken = await asyncio.gather(*(take_revision(each) for each in (database, other) * 25))
    assert sorted(taken) == list(range(min(taken), min(taken) + 50))
    await other.close()


async def test_change_wakes_the_follower(database: Database) -> None:
    await database.wait_for_change(0.01)
    waiter = asyncio.create_task(database.wait_for_change(WAITED_S))
    started = time.monotonic()
    await asyncio.sleep(0)
    await take_revision(database)
    await waiter
    assert time.monotonic() - started < WAITED_S / 2


async def is_listening(database: Database) -> bool:
    """Whether a connection to this database listens: a busy server is given up after a moment, and tried again at the next wait."""
    async with database.read() as session:
        listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        return bool(await session.scalar(sa.text(listening)))


async def test_change_by_another_node_wakes_the_follower_on_postgresql(postgres_url: str) -> None:
    await migrate.upgrade(postgres_url)
    follower, writer = await Database.open(postgres_url), await Database.open(postgres_url)
    while not await is_listening(writer):
        await follower.wait_for_change(0.01)
    await follower.wait_for_change(0.01)
    waiter = asyncio.create_task(follower.wait_for_change(WAITED_S))
    started = time.monotonic()
    await take_revision(writer)
    await waiter
    assert time.monotonic() - started < WAITED_S / 2
    await follower.close()
    await writer.close()


async def test_waiting_ends_after_its_time_when_nothing_happens(database: Database) -> None:
    await database.wait_for_change(0.01)
    started = time.monotonic()
    await database.wait_for_change(0.2)
    assert 0.1 < time.monotonic() - started < 5


@pytest.mark.timing
async def test_server_that_stops_is_unavailable_and_its_return_needs_no_restart(
    postgres_cluster: PostgresCluster, postgres_url: str
) -> None:
    await migrate.upgrade(postgres_url)
    database = await Database.open(postgres_url)
    before = await take_revision(database)
    await asyncio.gather(*(revision_of(database) for _ in range(8)))  # several connections in the pool
    await database.wait_for_change(0.01)
    await asyncio.to_thread(postgres_cluster.stop)
    try:
        await fails_as_unavailable_in_time(database)
        started = time.monotonic()
        done = await asyncio.gather(*(take_revision(database) for _ in range(50)), return_exceptions=True)
        assert {type(result) for result in done} == {DatabaseUnavailable}
        assert time.monotonic() - started < 5
        await database.wait_for_change(0.01)
    finally:
        await asyncio.to_thread(postgres_cluster.start)
    assert await take_revision(database) == before + 1
    assert await revision_of(database) == before + 1
    await database.close()


async def test_transaction_under_way_when_the_server_stops_is_unavailable(postgres_cluster: PostgresCluster, postgres_url: str) -> None:
    await migrate.upgrade(postgres_url)
    database = await Database.open(postgres_url)
    before = await revision_of(database)

    async def write() -> None:
        async with database.write() as session:
            await history.begin_revision(session, ACTOR)
            await asyncio.to_thread(postgres_cluster.stop)
            await audit.record(session, ACTOR, "test", "test")

    try:
        with pytest.raises(DatabaseUnavailable):
            await write()
    finally:
        await asyncio.to_thread(postgres_cluster.start)
    assert await revision_of(database) == before
    await database.close()


class BlackHole:
    """A TCP relay to a server that can stop to pass anything on, without closing: what a cut network looks like."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._open = threading.Event()
        self._open.set()
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def swallow(self) -> None:
        self._open.clear()

    def close(self) -> None:
        self._open.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with_shutdown(each)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            for source, target in ((client, server), (server, client)):
                thread = threading.Thread(target=self._relay, args=(source, target), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _relay(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._open.wait()
                target.sendall(data)
        except OSError:
            return
        finally:
            with_shutdown(target)


def with_shutdown(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        each.close()


@pytest.fixture
def black_hole(postgres_cluster: PostgresCluster) -> Iterator[BlackHole]:
    hole = BlackHole(postgres_cluster.port)
    yield hole
    hole.close()


async def test_writer_behind_a_lock_that_is_not_let_go_is_told_to_try_again(postgres_url: str) -> None:
    await migrate.upgrade(postgres_url)
    async with opened(postgres_url) as database, opened(postgres_url) as other:
        async with other.write() as holder:
            await history.begin_revision(holder, ACTOR)
            started = time.monotonic()
            with pytest.raises(DatabaseUnavailable, match="another transaction holds what is to be changed"):
                await take_revision(database)
            assert time.monotonic() - started < 20
        assert await take_revision(database) == 3


@pytest.mark.timing
async def test_server_behind_a_cut_network_is_unavailable_in_time(black_hole: BlackHole, postgres_url: str) -> None:
    await migrate.upgrade(postgres_url)
    database = await Database.open(f"postgresql://geodns@127.0.0.1:{black_hole.port}/{postgres_url.rsplit('/', 1)[-1]}")
    await take_revision(database)
    black_hole.swallow()
    await fails_as_unavailable_in_time(database)
    await database.close()


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> tuple[Database, Path]:
    await migrate.upgrade(sqlite_url)
    database = await Database.open(sqlite_url)
    assert database.location.path is not None
    return database, database.location.path


@pytest.mark.timing
async def test_moved_file_is_unavailable_and_never_made_anew(sqlite_database: tuple[Database, Path]) -> None:
    database, path = sqlite_database
    before = await take_revision(database)
    away = path.with_name("away.db")
    path.rename(away)
    await fails_as_unavailable_in_time(database)
    assert not path.exists()
    away.rename(path)
    assert await take_revision(database) == before + 1
    await database.close()


@pytest.mark.timing
async def test_file_that_is_no_database_is_unavailable(sqlite_database: tuple[Database, Path]) -> None:
    database, path = sqlite_database
    before = await take_revision(database)
    away = path.with_name("away.db")
    path.rename(away)
    path.write_bytes(b"not a database, but long enough to be looked at " * 100)
    await fails_as_unavailable_in_time(database)
    path.unlink()
    away.rename(path)
    assert await take_revision(database) == before + 1
    await database.close()


@pytest.mark.timing
async def test_empty_file_in_the_place_of_the_database_is_unavailable(sqlite_database: tuple[Database, Path]) -> None:
    database, path = sqlite_database
    path.rename(path.with_name("away.db"))
    path.touch()
    await fails_as_unavailable_in_time(database)
    assert path.stat().st_size == 0 or sqlite3.connect(path).execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    await database.close()


async def test_full_disk_is_unavailable(sqlite_database: tuple[Database, Path]) -> None:
    database, _ = sqlite_database
    before = await revision_of(database)

    async def fill() -> None:
        async with database.write() as session:
            await session.execute(sa.text("PRAGMA max_page_count = 1"))  # SQLite's own way to meet the end of the disk
            for _ in range(1000):
                await audit.record(session, ACTOR, "fill", "x" * 4000)

    with pytest.raises(DatabaseUnavailable, match="full"):
        await fill()
    assert await take_revision(database) == before + 1
    await database.close()


@pytest.mark.timing
async def test_lock_held_by_another_process_is_unavailable_in_time(sqlite_database: tuple[Database, Path]) -> None:
    database, path = sqlite_database
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await take_revision(database)
        assert time.monotonic() - started < 2.5
        assert await revision_of(database) == 1
        holder.execute("ROLLBACK")
    holder.close()
    assert await take_revision(database) == 2
    await database.close()


async def test_commits_are_synced(sqlite_database: tuple[Database, Path]) -> None:
    database, _ = sqlite_database
    async with database.read() as session:
        pragmas = [await session.scalar(sa.text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert pragmas == ["wal", 2, 1]
    await database.close()


async def test_statement_on_sqlite_is_one_trip_to_its_thread(
    sqlite_database: tuple[Database, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, _ = sqlite_database
    await revision_of(database)  # with the connection's own settings
    trips: list[str] = []
    call = SqliteConnection.call

    async def counted(connection: SqliteConnection, function: Callable[..., Any], *arguments: Any) -> Any:
        trips.append(function.__name__)
        return await call(connection, function, *arguments)

    monkeypatch.setattr(SqliteConnection, "call", counted)
    await revision_of(database)
    assert trips == ["_run", "_run", "rollback"], "the schema and the beginning, the head, the end"
    trips.clear()
    await take_revision(database)
    assert trips == ["_run", "_run", "_run", "commit"], "the schema and the beginning, the head, its row in the history, the end"
    await database.close()


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 5000])
async def test_long_results_on_sqlite_come_whole_and_in_order(sqlite_database: tuple[Database, Path], count: int) -> None:
    database, _ = sqlite_database
    numbers = sa.text("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x <= :count) SELECT x FROM c WHERE x <= :count")
    async with database.read() as session:
        whole = [row.x for row in await session.rows(numbers, {"count": count})]
        async with aclosing(session.batches(numbers, 100, {"count": count})) as batches:
            pieces = [[row.x for row in batch] async for batch in batches]
        first = await session.row(numbers, {"count": count})
    assert whole == [number for piece in pieces for number in piece] == list(range(1, count + 1))
    assert all(len(piece) == 100 for piece in pieces[:-1])
    assert (None if first is None else first.x) == (1 if count else None)
    await database.close()


async def test_no_statement_on_sqlite_runs_outside_a_transaction_after_one_that_could_not_begin(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (x INTEGER)")
        other.execute("BEGIN IMMEDIATE")
        engine = make_engine(locate(f"sqlite:///{path}"), pool_size=1, lock_s=0)
        async with engine.connect() as connection:
            with pytest.raises(sa.exc.OperationalError, match="locked"):
                await connection.execute(sa.text("SELECT 1"))
            other.execute("COMMIT")
            await connection.execute(sa.text("INSERT INTO t VALUES (1)"))
            await connection.rollback()
        await engine.dispose()
        assert other.execute("SELECT count(*) FROM t").fetchone() == (0,)
