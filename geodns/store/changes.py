"""The one write path: every way in to zones, rrsets and lists ends here, in one transaction that takes at most one revision.

    request ── judged whole ──> InvalidInput with every problem, and nothing stored
                 └─ compared with what is stored ──> no difference: no revision, no serial
                       └─ preconditions, brake ──> PreconditionFailed, UnsafeChange
                             └─ revision, rows, log, value ids, serial, audit, NOTIFY

The cost of a change is that of the owner names it touches, not of the zone. Whole zones are in `whole_zone.py`, the zones themselves in
`zone_changes.py`, CIDR lists in `lists.py`. Publishing is not done here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

import dns.name
import sqlalchemy as sa

from geodns.errors import InvalidInput, NotFound, Problem, errors_in
from geodns.model import names, rdata
from geodns.model import zones as zone_rules
from geodns.model.fields import BadRdata
from geodns.model.record import Rrset
from geodns.model.records import parse_record
from geodns.store import audit, history, lists, whole_zone, zone_changes
from geodns.store.audit import Actor
from geodns.store.batches import in_batches
from geodns.store.database import Database, Session
from geodns.store.edits import Edit, Summary, write_batch
from geodns.store.encoding import NS_RTYPE, SOA_RTYPE, owner_key
from geodns.store.pacing import Pacer
from geodns.store.requests import (
    ChangeRecords,
    ChangeRequest,
    Committed,
    CreateZone,
    Delete,
    DeleteList,
    DeleteZone,
    PatchZone,
    PutList,
    ReplaceZone,
    Upsert,
    WritePolicy,
)
from geodns.store.rows import Row, row_of, rrset_of
from geodns.store.schema import rrsets
from geodns.store.subtree import judge_dnames
from geodns.store.zones import Zone, get_zone

Name = dns.name.Name


async def commit(database: Database, request: ChangeRequest, actor: Actor, policy: WritePolicy) -> Committed:
    """Do what `request` asks in a transaction of its own. A whole zone is judged before that begins, so that it delays no other writer."""
    if isinstance(request, CreateZone | ReplaceZone):
        judged = await whole_zone.judge(request.contents, policy)
        async with database.write() as session:
            return await whole_zone.commit_whole_zone(session, request, judged, actor)
    async with database.write() as session:
        return await commit_changeset(session, request, actor, policy)


async def commit_changeset(session: Session, request: ChangeRequest, actor: Actor, policy: WritePolicy) -> Committed:
    """Do what `request` asks inside the caller's write transaction.

    Raises InvalidInput, NotFound, Conflict (UnsafeChange, MirroredZone) and PreconditionFailed; the caller must then roll back.
    """
    match request:
        case ChangeRecords():
            return await _change_records(session, request, actor, policy)
        case CreateZone() | ReplaceZone():
            judged = await whole_zone.judge(request.contents, policy)
            return await whole_zone.commit_whole_zone(session, request, judged, actor)
        case PatchZone():
            return await zone_changes.patch_zone(session, request, actor)
        case DeleteZone():
            return await zone_changes.delete_zone(session, request, actor)
        case PutList():
            return await lists.put_list(session, request, actor)
        case DeleteList():
            return await lists.delete_list(session, request, actor)
        case _:
            assert_never(request)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A change that could be read: the rrset that shall stand at a place, or None for nothing."""

    change: Upsert | Delete
    owner: Name
    rtype: int
    rrset: Rrset | None

    @property
    def pointer(self) -> str:
        """Where its author finds it: at the record, or at the name of what is deleted."""
        return self.change.pointers.record or self.change.pointers.name


@dataclass(slots=True)
class _Reading:
    """A changeset as far as it could be read."""

    wishes: dict[tuple[Name, int], _Wish] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def refuse_errors(self) -> None:
        if errors_in(self.problems):
            raise InvalidInput(self.problems)


async def _change_records(session: Session, request: ChangeRecords, actor: Actor, policy: WritePolicy) -> Committed:
    head = await history.read_head(session, dry_run=request.dry_run)
    zone = await get_zone(session, request.apex)
    zone_changes.refuse_mirrored(zone, actor)
    request.precondition.check(f"the zone {names.zone_text(zone.apex)}", zone.revision)
    reading = await _read_changes(request, zone, policy)
    stored = await _rows_at(session, zone, {wish.owner for wish in reading.wishes.values()})
    _check_preconditions(zone, reading, stored)
    edits = _compare(zone, reading, stored)
    summary = Summary(edits)
    reading.problems += await _judge_owners(zone, reading, stored)
    puts = {place: wish.pointer for place, wish in reading.wishes.items() if wish.rrset is not None}
    deletes = {place for place, wish in reading.wishes.items() if wish.rrset is None}
    reading.problems += await judge_dnames(session, zone, puts, deletes)
    reading.problems += await lists.warn_of_unknown(session, summary.lists)
    reading.refuse_errors()
    serial = zone_changes.following_serial(zone) if edits else zone.serial
    revision = head.revision
    if edits and not request.dry_run:
        revision = (await history.begin_revision(session, actor)).revision
        for batch in in_batches(edits):
            await write_batch(session, zone.id, names.wire_of(zone.apex), revision, batch)
        await zone_changes.touch_zone(session, zone, revision, serial, summary.growth)
        detail = zone_changes.summary_detail(summary)
        await audit.record(session, actor, "change records", names.zone_text(zone.apex), revision=revision, detail=detail)
    return Committed(
        revision,
        changed=bool(edits),
        serial=serial,
        created=len(request.changes) == 1 and bool(edits) and edits[0].before is None,
        steps=summary.steps,
        counts=summary.counts,
        problems=tuple(reading.problems),
    )


