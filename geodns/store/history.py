"""The history of the store: lineage, revision and tag (link.md section 1), and what changed since a revision.

The revision comes from the one row of `head`, updated inside the transaction that makes the change. Its row lock (PostgreSQL) or the write
lock (SQLite) is held until the commit, so commit order is revision order, and whoever reads "newer than mine" never misses one.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import dns.name
import sqlalchemy as sa

from geodns.store import audit
from geodns.store.audit import Actor
from geodns.store.batches import BATCH
from geodns.store.database import LONG_STATEMENT_S, Dialect, Session
from geodns.store.encoding import name_from_wire
from geodns.store.listening import CHANNEL
from geodns.store.pacing import Pacer
from geodns.store.schema import head as head_table
from geodns.store.schema import lineage_parents, lineages, list_changes, now, revisions, rrset_changes, zone_changes, zones

Name = dns.name.Name

# Nothing is forgotten sooner: `retention.audit_days` is 1 at least, and half of that is left for clocks that differ.
YOUTH: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Triple:
    """A state of one history: two equal triples are the same data."""

    lineage: uuid.UUID
    revision: int
    tag: int

    def __str__(self) -> str:
        return f"{self.lineage}/{self.revision}/{self.tag:016x}"


@dataclass(frozen=True, slots=True)
class ChangedSince:
    """What a dataplane at an older revision must be told, in the order of a DELTA.

    `put_zones` are new and to be sent whole; one that was deleted and made again is dropped before. `owners` names everything else whose
    rrsets are to be sent (or, when there are none any more, removed), and the apex of every zone that changed, because its SOA did.
    """

    dropped_zones: tuple[Name, ...]
    put_zones: tuple[Name, ...]
    owners: tuple[tuple[Name, Name], ...]
    dropped_lists: tuple[str, ...]
    put_lists: tuple[str, ...]


# New zones that are told of one by one; more are sooner read with everything.
MAX_NEW_ZONES: Final = 500


def _exists(*where: sa.ColumnElement[bool]) -> sa.Exists:
    return sa.exists().where(*where)


def _newest(log: sa.Table) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.max(log.c.revision)).scalar_subquery()


def _oldest(log: sa.Table) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.min(log.c.revision)).scalar_subquery()


# What each write asks, and each follower after it, is built once: building a statement costs as much as running it.
_HEAD: Final = sa.select(head_table)
_HEAD_TO_CHANGE: Final = _HEAD.with_for_update()  # which SQLite, where the transaction itself is the lock, does not say
_ADVANCE: Final = (
    head_table.update()
    .values(revision=head_table.c.revision + 1, tag=sa.bindparam("new_tag"))
    .returning(head_table.c.lineage, head_table.c.revision, head_table.c.tag)
)
_REVISION: Final = sa.select(revisions.c.lineage, revisions.c.tag).where(revisions.c.revision == sa.bindparam("at"))

_LOGS: Final = (rrset_changes, zone_changes, list_changes)
_NEXT: Final = sa.bindparam("next", type_=sa.BigInteger)
_AFTER: Final = sa.bindparam("since", type_=sa.BigInteger)
_SINCE: Final = sa.select(
    head_table.c.revision.label("newest"),
    sa.or_(*(_exists(table.c.revision == _NEXT) for table in _LOGS)).label("has_next"),
    sa.select(revisions.c.at).where(revisions.c.revision == _NEXT).scalar_subquery().label("next_at"),
    # The ends of the logs, because they are found by the key whatever a planner believes of "later than".
    (_newest(zone_changes) > _AFTER).label("has_zones"),
    (_newest(list_changes) > _AFTER).label("has_lists"),
)
_STEERED_SINCE: Final = (
    sa.select(rrset_changes.c.revision)
    .where(rrset_changes.c.revision > _AFTER)
    .where(sa.or_(rrset_changes.c.before_dynamic.is_not(None), rrset_changes.c.after_dynamic.is_not(None)))
    .order_by(rrset_changes.c.revision)
    .limit(1)
)
_HAS_OLDER: Final = sa.select(sa.or_(*(_oldest(table) <= sa.bindparam("at", type_=sa.BigInteger) for table in _LOGS)))
_OWNERS_SINCE: Final = (
    sa.select(rrset_changes.c.apex, rrset_changes.c.owner)
    .where(rrset_changes.c.revision > _AFTER)
    .where(rrset_changes.c.apex.in_(sa.select(zones.c.apex)), rrset_changes.c.apex.not_in(sa.bindparam("put", expanding=True)))
    .distinct()
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)


async def head(session: Session) -> Triple:
    """Where the history stands."""
    row = (await session.execute(_HEAD)).one()
    return Triple(row.lineage, row.revision, row.tag)


async def lock_head(session: Session) -> Triple:
    """The same, and every other writer of revisions waits until this transaction ends. The first statement of each change."""
    row = (await session.execute(_HEAD_TO_CHANGE, limit_s=LONG_STATEMENT_S)).one()
    return Triple(row.lineage, row.revision, row.tag)


async def read_head(session: Session, *, dry_run: bool) -> Triple:
    """The first statement of a request that may be a dry run: that one locks nothing, so it may run in a read transaction."""
    return await (head(session) if dry_run else lock_head(session))


async def begin_revision(session: Session, actor: Actor) -> Triple:
    """Take the next revision for what this transaction changes."""
    row = (await session.execute(_ADVANCE, {"new_tag": secrets.randbits(64)}, limit_s=LONG_STATEMENT_S)).one()
    triple = Triple(row.lineage, row.revision, row.tag)
    await session.execute(
        revisions.insert(),
        {"revision": triple.revision, "lineage": triple.lineage, "tag": triple.tag, "at": now(), "actor": actor.name},
    )
    if session.dialect is Dialect.POSTGRESQL:
        await session.execute(sa.select(sa.func.pg_notify(CHANNEL, str(triple.revision))))
    return triple


async def holds(session: Session, triple: Triple) -> bool:
    """Whether this very state is part of the store's history."""
    row = await session.row(_REVISION, {"at": triple.revision})
    return row is not None and (row.lineage, row.tag) == (triple.lineage, triple.tag)


