"""A whole zone from a source: seeded, created, imported, applied, mirrored.

The source is judged in a thread (a hundred thousand rrsets take seconds of Python), then compared with the stored zone by one ordered pass
over both, and the difference is written as it is found: neither a large source nor a large difference is held in memory.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final, Generic, TypeVar

import dns.name
import sqlalchemy as sa

from geodns.errors import Conflict, InvalidInput, Problem, UnsafeChange, errors_in
from geodns.model import names, rdata
from geodns.model import zones as zone_rules
from geodns.model.record import Rrset, Soa, ZoneContents
from geodns.store import audit, history, lists
from geodns.store.audit import Actor
from geodns.store.batches import BATCH, in_batches
from geodns.store.database import Session
from geodns.store.edits import Edit, Summary, log_whole_zone, write_batch, write_new_rows
from geodns.store.encoding import DNAME_RTYPE, NS_RTYPE, SOA_RTYPE, name_from_wire, name_to_wire, owner_key, zone_key
from geodns.store.history import Triple
from geodns.store.pacing import without_collector
from geodns.store.requests import Committed, CreateZone, ReplaceZone, WritePolicy
from geodns.store.rows import Row, row_of
from geodns.store.schema import now, rrsets, tombstones, zones
from geodns.store.zone_changes import following_serial, log_zone, refuse_mirrored, summary_detail, touch_zone
from geodns.store.zones import Zone, find_tombstone, find_zone, first_serial, is_newer_serial, soa_columns, soa_document

Name = dns.name.Name
Item = TypeVar("Item")

# A row of a source, with its rrset where that is steered.
Pair = tuple[Row, Rrset | None]

# The brake of contract section 4: an empty or truncated file must not empty a zone. Below ten rrsets a share says little.
_BRAKE_SHARE: Final = 0.3
_BRAKE_RRSETS: Final = 10

# Records that a sentence names.
_SHOWN: Final = 5

_SORT_PIECE: Final = 5000


@dataclass(frozen=True, slots=True)
class JudgedZone:
    """A source without errors, ready to be stored.

    `rows` are in canonical order; those of a source that is not held in memory are made anew each time they are iterated.
    """

    contents: ZoneContents
    rows: Iterable[Pair]
    nameservers: tuple[Name, ...]
    problems: tuple[Problem, ...]


async def judge(contents: ZoneContents, policy: WritePolicy) -> JudgedZone:
    """Judge a whole zone, in a thread; InvalidInput with every problem.

    A source whose rrsets are a sequence may have them in any order and is held in memory. Any other collection must yield them in canonical
    order, owner by owner, each time it is iterated, and its reader must have applied `model.zones.check_zone`: the rules between owner
    names are then judged only as far as a single pass can (nothing below a DNAME).
    """
    with without_collector():
        return await asyncio.to_thread(_judge_held if isinstance(contents.rrsets, Sequence) else _judge_passing, contents, policy)


def _judge_held(contents: ZoneContents, policy: WritePolicy) -> JudgedZone:
    """Judge a source that is held in memory, in any order."""
    apex = contents.apex
    problems: list[Problem] = []
    rows: list[Pair] = []
    at_key: dict[bytes, list[Rrset]] = {}  # not by name: hashing a dnspython name costs more than all else here
    for rrset in (*contents.rrsets, *_added_nameservers(contents, policy)):
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
    problems += zone_rules.check_zone(apex, {found[0].owner: found for found in at_key.values()}, policy.nameservers)
    return _finish(contents, _sort(rows), at_key.get(b"", ()), problems)


def _judge_passing(contents: ZoneContents, policy: WritePolicy) -> JudgedZone:
    """Judge a source that passes by in canonical order, holding no more than an owner name of it."""
    apex = contents.apex
    added = _added_nameservers(contents, policy)
    problems: list[Problem] = []
    at_apex: list[Rrset] = list(added)
    dname: Name | None = None
    last = (b"", -1)
    for labels, group in groupby(contents.rrsets, key=lambda rrset: rrset.owner.labels):  # of which Python compares whole names at once
        there = list(group)
        owner = there[0].owner
        for rrset in there:
            place = owner_key(owner, apex), rrset.rtype
            if why := _why_not_here(rrset, apex):
                problems.append(Problem("", *why))
            elif place <= last:
                problems.append(Problem("", "duplicate-rrset", f"{_show(rrset)} stands twice, or not in canonical order"))
            last = place
        if labels == apex.labels:
            there += added
            at_apex = there
        problems += zone_rules.check_owner(apex, owner, there)
        if dname is not None and owner != dname and owner.is_subdomain(dname):
            problems.append(Problem("", "below-dname", f"{owner.to_text()} stands below the DNAME at {dname.to_text()} (RFC 6672 §2.4)"))
        elif any(rrset.rtype == DNAME_RTYPE for rrset in there):
            dname = owner
    if not any(rrset.rtype == NS_RTYPE for rrset in at_apex):
        problems.append(Problem("", "missing-ns", "the apex has no NS; write them, or set zones.nameservers"))
    return _finish(contents, _PassingRows(contents, added), at_apex, problems)


def _finish(contents: ZoneContents, rows: Iterable[Pair], at_apex: Iterable[Rrset], problems: list[Problem]) -> JudgedZone:
    if errors_in(problems):
        raise InvalidInput(problems)
    nameservers = [name_from_wire(wire) for rrset in at_apex if rrset.rtype == NS_RTYPE for wire in rrset.rdatas]
    return JudgedZone(contents, rows, tuple(sorted(nameservers)), tuple(problems))


@dataclass(frozen=True, slots=True)
class _PassingRows:
    """The rows of a source that passes by, made anew for each iteration."""

    contents: ZoneContents
    added: tuple[Rrset, ...]

    def __iter__(self) -> Iterator[Pair]:
        return heapq.merge(self._pairs(self.contents.rrsets), self._pairs(self.added), key=_place)

    def _pairs(self, found: Iterable[Rrset]) -> Iterator[Pair]:
        for rrset in found:
            yield row_of(rrset, self.contents.apex), rrset if rrset.steering is not None else None


def _added_nameservers(contents: ZoneContents, policy: WritePolicy) -> tuple[Rrset, ...]:
    """The NS of the setting `zones.nameservers`, for a source that has none at the apex."""
    if not policy.nameservers or any(rrset.rtype == NS_RTYPE and rrset.owner == contents.apex for rrset in contents.rrsets):
        return ()
    rdatas = tuple(name_to_wire(server) for server in policy.nameservers)
    return (Rrset(contents.apex, NS_RTYPE, contents.default_ttl, rdatas),)


def _why_not_here(rrset: Rrset, apex: Name) -> tuple[str, str] | None:
    """Code and message of why an rrset has no place among a zone's rrsets."""
    if rrset.rtype == SOA_RTYPE:
        return "refused-type", f"{_show(rrset)}: the SOA belongs to the zone"
    if rrset.owner.labels[-len(apex.labels) :] != apex.labels:
        return "outside-zone", f"{_show(rrset)} lies outside the zone {names.zone_text(apex)}"
    return None


