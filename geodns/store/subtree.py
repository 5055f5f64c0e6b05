"""The one rule that reaches beyond an owner name: nothing may stand below a DNAME (RFC 6672 §2.4).

`model.zones.check_zone` judges it for whole zones. A changeset is judged here by asking for what could break the rule: DNAMEs above the
owner names that it fills, and anything below the DNAMEs that it puts. Two ranges of the index, however large the zone is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import dns.name
import sqlalchemy as sa

from geodns.errors import Problem
from geodns.model import names
from geodns.model.zones import ancestors
from geodns.store.batches import in_batches
from geodns.store.database import Session
from geodns.store.encoding import DNAME_RTYPE, owner_key
from geodns.store.schema import rrsets
from geodns.store.zones import Zone

Name = dns.name.Name
Place = tuple[Name, int]


async def judge_dnames(session: Session, zone: Zone, puts: Mapping[Place, str], deletes: Collection[Place]) -> list[Problem]:
    """What a changeset would put below a DNAME. `puts` leads from each place that is filled to the pointer of its change."""
    dnames = {owner for owner, rtype in puts if rtype == DNAME_RTYPE}
    dnames |= await _stored_dnames(session, zone, puts, deletes)
    found: list[Problem] = []
    for (owner, _), pointer in puts.items():
        above = next((ancestor for ancestor in ancestors(owner, zone.apex) if ancestor in dnames), None)
        if above is not None:
            found.append(_problem(pointer, zone, owner, above))
    for (owner, rtype), pointer in puts.items():
        below = await _first_below(session, zone, owner, deletes) if rtype == DNAME_RTYPE else None
        if below is not None:
            found.append(_problem(pointer, zone, below, owner))
    return found


def _problem(pointer: str, zone: Zone, below: Name, dname: Name) -> Problem:
    shown, above = names.to_text(below, zone.apex), names.to_text(dname, zone.apex)
    return Problem(pointer, "below-dname", f"{shown} would stand below the DNAME at {above} (RFC 6672 §2.4); remove one of them")


_DNAMES_AT: Final = sa.select(rrsets.c.owner_key).where(
    rrsets.c.zone_id == sa.bindparam("zone"), rrsets.c.owner_key.in_(sa.bindparam("keys", expanding=True)), rrsets.c.rtype == DNAME_RTYPE
)


async def _stored_dnames(session: Session, zone: Zone, puts: Mapping[Place, str], deletes: Collection[Place]) -> set[Name]:
    """The DNAMEs above what is put that stay."""
    above = {owner_key(ancestor, zone.apex): ancestor for owner, _ in puts for ancestor in ancestors(owner, zone.apex)}
    found: set[Name] = set()
    for batch in in_batches(sorted(above)):
        found |= {above[row.owner_key] for row in await session.rows(_DNAMES_AT, {"zone": zone.id, "keys": batch})}
    return {owner for owner in found if (owner, DNAME_RTYPE) not in deletes}


async def _first_below(session: Session, zone: Zone, owner: Name, deletes: Collection[Place]) -> Name | None:
    """An owner name strictly below `owner` that stays."""
    key = owner_key(owner, zone.apex)
    # Every label of a key ends in a zero byte, so what begins with the key is what lies below it, and the next byte string ends the range.
    is_below = rrsets.c.owner_key > key if not key else sa.and_(rrsets.c.owner_key > key, rrsets.c.owner_key < key[:-1] + b"\x01")
    query = (
        sa.select(rrsets.c.owner, rrsets.c.rtype)
        .where(rrsets.c.zone_id == zone.id, is_below)
        .order_by(rrsets.c.owner_key, rrsets.c.rtype)
        .limit(len(deletes) + 1)
    )
    places = ((names.from_wire(row.owner), row.rtype) for row in await session.rows(query))
    return next((name for name, rtype in places if (name, rtype) not in deletes), None)
