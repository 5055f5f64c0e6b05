"""A whole zone from a source: seeded, created, imported, applied, mirrored.

The source is judged in a thread (a hundred thousand rrsets take seconds of Python), then compared with the stored zone by one ordered pass
over both, so that only the difference is held and written.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import dns.name
import sqlalchemy as sa

from geodns.errors import Conflict, InvalidInput, Problem, UnsafeChange, errors_in
from geodns.model import names, rdata
from geodns.model import zones as zone_rules
from geodns.model.record import Rrset, Soa, ZoneContents
from geodns.store import audit, history, lists
from geodns.store.audit import Actor
from geodns.store.batches import in_batches
from geodns.store.database import Session
from geodns.store.edits import Difference, Edit, write_edits, write_new_zone
from geodns.store.encoding import NS_RTYPE, SOA_RTYPE, name_from_wire, name_to_wire, zone_key
from geodns.store.history import Triple
from geodns.store.pacing import Pacer
from geodns.store.requests import Committed, CreateZone, ReplaceZone, WritePolicy
from geodns.store.rows import Row, row_of
from geodns.store.schema import now, rrsets, tombstones, zones
from geodns.store.zone_changes import difference_detail, following_serial, log_zone, refuse_mirrored, touch_zone
from geodns.store.zones import Zone, find_tombstone, find_zone, first_serial, is_newer_serial, soa_columns, soa_document

Name = dns.name.Name

# The brake of contract section 4: an empty or truncated file must not empty a zone. Below ten rrsets a share says little.
_BRAKE_SHARE: Final = 0.3
_BRAKE_RRSETS: Final = 10

_STREAM_ROWS: Final = 2000
_SORT_PIECE: Final = 5000


@dataclass(frozen=True, slots=True)
class JudgedZone:
    """A source without errors, ready to be stored: rows in canonical order, each with its rrset where that is steered."""

    contents: ZoneContents
    rows: tuple[tuple[Row, Rrset | None], ...]
    nameservers: tuple[Name, ...]
    problems: tuple[Problem, ...]


async def judge(contents: ZoneContents, policy: WritePolicy) -> JudgedZone:
    """Judge a whole zone; InvalidInput with every problem."""
    return await asyncio.to_thread(_judge, contents, policy)


def _judge(contents: ZoneContents, policy: WritePolicy) -> JudgedZone:
    apex = contents.apex
    problems: list[Problem] = []
    rows: list[tuple[Row, Rrset | None]] = []
    at_key: dict[bytes, list[Rrset]] = {}  # not by name: hashing a dnspython name costs more than all else here
    for rrset in _with_nameservers(contents, policy):
        if why := _why_not_here(rrset, apex):
            problems.append(Problem("", *why))
            continue
        row = row_of(rrset, apex)
        beside = at_key.setdefault(row.owner_key, [])
        if any(other.rtype == rrset.rtype for other in beside):
            problems.append(Problem("", "duplicate-rrset", f"{_show(rrset)} stands twice; merge the two"))
            continue
        beside.append(rrset)
        rows.append((row, rrset if rrset.steering is not None else None))
    problems += zone_rules.check_zone(apex, {rrsets_there[0].owner: rrsets_there for rrsets_there in at_key.values()}, policy.nameservers)
    if errors_in(problems):
        raise InvalidInput(problems)
    nameservers = [name_from_wire(wire) for rrset in at_key.get(b"", ()) if rrset.rtype == NS_RTYPE for wire in rrset.rdatas]
    return JudgedZone(contents, tuple(_sort(rows)), tuple(sorted(nameservers)), tuple(problems))


def _with_nameservers(contents: ZoneContents, policy: WritePolicy) -> Iterable[Rrset]:
    """The source's rrsets, and the NS of the setting `zones.nameservers` where the source has none at the apex."""
    has_own = any(rrset.rtype == NS_RTYPE and rrset.owner == contents.apex for rrset in contents.rrsets)
    if has_own or not policy.nameservers:
        return contents.rrsets
    rdatas = tuple(name_to_wire(server) for server in policy.nameservers)
    return (*contents.rrsets, Rrset(contents.apex, NS_RTYPE, contents.default_ttl, rdatas))