async def ancestors(session: Session) -> tuple[uuid.UUID, ...]:
    """The lineages that the present one replaces: its parents, their parents and so on, nearest first."""
    current = await session.scalar(sa.select(head_table.c.lineage))
    found: list[uuid.UUID] = []
    generation = {current}
    while generation:
        query = sa.select(lineage_parents.c.parent).where(lineage_parents.c.lineage.in_(generation)).order_by(lineage_parents.c.parent)
        parents = [row.parent for row in await session.rows(query) if row.parent != current and row.parent not in found]
        found += dict.fromkeys(parents)
        generation = set(parents)
    return tuple(found)


async def adopt_lineage(session: Session, reason: str, actor: Actor, *, replaces: Sequence[uuid.UUID] = ()) -> Triple:
    """Begin a new lineage over the present data; dataplanes that hold a parent follow it by themselves.

    The present lineage is always a parent. `replaces` names further ones that the operator gives up: what a dataplane serves whose
    database is lost.
    """
    before = await lock_head(session)
    lineage = uuid.uuid4()
    await session.execute(lineages.insert(), {"lineage": lineage, "at": now(), "actor": actor.name, "reason": reason})
    parents = dict.fromkeys((before.lineage, *replaces))
    await session.execute(lineage_parents.insert(), [{"lineage": lineage, "parent": parent} for parent in parents])
    await session.execute(head_table.update().values(lineage=lineage))
    triple = await begin_revision(session, actor)
    detail = {"reason": reason, "lineage": str(lineage), "parents": [str(parent) for parent in parents]}
    await audit.record(session, actor, "adopt lineage", "database", revision=triple.revision, detail=detail)
    return triple


