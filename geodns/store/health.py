"""The health table: what each vantage saw of each check, its votes and heartbeats, and the durable history of verdicts.

It stores what the prober and control say and judges nothing: which vantage counts, what a verdict is and what it does to answers is decided
elsewhere (health.md sections 4 and 6). Times that are compared between nodes, heartbeats and "changed since", are read from the
database's clock, so that a node whose own clock is wrong neither dies nor lives for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from geodns.store.batches import in_batches
from geodns.store.database import LONG_STATEMENT_S, Dialect, Session
from geodns.store.pages import Page, clamp_limit, make_page, read_cursor
from geodns.store.schema import check_reports, check_states, check_transitions, now, to_microseconds, vantages

# A row gets its time when it is written and is seen when its transaction has committed: whoever asks for what is newer looks back by the
# longest that a write of health rows may take, and hears some rows twice.
_OVERLAP_US: Final = 5_000_000

# States a statement: some thousands of them are written every few seconds for ever, while results of checks wait for the event loop.
STATES: Final = 100


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check as one vantage sees it. `vote` is its own word, `verdict` what it believes with the votes of the others."""

    endpoint_id: str
    vantage: str
    vote: str
    verdict: str
    is_known: bool
    since: datetime | None
    cause: str
    successes: int
    failures: int
    latency_s: float | None = None
    last_attempt: datetime | None = None
    flaps: int = -1
    is_released: bool = False


@dataclass(frozen=True, slots=True)
class TransitionRow:
    """A verdict that changed, with cause and votes. `detail` is the writer's: which values it concerned, what answers it changed.

    (endpoint, time, vantage, verdict) names it: the same transition written twice, by a spool that is replayed, is one.
    """

    endpoint_id: str
    vantage: str
    at: datetime
    previous: str
    verdict: str
    cause: str
    votes: Any = None
    detail: Any = None


@dataclass(frozen=True, slots=True)
class ReportRow:
    """The newest report of a PUSH check, whichever node it was made to; `age_s` is its age by the database's clock."""

    endpoint_id: str
    is_up: bool
    cause: str
    age_s: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What the vantages said since a position: ages of heartbeats in seconds, and rows that changed. `position` is for the next time."""

    position: int
    heartbeat_ages_s: dict[str, float] = field(default_factory=dict)
    rows: tuple[CheckRow, ...] = ()
    reports: tuple[ReportRow, ...] = ()


_STATE_FIELDS: Final = tuple(each.name for each in fields(CheckRow))
_TRANSITION_FIELDS: Final = tuple(each.name for each in fields(TransitionRow))


async def save_states(session: Session, rows: Sequence[CheckRow]) -> None:
    """Put these rows in place of what is stored of the same (endpoint, vantage)."""
    updated = await database_time(session)
    put = _insert(session, check_states)
    kept = {name: put.excluded[name] for name in (*_STATE_FIELDS, "updated") if name not in ("endpoint_id", "vantage")}
    statement = put.on_conflict_do_update(index_elements=["endpoint_id", "vantage"], set_=kept)
    for batch in in_batches(rows, STATES):
        values = [{name: getattr(row, name) for name in _STATE_FIELDS} | {"updated": updated} for row in batch]
        await session.execute(statement, values, limit_s=LONG_STATEMENT_S)


async def load_states(session: Session, vantage: str) -> list[CheckRow]:
    """Everything that one vantage stored, for its restart."""
    query = sa.select(check_states).where(check_states.c.vantage == vantage)
    return [_check_row(row) for row in await session.rows(query)]


async def record_transitions(session: Session, transitions: Iterable[TransitionRow]) -> None:
    """Add to the history, in this order; what is there already is left alone."""
    values = [{name: getattr(row, name) for name in _TRANSITION_FIELDS} for row in transitions]
    statement = _insert(session, check_transitions).on_conflict_do_nothing()
    for batch in in_batches(values):
        await session.execute(statement, batch, limit_s=LONG_STATEMENT_S)


async def list_transitions(
    session: Session, endpoint_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Page[TransitionRow]:
    """The history of a check, newest first."""
    size = clamp_limit(limit)
    order = (check_transitions.c.at, check_transitions.c.id)
    query = sa.select(check_transitions).where(check_transitions.c.endpoint_id == endpoint_id)
    query = query.order_by(*(column.desc() for column in order)).limit(size + 1)
    if cursor is not None:
        after = read_cursor(cursor, int, int)
        query = query.where(sa.tuple_(*order) < sa.tuple_(*(sa.literal(part, sa.BigInteger) for part in after)))
    page = make_page(await session.rows(query), size, lambda row: (to_microseconds(row.at), row.id))
    return Page(tuple(TransitionRow(*(getattr(row, name) for name in _TRANSITION_FIELDS)) for row in page.items), page.next)


async def beat(session: Session, vantage: str) -> None:
    """This vantage lives."""
    put = _insert(session, vantages)
    statement = put.on_conflict_do_update(index_elements=["name"], set_={"heartbeat": put.excluded.heartbeat})
    await session.execute(statement, {"name": vantage, "heartbeat": await database_time(session)})


async def hear(session: Session, position: int) -> Heard:
    """Heartbeats of all vantages, and the rows that changed since `position` (0 = all rows); some rows are heard twice."""
    time = await database_time(session)
    ages = {
        row.name: max(0.0, (time - row.heartbeat) / 1e6) for row in await session.rows(sa.select(vantages.c.name, vantages.c.heartbeat))
    }
    query = sa.select(check_states).where(check_states.c.updated >= position - _OVERLAP_US)
    reported = sa.select(check_reports).where(check_reports.c.updated >= position - _OVERLAP_US)
    reports = [ReportRow(row.endpoint_id, row.is_up, row.cause, (time - row.at) / 1e6) for row in await session.rows(reported)]
    return Heard(time, ages, tuple(_check_row(row) for row in await session.rows(query)), tuple(reports))


async def save_reports(session: Session, rows: Iterable[ReportRow]) -> None:
    """Put these reports in place of older ones of the same checks; newer ones stay."""
    time = await database_time(session)
    values = [
        {"endpoint_id": row.endpoint_id, "is_up": row.is_up, "cause": row.cause, "at": time - int(row.age_s * 1e6), "updated": time}
        for row in rows
    ]
    put = _insert(session, check_reports)
    kept = {name: put.excluded[name] for name in ("is_up", "cause", "at", "updated")}
    statement = put.on_conflict_do_update(index_elements=["endpoint_id"], set_=kept, where=check_reports.c.at < put.excluded.at)
    for batch in in_batches(values):
        await session.execute(statement, batch, limit_s=LONG_STATEMENT_S)


async def database_time(session: Session) -> int:
    """The database's clock in microseconds since 1970. SQLite has none of its own, and its nodes are all on this machine."""
    if session.dialect is Dialect.SQLITE:
        return to_microseconds(now())
    query = sa.text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    time: int = await session.scalar(query)
    return time


def _check_row(row: Any) -> CheckRow:
    return CheckRow(*(getattr(row, name) for name in _STATE_FIELDS))


def _insert(session: Session, table: sa.Table) -> Any:
    """INSERT with ON CONFLICT, which both databases have and SQLAlchemy keeps with their dialects."""
    return postgresql.insert(table) if session.dialect is Dialect.POSTGRESQL else sqlite.insert(table)
