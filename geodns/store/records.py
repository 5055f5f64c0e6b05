"""Reading rrsets: one, a page, an owner name, a whole zone, the whole state.

What is read for serving stays in wire form (`StateRow`): a million static rrsets pass as rows, never as objects. Only steered rrsets
become values with their steering (`StoredSteered`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import dns.name
import sqlalchemy as sa

from geodns.errors import NotFound
from geodns.model import names, rdata
from geodns.model.findings import Policy, UnknownKeys
from geodns.model.prefixes import Prefixes
from geodns.model.record import Rrset
from geodns.model.records import parse_record, record_to_json
from geodns.store.batches import in_batches
from geodns.store.database import AnyRow, Session
from geodns.store.encoding import SOA_RTYPE, name_to_wire, own_value_text, owner_key, pack_body
from geodns.store.pacing import Pacer
from geodns.store.pages import Page, clamp_limit, make_page, read_cursor
from geodns.store.rows import rrset_of
from geodns.store.schema import lists, rrsets, value_ids
from geodns.store.schema import zones as zones_table
from geodns.store.value_ids import OWN_POOL
from geodns.store.zones import Zone, all_zones, find_zone, get_zone

Name = dns.name.Name

# Rows asked of the database at a time: a few milliseconds of the event loop, and a small share of a row's cost for the round trip.
_STREAM_ROWS: Final = 2000

# What is stored was judged when it came in. It is read as leniently as it may ever have been judged, or a stricter setting or a newer
# program would silently stop steering.
_STORED: Final = Policy(lenient=True, unknown_keys=UnknownKeys.WARNING, allow_loopback=True)


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """An rrset (without steering) and the revision of its last change."""

    rrset: Rrset
    revision: int


class StateList(NamedTuple):
    """A named CIDR list, as part of the state."""

    name: str
    prefixes: Prefixes


class StateZone(NamedTuple):
    """The zone exists; its rows follow."""

    apex: bytes


class StateRow(NamedTuple):
    """An rrset as it is sent: names in wire form, `body` in form 0. For a steered one the body holds its own values."""

    apex: bytes
    owner: bytes
    rtype: int
    ttl: int
    body: bytes
    steered: bool


class OwnerRows(NamedTuple):
    """Everything at one owner name of the zone `apex`; no rows when the name, or the zone, is not there."""

    apex: Name
    owner: Name
    rows: list[StateRow]


@dataclass(frozen=True, slots=True)
class StoredSteered:
    """A steered rrset with the ids of its values: by (pool, value), own values under the pool ""; `own_ids` in the order of `rdatas`."""

    zone: Name
    rrset: Rrset
    value_ids: Mapping[tuple[str, str], int]
    own_ids: tuple[int, ...]
    revision: int


_RECORD_COLUMNS = (rrsets.c.owner, rrsets.c.rtype, rrsets.c.ttl, rrsets.c.body, rrsets.c.dynamic, rrsets.c.octodns, rrsets.c.revision)


def _record(row: AnyRow) -> StoredRecord:
    owner, rtype, ttl, body, dynamic, octodns, revision = row
    return StoredRecord(rrset_of(owner, rtype, ttl, body, dynamic, octodns), revision)


async def find_record(session: Session, zone: Zone, owner: Name, rtype: int) -> StoredRecord | None:
    """One rrset, or None."""
    query = sa.select(*_RECORD_COLUMNS).where(
        rrsets.c.zone_id == zone.id, rrsets.c.owner_key == owner_key(owner, zone.apex), rrsets.c.rtype == rtype
    )
    row = await session.row(query)
    return None if row is None else _record(row)


async def get_record(session: Session, apex: Name, owner: Name, rtype: int) -> StoredRecord:
    """One rrset; NotFound for the zone or the rrset."""
    found = await find_record(session, await get_zone(session, apex), owner, rtype)
    if found is None:
        what = f"{rdata.rtype_to_text(rtype)} record {names.to_text(owner, apex)}"
        raise NotFound(f"the zone {names.zone_text(apex)} has no {what}")
    return found


async def list_records(
    session: Session,
    apex: Name,
    *,
    owner: Name | None = None,
    rtype: int | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[StoredRecord]:
    """Rrsets in canonical order, of one owner name or type when asked; without the SOA, which belongs to the zone."""
    zone = await get_zone(session, apex)
    size = clamp_limit(limit)
    query = sa.select(*_RECORD_COLUMNS).where(rrsets.c.zone_id == zone.id).order_by(rrsets.c.owner_key, rrsets.c.rtype).limit(size + 1)
    if owner is not None:
        query = query.where(rrsets.c.owner_key == owner_key(owner, apex))
    if rtype is not None:
        query = query.where(rrsets.c.rtype == rtype)
    if cursor is not None:
        after = read_cursor(cursor, bytes, int)
        query = query.where(sa.tuple_(rrsets.c.owner_key, rrsets.c.rtype) > sa.tuple_(*map(sa.literal, after)))
    found = [_record(row) for row in await session.rows(query)]
    return make_page(found, size, lambda record: (owner_key(record.rrset.owner, apex), record.rrset.rtype))


async def zone_records(session: Session, zone: Zone) -> AsyncGenerator[StoredRecord]:
    """All rrsets of a zone but the SOA, in canonical order: for an export."""
    query = sa.select(*_RECORD_COLUMNS).where(rrsets.c.zone_id == zone.id).order_by(rrsets.c.owner_key, rrsets.c.rtype)
    pacer = Pacer()
    async with aclosing(session.batches(query, _STREAM_ROWS)) as batches:
        async for batch in batches:
            for row in batch:
                yield _record(row)
                await pacer.breathe()


async def stream_state(session: Session) -> AsyncGenerator[StateList | StateZone | StateRow]:
    """Everything that is served, in the order of a FULL: lists, then each zone with its SOA and its rrsets in canonical order.

    One snapshot with `history.head` of the same session. Memory is that of a batch, whatever the size of the state.
    """
    for row in await session.rows(sa.select(lists.c.name, lists.c.prefixes, lists.c.body).order_by(lists.c.name)):
        yield StateList(row.name, Prefixes(row.body, row.prefixes))
    async with aclosing(_stream_zones(session, await all_zones(session), _STATE)) as stream:
        async for each in stream:
            yield each


async def count_rrsets(session: Session, apexes: Iterable[Name]) -> int:
    """How many rrsets these zones have."""
    found = [await find_zone(session, apex) for apex in apexes]
    return sum(zone.rrset_count for zone in found if zone is not None)


async def stream_zone(session: Session, apex: Name) -> AsyncGenerator[StateZone | StateRow]:
    """The same of one zone; nothing when it is not there."""
    zone = await find_zone(session, apex)
    if zone is not None:
        async with aclosing(_stream_zones(session, [zone], _STATE_OF_ZONE, {"zone": zone.id})) as stream:
            async for each in stream:
                yield each


_STATE: Final = sa.select(rrsets.c.zone_id, rrsets.c.owner, rrsets.c.rtype, rrsets.c.ttl, rrsets.c.body, rrsets.c.steered).order_by(
    rrsets.c.zone_id, rrsets.c.owner_key, rrsets.c.rtype
)
_STATE_OF_ZONE: Final = _STATE.where(rrsets.c.zone_id == sa.bindparam("zone"))


async def _stream_zones(
    session: Session, zones: Iterable[Zone], query: sa.Select[*tuple[Any, ...]], parameters: Mapping[str, Any] | None = None
) -> AsyncGenerator[StateZone | StateRow]:
    """`query` selects the columns of `_STATE`, in its order, of exactly these zones."""
    waiting = {zone.id: zone for zone in sorted(zones, key=lambda zone: zone.id)}
    current, apex = 0, b""
    async with aclosing(session.batches(query, _STREAM_ROWS, parameters)) as batches:
        async for batch in batches:
            for zone_id, owner, rtype, ttl, body, steered in batch:
                if zone_id != current:
                    zone = waiting.pop(zone_id)
                    current, apex = zone_id, name_to_wire(zone.apex)
                    yield StateZone(apex)
                    yield soa_row(zone)
                yield StateRow(apex, owner, rtype, ttl, body, steered)
    for zone in waiting.values():  # without a single rrset
        yield StateZone(name_to_wire(zone.apex))
        yield soa_row(zone)


def soa_row(zone: Zone) -> StateRow:
    """The SOA of a zone as an rrset like any other."""
    apex = name_to_wire(zone.apex)
    return StateRow(apex, apex, SOA_RTYPE, zone.soa.ttl, pack_body([zone.soa_rdata()]), steered=False)


async def find_list(session: Session, name: str) -> StateList | None:
    """One CIDR list as it is sent, or None."""
    row = await session.row(sa.select(lists.c.name, lists.c.prefixes, lists.c.body).where(lists.c.name == name))
    return None if row is None else StateList(row.name, Prefixes(row.body, row.prefixes))


async def owner_rrsets(session: Session, apex: Name, owner: Name) -> list[StateRow]:
    """Everything at one owner name, the SOA at the apex included; nothing when the name, or the zone, is not there."""
    return [row async for batch in owner_batches(session, [(apex, owner)]) for there in batch for row in there.rows]


async def owner_batches(session: Session, owners: Iterable[tuple[Name, Name]]) -> AsyncGenerator[list[OwnerRows]]:
    """The same for many (apex, owner), each with its rows, in order of zones as given, a bearable number at a time: for a DELTA."""
    for apex, names_in_zone in _group_by_zone(owners):
        zone = await find_zone(session, apex)
        for batch in in_batches(names_in_zone):
            found = {} if zone is None else await _rows_at(session, zone, batch)
            yield [OwnerRows(apex, owner, found.get(name_to_wire(owner), [])) for owner in batch]


def _group_by_zone(owners: Iterable[tuple[Name, Name]]) -> Iterator[tuple[Name, list[Name]]]:
    """The owner names of each apex. By its labels: dnspython computes the hash of a name anew each time, for a tenth of a second here."""
    grouped: dict[tuple[bytes, ...], tuple[Name, list[Name]]] = {}
    for apex, owner in owners:
        grouped.setdefault(apex.labels, (apex, []))[1].append(owner)
    return iter(grouped.values())


_STATE_AT: Final = (
    sa.select(rrsets.c.owner, rrsets.c.rtype, rrsets.c.ttl, rrsets.c.body, rrsets.c.steered)
    .where(rrsets.c.zone_id == sa.bindparam("zone"), rrsets.c.owner_key.in_(sa.bindparam("keys", expanding=True)))
    .order_by(rrsets.c.owner_key, rrsets.c.rtype)
)


async def _rows_at(session: Session, zone: Zone, owners: Sequence[Name]) -> dict[bytes, list[StateRow]]:
    apex = name_to_wire(zone.apex)
    found: dict[bytes, list[StateRow]] = {}
    keys = [owner_key(owner, zone.apex) for owner in owners]
    if b"" in keys:
        found[apex] = [soa_row(zone)]
    for row in await session.rows(_STATE_AT, {"zone": zone.id, "keys": keys}):
        found.setdefault(row.owner, []).append(StateRow(apex, *row))
    return found


async def steered_rrsets(session: Session) -> AsyncGenerator[StoredSteered]:
    """Every steered rrset. One that the model no longer understands is left out: its own values are served."""
    async with aclosing(_steered(session, None)) as found:
        async for steered in found:
            yield steered


async def steered_at(session: Session, owners: Iterable[tuple[Name, Name]]) -> list[StoredSteered]:
    """The steered rrsets at these (apex, owner)."""
    found: list[StoredSteered] = []
    for apex, names_in_zone in _group_by_zone(owners):
        for batch in in_batches(names_in_zone):
            place = zones_table.c.apex == name_to_wire(apex), rrsets.c.owner_key.in_([owner_key(owner, apex) for owner in batch])
            found += [steered async for steered in _steered(session, sa.and_(*place))]
    return found


async def steered_in(session: Session, apex: Name) -> AsyncGenerator[StoredSteered]:
    """The steered rrsets of a zone."""
    async with aclosing(_steered(session, zones_table.c.apex == name_to_wire(apex))) as found:
        async for steered in found:
            yield steered


async def _steered(session: Session, where: sa.ColumnElement[bool] | None) -> AsyncGenerator[StoredSteered]:
    """Steered rrsets joined with the ids of their values, one rrset at a time."""
    query = (
        sa.select(zones_table.c.apex, *_RECORD_COLUMNS, value_ids.c.pool, value_ids.c.value, value_ids.c.id)
        .select_from(rrsets)
        .join(zones_table, zones_table.c.id == rrsets.c.zone_id)
        .join(
            value_ids,
            sa.and_(
                value_ids.c.zone_id == rrsets.c.zone_id,
                value_ids.c.owner_key == rrsets.c.owner_key,
                value_ids.c.rtype == rrsets.c.rtype,
            ),
        )
        .where(rrsets.c.steered)
        .order_by(rrsets.c.zone_id, rrsets.c.owner_key, rrsets.c.rtype)
    )
    if where is not None:
        query = query.where(where)
    pacer = Pacer()
    record: tuple[Any, ...] | None = None
    ids: dict[tuple[str, str], int] = {}
    async with aclosing(session.batches(query, _STREAM_ROWS)) as batches:
        async for batch in batches:
            for *columns, pool, value, value_id in batch:
                if record is None or columns[:3] != list(record[:3]):
                    if record is not None and (steered := _read_steered(record, ids)) is not None:
                        yield steered
                        await pacer.breathe()
                    record, ids = tuple(columns), {}
                ids[pool, value] = value_id
    if record is not None and (steered := _read_steered(record, ids)) is not None:
        yield steered


def _read_steered(columns: tuple[Any, ...], ids: dict[tuple[str, str], int]) -> StoredSteered | None:
    apex = names.from_wire(columns[0])
    owner, rtype, ttl, body, dynamic, octodns, revision = columns[1:]
    stored = rrset_of(owner, rtype, ttl, body, dynamic, octodns)
    parsed = parse_record(apex, stored.owner, record_to_json(stored, apex), policy=_STORED).rrset
    if parsed is None or parsed.steering is None:
        return None
    own = tuple(ids[OWN_POOL, own_value_text(rtype, wire)] for wire in parsed.rdatas)
    return StoredSteered(apex, parsed, ids, own, revision)
