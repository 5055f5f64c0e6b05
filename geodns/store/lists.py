"""Named CIDR lists, which rules of steered records refer to. They are part of the served state, so every change takes a revision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import dns.name
import sqlalchemy as sa

from geodns.errors import Conflict, InvalidInput, NotFound, Problem, Severity
from geodns.model import names, rdata
from geodns.model.prefixes import Prefixes
from geodns.store import audit, history
from geodns.store.audit import Actor
from geodns.store.database import LONG_STATEMENT_S, Session
from geodns.store.pages import Page, clamp_limit, make_page, read_cursor
from geodns.store.requests import Committed, DeleteList, PutList
from geodns.store.schema import list_changes, lists, now, rrsets, zones

# The link carries a list's name in a byte's length, its prefixes in one item of at most 32 MiB, and the contract promises a million.
_MAX_NAME: Final = 255
_MAX_PREFIXES: Final = 1_000_000
# A message names this many users of a list.
_SHOWN: Final = 3


Name = dns.name.Name


@dataclass(frozen=True, slots=True)
class CidrList:
    """A list without its prefixes."""

    name: str
    prefixes: int
    revision: int
    changed_at: datetime


async def list_lists(session: Session, *, cursor: str | None = None, limit: int | None = None) -> Page[CidrList]:
    """Lists by name."""
    size = clamp_limit(limit)
    query = sa.select(lists.c.name, lists.c.prefixes, lists.c.revision, lists.c.changed_at).order_by(lists.c.name).limit(size + 1)
    if cursor is not None:
        query = query.where(lists.c.name > read_cursor(cursor, str)[0])
    return make_page([CidrList(*row) for row in await session.rows(query)], size, lambda each: (each.name,))


async def get_list(session: Session, name: str) -> tuple[CidrList, Prefixes]:
    """One list with its prefixes, in the order in which they were sent; NotFound."""
    row = await session.row(sa.select(lists).where(lists.c.name == name))
    if row is None:
        raise NotFound(f"there is no list {name}")
    return CidrList(row.name, row.prefixes, row.revision, row.changed_at), Prefixes(row.body, row.prefixes)


async def put_list(session: Session, request: PutList, actor: Actor) -> Committed:
    """Create or replace a list."""
    head = await history.lock_head(session)
    problems = _judge(request)
    if problems:
        raise InvalidInput(problems)
    stored = await session.row(sa.select(lists).where(lists.c.name == request.name))
    request.precondition.check(f"the list {request.name}", None if stored is None else stored.revision)
    body = request.prefixes.body
    if stored is not None and stored.body == body:
        return Committed(head.revision, changed=False)
    revision = (await history.begin_revision(session, actor)).revision
    values: dict[str, Any] = {"body": body, "prefixes": request.prefixes.count, "revision": revision, "changed_at": now()}
    if stored is None:
        await session.execute(lists.insert().values(name=request.name, **values), limit_s=LONG_STATEMENT_S)
    else:
        await session.execute(lists.update().where(lists.c.name == request.name).values(values), limit_s=LONG_STATEMENT_S)
    await _log(session, revision, request.name, None if stored is None else stored.body, body)
    detail = {"before": None if stored is None else stored.prefixes, "after": request.prefixes.count}
    await audit.record(session, actor, "put list", f"list/{request.name}", revision=revision, detail=detail)
    return Committed(revision, changed=True, created=stored is None)


async def delete_list(session: Session, request: DeleteList, actor: Actor) -> Committed:
    """Remove a list; Conflict while a record uses it, unless forced: its rules would match nobody."""
    await history.lock_head(session)
    stored = await session.row(sa.select(lists).where(lists.c.name == request.name))
    request.precondition.check(f"the list {request.name}", None if stored is None else stored.revision)
    if stored is None:
        raise NotFound(f"there is no list {request.name}")
    users = [] if request.force else await find_users(session, request.name)
    if users:
        more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
        raise Conflict(
            f"the list {request.name} is used by {', '.join(users[:_SHOWN])}{more}", hint="change these records first, or force it"
        )
    revision = (await history.begin_revision(session, actor)).revision
    await session.execute(lists.delete().where(lists.c.name == request.name))
    await _log(session, revision, request.name, stored.body, None)
    await audit.record(session, actor, "delete list", f"list/{request.name}", revision=revision, detail={"before": stored.prefixes})
    return Committed(revision, changed=True)


async def find_users(session: Session, name: str) -> list[str]:
    """The steered records whose rules name the list, as "www.example.com./A"."""
    query = (
        sa.select(rrsets.c.owner, rrsets.c.rtype, rrsets.c.octodns)
        .join(zones, zones.c.id == rrsets.c.zone_id)
        .where(rrsets.c.steered, rrsets.c.octodns.contains('"lists"', autoescape=True))
        .order_by(rrsets.c.zone_id, rrsets.c.owner_key, rrsets.c.rtype)
    )
    return [
        f"{names.from_wire(row.owner).to_text()}/{rdata.rtype_to_text(row.rtype)}"
        for row in await session.rows(query)
        if name in _named_lists(json.loads(row.octodns))
    ]


async def warn_of_unknown(session: Session, wanted: Mapping[str, Name]) -> list[Problem]:
    """A warning for each list that is not there; `wanted` has an owner name that uses it. Lists may come later than their users."""
    if not wanted:
        return []
    known = {row.name for row in await session.rows(sa.select(lists.c.name))}
    return [
        Problem(
            "",
            "unknown-list",
            f"{owner.to_text()} names the list {name}, which is not there yet; its rule matches nobody",
            Severity.WARNING,
        )
        for name, owner in wanted.items()
        if name not in known
    ]


def _named_lists(octodns: Any) -> set[str]:
    rules = octodns.get("geodns", {}).get("rules", []) if isinstance(octodns, dict) else []
    return {name for rule in rules for name in rule.get("lists", [])}


def _judge(request: PutList) -> list[Problem]:
    problems = []
    if not 1 <= len(request.name.encode()) <= _MAX_NAME:
        problems.append(Problem("/name", "bad-name", f"a list's name has 1 to {_MAX_NAME} bytes"))
    if request.prefixes.count > _MAX_PREFIXES:
        problems.append(
            Problem("/prefixes", "too-many", f"a list holds at most {_MAX_PREFIXES:,} prefixes, this one {request.prefixes.count:,}")
        )
    return problems


async def _log(session: Session, revision: int, name: str, before: bytes | None, after: bytes | None) -> None:
    row = {"revision": revision, "name": name, "before": before, "after": after}
    await session.execute(list_changes.insert(), row, limit_s=LONG_STATEMENT_S)
