"""Where a zone's records are put together while its source is read: by owner name and type, in canonical order, in bounded memory.

A master file may spread an rrset over its lines, so rrsets are known only at the end. The spool is a private SQLite database without a
name: it lives in a page cache of fixed size and overflows into a temporary file that SQLite removes itself. Steered rrsets, which are
few, stay objects.

It knows no syntax; it judges only what shows when records meet: repeated records, ttls that differ, an rrset in two sources.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from geodns.errors import Problem, Severity
from geodns.model import names, zones
from geodns.model.names import Name
from geodns.model.rdata import canonical
from geodns.model.record import Rrset

CACHE_KIB = 32 * 1024  # holds about 300,000 records; beyond that the temporary file
BATCH = 2000  # rows an insert; more is not faster

_TABLE = """
CREATE TABLE record (
    seq INTEGER PRIMARY KEY, key BLOB NOT NULL, owner BLOB NOT NULL, rtype INTEGER NOT NULL, ttl INTEGER NOT NULL, rdata BLOB NOT NULL,
    file INTEGER NOT NULL, line INTEGER NOT NULL, entry INTEGER NOT NULL
)
"""
_INDEX = "CREATE INDEX by_owner ON record (key, rtype, seq)"
_COLUMNS = "key, owner, rtype, ttl, rdata, file, line, entry"
_INSERT = f"INSERT INTO record ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - the columns are named right above
_SELECT = f"SELECT {_COLUMNS} FROM record"  # noqa: S608 - the columns are named right above
# Text in lower case, because names are compared so; what only looks equal is seen when the rows are judged.
_DOUBTFUL = """
SELECT key, rtype FROM record GROUP BY key, rtype
HAVING count(*) > 1 AND (min(entry) <> max(entry) OR min(ttl) <> max(ttl) OR count(DISTINCT lower(CAST(rdata AS TEXT))) < count(*))
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: a file, and a line counted from 1."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


# A row as it comes from the database, in the order of _COLUMNS. A tuple: a million of them pass several times.
_Row = tuple[bytes, bytes, int, int, bytes, int, int, int]


