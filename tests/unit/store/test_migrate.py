"""The schema is made once, migrated under a lock, copied first, and never touched when it is newer than the program."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from geodns.errors import DatabaseUnavailable, SchemaTooNew, StartupError
from geodns.store import health, migrate, overrides, schema
from geodns.store.database import Database, make_engine
from geodns.store.health import CheckRow
from geodns.store.location import locate
from geodns.store.migrate import SchemaState
from geodns.store.overrides import StoredOverride
from geodns.store.schema import SCHEMA_VERSION, metadata
from tests.unit.store.writing import ACTOR, a, create, steered

AT = datetime(2025, 3, 1, 12, 0, 0, 123456, UTC)


async def run(url: str, *statements: str) -> None:
    engine = make_engine(locate(url), pool_size=1)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(sa.text(statement))
    await engine.dispose()


async def test_empty_database_gets_the_schema_and_a_lineage(empty_url: str) -> None:
    assert await migrate.schema_state(empty_url) in {SchemaState.ABSENT, SchemaState.EMPTY}
    done = await migrate.upgrade(empty_url)
    assert (done.version_before, done.version, done.backup) == (None, SCHEMA_VERSION, None)
    assert await migrate.schema_state(empty_url) is SchemaState.CURRENT
    assert (await migrate.upgrade(empty_url)).found is SchemaState.CURRENT


async def test_looking_at_an_absent_file_makes_none(sqlite_url: str) -> None:
    assert await migrate.schema_state(sqlite_url) is SchemaState.ABSENT
    database = await Database.open(sqlite_url)
    with pytest.raises(DatabaseUnavailable):
        await database.check()
    await database.close()
    assert await migrate.schema_state(sqlite_url) is SchemaState.ABSENT


async def test_looks_at_an_empty_file_change_nothing_and_never_meet_a_lock(sqlite_url: str) -> None:
    path = locate(sqlite_url).path
    assert path is not None

    async def look(database: Database) -> None:
        with pytest.raises(DatabaseUnavailable, match="no schema"):
            await database.check()

    for _ in range(20):
        path.unlink(missing_ok=True)
        path.touch()
        database = await Database.open(sqlite_url)
        states = await asyncio.gather(*(migrate.schema_state(sqlite_url) for _ in range(3)), *(look(database) for _ in range(3)))
        await database.close()
        assert states[:3] == [SchemaState.EMPTY] * 3
        assert path.stat().st_size == 0


async def test_a_file_restored_from_a_dump_is_brought_to_wal_again(sqlite_url: str) -> None:
    await migrate.upgrade(sqlite_url)
    path = locate(sqlite_url).path
    assert path is not None
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",), "as it is made"
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    database = await Database.open(sqlite_url)
    await asyncio.gather(*(database.check() for _ in range(4)))
    await database.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_an_empty_file_that_is_being_looked_into_is_made_afterwards(sqlite_url: str) -> None:
    path = locate(sqlite_url).path
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
        making = asyncio.create_task(migrate.upgrade(sqlite_url))
        await asyncio.sleep(0.2)
        reader.execute("ROLLBACK")
        assert (await making).version == SCHEMA_VERSION


async def test_database_file_is_readable_by_its_owner_alone(sqlite_url: str) -> None:
    await migrate.upgrade(sqlite_url)
    path = locate(sqlite_url).path
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_migrations_and_metadata_describe_one_schema(database_url: str) -> None:
    engine = make_engine(locate(database_url), pool_size=1)
    async with engine.connect() as connection:
        differences = await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))
    await engine.dispose()
    assert differences == []


def test_program_knows_the_newest_migration() -> None:
    script = ScriptDirectory(str(migrate.migrations_directory()))
    assert script.get_current_head() == SCHEMA_VERSION
    names = [Path(revision.module.__file__ or "").stem for revision in script.walk_revisions()]
    assert all(name[:4].isdigit() and name.count("_") >= 2 for name in names), names


async def rows_of(url: str, *tables: sa.Table) -> list[list[tuple[object, ...]]]:
    engine = make_engine(locate(url), pool_size=1)
    async with engine.connect() as connection:
        found = [[tuple(row) for row in await connection.execute(sa.select(table))] for table in tables]
    await engine.dispose()
    return found


async def test_the_first_schema_becomes_the_newest(database_url: str) -> None:
    database = await Database.open(database_url)
    await create(database, a("www"), steered("geo", eu=("192.0.2.1",), rest=("192.0.2.2",)))
    async with database.write() as session:
        await health.save_states(session, [CheckRow("e1", "fra", "down", "down", True, AT, "timeout", 0, 2, 0.5, AT)])
        await overrides.put_override(session, StoredOverride("site", "fra1", "drain", "works", "ops", AT), ACTOR)
    await database.close()
    await run(database_url, "DROP TABLE check_reports", "UPDATE alembic_version SET version_num = '0001'")
    tables = schema.zones, schema.rrsets, schema.check_states, schema.overrides
    before = await rows_of(database_url, *tables)
    assert all(before)
    assert await migrate.schema_state(database_url) is SchemaState.OLDER
    done = await migrate.upgrade(database_url)
    assert (done.version_before, done.version) == ("0001", SCHEMA_VERSION)
    assert await rows_of(database_url, *tables) == before
    await test_migrations_and_metadata_describe_one_schema(database_url)


async def test_newer_schema_is_refused_and_left_alone(database_url: str) -> None:
    await run(database_url, "UPDATE alembic_version SET version_num = '9999'")
    assert await migrate.schema_state(database_url) is SchemaState.NEWER
    with pytest.raises(SchemaTooNew):
        await migrate.upgrade(database_url)
    database = await Database.open(database_url)
    with pytest.raises(SchemaTooNew):
        await database.check()
    with pytest.raises(SchemaTooNew):
        async with database.write():
            pass
    await database.close()


async def test_older_sqlite_schema_is_copied_before_anything_runs(sqlite_url: str) -> None:
    await migrate.upgrade(sqlite_url)
    # What an older program would have left: another version, and the tables of that time (none, for a migration that then succeeds).
    tables = [table.name for table in reversed(metadata.sorted_tables)]
    await run(sqlite_url, *(f"DROP TABLE {name}" for name in tables), "UPDATE alembic_version SET version_num = '0000'")
    assert await migrate.schema_state(sqlite_url) is SchemaState.OLDER
    with pytest.raises(StartupError):
        await migrate.upgrade(sqlite_url, migrate=False)
    path = locate(sqlite_url).path
    assert path is not None
    with pytest.raises(Exception, match="0000"):  # no script leads from a version that never was
        await migrate.upgrade(sqlite_url)
    (copy,) = path.parent.glob("geodns.db.schema-0000.*Z")
    assert await migrate.schema_state(f"sqlite:///{copy}") is SchemaState.OLDER


async def test_migration_can_be_forbidden(empty_url: str) -> None:
    with pytest.raises(StartupError, match="migrate"):
        await migrate.upgrade(empty_url, migrate=False)
    assert await migrate.schema_state(empty_url) is not SchemaState.CURRENT


async def test_nodes_that_start_together_migrate_once(empty_url: str) -> None:
    done = await asyncio.gather(*(migrate.upgrade(empty_url) for _ in range(4)))
    assert {upgraded.version for upgraded in done} == {SCHEMA_VERSION}
    database = await Database.open(empty_url)
    async with database.read() as session:
        assert await session.scalar(sa.text("SELECT count(*) FROM lineages")) == 1
    await database.close()


async def test_tables_of_another_program_are_left_alone(empty_url: str) -> None:
    path = locate(empty_url).path
    if path is not None:
        path.touch()
    await run(empty_url, "CREATE TABLE customers (id INTEGER)")
    with pytest.raises(StartupError, match="not geodns"):
        await migrate.upgrade(empty_url)


@pytest.mark.parametrize("url", ["mysql://localhost/geodns", "sqlite://", "sqlite:///:memory:", "nonsense"])
async def test_other_databases_are_refused_with_one_sentence(url: str) -> None:
    with pytest.raises(StartupError):
        await Database.open(url)


async def test_unreachable_server_is_unavailable() -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate.schema_state("postgresql://geodns@127.0.0.1:1/geodns")