def _show(rrset: Rrset) -> str:
    return f"{rdata.rtype_to_text(rrset.rtype)} at {rrset.owner.to_text()}"


def _sort(rows: list[Pair]) -> list[Pair]:
    """Canonical order, by pieces: one sort of a million rows would hold the interpreter, and with it the event loop, for a second."""
    pieces = [sorted(piece, key=_place) for piece in in_batches(rows, _SORT_PIECE)]
    return list(heapq.merge(*pieces, key=_place))


def _place(pair: Pair) -> tuple[bytes, int]:
    return pair[0][:2]


async def commit_whole_zone(session: Session, request: CreateZone | ReplaceZone, judged: JudgedZone, actor: Actor) -> Committed:
    """Create the zone, or make it equal to its source. After an error the caller must roll back."""
    with without_collector():
        return await _commit(session, request, judged, actor)


async def _commit(session: Session, request: CreateZone | ReplaceZone, judged: JudgedZone, actor: Actor) -> Committed:
    head = await history.read_head(session, dry_run=request.dry_run)
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
    soa = contents.soa or _make_soa(contents.apex, judged.nameservers)
    tombstone = await find_tombstone(session, contents.apex)
    serial = first_serial(contents.serial, None if tombstone is None else tombstone.serial)
    revision = head.revision
    if request.dry_run:
        summary = await _count_new(judged)
    else:
        revision = (await history.begin_revision(session, actor)).revision
        summary = await _store_new(session, request, judged, soa, serial, revision)
        after = soa_document(soa, serial, contents.default_ttl)
        await log_zone(session, revision, names.wire_of(contents.apex), "create", None, after)
        detail = {"after": after, "rrsets": summary.growth}
        await audit.record(session, actor, "create zone", names.zone_text(contents.apex), revision=revision, detail=detail)
    return Committed(
        revision,
        changed=True,
        serial=serial,
        created=True,
        steps=summary.steps,
        counts=summary.counts,
        problems=(*judged.problems, *await lists.warn_of_unknown(session, summary.lists)),
    )


