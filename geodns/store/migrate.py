"""Creating and migrating the schema: the only place that makes a database.

`upgrade` runs in one transaction under a lock that other nodes and processes respect (PostgreSQL: an advisory lock; SQLite: the write lock
itself), so that two nodes that start together migrate once. An SQLite file is copied before it is migrated; PostgreSQL's backup is the
operator's. A schema that this program does not know is newer and is left alone.
"""

from __future__ import annotations

import asyncio
import enum
import importlib.util
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

import geodns
from geodns.errors import DatabaseUnavailable, SchemaTooNew, StartupError
from geodns.store.database import LOCK_POLL_S, make_engine
from geodns.store.location import Location, locate
from geodns.store.schema import SCHEMA_VERSION, now
from geodns.store.sqlite import BEGIN_OPTION
from geodns.store.unreachable import is_locked, unreachable

# Any constant that no other program on the same server is likely to lock: "geodns" in ASCII.
_ADVISORY_LOCK: Final = int.from_bytes(b"geodns", "big")

# Waiting for SQLite's lock: a look must not take longer than a caller waits, a migration may wait for another process's migration.
_LOOK_S: Final = 1.5
_MIGRATION_S: Final = 60.0


class SchemaState(enum.Enum):
    """What there is at a database URL."""

    ABSENT = "absent"  # no SQLite file
    EMPTY = "empty"  # no tables
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What `upgrade` found and did. `backup` is the copy that was made first, of an SQLite file only."""

    found: SchemaState
    version_before: str | None
    version: str
    backup: Path | None


async def schema_state(url: str) -> SchemaState:
    """Look, and change nothing. DatabaseUnavailable when it cannot be reached."""
    location = locate(url)
    if location.path is not None and not location.path.exists():
        return SchemaState.ABSENT
    engine = make_engine(location, pool_size=1, lock_s=_LOOK_S)
    try:
        async with engine.execution_options(**{BEGIN_OPTION: "BEGIN"}).connect() as connection:
            return _judge(await connection.run_sync(_find_version))
    except Exception as error:
        away = unreachable(error, str(location))
        if away is None:
            raise
        raise away from error
    finally:
        await engine.dispose()


async def upgrade(url: str, *, migrate: bool = True) -> Upgraded:
    """Create the schema in an empty database or bring an older one up to date; a current one is left as it is.

    `migrate=False` is the setting `database.migrate = false`: anything but a current schema is then a StartupError. Raises SchemaTooNew,
    DatabaseUnavailable, and StartupError for a database that belongs to another program.
    """
    location = locate(url)
    found = await schema_state(url)
    if found is SchemaState.CURRENT:
        return Upgraded(found, SCHEMA_VERSION, SCHEMA_VERSION, None)
    if found is SchemaState.NEWER:
        raise _too_new(location)
    if not migrate:
        raise StartupError(
            f"the database {location} has {'an older' if found is SchemaState.OLDER else 'no'} schema and database.migrate is false",
            hint="geodns db upgrade",
        )
    if location.path is not None and found in (SchemaState.ABSENT, SchemaState.EMPTY):
        await _make_file(location.path)
    engine = make_engine(location, pool_size=1, lock_s=_MIGRATION_S)
    try:
        async with engine.begin() as connection:
            if location.path is None:
                await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            return await _upgrade_locked(connection, location, found)
    except Exception as error:
        away = unreachable(error, str(location))
        if away is None:
            raise
        raise away from error
    finally:
        await engine.dispose()


async def _upgrade_locked(connection: AsyncConnection, location: Location, found: SchemaState) -> Upgraded:
    """With the lock held: look again, since another process may just have done it."""
    version = await connection.run_sync(_find_version)
    state = _judge(version)
    if state is SchemaState.NEWER:
        raise _too_new(location)
    if state is SchemaState.CURRENT:
        return Upgraded(found, version, SCHEMA_VERSION, None)
    backup = _copy(location.path, version) if location.path is not None and version is not None else None
    await connection.run_sync(_run_migrations)
    return Upgraded(found, version, SCHEMA_VERSION, backup)


def migrations_directory() -> Path:
    """The Alembic scripts: the package `geodns.migrations` of an installed wheel, else `migrations/` beside the package in a checkout."""
    spec = importlib.util.find_spec("geodns.migrations")
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(geodns.__file__).resolve().parent.parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    return config


def _run_migrations(connection: sa.Connection) -> None:
    config = _config()
    script = ScriptDirectory.from_config(config)

    def steps(revision: object, _context: MigrationContext) -> object:
        return script._upgrade_revs("head", revision)  # type: ignore[arg-type]

    config.attributes["connection"] = connection
    with EnvironmentContext(config, script, fn=steps, destination_rev="head"):
        script.run_env()


def _find_version(connection: sa.Connection) -> str | None:
    """The schema's version, None for a database without tables; StartupError when the tables are somebody else's."""
    tables = sa.inspect(connection).get_table_names()
    if "alembic_version" in tables:
        version: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        if version is not None:
            return version
    if tables and set(tables) != {"alembic_version"}:
        raise StartupError("the database has tables that are not geodns's", hint="give geodns a database of its own")
    return None


def _judge(version: str | None) -> SchemaState:
    if version is None:
        return SchemaState.EMPTY
    if version == SCHEMA_VERSION:
        return SchemaState.CURRENT
    return SchemaState.OLDER if version.isdigit() and int(version) < int(SCHEMA_VERSION) else SchemaState.NEWER


def _too_new(location: Location) -> SchemaTooNew:
    return SchemaTooNew(f"the database {location} was migrated by a newer geodns; this one knows schema {SCHEMA_VERSION}")


async def _make_file(path: Path) -> None:
    """An empty file in WAL mode that only its owner reads: it will hold secrets. One that is there keeps its mode and its contents.

    SQLite lets nobody wait for the lock that the switch takes, so it is tried again for as long as a look may take.
    """
    give_up_s = time.monotonic() + _LOOK_S
    while True:
        try:
            return await asyncio.to_thread(_switch_to_wal, path)
        except OSError as error:
            raise DatabaseUnavailable(f"the database {path} cannot be made: {error.strerror}") from error
        except sqlite3.Error as error:
            if not is_locked(error) or time.monotonic() >= give_up_s:
                raise DatabaseUnavailable(f"the database {path} cannot be made: {error}") from error
        await asyncio.sleep(LOCK_POLL_S)


def _switch_to_wal(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(path, timeout=LOCK_POLL_S)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _copy(path: Path, version: str) -> Path:
    """A consistent copy beside the original, named by schema version and time."""
    target = path.with_name(f"{path.name}.schema-{version}.{now():%Y%m%dT%H%M%S%fZ}")
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    return target
