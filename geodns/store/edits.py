"""Writing the difference of a zone: its rrsets, the log of what each was before and after, and the ids of its values.

The caller has judged the result, holds the revision row, and knows what is stored; nothing is read here but value ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import dns.name
import sqlalchemy as sa

from geodns.model import names
from geodns.model.record import Rrset
from geodns.store import value_ids
from geodns.store.database import LONG_STATEMENT_S, Session
from geodns.store.requests import MAX_STEPS, Operation, Step
from geodns.store.rows import Row
from geodns.store.schema import rrset_changes, rrsets

Name = dns.name.Name


class Edit(NamedTuple):
    """One rrset that changes. `rrset` is the one that `after` was made from; it may be left out when that is static."""

    before: Row | None
    after: Row | None
    rrset: Rrset | None = None

    @property
    def row(self) -> Row:
        """Either row, for what both share: the place."""
        row = self.after or self.before
        if row is None:
            raise ValueError("an edit of nothing")
        return row

    @property
    def operation(self) -> Operation:
        if self.before is None:
            return Operation.CREATE
        return Operation.DELETE if self.after is None else Operation.UPDATE


class Summary:
    """What a change of a zone did, without holding its edits: how many of each kind, the first of them, the CIDR lists they name, and
    the rrsets that are steered no more."""

    def __init__(self, edits: Iterable[Edit] = ()) -> None:
        self._steps: list[Step] = []
        self.lists: dict[str, Name] = {}
        self.unsteered: list[Row] = []
        self._counted: Counter[Operation] = Counter()
        for edit in edits:
            self.add(edit)

    def __bool__(self) -> bool:
        return bool(self._counted)

    def add(self, edit: Edit) -> None:
        row = edit.row
        operation = edit.operation
        self._counted[operation] += 1
        if len(self._steps) < MAX_STEPS:
            self._steps.append(Step(operation, names.from_wire(row.owner), row.rtype))
        if edit.before is not None and edit.before.steered and edit.after is not None and not edit.after.steered:
            self.unsteered.append(edit.after)
        if edit.rrset is not None and edit.rrset.steering is not None:
            for rule in edit.rrset.steering.rules:
                for name in rule.lists:
                    self.lists.setdefault(name, edit.rrset.owner)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The first of the edits, for a person to read."""
        return tuple(self._steps)

    @property
    def counts(self) -> tuple[tuple[Operation, int], ...]:
        """How many rrsets are created, updated and deleted."""
        return tuple((operation, self._counted[operation]) for operation in Operation if self._counted[operation])

    @property
    def removed(self) -> int:
        """How many rrsets go."""
        return self._counted[Operation.DELETE]

    @property
    def growth(self) -> int:
        """By how many rrsets the zone grows."""
        return self._counted[Operation.CREATE] - self._counted[Operation.DELETE]


async def write_batch(session: Session, zone_id: int, apex: bytes, revision: int, edits: Sequence[Edit]) -> None:
    """Store some edits of one zone as part of `revision`; a batch should not be much larger than `BATCH`."""
    created = [(zone_id, *edit.after, revision) for edit in edits if edit.before is None and edit.after is not None]
    updated = [(zone_id, *edit.after, revision) for edit in edits if edit.before is not None and edit.after is not None]
    deleted = [(zone_id, *edit.before[:2]) for edit in edits if edit.before is not None and edit.after is None]
    await _execute_rows(session, _INSERT, _STORED, created)
    await _execute_rows(session, _UPDATE, _STORED, updated)
    await _execute_rows(session, _DELETE, _PLACE, deleted)
    logged = [(revision, apex, *edit.row[:3], *_logged(edit.before), *_logged(edit.after)) for edit in edits]
    await _execute_rows(session, _INSERT_LOG, _LOG, logged)
    await _assign_value_ids(session, zone_id, edits)


async def write_new_rows(session: Session, zone_id: int, revision: int, edits: Sequence[Edit]) -> None:
    """Store some rrsets of a zone that held nothing, without their log: `log_whole_zone` copies that inside the database, which is
    several times as fast."""
    await _execute_rows(session, _INSERT, _STORED, [(zone_id, *edit.row, revision) for edit in edits])
    await _assign_value_ids(session, zone_id, edits)


async def log_whole_zone(session: Session, zone_id: int, apex: bytes, revision: int, *, prefix: str) -> None:
    """Log every rrset of a zone as created (`prefix` "after") or deleted ("before")."""
    columns = ["revision", "apex", "owner_key", "rtype", "owner", *(f"{prefix}_{name}" for name in _LOGGED)]
    rows = sa.select(
        sa.literal(revision, sa.BigInteger),
        sa.literal(apex, sa.LargeBinary),
        *(rrsets.c[name] for name in ("owner_key", "rtype", "owner", *_LOGGED)),
    ).where(rrsets.c.zone_id == zone_id)
    await session.execute(rrset_changes.insert().from_select(columns, rows), limit_s=LONG_STATEMENT_S)


# Rows are handed to the driver as tuples in these orders: for a hundred thousand rrsets SQLAlchemy's handling of dictionaries would cost
# more than the database.
_STORED: Final = ("zone_id", *Row._fields, "revision")
_PLACE: Final = ("zone_id", "owner_key", "rtype")
_LOGGED: Final = ("ttl", "body", "dynamic", "octodns")
_LOG: Final = tuple(column.name for column in rrset_changes.columns)

_INSERT: Final = rrsets.insert()
_INSERT_LOG: Final = rrset_changes.insert()
_UPDATE: Final = (
    rrsets.update()
    .where(*(rrsets.c[name] == sa.bindparam(f"at_{name}", type_=rrsets.c[name].type) for name in _PLACE))
    .values({name: sa.bindparam(f"new_{name}", type_=rrsets.c[name].type) for name in _STORED if name not in _PLACE})
)
_DELETE: Final = rrsets.delete().where(*(rrsets.c[name] == sa.bindparam(f"at_{name}", type_=rrsets.c[name].type) for name in _PLACE))


def _logged(row: Row | None) -> tuple[Any, ...]:
    return (None, None, None, None) if row is None else (row.ttl, row.body, row.dynamic, row.octodns)


async def _assign_value_ids(session: Session, zone_id: int, edits: Sequence[Edit]) -> None:
    wanted = {
        (edit.row.owner_key, edit.row.rtype): frozenset[value_ids.PoolValue]() if edit.rrset is None else value_ids.values_of(edit.rrset)
        for edit in edits
        if (edit.before is not None and edit.before.steered) or (edit.after is not None and edit.after.steered)
    }
    if wanted:
        await value_ids.assign(session, zone_id, wanted)


async def _execute_rows(session: Session, statement: sa.UpdateBase, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Execute `statement` once per row; `columns` names the parts of a row, which its parameters may prefix with `at_` or `new_`."""
    if rows:
        await session.execute_rows(statement, columns, rows, limit_s=LONG_STATEMENT_S)
