"""Value ids: what the health vector and the dataplane call one value of one pool of one rrset.

An id belongs to (rrset, pool, value) while the value stays in the pool, whatever else of the record changes, and is never given to
anything else in the lineage: a value that returns gets a new one, so that nothing said about the old can be taken for the new. The
record's own values have ids too, under the pool "".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import sqlalchemy as sa

from geodns.errors import Conflict
from geodns.model.record import Rrset
from geodns.store.batches import in_batches
from geodns.store.database import LONG_STATEMENT_S, Session
from geodns.store.encoding import own_value_text
from geodns.store.schema import head, value_ids

OWN_POOL: Final = ""
# The link carries an id in 32 bits. At a million changed values a day they last for ten years.
_MAX_ID: Final = (1 << 32) - 1

Place = tuple[bytes, int]  # owner key, rtype
PoolValue = tuple[str, str]


def values_of(rrset: Rrset) -> frozenset[PoolValue]:
    """Every (pool, value) of an rrset that needs an id; none for a static one."""
    if rrset.steering is None:
        return frozenset()
    own = ((OWN_POOL, own_value_text(rrset.rtype, rdata)) for rdata in rrset.rdatas)
    return frozenset(own) | {(pool.name, value.value) for pool in rrset.steering.pools for value in pool.values}


async def assign(session: Session, zone_id: int, wanted: Mapping[Place, Collection[PoolValue]]) -> None:
    """Make the ids of these rrsets fit: keep those of values that stay, forget those that went, give new ones to the rest."""
    known = await _known_ids(session, zone_id, wanted)
    gone = [value_id for place, ids in known.items() for pool_value, value_id in ids.items() if pool_value not in wanted[place]]
    new = [
        (place, pool_value) for place in sorted(wanted) for pool_value in sorted(wanted[place]) if pool_value not in known.get(place, {})
    ]
    for batch in in_batches(gone):
        await session.execute(value_ids.delete().where(value_ids.c.id.in_(batch)), limit_s=LONG_STATEMENT_S)
    if not new:
        return
    first = await _take_ids(session, len(new))
    rows = [
        {"id": value_id, "zone_id": zone_id, "owner_key": place[0], "rtype": place[1], "pool": pool, "value": value}
        for value_id, (place, (pool, value)) in enumerate(new, first)
    ]
    for part in in_batches(rows):
        await session.execute(value_ids.insert(), part, limit_s=LONG_STATEMENT_S)


async def _known_ids(session: Session, zone_id: int, places: Collection[Place]) -> dict[Place, dict[PoolValue, int]]:
    query = sa.select(value_ids).where(value_ids.c.zone_id == zone_id)
    known: dict[Place, dict[PoolValue, int]] = {}
    keys = sorted({owner_key for owner_key, _ in places})
    for batch in in_batches(keys):
        for row in await session.rows(query.where(value_ids.c.owner_key.in_(batch))):
            place = (row.owner_key, row.rtype)
            if place in places:
                known.setdefault(place, {})[row.pool, row.value] = row.id
    return known


async def _take_ids(session: Session, count: int) -> int:
    """The first of `count` ids that nobody had before."""
    take = head.update().values(next_value_id=head.c.next_value_id + count).returning(head.c.next_value_id)
    end: int = (await session.execute(take, limit_s=LONG_STATEMENT_S)).scalar_one()
    if end - 1 > _MAX_ID:
        raise Conflict("all value ids of this lineage have been used", hint="geodns db adopt")
    return end - count
