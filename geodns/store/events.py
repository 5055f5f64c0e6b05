"""What happened, for people to read later: one row an event, in the order in which they were written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from geodns.store.batches import in_batches
from geodns.store.database import LONG_STATEMENT_S, AnyRow, Session
from geodns.store.health import TransitionRow
from geodns.store.pages import Page, clamp_limit, make_page, read_cursor
from geodns.store.schema import events, now

VERDICT_CHANGED: Final = "verdict-changed"
OVERRIDE_SET: Final = "override-set"
OVERRIDE_CLEARED: Final = "override-cleared"
HEALTH_FROZEN: Final = "health-frozen"
HEALTH_THAWED: Final = "health-thawed"


@dataclass(frozen=True, slots=True)
class Event:
    """`kind` is kebab-case ("verdict-changed"), `subject` what it happened to, `node` who saw it."""

    id: int
    at: datetime
    node: str
    kind: str
    subject: str
    detail: Any


async def record_event(session: Session, node: str, kind: str, subject: str, detail: Any = None) -> None:
    """Add an event."""
    await session.execute(events.insert(), {"at": now(), "node": node, "kind": kind, "subject": subject, "detail": detail})


async def record_verdicts(session: Session, rows: Sequence[TransitionRow]) -> None:
    """Tell of verdicts that changed, thousands at once if need be. `kind` is "verdict-changed", `subject` the check's id."""
    told = [
        {
            "at": row.at,
            "node": row.vantage,
            "kind": VERDICT_CHANGED,
            "subject": row.endpoint_id,
            "detail": {"previous": row.previous, "verdict": row.verdict, "cause": row.cause, **(row.detail or {})},
        }
        for row in rows
    ]
    for batch in in_batches(told):
        await session.execute(events.insert(), batch, limit_s=LONG_STATEMENT_S)


async def list_events(session: Session, *, kind: str | None = None, cursor: str | None = None, limit: int | None = None) -> Page[Event]:
    """Events newest first, of one kind or all."""
    size = clamp_limit(limit)
    query = sa.select(events).order_by(events.c.id.desc()).limit(size + 1)
    if kind is not None:
        query = query.where(events.c.kind == kind)
    if cursor is not None:
        query = query.where(events.c.id < read_cursor(cursor, int)[0])
    return make_page([_event(row) for row in await session.rows(query)], size, lambda event: (event.id,))


async def events_after(session: Session, event_id: int, limit: int) -> list[Event]:
    """Events newer than `event_id`, oldest first: for a stream that goes on where a client stopped."""
    query = sa.select(events).where(events.c.id > event_id).order_by(events.c.id).limit(limit)
    return [_event(row) for row in await session.rows(query)]


def _event(row: AnyRow) -> Event:
    return Event(row.id, row.at, row.node, row.kind, row.subject, row.detail)
