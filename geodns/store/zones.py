"""Zones as rows: their SOA, serial and counters. Rrsets are `records.py`'s; only `changes.py` writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import dns.name
import sqlalchemy as sa

from geodns.errors import NotFound
from geodns.model import names
from geodns.model.record import Soa
from geodns.store.batches import in_batches
from geodns.store.database import AnyRow, Session
from geodns.store.encoding import name_from_wire, name_to_wire, soa_rdata, zone_key
from geodns.store.pages import Page, clamp_limit, make_page, read_cursor
from geodns.store.schema import now, tombstones, zones

Name = dns.name.Name

_SERIAL_MODULUS: Final = 1 << 32
_SERIAL_HALF: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone without its rrsets. `revision` is that of the last change of anything in it; `mirrored`: its truth is a file."""

    id: int
    apex: Name
    soa: Soa
    serial: int
    default_ttl: int
    mirrored: bool
    rrset_count: int
    revision: int
    created_at: datetime
    changed_at: datetime

    def soa_rdata(self) -> bytes:
        """The SOA record as it is served."""
        return soa_rdata(self.soa, self.serial)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is remembered of a deleted zone: that it was, its last serial, and what its parent may still point at."""

    apex: Name
    serial: int
    soa: Mapping[str, Any]
    nameservers: tuple[str, ...]
    revision: int
    at: datetime
    actor: str


_ZONE_OF: Final = sa.select(zones).where(zones.c.apex == sa.bindparam("of"))


async def find_zone(session: Session, apex: Name) -> Zone | None:
    """The zone with this very apex, or None."""
    row = await session.row(_ZONE_OF, {"of": name_to_wire(apex)})
    return None if row is None else zone_from_row(row)


async def get_zone(session: Session, apex: Name) -> Zone:
    """The zone with this very apex; NotFound."""
    zone = await find_zone(session, apex)
    if zone is None:
        raise NotFound(f"there is no zone {names.zone_text(apex)}")
    return zone


async def find_enclosing(session: Session, owners: Iterable[Name]) -> dict[Name, Name]:
    """The apex of the zone that each of these names lies in; without those that lie in none."""
    above = {owner: [Name(owner.labels[start:]) for start in range(len(owner.labels))] for owner in owners}
    wanted = sorted({name_to_wire(name) for names_above in above.values() for name in names_above})
    apexes: set[bytes] = set()
    for batch in in_batches(wanted):
        apexes.update(row.apex for row in await session.rows(sa.select(zones.c.apex).where(zones.c.apex.in_(batch))))
    found = {owner: next((name for name in names_above if name_to_wire(name) in apexes), None) for owner, names_above in above.items()}
    return {owner: apex for owner, apex in found.items() if apex is not None}


async def list_zones(session: Session, *, cursor: str | None = None, limit: int | None = None) -> Page[Zone]:
    """Zones in canonical order."""
    size = clamp_limit(limit)
    query = sa.select(zones).order_by(zones.c.zone_key).limit(size + 1)
    if cursor is not None:
        query = query.where(zones.c.zone_key > read_cursor(cursor, bytes)[0])
    found = [zone_from_row(row) for row in await session.rows(query)]
    return make_page(found, size, lambda zone: (zone_key(zone.apex),))


async def all_zones(session: Session) -> list[Zone]:
    """Every zone, in canonical order: for a FULL, for metrics, for delegation checks."""
    return [zone_from_row(row) for row in await session.rows(sa.select(zones).order_by(zones.c.zone_key))]


async def count_zones(session: Session) -> int:
    """How many zones there are."""
    count: int = await session.scalar(sa.select(sa.func.count()).select_from(zones))
    return count


async def find_tombstone(session: Session, apex: Name) -> Tombstone | None:
    """What is remembered of a zone that was deleted and not made again."""
    row = await session.row(sa.select(tombstones).where(tombstones.c.apex == name_to_wire(apex)))
    if row is None:
        return None
    return Tombstone(apex, row.serial, row.soa, tuple(row.nameservers), row.revision, row.at, row.actor)


async def release_mirrored(session: Session, keep: frozenset[Name] = frozenset()) -> list[Name]:
    """Give zones that no file mirrors any more back to the API. Only for the node that holds the mirror lock. Returns those released."""
    query = sa.select(zones.c.apex).where(zones.c.mirrored)
    released = [name for row in await session.rows(query) if (name := name_from_wire(row.apex)) not in keep]
    for apex in released:
        await session.execute(zones.update().where(zones.c.apex == name_to_wire(apex)).values(mirrored=False))
    return released


def zone_from_row(row: AnyRow) -> Zone:
    """A row of `zones` as a value."""
    soa = Soa(
        mname=name_from_wire(row.mname),
        rname=name_from_wire(row.rname),
        refresh=row.refresh,
        retry=row.retry,
        expire=row.expire,
        minimum=row.minimum,
        ttl=row.soa_ttl,
    )
    return Zone(
        row.id,
        name_from_wire(row.apex),
        soa,
        row.serial,
        row.default_ttl,
        row.mirrored,
        row.rrset_count,
        row.revision,
        row.created_at,
        row.changed_at,
    )


def soa_columns(soa: Soa) -> dict[str, Any]:
    """The columns of `zones` that hold an SOA."""
    return {
        "mname": name_to_wire(soa.mname),
        "rname": name_to_wire(soa.rname),
        "refresh": soa.refresh,
        "retry": soa.retry,
        "expire": soa.expire,
        "minimum": soa.minimum,
        "soa_ttl": soa.ttl,
    }


def soa_document(soa: Soa, serial: int, default_ttl: int) -> dict[str, Any]:
    """A zone's settings as the audit keeps them."""
    return {
        "mname": soa.mname.to_text(),
        "rname": soa.rname.to_text(),
        "refresh": soa.refresh,
        "retry": soa.retry,
        "expire": soa.expire,
        "minimum": soa.minimum,
        "ttl": soa.ttl,
        "serial": serial,
        "default_ttl": default_ttl,
    }


def next_serial(serial: int) -> int:
    """RFC 1982 §3.1 with an increment of one."""
    return (serial + 1) % _SERIAL_MODULUS


def is_newer_serial(serial: int, than: int) -> bool:
    """RFC 1982 §3.2; two serials exactly half the space apart are not comparable, and count as not newer."""
    return 0 < (serial - than) % _SERIAL_MODULUS < _SERIAL_HALF


def first_serial(given: int | None, buried: int | None) -> int:
    """The serial of a new zone: the file's, else unix time; newer than that of a deleted zone of the same name (`buried`), so that nobody
    who still holds that one takes the new zone for old."""
    serial = int(now().timestamp()) % _SERIAL_MODULUS if given is None else given
    return serial if buried is None or is_newer_serial(serial, buried) else next_serial(buried)