def _why_not_here(rrset: Rrset, apex: Name) -> tuple[str, str] | None:
    """Code and message of why an rrset has no place among a zone's rrsets."""
    if rrset.rtype == SOA_RTYPE:
        return "refused-type", f"{_show(rrset)}: the SOA belongs to the zone"
    if rrset.owner.labels[-len(apex.labels) :] != apex.labels:
        return "outside-zone", f"{_show(rrset)} lies outside the zone {names.zone_text(apex)}"
    return None


def _show(rrset: Rrset) -> str:
    return f"{rdata.rtype_to_text(rrset.rtype)} at {rrset.owner.to_text()}"


def _sort(rows: list[tuple[Row, Rrset | None]]) -> list[tuple[Row, Rrset | None]]:
    """Canonical order, by pieces: one sort of a million rows would hold the interpreter, and with it the event loop, for a second."""
    pieces = [sorted(piece, key=_place) for piece in in_batches(rows, _SORT_PIECE)]
    return list(heapq.merge(*pieces, key=_place))


def _place(pair: tuple[Row, Rrset | None]) -> tuple[bytes, int]:
    return pair[0][:2]


async def commit_whole_zone(session: Session, request: CreateZone | ReplaceZone, judged: JudgedZone, actor: Actor) -> Committed:
    """Create the zone, or make it equal to its source."""
    head = await history.lock_head(session)
    zone = await find_zone(session, judged.contents.apex)
    if isinstance(request, ReplaceZone):
        subject = f"the zone {names.zone_text(judged.contents.apex)}"
        request.precondition.check(subject, None if zone is None else zone.revision)
        if zone is not None:
            return await _replace(session, request, judged, zone, head, actor)
    elif zone is not None:
        if not request.seed:
            raise Conflict(f"the zone {names.zone_text(zone.apex)} exists already")
        return Committed(head.revision, changed=False, serial=zone.serial)
    elif request.seed and await find_tombstone(session, judged.contents.apex) is not None:
        return Committed(head.revision, changed=False)
    return await _create(session, request, judged, head, actor)


async def _create(session: Session, request: CreateZone | ReplaceZone, judged: JudgedZone, head: Triple, actor: Actor) -> Committed:
    contents = judged.contents
    apex = names.wire_of(contents.apex)
    soa = contents.soa or _make_soa(contents.apex, judged.nameservers)
    tombstone = await find_tombstone(session, contents.apex)
    serial = first_serial(contents.serial, None if tombstone is None else tombstone.serial)
    problems = (*judged.problems, *await lists.warn_of_unknown(session, (rrset for _, rrset in judged.rows if rrset is not None)))
    difference = await _compare_with_nothing(judged)
    revision = head.revision
    if not request.dry_run:
        revision = (await history.begin_revision(session, actor)).revision
        await session.execute(tombstones.delete().where(tombstones.c.apex == apex))
        row = {
            "apex": apex,
            "zone_key": zone_key(contents.apex),
            "serial": serial,
            "default_ttl": contents.default_ttl,
            "mirrored": isinstance(request, ReplaceZone) and request.mirror,
            "rrset_count": len(judged.rows),
            "revision": revision,
            "created_at": now(),
            "changed_at": now(),
            **soa_columns(soa),
        }
        zone_id = (await session.execute(zones.insert().returning(zones.c.id), row)).scalar_one()
        await write_new_zone(session, zone_id, apex, revision, difference)
        after = soa_document(soa, serial, contents.default_ttl)
        await log_zone(session, revision, apex, "create", None, after)
        detail = {"after": after, "rrsets": len(judged.rows)}
        await audit.record(session, actor, "create zone", names.zone_text(contents.apex), revision=revision, detail=detail)
    return Committed(
        revision,
        changed=True,
        serial=serial,
        created=True,
        steps=difference.steps(),
        counts=difference.counts,
        problems=problems,
    )


