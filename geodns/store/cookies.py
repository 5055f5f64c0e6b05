"""The secret that DNS cookies are made with (RFC 9018 §5): made once for all nodes, rotated daily, the one before accepted for an hour."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from geodns.store.database import Dialect, Session
from geodns.store.schema import now
from geodns.store.schema import secrets as secrets_table

_NAME: Final = "cookie"
# RFC 9018 §4.5: SipHash-2-4 takes a key of 128 bits.
_SECRET_BYTES: Final = 16
_LIFE: Final = timedelta(days=1)
_GRACE: Final = timedelta(hours=1)


async def current_secrets(session: Session) -> tuple[bytes, ...]:
    """The secrets to accept, the one that makes cookies first; in a write transaction, because it makes or rotates them when it is time."""
    if session.dialect is Dialect.POSTGRESQL:  # two nodes must not rotate at once; SQLite has one writer
        await session.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('geodns cookie secret'))"))
    query = sa.select(secrets_table).where(secrets_table.c.name == _NAME).order_by(secrets_table.c.generation.desc())
    stored = list(await session.rows(query.limit(2)))
    at = now()
    if not stored or at - stored[0].made_at >= _LIFE:
        generation = stored[0].generation + 1 if stored else 1
        row = {"name": _NAME, "generation": generation, "value": secrets.token_bytes(_SECRET_BYTES), "made_at": at}
        await session.execute(secrets_table.insert(), row)
        old = secrets_table.delete().where(secrets_table.c.name == _NAME, secrets_table.c.generation < generation - 1)
        await session.execute(old)
        stored = list(await session.rows(query.limit(2)))
    current, *previous = stored
    return (current.value, *(row.value for row in previous if at - current.made_at < _GRACE))
