"""Changes of a zone as such: its SOA and default ttl, its end, and what every change of its contents does to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa

from geodns.errors import InvalidInput, MirroredZone, Problem
from geodns.model import names
from geodns.model.record import Soa
from geodns.store import audit, history
from geodns.store.audit import Actor, Source
from geodns.store.database import LONG_STATEMENT_S, Session
from geodns.store.edits import Summary, log_whole_zone
from geodns.store.encoding import NS_RTYPE, name_from_wire, unpack_body
from geodns.store.requests import Committed, DeleteZone, Operation, PatchZone
from geodns.store.schema import now, rrsets, tombstones, value_ids, zones
from geodns.store.schema import zone_changes as zone_changes_table
from geodns.store.zones import Zone, get_zone, is_newer_serial, next_serial, soa_columns, soa_document

# RFC 2181 §8 for ttls; the timers of an SOA are 32-bit times that everybody reads as signed.
_MAX_TIME: Final = (1 << 31) - 1
_MAX_SERIAL: Final = (1 << 32) - 1
# An audit entry names this many rrsets; the log has all.
_SHOWN: Final = 20

_UPDATE: Final = zones.update().where(zones.c.id == sa.bindparam("of"))

_TIMERS: Final = ("refresh", "retry", "expire", "minimum")


def refuse_mirrored(zone: Zone, actor: Actor) -> None:
    """A zone whose truth is a file is changed by the mirror alone."""
    if zone.mirrored and actor.source is not Source.MIRROR:
        raise MirroredZone(f"the zone {names.zone_text(zone.apex)} is mirrored from its file", hint="change the file")


def following_serial(zone: Zone, given: int | None = None) -> int:
    """The serial after a change: the source's own when that is newer, else one more."""
    return given if given is not None and is_newer_serial(given, zone.serial) else next_serial(zone.serial)


async def touch_zone(session: Session, zone: Zone, revision: int, serial: int, growth: int = 0, **columns: Any) -> None:
    """What every change of a zone's contents does to its row."""
    values = {
        "of": zone.id,
        "serial": serial,
        "revision": revision,
        "rrset_count": zone.rrset_count + growth,
        "changed_at": now(),
        **columns,
    }
    await session.execute(_UPDATE, values)


async def log_zone(
    session: Session, revision: int, apex: bytes, op: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    """Log what became of a zone's settings: `op` is create, update or delete."""
    row = {"revision": revision, "apex": apex, "op": op, "before": before, "after": after}
    await session.execute(zone_changes_table.insert(), row)


def summary_detail(summary: Summary) -> dict[str, Any]:
    """What an audit entry says of a change of rrsets."""
    shown = [f"{step.operation.value} {step.owner.to_text()} {step.rtype}" for step in summary.steps[:_SHOWN]]
    return {"counts": {operation.value: count for operation, count in summary.counts}, "first": shown}


async def patch_zone(session: Session, request: PatchZone, actor: Actor) -> Committed:
    """Change SOA, serial or default ttl."""
    head = await history.lock_head(session)
    zone = await get_zone(session, request.apex)
    refuse_mirrored(zone, actor)
    request.precondition.check(f"the zone {names.zone_text(zone.apex)}", zone.revision)
    problems = _judge_patch(request, zone)
    if problems:
        raise InvalidInput(problems)
    soa = _patched(zone.soa, request)
    default_ttl = zone.default_ttl if request.default_ttl is None else request.default_ttl
    asked = zone.serial if request.serial is None else request.serial
    if (soa, default_ttl, asked) == (zone.soa, zone.default_ttl, zone.serial):
        return Committed(head.revision, changed=False, serial=zone.serial)
    serial = following_serial(zone, request.serial)
    revision = (await history.begin_revision(session, actor)).revision
    await touch_zone(session, zone, revision, serial, default_ttl=default_ttl, **soa_columns(soa))
    before, after = soa_document(zone.soa, zone.serial, zone.default_ttl), soa_document(soa, serial, default_ttl)
    await log_zone(session, revision, names.wire_of(zone.apex), "update", before, after)
    detail = {"before": before, "after": after}
    await audit.record(session, actor, "change zone", names.zone_text(zone.apex), revision=revision, detail=detail)
    return Committed(revision, changed=True, serial=serial)


def _patched(soa: Soa, request: PatchZone) -> Soa:
    asked = {name: getattr(request, name) for name in ("mname", "rname", *_TIMERS)} | {"ttl": request.soa_ttl}
    return replace(soa, **{name: value for name, value in asked.items() if value is not None})


def _judge_patch(request: PatchZone, zone: Zone) -> list[Problem]:
    times = {f"/soa/{name}": getattr(request, name) for name in _TIMERS} | {
        "/soa/ttl": request.soa_ttl,
        "/default_ttl": request.default_ttl,
    }
    problems = [
        Problem(pointer, "bad-time", f"{value} is not a time in seconds; write 0 to {_MAX_TIME}")
        for pointer, value in times.items()
        if value is not None and not 0 <= value <= _MAX_TIME
    ]
    serial = request.serial
    if serial is not None and not 0 <= serial <= _MAX_SERIAL:
        problems.append(Problem("/soa/serial", "bad-serial", f"{serial} is no serial; write 0 to {_MAX_SERIAL}"))
    elif serial is not None and serial != zone.serial and not is_newer_serial(serial, zone.serial):
        message = f"{serial} is not newer than {zone.serial} (RFC 1982 §3.2): secondaries would not follow"
        problems.append(Problem("/soa/serial", "old-serial", message))
    return problems


async def delete_zone(session: Session, request: DeleteZone, actor: Actor) -> Committed:
    """Remove a zone with all that is in it and leave a tombstone."""
    await history.lock_head(session)
    zone = await get_zone(session, request.apex)
    refuse_mirrored(zone, actor)
    request.precondition.check(f"the zone {names.zone_text(zone.apex)}", zone.revision)
    revision = (await history.begin_revision(session, actor)).revision
    apex = names.wire_of(zone.apex)
    before = soa_document(zone.soa, zone.serial, zone.default_ttl)
    await _bury(session, zone, revision, before, actor)
    await log_whole_zone(session, zone.id, apex, revision, prefix="before")
    await log_zone(session, revision, apex, "delete", before, None)
    for table in (value_ids, rrsets):
        await session.execute(table.delete().where(table.c.zone_id == zone.id), limit_s=LONG_STATEMENT_S)
    await session.execute(zones.delete().where(zones.c.id == zone.id))
    detail = {"before": before, "rrsets": zone.rrset_count}
    await audit.record(session, actor, "delete zone", names.zone_text(zone.apex), revision=revision, detail=detail)
    return Committed(revision, changed=True, counts=((Operation.DELETE, zone.rrset_count),))


async def _bury(session: Session, zone: Zone, revision: int, soa: dict[str, Any], actor: Actor) -> None:
    """Leave a tombstone with the SOA and the apex NS, which the parent may go on to name."""
    query = sa.select(rrsets.c.body).where(rrsets.c.zone_id == zone.id, rrsets.c.owner_key == b"", rrsets.c.rtype == NS_RTYPE)
    body = await session.scalar(query)
    nameservers = [] if body is None else [name_from_wire(rdata).to_text() for rdata in unpack_body(body)]
    tombstone = {
        "apex": names.wire_of(zone.apex),
        "serial": zone.serial,
        "soa": soa,
        "nameservers": nameservers,
        "revision": revision,
        "at": now(),
        "actor": actor.name,
    }
    await session.execute(tombstones.insert(), tombstone)
