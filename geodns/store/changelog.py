"""Reading the log of changes: what a revision did to each rrset, before and after. `edits.py` writes it, `audit.py` says who."""

from __future__ import annotations

from dataclasses import dataclass

import dns.name
import sqlalchemy as sa

from geodns.model import names
from geodns.model.record import Rrset
from geodns.store.database import AnyRow, Session
from geodns.store.encoding import owner_key
from geodns.store.pages import Page, clamp_limit, make_page, read_cursor
from geodns.store.rows import rrset_of
from geodns.store.schema import rrset_changes

Name = dns.name.Name


@dataclass(frozen=True, slots=True)
class RrsetChange:
    """One rrset that a revision changed; None before it was made, and after it was removed. Without steering."""

    apex: Name
    owner: Name
    rtype: int
    before: Rrset | None
    after: Rrset | None


async def list_rrset_changes(session: Session, revision: int, *, cursor: str | None = None, limit: int | None = None) -> Page[RrsetChange]:
    """What a revision changed, in canonical order."""
    size = clamp_limit(limit)
    place = (rrset_changes.c.apex, rrset_changes.c.owner_key, rrset_changes.c.rtype)
    query = sa.select(rrset_changes).where(rrset_changes.c.revision == revision).order_by(*place).limit(size + 1)
    if cursor is not None:
        after = read_cursor(cursor, bytes, bytes, int)
        query = query.where(sa.tuple_(*place) > sa.tuple_(*map(sa.literal, after)))
    found = [_change(row) for row in await session.rows(query)]
    return make_page(found, size, _position)


def _position(change: RrsetChange) -> tuple[bytes, bytes, int]:
    return names.wire_of(change.apex), owner_key(change.owner, change.apex), change.rtype


def _change(row: AnyRow) -> RrsetChange:
    def side(ttl: int | None, body: bytes, dynamic: str | None, octodns: str | None) -> Rrset | None:
        return None if ttl is None else rrset_of(row.owner, row.rtype, ttl, body, dynamic, octodns)

    return RrsetChange(
        names.from_wire(row.apex),
        names.from_wire(row.owner),
        row.rtype,
        side(row.before_ttl, row.before_body, row.before_dynamic, row.before_octodns),
        side(row.after_ttl, row.after_body, row.after_dynamic, row.after_octodns),
    )