async def _compare_with_nothing(judged: JudgedZone) -> Difference:
    """Everything is created."""
    difference = Difference()
    pacer = Pacer()
    for row, rrset in judged.rows:
        difference.add(Edit(None, row, rrset))
        await pacer.breathe()
    return difference


def _make_soa(apex: Name, nameservers: Sequence[Name]) -> Soa:
    """Contract section 1, "SOA and NS". A zone without name servers never gets here but in a lenient reading."""
    return Soa(mname=nameservers[0] if nameservers else apex, rname=dns.name.Name((b"hostmaster",)).concatenate(apex))


async def _replace(session: Session, request: ReplaceZone, judged: JudgedZone, zone: Zone, head: Triple, actor: Actor) -> Committed:
    refuse_mirrored(zone, actor)
    contents = judged.contents
    difference = await _compare(session, zone, judged.rows)
    soa = contents.soa or zone.soa
    has_newer_serial = contents.serial is not None and is_newer_serial(contents.serial, zone.serial)
    changed = bool(difference) or soa != zone.soa or has_newer_serial
    _brake(request, zone, difference)
    steered = (edit.rrset for edit in difference.edits if edit.rrset is not None)
    problems = (*judged.problems, *await lists.warn_of_unknown(session, steered))
    serial = following_serial(zone, contents.serial) if changed else zone.serial
    revision = head.revision
    if not request.dry_run and zone.mirrored != request.mirror:
        await session.execute(zones.update().where(zones.c.id == zone.id).values(mirrored=request.mirror))
    if changed and not request.dry_run:
        revision = (await history.begin_revision(session, actor)).revision
        apex = names.wire_of(zone.apex)
        await write_edits(session, zone.id, apex, revision, difference)
        await touch_zone(session, zone, revision, serial, difference, **soa_columns(soa))
        before, after = soa_document(zone.soa, zone.serial, zone.default_ttl), soa_document(soa, serial, zone.default_ttl)
        await log_zone(session, revision, apex, "update", before, after)
        await audit.record(
            session, actor, "replace zone", names.zone_text(zone.apex), revision=revision, detail=difference_detail(difference)
        )
    return Committed(revision, changed=changed, serial=serial, steps=difference.steps(), counts=difference.counts, problems=problems)


async def _compare(session: Session, zone: Zone, rows: Sequence[tuple[Row, Rrset | None]]) -> Difference:
    """One pass over the stored rows and the source's, both in canonical order.

    | stored place | source's place | edit |
    |---|---|---|
    | before | after | the stored rrset is deleted |
    | equal | equal | updated, unless the rows are equal |
    | after | before | the source's rrset is created |
    """
    query = (
        sa.select(*(rrsets.c[name] for name in Row._fields)).where(rrsets.c.zone_id == zone.id).order_by(rrsets.c.owner_key, rrsets.c.rtype)
    )
    difference = Difference()
    position = 0
    pacer = Pacer()
    async with aclosing(session.batches(query, _STREAM_ROWS)) as batches:
        async for batch in batches:
            for values in batch:
                stored = Row(*values)
                place = stored[:2]
                while position < len(rows) and rows[position][0][:2] < place:
                    difference.add(Edit(None, *rows[position]))
                    position += 1
                if position < len(rows) and rows[position][0][:2] == place:
                    if rows[position][0] != stored:
                        difference.add(Edit(stored, *rows[position]))
                    position += 1
                else:
                    difference.add(Edit(stored, None))
            await pacer.breathe()
    for row, rrset in rows[position:]:
        difference.add(Edit(None, row, rrset))
        await pacer.breathe()
    return difference


def _brake(request: ReplaceZone, zone: Zone, difference: Difference) -> None:
    removed = difference.removed
    if request.force or zone.rrset_count < _BRAKE_RRSETS or removed <= _BRAKE_SHARE * zone.rrset_count:
        return
    raise UnsafeChange(
        f"this would remove {removed} of the {zone.rrset_count} rrsets of {names.zone_text(zone.apex)}, more than {_BRAKE_SHARE:.0%}",
        hint="if that is meant, repeat it with force",
    )
