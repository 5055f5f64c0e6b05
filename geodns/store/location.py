"""Where a database is: the contract's URL forms turned into what the drivers want.

`sqlite:///relative/path`, `sqlite:////absolute/path`, `postgresql://user:password@host/name` (also
`postgresql:///name?host=/socket/folder`, and libpq's `sslmode`). The asynchronous drivers are added here and nowhere else.
Nothing is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from geodns.errors import StartupError


@dataclass(frozen=True, slots=True)
class Location:
    """A parsed database URL. `path` is the file of an SQLite database, None for PostgreSQL."""

    url: sa.URL
    path: Path | None

    def __str__(self) -> str:
        """For messages: without the password."""
        return str(self.path) if self.path is not None else self.url.set(drivername="postgresql").render_as_string(hide_password=True)

    def engine_url(self) -> sa.URL:
        """The URL for SQLAlchemy, with the asynchronous driver."""
        return self.url if self.path is None else sa.URL.create("sqlite+aiosqlite", database=str(self.path))


def locate(url: str) -> Location:
    """Parse a database URL; StartupError with one sentence when it is none of ours."""
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise StartupError(f"database.url is not a URL: {error}") from error
    match parsed.get_backend_name():
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise StartupError("database.url names no file; geodns keeps its data on disk", hint="sqlite:////var/lib/geodns/geodns.db")
            return Location(parsed, Path(parsed.database).absolute())
        case "postgresql" | "postgres":
            query = dict(parsed.query)
            if "sslmode" in query:
                query["ssl"] = query.pop("sslmode")
            return Location(parsed.set(drivername="postgresql+asyncpg", query=query), None)
        case other:
            raise StartupError(f"database.url names {other}; geodns keeps its data in SQLite or PostgreSQL")