async def changed_owners_since(session: Session, revision: int, *, limit: int) -> ChangedSince | None:
    """What changed after `revision`. None when that is over `limit` owner names or `MAX_NEW_ZONES`, or is forgotten: a FULL is due then."""
    since = await _overlook(session, revision)
    if not since.is_remembered:
        return None
    dropped, put, touched = await _changed_zones(session, revision) if since.has_zones else ([], [], [])
    if len(put) > MAX_NEW_ZONES:
        return None
    owners: dict[tuple[bytes, bytes], None] = {(apex, apex): None for apex in touched if apex not in put}
    async with aclosing(session.batches(_OWNERS_SINCE, BATCH, {"since": revision, "put": put, "at_most": limit + 1})) as batches:
        async for batch in batches:
            for apex, owner in batch:
                owners[apex, apex] = owners[apex, owner] = None
    if len(owners) > limit:
        return None
    dropped_lists, put_lists = await _changed_lists(session, revision) if since.has_lists else ((), ())
    return ChangedSince(
        tuple(map(name_from_wire, dropped)),
        tuple(map(name_from_wire, put)),
        await _read_names(owners),
        dropped_lists,
        put_lists,
    )


async def _read_names(owners: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[Name, Name], ...]:
    """Owner names of a few zones, of which each is read once."""
    pacer = Pacer()
    apexes: dict[bytes, Name] = {}
    found = []
    for apex, owner in owners:
        if apex not in apexes:
            apexes[apex] = name_from_wire(apex)
        found.append((apexes[apex], name_from_wire(owner)))
        await pacer.breathe()
    return tuple(found)


async def may_change_steering(session: Session, revision: int) -> bool:
    """Whether what came after `revision` may have changed any steered rrset: for whoever follows nothing else."""
    since = await _overlook(session, revision)
    if not since.is_remembered or since.has_zones:
        return True
    found = await session.execute(_STEERED_SINCE, {"since": revision}, limit_s=LONG_STATEMENT_S)
    return found.first() is not None


@dataclass(frozen=True, slots=True)
class _Since:
    """What there is after a revision, at a glance.

    `is_remembered`: what it changed, and so all that came after it, is still there (`retention.py`), or there is nothing yet. Every
    revision leaves a row in one of the tables but the one that began a lineage, after which a FULL is sent in any case. The oldest with
    rows is not trusted once it is old enough to be forgotten: half of it may be gone.
    """

    is_remembered: bool
    has_zones: bool
    has_lists: bool


async def _overlook(session: Session, revision: int) -> _Since:
    row = (await session.execute(_SINCE, {"since": revision, "next": revision + 1})).one()
    if row.newest <= revision:
        is_remembered = True
    elif not row.has_next:
        is_remembered = False
    else:
        at: datetime = row.next_at
        is_remembered = at > now() - YOUTH or bool(await session.scalar(_HAS_OLDER, {"at": revision}))
    return _Since(is_remembered, bool(row.has_zones), bool(row.has_lists))


async def _changed_zones(session: Session, revision: int) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Zones that were there at `revision` and are deleted or were made anew; zones made since; all that changed and exist."""
    query = (
        sa.select(zone_changes.c.apex, zone_changes.c.op, zones.c.id)
        .outerjoin(zones, zones.c.apex == zone_changes.c.apex)
        .where(zone_changes.c.revision > revision)
        .order_by(zone_changes.c.revision)
    )
    operations: dict[bytes, list[str]] = {}
    existing: set[bytes] = set()
    for row in await session.rows(query):
        operations.setdefault(row.apex, []).append(row.op)
        if row.id is not None:
            existing.add(row.apex)
    births = {apex: [op for op in ops if op != "update"] for apex, ops in operations.items()}
    dropped = [apex for apex, ops in births.items() if ops and ops[0] == "delete"]
    put = [apex for apex, ops in births.items() if ops and apex in existing]
    return dropped, put, [apex for apex in operations if apex in existing]


async def _changed_lists(session: Session, revision: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Lists whose last change since `revision` removed them, and those whose last change did not."""
    query = sa.select(list_changes).where(list_changes.c.revision > revision).order_by(list_changes.c.revision)
    exists = {row.name: row.after is not None for row in await session.rows(query)}
    return tuple(name for name, is_there in exists.items() if not is_there), tuple(name for name, is_there in exists.items() if is_there)
