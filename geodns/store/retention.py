"""What the store forgets, and when: the story of health and the trail of changes, oldest first, a bounded number of rows at a time.

What is served is never touched: zones, records, overrides in force, and the revisions themselves. A dataplane that was switched off for
a year must still be recognised as one of ours; `history.changed_owners_since` sees that the changes are gone, and a FULL is sent. The
states of checks go once nobody has written them for a week: whoever runs a check writes its row every few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from geodns.store.database import LONG_STATEMENT_S, Session
from geodns.store.health import database_time
from geodns.store.schema import (
    audit,
    check_reports,
    check_states,
    check_transitions,
    events,
    list_changes,
    now,
    overrides,
    revisions,
    rrset_changes,
    vantages,
    zone_changes,
)

# Rows of one table, or revisions, that one call removes: some tens of milliseconds of the one writer that SQLite has. (A revision has a
# handful of rows, but one that imported or deleted a zone has as many as that zone.)
ROWS: Final = 2000

# An rrset within a revision, in the order of the primary key.
_PLACE: Final = (rrset_changes.c.apex, rrset_changes.c.owner_key, rrset_changes.c.rtype)

# A check that is no more, or a vantage that is: long enough for a node to be away over a holiday weekend and to find its states again.
UNSEEN: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long is remembered: transitions and events; the audit trail and what each revision changed."""

    health: timedelta
    audit: timedelta


async def forget(session: Session, retention: Retention) -> int:
    """Remove the oldest of what is past its time; the number of rows removed. 0 = nothing is left to remove."""
    health_cutoff, audit_cutoff = now() - retention.health, now() - retention.audit
    return sum(
        [
            await _forget_rows(session, check_transitions, health_cutoff),
            await _forget_rows(session, events, health_cutoff),
            await _forget_rows(session, audit, audit_cutoff),
            await _forget_changes(session, audit_cutoff),
            await _forget_unseen(session),
            await _forget_overrides(session, health_cutoff),
        ]
    )


async def _forget_rows(session: Session, table: sa.Table, cutoff: datetime) -> int:
    """Ids are given in the order of writing, so the oldest rows are the first ones, and no index on the time is needed."""
    first = sa.select(table.c.id, table.c.at).order_by(table.c.id).limit(ROWS).subquery()
    return await _delete(session, table.delete().where(table.c.id.in_(sa.select(first.c.id).where(first.c.at < cutoff))))


async def _forget_changes(session: Session, cutoff: datetime) -> int:
    """In the order of revisions, so that whoever finds a revision's changes finds all later ones.

    All that a revision changed goes together, unless it is more than one call removes: then it is the oldest, and goes piece by piece in
    the order of its names; `history` takes an oldest revision that is past its youth for one that may lack some.
    """
    tables = rrset_changes, zone_changes, list_changes
    firsts = [await session.scalar(sa.select(sa.func.min(table.c.revision))) for table in tables]
    first = min((revision for revision in firsts if revision is not None), default=None)
    if first is None:
        return 0
    place = [rrset_changes.c.revision, *_PLACE]
    kept = await session.row(sa.select(*place).order_by(*place).offset(ROWS).limit(1))  # the first rrset that is too much
    bound = first + ROWS if kept is None else max(first, min(first + ROWS, kept.revision - 1))
    past = sa.select(sa.func.max(revisions.c.revision)).where(revisions.c.revision.between(first, bound), revisions.c.at < cutoff)
    last: int | None = await session.scalar(past)
    if last is None:
        return 0
    if kept is not None and kept.revision == first:
        piece = sa.and_(rrset_changes.c.revision == first, sa.tuple_(*_PLACE) < sa.tuple_(kept.apex, kept.owner_key, kept.rtype))
        return await _delete(session, rrset_changes.delete().where(piece))
    return sum([await _delete(session, table.delete().where(table.c.revision <= last)) for table in tables])


async def _forget_unseen(session: Session) -> int:
    unseen_us = await database_time(session) - UNSEEN // timedelta(microseconds=1)
    states = await _delete(session, check_states.delete().where(check_states.c.updated < unseen_us))
    states += await _delete(session, check_reports.delete().where(check_reports.c.updated < unseen_us))
    return states + await _delete(session, vantages.delete().where(vantages.c.heartbeat < unseen_us))


async def _forget_overrides(session: Session, cutoff: datetime) -> int:
    """Those that ended or were taken back: they are kept for a while, so that of two words for one target the later wins."""
    ended = sa.or_(overrides.c.state.is_(None), overrides.c.expires_at < cutoff)
    return await _delete(session, overrides.delete().where(overrides.c.set_at < cutoff, ended))


async def _delete(session: Session, statement: Any) -> int:
    return int((await session.execute(statement, limit_s=LONG_STATEMENT_S)).rowcount)
