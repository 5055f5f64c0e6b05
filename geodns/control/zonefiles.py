"""Zone files and the store: seeding what the store never had, naming what differs, and in mirror mode following the files live.

    mode     a zone that the store lacks      one that it has                      a file that is broken
    seed     created, once per database       never touched; named when different  named, the others go on; read again when mended
    mirror   created and marked               made equal, with the brake           named, the store's zone stays

Reading and comparing happen in threads and in slices; serving never waits for them.
"""

from __future__ import annotations

import asyncio
import enum
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import dns.name
import structlog

from geodns.control.keeper import DatabaseKeeper
from geodns.control.loops import finish
from geodns.errors import DatabaseUnavailable, ForeignHistory, GeodnsError, InvalidInput, SchemaTooNew, UnsafeChange, errors_in
from geodns.model import names
from geodns.model.findings import Policy
from geodns.model.record import ZoneContents
from geodns.settings import ZonesMode
from geodns.store import zones
from geodns.store.audit import Actor, Source
from geodns.store.locks import NodeLock
from geodns.store.requests import ChangeRequest, Committed, CreateZone, ReplaceZone
from geodns.zonefile import find_zone_sources, read_zone, unusable_sources

log = structlog.get_logger(__name__)

Name = dns.name.Name
Commit = Callable[[ChangeRequest, Actor], Awaitable[Committed]]
Stamp = tuple[tuple[str, int, int, int], ...]

# Somebody who saves a file looks at the answer a breath later; a stat of some hundred files a second is nothing.
POLL_S = 1.0
RETRY_S = 1.0
# In seed mode only a mended file and an applied difference are waited for.
SEED_POLL_S = 5.0
# Comparing a large zone again and again, because it differs, takes at most a twentieth of the time.
REST_SHARE = 20
# Comparing a large file takes the interpreter from whoever sends the dataplane its first state, so it comes after that; a dataplane that
# takes none for so long is no reason to leave an operator without the news.
FIRST_STATE_S = 60.0
# Of each broken file, `status` shows this many problems; the log shows all.
SHOWN = 3


