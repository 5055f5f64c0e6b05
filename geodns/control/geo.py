"""Location databases: watched, judged before the dataplane is asked to look at them, and reported.

Python's judgement is a first sieve and the source of plain sentences (`maxminddb`); the dataplane verifies a file again, wholly, before it
uses it, and keeps the old one when it refuses. Nothing is located here.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import maxminddb
import structlog

log = structlog.get_logger(__name__)

# Location databases change weekly; two seconds are soon enough, and a stat every two seconds is nothing.
POLL_S = 2.0
# Networks whose records are decoded: enough to meet a truncated data section, not the minutes that all of them would take.
SAMPLES = 200


@dataclass(frozen=True, slots=True)
class GeoFile:
    """One configured file and what control thinks of it. `state` is ok, missing or corrupt; `reason` is a sentence unless it is ok."""

    path: Path
    state: str
    reason: str = ""
    database_type: str = ""
    build: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "state": self.state,
            "reason": self.reason or None,
            "type": self.database_type or None,
            "build": self.build.isoformat() if self.build else None,
        }


Stamp = tuple[int, int, int] | None


@dataclass(slots=True)
class GeoWatcher:
    """Follows the files of `geo.databases`. `changed` is called, with `generation` raised, when the dataplane should look at them again."""

    paths: Sequence[Path]
    changed: Callable[[], None]
    generation: int = 1
    files: tuple[GeoFile, ...] = ()
    _stamps: dict[Path, Stamp] = field(default_factory=dict)
    _unsettled: set[Path] = field(default_factory=set)
    _asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def look(self) -> None:
        """The first judgement, before anything is sent."""
        self._stamps = {path: _stamp(path) for path in self.paths}
        self.files = tuple([await asyncio.to_thread(judge, path) for path in self.paths])
        for file in self.files:
            _report(file)

    async def run(self) -> None:
        """Polls for ever; cancel it to end."""
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._asked.wait()
            except TimeoutError:
                await self._poll()
            else:
                self._asked.clear()
                await self._look_again(set(self.paths))

    def look_again(self) -> None:
        """SIGHUP: judge every file now, changed or not."""
        self._asked.set()

    async def _poll(self) -> None:
        """A file that changed is judged when it has been the same for one poll: whoever copies it in place is given time to finish."""
        stamps = {path: _stamp(path) for path in self.paths}
        moved = {path for path in self.paths if stamps[path] != self._stamps[path]}
        settled, self._unsettled = self._unsettled - moved, moved
        self._stamps = stamps
        if settled:
            await self._look_again(settled)

    async def _look_again(self, paths: set[Path]) -> None:
        """A file that is not sound stays what it was to the dataplane: it is not asked to look."""
        judged = {path: await asyncio.to_thread(judge, path) for path in paths}
        self.files = tuple(judged.get(file.path, file) for file in self.files)
        for file in judged.values():
            _report(file)
        if any(file.state == "ok" for file in judged.values()):
            self.generation += 1
            self.changed()


def judge(path: Path) -> GeoFile:
    """Opens the file, reads its metadata and its first networks. Blocking."""
    try:
        # MODE_FILE reads what it needs: judging must not put a second copy of 100 MB into control's memory.
        with maxminddb.open_database(path, maxminddb.MODE_FILE) as reader:
            metadata = reader.metadata()
            for _ in itertools.islice(reader, SAMPLES):
                pass
            build = datetime.fromtimestamp(metadata.build_epoch, UTC)
            return GeoFile(path, "ok", database_type=metadata.database_type, build=build)
    except FileNotFoundError:
        return GeoFile(path, "missing", "there is no such file")
    except PermissionError as error:
        return GeoFile(path, "missing", f"it cannot be read: {error.strerror}")
    # The reader raises whatever its parser trips over in a damaged file.
    except Exception as error:
        return GeoFile(path, "corrupt", str(error) or type(error).__name__)


def _report(file: GeoFile) -> None:
    if file.state == "ok":
        log.info("location database", path=str(file.path), type=file.database_type, build=str(file.build))
    else:
        log.error(
            "a location database cannot be used: what was loaded before stays in service, else its rules do not match",
            path=str(file.path),
            state=file.state,
            reason=file.reason,
        )


def _stamp(path: Path) -> Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
