"""The operator's word over health: overrides, and the switch that stops all changes by health.

An override may be set on a node whose database is away and merged later, so each carries the time at which it was said, the later of two
for one target wins, and one that is taken back stays as a row that says so. What an override does to answers is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from geodns.store import audit
from geodns.store.audit import Actor
from geodns.store.database import Dialect, Session
from geodns.store.schema import now, overrides, switches

FREEZE: Final = "freeze"


@dataclass(frozen=True, slots=True)
class StoredOverride:
    """`kind` is value, pool, record or site; `state` is up, down or drain, None when it was taken back."""

    kind: str
    target: str
    state: str | None
    reason: str
    author: str
    set_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch that all nodes obey, and who turned it last."""

    is_on: bool
    reason: str
    author: str
    set_at: datetime


_FIELDS: Final = tuple(each.name for each in fields(StoredOverride))


async def list_overrides(session: Session) -> list[StoredOverride]:
    """Every override, those that ended or were taken back included, by kind and target."""
    query = sa.select(overrides).order_by(overrides.c.kind, overrides.c.target)
    return [_override(row) for row in await session.rows(query)]


async def put_override(session: Session, override: StoredOverride, actor: Actor) -> bool:
    """Store an override, or with `state` None take one back; False, and no change, when this or something later was said of its target
    already: what is written twice counts once."""
    values = {name: getattr(override, name) for name in _FIELDS}
    place = overrides.c.kind == override.kind, overrides.c.target == override.target
    await _write_alone(session, overrides)
    before = await session.row(sa.select(overrides).where(*place))
    if before is not None and before.set_at >= override.set_at:
        return False
    if before is None:
        await session.execute(overrides.insert(), values)
    else:
        await session.execute(overrides.update().where(*place).values(values))
    detail = {"before": _document(before), "after": _document(override)}
    action = "clear override" if override.state is None else "set override"
    await audit.record(session, actor, action, f"override/{override.kind}/{override.target}", detail=detail)
    return True


async def _write_alone(session: Session, table: sa.Table) -> None:
    """Other writers of a table wait until this transaction ends: two nodes may bring the same new row at once when the database returns,
    and a row that is not there yet cannot be locked. SQLite has one writer as it is."""
    if session.dialect is Dialect.POSTGRESQL:
        await session.execute(sa.text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))


def _override(row: Any) -> StoredOverride:
    return StoredOverride(*(getattr(row, name) for name in _FIELDS))


def _document(override: Any) -> dict[str, Any] | None:
    if override is None or override.state is None:
        return None
    expires_at = override.expires_at
    return {"state": override.state, "reason": override.reason, "expires_at": None if expires_at is None else expires_at.isoformat()}


async def get_switch(session: Session, name: str) -> Switch | None:
    """A switch, None when nobody ever turned it."""
    row = await session.row(sa.select(switches).where(switches.c.name == name))
    return None if row is None else Switch(row.is_on, row.reason, row.author, row.set_at)


async def set_switch(session: Session, name: str, is_on: bool, reason: str, actor: Actor) -> None:
    """Turn a switch on or off."""
    await _write_alone(session, switches)
    before = await get_switch(session, name)
    values = {"is_on": is_on, "reason": reason, "author": actor.name, "set_at": now()}
    if before is None:
        await session.execute(switches.insert().values(name=name, **values))
    else:
        await session.execute(switches.update().where(switches.c.name == name).values(values))
    detail = {"before": before is not None and before.is_on, "after": is_on, "reason": reason}
    await audit.record(session, actor, f"{name} {'on' if is_on else 'off'}", f"switch/{name}", detail=detail)