async def _count_new(judged: JudgedZone) -> Summary:
    summary = Summary()
    async for batch in _take(judged.rows):
        for pair in batch:
            summary.add(Edit(None, *pair))
    return summary


async def _store_new(
    session: Session, request: CreateZone | ReplaceZone, judged: JudgedZone, soa: Soa, serial: int, revision: int
) -> Summary:
    """The zone's row, its rrsets and their log."""
    contents = judged.contents
    apex = names.wire_of(contents.apex)
    await session.execute(tombstones.delete().where(tombstones.c.apex == apex))
    row = {
        "apex": apex,
        "zone_key": zone_key(contents.apex),
        "serial": serial,
        "default_ttl": contents.default_ttl,
        "mirrored": isinstance(request, ReplaceZone) and request.mirror,
        "rrset_count": 0,
        "revision": revision,
        "created_at": now(),
        "changed_at": now(),
        **soa_columns(soa),
    }
    zone_id = (await session.execute(zones.insert().returning(zones.c.id), row)).scalar_one()
    summary = Summary()
    async for batch in _take(judged.rows):
        edits = [Edit(None, *pair) for pair in batch]
        for edit in edits:
            summary.add(edit)
        await write_new_rows(session, zone_id, revision, edits)
    await log_whole_zone(session, zone_id, apex, revision, prefix="after")
    await session.execute(zones.update().where(zones.c.id == zone_id).values(rrset_count=summary.growth))
    return summary


def _make_soa(apex: Name, nameservers: Sequence[Name]) -> Soa:
    """Contract section 1, "SOA and NS". `nameservers` are sorted, and a judged zone has at least one."""
    return Soa(mname=nameservers[0], rname=dns.name.Name((b"hostmaster",)).concatenate(apex))


async def _replace(session: Session, request: ReplaceZone, judged: JudgedZone, zone: Zone, head: Triple, actor: Actor) -> Committed:
    refuse_mirrored(zone, actor)
    contents = judged.contents
    soa = contents.soa or zone.soa
    has_newer_serial = contents.serial is not None and is_newer_serial(contents.serial, zone.serial)
    apex = names.wire_of(zone.apex)
    summary = Summary()
    revision: int | None = None
    async for edits in _differences(session, zone, judged.rows):
        for edit in edits:
            summary.add(edit)
        if edits and not request.dry_run:
            revision = revision or (await history.begin_revision(session, actor)).revision
            await write_batch(session, zone.id, apex, revision, edits)
    _brake(request, zone, summary)
    _keep_steering(request, zone, summary)
    changed = bool(summary) or soa != zone.soa or has_newer_serial
    serial = following_serial(zone, contents.serial) if changed else zone.serial
    if not request.dry_run and zone.mirrored != request.mirror:
        await session.execute(zones.update().where(zones.c.id == zone.id).values(mirrored=request.mirror))
    if changed and not request.dry_run:
        revision = revision or (await history.begin_revision(session, actor)).revision
        await touch_zone(session, zone, revision, serial, summary.growth, **soa_columns(soa))
        before, after = soa_document(zone.soa, zone.serial, zone.default_ttl), soa_document(soa, serial, zone.default_ttl)
        await log_zone(session, revision, apex, "update", before, after)
        detail = summary_detail(summary)
        await audit.record(session, actor, "replace zone", names.zone_text(zone.apex), revision=revision, detail=detail)
    return Committed(
        revision or head.revision,
        changed=changed,
        serial=serial,
        steps=summary.steps,
        counts=summary.counts,
        problems=(*judged.problems, *await lists.warn_of_unknown(session, summary.lists)),
    )


