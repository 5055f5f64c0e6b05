"""Which driver and pool errors mean that the database is away, in one place: everything else is a defect and stays what it is.

"Away" is what a retry may cure without a change of the program: no connection, a server that shuts down or is full, a file that is gone,
unreadable, locked or damaged, a full disk.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy import exc

from geodns.errors import DatabaseUnavailable

# SQLite's primary result codes (the low byte of an extended code, https://www.sqlite.org/rescode.html).
_SQLITE_AWAY: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)

# SQLSTATE classes: 08 connection, 28 authorization, 3D no such database, 53 out of resources, 57P operator intervention (shutdown,
# crash recovery), 58 system error, 55P03 lock wait given up; 25006 is a write to a standby, as during a failover; 40 is a
# serialization failure or deadlock, which a retry cures.
_SQLSTATE_AWAY: Final = ("08", "28", "3D", "40", "53", "55P03", "57P", "57014", "58", "25006")

_NO_SCHEMA_SQLSTATES: Final = ("42P01", "3F000")


def unreachable(error: BaseException, where: str) -> DatabaseUnavailable | None:
    """The error as DatabaseUnavailable when it means "away", else None. `where` names the database in the sentence."""
    if isinstance(error, DatabaseUnavailable):
        return error
    reason = _reason(error)
    return None if reason is None else DatabaseUnavailable(f"the database {where} is not available: {reason}")


def lacks_schema(error: BaseException) -> bool:
    """Whether the error says that geodns' tables are not there."""
    cause = _driver_error(error)
    if isinstance(cause, sqlite3.OperationalError):
        return str(cause).startswith("no such table")
    return isinstance(cause, asyncpg.PostgresError) and cause.sqlstate in _NO_SCHEMA_SQLSTATES


def is_locked(error: BaseException | None) -> bool:
    """Whether the error says that another process holds SQLite's write lock."""
    cause = None if error is None else _driver_error(error)
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _driver_error(error: BaseException) -> BaseException:
    """The driver's own error below SQLAlchemy's and its adapter's."""
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        error = error.orig
        if not isinstance(error, sqlite3.Error) and error.__cause__ is not None:
            return error.__cause__
    return error


def _reason(error: BaseException) -> str | None:
    if isinstance(error, exc.TimeoutError):
        return "no connection came free in time"
    if isinstance(error, sa.exc.PendingRollbackError):
        return "the connection was lost"
    cause = _driver_error(error)
    lost = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    match cause:
        case sqlite3.Error():
            code = getattr(cause, "sqlite_errorcode", None)
            away = code is not None and code & 0xFF in _SQLITE_AWAY
        case asyncpg.PostgresError(sqlstate="55P03"):
            return "another transaction holds what is to be changed"
        case asyncpg.PostgresError():
            away = str(cause.sqlstate or "").startswith(_SQLSTATE_AWAY)
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():
            away = lost or "connection" in str(cause)
        case TimeoutError():
            return "it did not answer in time"
        case OSError():
            away = True
        case _:
            away = lost
    return _sentence(cause) if away or lost else None


def _sentence(cause: BaseException) -> str:
    text = str(cause).strip() or type(cause).__name__
    return text.splitlines()[0]