async def _read_changes(request: ChangeRecords, zone: Zone, policy: WritePolicy) -> _Reading:
    """Every change as a wish; what cannot be read, and an rrset that stands twice, as problems."""
    reading = _Reading()
    pacer = Pacer()
    for change in request.changes:
        wish = _read_change(change, zone, policy, reading.problems)
        if wish is not None and (wish.owner, wish.rtype) in reading.wishes:
            place = f"{rdata.rtype_to_text(wish.rtype)} at {names.to_text(wish.owner, zone.apex)}"
            message = f"{place} stands twice in this changeset; say once what it shall be"
            reading.problems.append(Problem(change.pointers.name, "duplicate-change", message))
        elif wish is not None:
            reading.wishes[wish.owner, wish.rtype] = wish
        await pacer.breathe()
    return reading


def _read_change(change: Upsert | Delete, zone: Zone, policy: WritePolicy, problems: list[Problem]) -> _Wish | None:
    if isinstance(change, Upsert) and isinstance(change.record, Rrset):
        return _Wish(change, change.record.owner, change.record.rtype, change.record)
    try:
        owner = names.parse_name(change.name, zone.apex)
    except InvalidInput as error:
        problems += [problem.below(change.pointers.name) for problem in error.problems]
        owner = None
    if isinstance(change, Delete):
        rtype = _read_rtype(change, problems)
        return None if owner is None or rtype is None else _Wish(change, owner, rtype, None)
    # Without a usable name the rest is judged at the apex, so that all problems are told at once.
    parsed = parse_record(
        zone.apex,
        zone.apex if owner is None else owner,
        change.record,
        rtype=change.rtype,
        default_ttl=zone.default_ttl,
        policy=policy.records,
    )
    problems += [problem.below(change.pointers.record) for problem in parsed.problems]
    return None if owner is None or parsed.rrset is None else _Wish(change, owner, parsed.rrset.rtype, parsed.rrset)


def _read_rtype(change: Delete, problems: list[Problem]) -> int | None:
    try:
        rtype = rdata.rtype_from_text(change.rtype)
    except BadRdata as error:
        problems.append(Problem(change.pointers.rtype, error.code, str(error)))
        return None
    if rtype == SOA_RTYPE:
        problems.append(Problem(change.pointers.rtype, "refused-type", "the SOA belongs to the zone and cannot be removed"))
        return None
    return rtype


@dataclass(frozen=True, slots=True)
class _Stored:
    row: Row
    revision: int


_ROWS_AT: Final = sa.select(*(rrsets.c[name] for name in Row._fields), rrsets.c.revision).where(
    rrsets.c.zone_id == sa.bindparam("zone"), rrsets.c.owner_key.in_(sa.bindparam("keys", expanding=True))
)


async def _rows_at(session: Session, zone: Zone, owners: Iterable[Name]) -> dict[tuple[Name, int], _Stored]:
    """Everything stored at these owner names."""
    by_key = {owner_key(owner, zone.apex): owner for owner in owners}
    found: dict[tuple[Name, int], _Stored] = {}
    for batch in in_batches(sorted(by_key)):
        for *values, revision in await session.rows(_ROWS_AT, {"zone": zone.id, "keys": batch}):
            row = Row(*values)
            found[by_key[row.owner_key], row.rtype] = _Stored(row, revision)
    return found


def _check_preconditions(zone: Zone, reading: _Reading, stored: dict[tuple[Name, int], _Stored]) -> None:
    for place, wish in reading.wishes.items():
        revision = stored[place].revision if place in stored else None
        what = f"{rdata.rtype_to_text(wish.rtype)} at {names.to_text(wish.owner, zone.apex)}"
        wish.change.precondition.check(what, revision)
        if isinstance(wish.change, Delete) and not wish.change.missing_ok and revision is None:
            raise NotFound(f"the zone {names.zone_text(zone.apex)} has no {what}")


def _compare(zone: Zone, reading: _Reading, stored: dict[tuple[Name, int], _Stored]) -> list[Edit]:
    """What really changes, in canonical order."""
    edits = []
    for place, wish in reading.wishes.items():
        before = stored[place].row if place in stored else None
        after = None if wish.rrset is None else row_of(wish.rrset, zone.apex)
        if before != after:
            edits.append(Edit(before, after, wish.rrset))
    return sorted(edits, key=lambda edit: edit.row[:2])


async def _judge_owners(zone: Zone, reading: _Reading, stored: dict[tuple[Name, int], _Stored]) -> list[Problem]:
    """What is wrong with the end state of each owner name that is touched."""
    ends: dict[Name, dict[int, Rrset]] = {}
    pointers: dict[Name, str] = {}
    for (owner, rtype), there in stored.items():
        row = there.row
        ends.setdefault(owner, {})[rtype] = rrset_of(row.owner, rtype, row.ttl, row.body, row.dynamic, row.octodns)
    for (owner, rtype), wish in reading.wishes.items():
        pointers.setdefault(owner, wish.pointer)
        end = ends.setdefault(owner, {})
        end.pop(rtype, None)
        if wish.rrset is not None:
            end[rtype] = wish.rrset
    problems: list[Problem] = []
    pacer = Pacer()
    for owner, pointer in pointers.items():
        found = zone_rules.check_owner(zone.apex, owner, list(ends[owner].values()))
        problems += [replace(problem, pointer=pointer) for problem in found]
        if owner == zone.apex and NS_RTYPE not in ends[owner]:
            problems.append(Problem(pointer, "missing-ns", "the apex must have an NS rrset; put another in its place"))
        await pacer.breathe()
    return problems
