"""The spool: what must not be lost while the database is away, in order, synced before it counts (health.md section 6).

An append-only file of JSON lines, each with its own checksum, so that a torn tail is known for what it is. It holds transitions of verdicts
and operator's overrides; what they mean is the business of whoever replays them (`recorder.py`). Routine results are not kept.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)

# health.md section 6. A hundred thousand transitions are a day of 10,000 values flapping once in two hours.
MAX_RECORDS = 100_000


@dataclass(slots=True)
class Spool:
    """One file. Blocking: callers on an event loop use a thread. One caller at a time."""

    path: Path
    count: int = 0
    limit: int = MAX_RECORDS

    @classmethod
    def open(cls, path: Path, *, limit: int = MAX_RECORDS) -> Spool:
        """The spool as a predecessor left it; a torn tail is cut off. A missing file is an empty spool."""
        spool = cls(path, limit=limit)
        good = 0
        for end, _ in spool._scan():
            spool.count += 1
            good = end
        if path.exists() and path.stat().st_size > good:
            log.warning("the spool ends in a torn record, which is cut off", path=str(path), kept=spool.count)
            os.truncate(path, good)
        return spool

    def append(self, records: Sequence[Mapping[str, Any]]) -> bool:
        """All of them, on disk when this returns, or none: False when the limit does not allow them. Raises OSError."""
        if self.count + len(records) > self.limit:
            return False
        data = b"".join(_to_line(record) for record in records)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                _write_whole(descriptor, data)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)
        if self.count == 0:
            _sync_folder(self.path.parent)
        self.count += len(records)
        return True

    def records(self) -> Iterator[dict[str, Any]]:
        """All records, oldest first."""
        return (record for _, record in self._scan())

    def clear(self) -> None:
        """Empties it, once every record stands in the database."""
        self.path.unlink(missing_ok=True)
        self.count = 0

    def _scan(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each sound record with the offset behind it, up to the first that is not sound."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            end = 0
            for line in file:
                end += len(line)
                record = _from_line(line)
                if record is None:
                    return
                yield end, record


def _write_whole(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    """A new file's name is durable only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _to_line(record: Mapping[str, Any]) -> bytes:
    body = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _from_line(line: bytes) -> dict[str, Any] | None:
    body = line[9:-1]
    if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(body):
        return None
    record: dict[str, Any] = json.loads(body)
    return record
