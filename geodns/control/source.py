"""From the store to the items of a transfer: the whole state as a stream, or what changed since a revision.

Rows pass in wire form, a few thousand at a time; only steered rrsets are values for a moment, and are kept as bytes while a FULL runs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing

import dns.name
import structlog

from geodns.model import names
from geodns.publish import items
from geodns.publish.items import ItemBatch, OwnValue
from geodns.store import history, lists, records
from geodns.store.database import Session
from geodns.store.records import StateList, StateRow, StateZone, StoredSteered

log = structlog.get_logger(__name__)

# Items handed on at a time: a few frames' worth, so that the link is never short of bytes and memory stays small.
BATCH_BYTES = 256 * 1024
# A DELTA is held whole; beyond this, some two hundred thousand owner names, a FULL is the cheaper answer. Sooner for names that are looked
# up one by one, each of which costs several times what it does in a FULL; a new zone is read in order.
DELTA_BYTES = 8 * 1024 * 1024
DELTA_OWNERS = 50_000
# What an rrset of one short rdata has in an item at least: type, ttl, counts and lengths.
RRSET_BYTES = 14

Steered = Mapping[tuple[bytes, bytes, int], bytes]


class _Collector:
    """Items end to end, counted, cut into batches. Rows of the state come in its order, and those of an owner name become one item."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self._place: tuple[bytes, bytes] | None = None
        self._rrsets: list[bytes] = []

    def add(self, item: bytes) -> None:
        self.parts.append(item)
        self.size += len(item)

    def add_state(self, row: StateList | StateZone | StateRow, steered: Steered) -> None:
        """The next of a stream, after which `end_state` comes."""
        if isinstance(row, StateRow):
            if (row.apex, row.owner) != self._place:
                self.end_state()
                self._place = (row.apex, row.owner)
            self._rrsets.append(pack_row(row, steered))
            return
        self.end_state()
        self.add(items.list_item(row.name, row.prefixes) if isinstance(row, StateList) else items.zone_item(row.apex))

    def end_state(self) -> None:
        """The last owner name is whole."""
        if self._place is not None:
            self.add(items.owner_item(*self._place, self._rrsets))
        self._place, self._rrsets = None, []

    def take(self) -> ItemBatch:
        batch = ItemBatch(len(self.parts), b"".join(self.parts))
        self.parts, self.size = [], 0
        return batch


async def full_batches(session: Session) -> AsyncGenerator[ItemBatch]:
    """Everything, in the order of a FULL, from the one snapshot of the session."""
    steered = {key: data async for key, data in _pack_steered(records.steered_rrsets(session))}
    collected = _Collector()
    async with aclosing(records.stream_state(session)) as stream:
        async for row in stream:
            collected.add_state(row, steered)
            if collected.size >= BATCH_BYTES:
                yield collected.take()
    collected.end_state()
    yield collected.take()


async def delta_batch(session: Session, revision: int) -> ItemBatch | None:
    """What changed after `revision`; None when a FULL is the better answer."""
    changed = await history.changed_owners_since(session, revision, limit=DELTA_OWNERS)
    if changed is None:
        return None
    if await records.count_rrsets(session, changed.put_zones) * RRSET_BYTES > DELTA_BYTES:
        return None
    collected = _Collector()
    for apex in changed.dropped_zones:
        collected.add(items.zone_drop_item(names.wire_of(apex)))
    for name in changed.dropped_lists:
        collected.add(items.list_drop_item(name))
    for name in changed.put_lists:
        _, prefixes = await lists.get_list(session, name)
        collected.add(items.list_item(name, prefixes))
    for apex in changed.put_zones:
        if not await _add_zone(session, apex, collected):
            return None
    async with aclosing(records.owner_batches(session, changed.owners)) as batches:
        async for batch in batches:
            of_steered = [(there.apex, there.owner) for there in batch if any(row.steered for row in there.rows)]
            steered: Steered = {key: data async for key, data in _pack_steered(_each(await records.steered_at(session, of_steered)))}
            for there in batch:
                rrsets = [pack_row(row, steered) for row in there.rows]
                collected.add(items.owner_item(names.wire_of(there.apex), names.wire_of(there.owner), rrsets))
                if collected.size > DELTA_BYTES:
                    return None
    return collected.take()


async def _add_zone(session: Session, apex: dns.name.Name, collected: _Collector) -> bool:
    """A whole zone; false when that is more than a DELTA may hold."""
    steered: dict[tuple[bytes, bytes, int], bytes] = {}
    steered_bytes = 0
    async with aclosing(_pack_steered(records.steered_in(session, apex))) as packed:
        async for key, data in packed:
            steered[key] = data
            steered_bytes += len(data)
            if steered_bytes > DELTA_BYTES:
                return False
    async with aclosing(records.stream_zone(session, apex)) as stream:
        async for row in stream:
            collected.add_state(row, steered)
            if collected.size > DELTA_BYTES:
                return False
    collected.end_state()
    return True


def pack_row(row: StateRow, steered: Steered) -> bytes:
    """A row as an rrset. A steered one whose steering cannot be read any more is served as what it says without: its own values."""
    if row.steered:
        packed = steered.get((row.apex, row.owner, row.rtype))
        if packed is not None:
            return packed
        log.error("a stored record cannot be read as a steered one and is served with its own values", owner=repr(row.owner))
    return items.packed_rrset(row.rtype, row.ttl, row.body)


def pack_steered(stored: StoredSteered) -> bytes | None:
    """A steered rrset as it is sent; None for one without steering."""
    rrset = stored.rrset
    if rrset.steering is None:
        return None
    own = [OwnValue(value_id, rdata) for value_id, rdata in zip(stored.own_ids, rrset.rdatas, strict=True)]
    return items.steered_rrset(rrset.rtype, rrset.ttl, own, rrset.steering, stored.value_ids)


async def _pack_steered(stream: AsyncIterator[StoredSteered]) -> AsyncGenerator[tuple[tuple[bytes, bytes, int], bytes]]:
    async for stored in stream:
        rrset = stored.rrset
        if (packed := pack_steered(stored)) is not None:
            yield (names.wire_of(stored.zone), names.wire_of(rrset.owner), rrset.rtype), packed


async def _each(found: list[StoredSteered]) -> AsyncGenerator[StoredSteered]:
    for stored in found:
        yield stored