class _Found(enum.Enum):
    """What the store says of a zone that has a file."""

    THERE = "there"
    DELETED = "deleted"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at the directory: the files of each zone, when they changed, which are to be judged anew, and what the store has."""

    sources: Mapping[Name, Sequence[Path]]
    stamps: Mapping[Name, Stamp]
    fresh: Sequence[Name]
    found: Mapping[Name, _Found]


@dataclass(slots=True)
class ZoneFiles:
    """One directory. `commit` is the writer's, without waiting for adoption."""

    directory: Path
    policy: Policy
    keeper: DatabaseKeeper
    commit: Commit
    node: str
    broken: dict[Name, list[str]] = field(default_factory=dict)
    mirrors: bool = False
    waits_for: str | None = None
    unusable: list[str] = field(default_factory=list)
    differing: dict[Name, str] = field(default_factory=dict)
    _stamps: dict[Name, Stamp] = field(default_factory=dict)
    _rest_until_s: dict[Name, float] = field(default_factory=dict)
    _asked: asyncio.Event = field(default_factory=asyncio.Event)

    def problems(self) -> list[str]:
        """Sentences for `status`."""
        broken = [sentence for sentences in self.broken.values() for sentence in sentences]
        return [*broken, *self.unusable, *self.differing.values()]

    def look_again(self) -> None:
        """SIGHUP: read every file now, changed or not."""
        self._stamps.clear()
        self._asked.set()

    async def run(self, mode: ZonesMode, gate: asyncio.Event, has_served: asyncio.Event) -> None:
        """Seeds or mirrors for ever; cancel it to end.

        It sets `gate` when an empty dataplane may be given its first state; somebody else sets `has_served` once the dataplane has one.
        """
        lock = NodeLock(self.keeper.database, "mirror")
        try:
            await self._follow(mode, gate, has_served, lock)
        finally:
            await lock.release()

    async def _follow(self, mode: ZonesMode, gate: asyncio.Event, has_served: asyncio.Event, lock: NodeLock) -> None:
        give_up_s = time.monotonic() + FIRST_STATE_S
        while True:
            await self.keeper.is_open.wait()
            try:
                match mode:
                    case ZonesMode.SEED:
                        look = await finish(self.seed())
                        gate.set()
                        if has_served.is_set() or time.monotonic() > give_up_s:
                            await finish(self.name_differences(look))
                            await self._pause(SEED_POLL_S)
                        else:
                            with suppress(TimeoutError):
                                async with asyncio.timeout(SEED_POLL_S):
                                    await has_served.wait()
                    case ZonesMode.MIRROR:
                        await finish(self._mirror_if_chosen(lock))
                        gate.set()
                        await self._pause(POLL_S)
            except (DatabaseUnavailable, SchemaTooNew, ForeignHistory) as error:
                if str(error) != self.waits_for:
                    log.info("zone files wait", reason=str(error))
                self.waits_for = str(error)
                await asyncio.sleep(RETRY_S)
            except Exception:
                gate.set()  # zones that are there must not wait for a defect in reading files
                raise

    # ---- seed ----

    async def seed(self) -> _Look:
        """One look: creates zones that the store lacks and never had.

        Only what changed since the last look is read again. Raises DatabaseUnavailable, ForeignHistory, SchemaTooNew.
        """
        sources = await self._find_sources()
        shared = await asyncio.to_thread(_stamp_shared, self.directory)
        stamps = {apex: (*_stamp(paths), *shared) for apex, paths in sources.items()}
        fresh = [apex for apex, stamp in stamps.items() if self._stamps.get(apex) != stamp]
        found = await self._find_zones([*fresh, *self.differing])
        for apex in fresh:
            if found[apex] is _Found.NEVER:
                await self._seed_zone(apex, sources[apex])
            if found[apex] is not _Found.THERE:
                self._stamps[apex] = stamps[apex]
        return _Look(sources, stamps, fresh, found)

    async def name_differences(self, look: _Look) -> None:
        """Names the zones whose files differ from the store. Raises as `seed`."""
        for apex in dict.fromkeys((*look.fresh, *self.differing)):
            if apex not in look.sources or look.found[apex] is not _Found.THERE:
                self.differing.pop(apex, None)  # deleted through the API, or its file is gone: there is nothing to compare
            elif apex in look.fresh or time.monotonic() > self._rest_until_s.get(apex, 0.0):
                await self._compare_zone(apex, look.sources[apex])
                self._stamps[apex] = look.stamps[apex]

    async def _find_zones(self, apexes: Iterable[Name]) -> dict[Name, _Found]:
        found: dict[Name, _Found] = {}
        async with self.keeper.database.read() as session:
            for apex in dict.fromkeys(apexes):
                if await zones.find_zone(session, apex) is not None:
                    found[apex] = _Found.THERE
                else:
                    found[apex] = _Found.NEVER if await zones.find_tombstone(session, apex) is None else _Found.DELETED
        return found

    async def _seed_zone(self, apex: Name, paths: Sequence[Path]) -> None:
        contents = await self._read(apex, paths)
        if contents is None:
            return
        # Another node may have been faster: then the store says that nothing changed.
        committed = await self._try(apex, CreateZone(contents, seed=True), self._actor(Source.SEED))
        if committed is not None and committed.changed:
            log.info("seeded a zone", zone=names.zone_text(apex), rrsets=len(contents.rrsets), revision=committed.revision)

    async def _compare_zone(self, apex: Name, paths: Sequence[Path]) -> None:
        """Names the zone when its file differs; one that was slow to compare is left alone for a while."""
        started_s = time.monotonic()
        was_named = apex in self.differing
        contents = await self._read(apex, paths)
        if contents is None:
            self.differing.pop(apex, None)
            return
        would = await self._try(apex, ReplaceZone(contents, force=True, dry_run=True), self._actor(Source.SEED))
        self._rest_until_s[apex] = time.monotonic() + REST_SHARE * (time.monotonic() - started_s)
        if would is None or not would.changed:
            self.differing.pop(apex, None)
            return
        zone, files = names.zone_text(apex), " ".join(str(path) for path in paths)
        self.differing[apex] = f"the zone {zone} differs from its file: `geodns apply {files}` makes it equal"
        if not was_named:
            counts = {operation.value: count for operation, count in would.counts}
            log.warning("a zone differs from its file", zone=zone, files=files, apply=f"geodns apply {files}", **counts)

    # ---- mirror ----

    async def _mirror_if_chosen(self, lock: NodeLock) -> None:
        """One node per database mirrors; the others take over when it is gone."""
        if await lock.acquire():
            if not self.mirrors:
                log.info("this node mirrors the zone files", directory=str(self.directory))
                self._stamps.clear()
            self.mirrors = True
            await self.mirror_once()
        else:
            self.mirrors = False

    async def _pause(self, longest_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._asked.wait()
        self._asked.clear()

    async def mirror_once(self) -> None:
        """Makes every zone whose files changed equal to them."""
        sources = await self._find_sources()
        shared = await asyncio.to_thread(_stamp_shared, self.directory)
        for apex, paths in sources.items():
            stamp = (*_stamp(paths), *shared)
            if self._stamps.get(apex) == stamp:
                continue
            contents = await self._read(apex, paths)
            if contents is not None:
                committed = await self._try(apex, ReplaceZone(contents, mirror=True), self._actor(Source.MIRROR))
                if committed is not None and committed.changed:
                    log.info("mirrored a zone", zone=names.zone_text(apex), revision=committed.revision)
            self._stamps[apex] = stamp
        await self._release(frozenset(sources))

    async def _release(self, sources: frozenset[Name]) -> None:
        """A zone whose file is gone is kept, and given back to the API: a lost mount must not delete zones."""
        gone = self._stamps.keys() - sources
        if not gone and self._stamps:
            return
        async with self.keeper.database.write() as session:
            released = await zones.release_mirrored(session, keep=sources)
        for apex in released:
            log.warning("a mirrored zone has no file any more; it is kept, and the API may change it", zone=names.zone_text(apex))
        for apex in gone:
            del self._stamps[apex]
            self.broken.pop(apex, None)

    # ---- both ----

    def _actor(self, source: Source) -> Actor:
        return Actor(self.node, source)

    async def _find_sources(self) -> dict[Name, list[Path]]:
        """The files of each zone. A directory that cannot be listed is named, and no source at all: nothing follows from that."""
        try:
            sources = await asyncio.to_thread(find_zone_sources, self.directory)
            unusable = await asyncio.to_thread(unusable_sources, self.directory)
        except OSError as error:
            self._name_unusable([f"the zone directory {self.directory} cannot be read: {error.strerror}"])
            return {}
        self._name_unusable([str(problem) for problem in unusable])
        return sources

    def _name_unusable(self, sentences: list[str]) -> None:
        for sentence in sentences:
            if sentence not in self.unusable:
                log.error("an entry of the zone directory is not used", problem=sentence)
        self.unusable = sentences

    async def _read(self, apex: Name, paths: Sequence[Path]) -> ZoneContents | None:
        """The zone as its files say, or None after naming what is wrong with them."""
        zone = names.zone_text(apex)
        read = await asyncio.to_thread(
            read_zone,
            paths,
            directory=self.directory,
            policy=self.policy,
            progress=lambda count: log.info("reading a zone file", zone=zone, records=count),
        )
        problems = errors_in(read.problems)
        if problems or read.contents is None:
            self._name_broken(apex, [str(problem) for problem in problems] or [f"{paths[0]} cannot be read"])
            return None
        self.broken.pop(apex, None)
        return read.contents

    async def _try(self, apex: Name, request: ChangeRequest, actor: Actor) -> Committed | None:
        """Commits; what is wrong with the zone itself is named, what is wrong with the database is raised."""
        try:
            return await self.commit(request, actor)
        except (DatabaseUnavailable, SchemaTooNew, ForeignHistory):
            raise
        except InvalidInput as error:
            self._name_broken(apex, [str(problem) for problem in errors_in(error.problems)])
        except UnsafeChange as error:
            self._name_broken(
                apex, [f"the zone {names.zone_text(apex)} is not made equal to its file: {error} ({error.hint or 'apply --force'})"]
            )
        except GeodnsError as error:
            self._name_broken(apex, [f"the zone {names.zone_text(apex)}: {error}"])
        return None

    def _name_broken(self, apex: Name, sentences: Sequence[str]) -> None:
        for sentence in sentences:
            log.error("a zone file is refused; the other zones are served", zone=names.zone_text(apex), problem=sentence)
        more = [f"{names.zone_text(apex)}: {len(sentences) - SHOWN} more problems, see the log"] if len(sentences) > SHOWN else []
        self.broken[apex] = [*sentences[:SHOWN], *more]


def _stamp_shared(directory: Path) -> Stamp:
    """Everything in the directory that is no zone's own source: what `!include` and $INCLUDE may read. Blocking."""
    shared = [
        Path(folder) / name
        for folder, _, files in os.walk(directory)
        for name in files
        if Path(folder) != directory or not name.endswith((".yaml", ".zone"))
    ]
    return _stamp(sorted(shared))


def _stamp(paths: Sequence[Path]) -> Stamp:
    found = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        found.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