class Spool:
    """Add everything, `close_input` once, then read rrsets as often as needed.

    Rows of a master file have entry 0 and may come one by one; those of a YAML record share an entry of their own, because a second record
    for an rrset is a mistake there.
    """

    def __init__(self, apex: Name) -> None:
        self.apex = apex
        self.problems: list[Problem] = []
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(_TABLE)
        self._database.execute("BEGIN")
        self._pending: list[_Row] = []
        self._files: dict[Path, int] = {}
        self._steered: dict[tuple[bytes, int], Rrset] = {}
        self._entries = 0

    def add_record(self, key: bytes, owner: bytes, rtype: int, ttl: int, rdata: bytes, place: Place) -> None:
        """One record of a master file; `key` is `names.sort_key` and `owner` the wire form of its lower-case owner name."""
        self._add((key, owner, rtype, ttl, rdata, self._file(place.file), place.line, 0))

    def add_rrset(self, rrset: Rrset, place: Place) -> None:
        """One record of a YAML file, which is a whole rrset."""
        key, owner, file = names.sort_key(rrset.owner), names.wire_of(rrset.owner), self._file(place.file)
        self._entries += 1
        for rdata in rrset.rdatas:
            self._add((key, owner, rrset.rtype, rrset.ttl, rdata, file, place.line, self._entries))
        if rrset.dynamic is not None or rrset.octodns is not None:
            self._steered.setdefault((key, rrset.rtype), rrset)

    def close_input(self) -> None:
        """Everything has been added."""
        self._flush()
        self._database.execute(_INDEX)
        self._database.execute("COMMIT")

    def find_place(self, owner: Name, rtype: int) -> Place | None:
        """Where an rrset's first record stands; of the owner name's first record when it has no such rrset."""
        row = self._database.execute(
            "SELECT file, line FROM record WHERE key = ? ORDER BY rtype != ?, seq LIMIT 1", (names.sort_key(owner), rtype)
        ).fetchone()
        return Place(list(self._files)[row[0]], row[1]) if row else None

    def judge_meetings(self) -> None:
        """Report what shows when records meet; once, after `close_input`."""
        for key, rtype in self._database.execute(_DOUBTFUL).fetchall():
            self._judge_rrset([*self._database.execute(f"{_SELECT} WHERE key = ? AND rtype = ? ORDER BY seq", (key, rtype))])

    def _judge_rrset(self, rows: Sequence[_Row]) -> None:
        first = rows[0]
        _, _, rtype, first_ttl, _, _, _, first_entry = first
        other = next((row for row in rows if row[-1] != first_entry), None)
        if other is not None:
            self._report_second_source(first, other)
            return
        seen: set[bytes] = set()
        has_mixed_ttl = False
        for row in rows:
            _, _, _, ttl, rdata, _, _, entry = row
            if ttl != first_ttl and not has_mixed_ttl:
                has_mixed_ttl = True
                message = f"the ttl differs from the {first_ttl} at {self._place(first)}, which counts (RFC 2181 §5.2); make them equal"
                self._report(row, "mixed-ttl", message, Severity.WARNING)
            rdata = canonical(rtype, rdata)
            if entry == 0 and rdata in seen:
                self._report(row, "duplicate-value", "the record stands here twice and counts once; remove one", Severity.WARNING)
            seen.add(rdata)

    def rrsets(self) -> Iterator[Rrset]:
        """All rrsets in canonical order."""
        owner = b""
        name = self.apex
        for _, group in groupby(self._database.execute(f"{_SELECT} ORDER BY key, rtype, seq"), key=itemgetter(0, 2)):
            rows = list(group)
            if rows[0][1] != owner:
                owner = rows[0][1]
                name = names.from_wire(owner)
            yield self._rrset(name, rows)

    def rrsets_at(self, owner: Name) -> list[Rrset]:
        """The rrsets of one owner name."""
        rows = self._database.execute(f"{_SELECT} WHERE key = ? ORDER BY rtype, seq", (names.sort_key(owner),))
        return [self._rrset(owner, list(group)) for _, group in groupby(rows, key=itemgetter(2))]

    def count_rrsets(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM (SELECT DISTINCT key, rtype FROM record)").fetchone()
        return int(count)

    def count_owners(self) -> int:
        (count,) = self._database.execute("SELECT count(DISTINCT key) FROM record").fetchone()
        return int(count)

    def has_owner(self, owner: Name) -> bool:
        return bool(self._database.execute("SELECT 1 FROM record WHERE key = ? LIMIT 1", (names.sort_key(owner),)).fetchone())

    def _rrset(self, owner: Name, rows: Sequence[_Row]) -> Rrset:
        key, _, rtype, ttl, rdata, _, _, _ = rows[0]
        if self._steered and (steered := self._steered.get((key, rtype))):
            return steered
        if len(rows) == 1:
            return Rrset(owner, rtype, ttl, (rdata,))
        kept: dict[bytes, bytes] = {}
        for row in rows:
            kept.setdefault(canonical(rtype, row[4]), row[4])
        return Rrset(owner, rtype, ttl, tuple(kept.values()))

    def _report_second_source(self, first: _Row, other: _Row) -> None:
        if first[-1] and other[-1]:
            message = f"the record stands already at {self._place(first)}; put its values into one"
            self._report(other, "repeated-rrset", message, Severity.ERROR)
        else:
            message = f"the rrset stands also at {self._place(first)}; keep it in the YAML or in the master file"
            self._report(other, "rrset-in-both-sources", message, Severity.ERROR)

    def _report(self, row: _Row, code: str, message: str, severity: Severity) -> None:
        pointer = zones.place_of(self.apex, names.from_wire(row[1]), row[2])
        self.problems.append(Problem(pointer, code, message, severity, str(self._place(row))))

    def _place(self, row: _Row) -> Place:
        _, _, _, _, _, file, line, _ = row
        return Place(list(self._files)[file], line)

    def _file(self, file: Path) -> int:
        return self._files.setdefault(file, len(self._files))

    def _add(self, row: _Row) -> None:
        self._pending.append(row)
        if len(self._pending) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        self._database.executemany(_INSERT, self._pending)
        self._pending.clear()


@dataclass(frozen=True, slots=True)
class SpooledRrsets(Collection[Rrset]):
    """A big zone's rrsets, read from the spool each time they are iterated."""

    spool: Spool

    def __iter__(self) -> Iterator[Rrset]:
        return self.spool.rrsets()

    def __len__(self) -> int:
        return self.spool.count_rrsets()

    def __contains__(self, rrset: object) -> bool:
        return isinstance(rrset, Rrset) and rrset in self.spool.rrsets_at(rrset.owner)


@dataclass(frozen=True, slots=True)
class SpooledOwners(Mapping[Name, Sequence[Rrset]]):
    """A zone's owner names for `zones.check_zone`."""

    spool: Spool

    def __getitem__(self, owner: Name) -> Sequence[Rrset]:
        if rrsets := self.spool.rrsets_at(owner):
            return rrsets
        raise KeyError(owner)

    def __contains__(self, owner: object) -> bool:
        return isinstance(owner, Name) and self.spool.has_owner(owner)

    def __iter__(self) -> Iterator[Name]:
        for owner, _ in self.grouped():
            yield owner

    def __len__(self) -> int:
        return self.spool.count_owners()

    def items(self) -> _OwnerItems:
        return _OwnerItems(self)

    def grouped(self) -> Iterator[tuple[Name, list[Rrset]]]:
        """Each owner name with its rrsets, in canonical order."""
        rrsets: list[Rrset] = []
        for rrset in self.spool.rrsets():
            if rrsets and rrsets[0].owner is not rrset.owner:
                yield rrsets[0].owner, rrsets
                rrsets = []
            rrsets.append(rrset)
        if rrsets:
            yield rrsets[0].owner, rrsets


class _OwnerItems(ItemsView[Name, Sequence[Rrset]]):
    """Items in one pass over the spool, where the inherited view would look up each owner name."""

    def __init__(self, owners: SpooledOwners) -> None:
        super().__init__(owners)
        self._owners = owners

    def __iter__(self) -> Iterator[tuple[Name, Sequence[Rrset]]]:
        return self._owners.grouped()