def _brake(request: ReplaceZone, zone: Zone, summary: Summary) -> None:
    removed = summary.removed
    if request.force or zone.rrset_count < _BRAKE_RRSETS or removed <= _BRAKE_SHARE * zone.rrset_count:
        return
    raise UnsafeChange(
        f"this would remove {removed} of the {zone.rrset_count} rrsets of {names.zone_text(zone.apex)}, more than {_BRAKE_SHARE:.0%}",
        hint="if that is meant, repeat it with force",
    )


def _keep_steering(request: ReplaceZone, zone: Zone, summary: Summary) -> None:
    """An exported master file has every record's own values and nothing of its steering: brought back as it is, it must not end that."""
    if request.force or not request.contents.is_master or not summary.unsteered:
        return
    rows = summary.unsteered
    shown = [f"{names.to_text(name_from_wire(row.owner), zone.apex)}/{rdata.rtype_to_text(row.rtype)}" for row in rows[:_SHOWN]]
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    raise UnsafeChange(
        f"a master file cannot say how records are steered, and this would end it for {', '.join(shown)}{more} of "
        f"{names.zone_text(zone.apex)}",
        hint="use the YAML form; or, if that is meant, repeat it with force",
    )


async def _differences(session: Session, zone: Zone, rows: Iterable[Pair]) -> AsyncGenerator[list[Edit]]:
    """What is to be done to the stored rows, a batch at a time, by one pass over them and the source's, both in canonical order.

    | stored place | source's place | edit |
    |---|---|---|
    | before | after, or at its end | the stored rrset is deleted |
    | equal | equal | updated, unless the rows are equal |
    | after, or at its end | before | the source's rrset is created |

    The stored rows are read in pages that begin behind the last one, so that what the caller writes in between is not met again.
    """
    async with aclosing(_stored_rows(session, zone)) as stored_batches, aclosing(_take(rows)) as source_batches:
        stored, source = _Ahead(stored_batches), _Ahead(source_batches)
        await stored.advance()
        await source.advance()
        edits: list[Edit] = []
        while stored.current is not None or source.current is not None:
            edit = _next_edit(stored.current, source.current)
            if edit.before is not None:
                await stored.advance()
            if edit.after is not None:
                await source.advance()
            if edit.before != edit.after:
                edits.append(edit)
            if len(edits) >= BATCH:
                yield edits
                edits = []
        yield edits


def _next_edit(stored: Row | None, source: Pair | None) -> Edit:
    """The edit at whichever place comes first; one whose sides are equal where both have the same row."""
    if source is None or (stored is not None and stored[:2] < _place(source)):
        return Edit(stored, None)
    if stored is None or _place(source) < stored[:2]:
        return Edit(None, *source)
    return Edit(stored, *source)


class _Ahead(Generic[Item]):
    """The items of batches one by one; `current` is None at the end."""

    def __init__(self, batches: AsyncGenerator[Sequence[Item]]) -> None:
        self._batches = batches
        self._batch: Sequence[Item] = ()
        self._at = 0
        self.current: Item | None = None

    async def advance(self) -> None:
        self._at += 1
        if self._at >= len(self._batch):
            end: list[Item] = []  # no tuple: CPython 3.11 takes one apart there
            self._batch = await anext(self._batches, end)
            self._at = 0
        self.current = self._batch[self._at] if self._batch else None


async def _stored_rows(session: Session, zone: Zone) -> AsyncGenerator[list[Row]]:
    """The zone's rows in canonical order."""
    place = rrsets.c.owner_key, rrsets.c.rtype
    query = sa.select(*(rrsets.c[name] for name in Row._fields)).where(rrsets.c.zone_id == zone.id).order_by(*place).limit(BATCH)
    page = [Row(*values) for values in await session.rows(query)]
    while page:
        yield page
        behind = sa.tuple_(*place) > sa.tuple_(sa.literal(page[-1].owner_key), sa.literal(page[-1].rtype))
        page = [Row(*values) for values in await session.rows(query.where(behind))]


async def _take(rows: Iterable[Pair]) -> AsyncGenerator[Sequence[Pair]]:
    """A source's rows in batches. Those that are made on the way are made in a thread."""
    if isinstance(rows, Sequence):
        for held in in_batches(rows):
            yield held
        return
    passing = iter(rows)
    while batch := await asyncio.to_thread(lambda: list(islice(passing, BATCH))):
        yield batch
