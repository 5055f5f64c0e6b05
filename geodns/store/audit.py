"""Who did what: one entry for every request that changed anything, newest first.

What a revision did to each rrset, before and after, is told by `changelog.py`; an entry names its revision.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from geodns.store.database import Session
from geodns.store.pages import Page, clamp_limit, make_page, read_cursor
from geodns.store.schema import audit, now


class Source(enum.Enum):
    """The way in that a change took."""

    API = "api"
    CLI = "cli"
    SEED = "seed"
    MIRROR = "mirror"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the token's name, or the node's; from which address; in which request."""

    name: str
    source: Source = Source.API
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One request that changed something. `subject` is what it was about: a zone's name, "token/deploy", "override/site/fra1"."""

    id: int
    at: datetime
    actor: Actor
    action: str
    subject: str
    revision: int | None
    detail: Any


async def record(session: Session, actor: Actor, action: str, subject: str, *, revision: int | None = None, detail: Any = None) -> None:
    """Note what the transaction does, in the same transaction."""
    await session.execute(
        audit.insert(),
        {
            "at": now(),
            "actor": actor.name,
            "source": actor.source.value,
            "address": actor.address,
            "request_id": actor.request_id,
            "action": action,
            "subject": subject,
            "revision": revision,
            "detail": detail,
        },
    )


async def list_entries(
    session: Session, *, subject: str | None = None, cursor: str | None = None, limit: int | None = None
) -> Page[AuditEntry]:
    """Entries newest first, of one subject or of all."""
    size = clamp_limit(limit)
    query = sa.select(audit).order_by(audit.c.id.desc()).limit(size + 1)
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    if cursor is not None:
        query = query.where(audit.c.id < read_cursor(cursor, int)[0])
    entries = [
        AuditEntry(
            row.id,
            row.at,
            Actor(row.actor, Source(row.source), row.address, row.request_id),
            row.action,
            row.subject,
            row.revision,
            row.detail,
        )
        for row in await session.rows(query)
    ]
    return make_page(entries, size, lambda entry: (entry.id,))
