"""A dataplane for tests of control: a unix server that speaks docs/link-protocol.md, adopts as section 1 says, and answers no DNS.

It decodes items by itself, so that it is a second opinion on `geodns.publish.items`. Faults are injected through its attributes.
"""

from __future__ import annotations

import asyncio
import json
import struct
import uuid
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geodns.publish import frames
from geodns.publish.frames import Ack, Begin, End, HealthEntry, Hello, Ownership, RefusalCode, Refuse, TransferKind, Triple


@dataclass(frozen=True, slots=True)
class Item:
    """A decoded item; what does not belong to its kind is empty."""

    kind: str
    apex: bytes = b""
    owner: bytes = b""
    rrsets: tuple[tuple[int, int, object], ...] = ()
    name: str = ""
    prefixes: tuple[tuple[int, int, bytes], ...] = ()


class Cursor:
    """Reads big-endian fields and refuses to read past the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        part = self.data[self.at : self.at + size]
        assert len(part) == size, "the item ends early"
        self.at += size
        return part

    def number(self, layout: str) -> int:
        (value,) = struct.unpack(f">{layout}", self.take(struct.calcsize(f">{layout}")))
        assert isinstance(value, int)
        return value

    def name(self) -> bytes:
        start = self.at
        while length := self.number("B"):
            assert length < 64
            self.take(length)
        return self.data[start : self.at]

    def text8(self) -> str:
        return self.take(self.number("B")).decode()

    def prefix(self) -> tuple[int, int, bytes]:
        family, length = self.number("B"), self.number("B")
        return family, length, self.take({4: 4, 6: 16}[family])

    def sized(self) -> bytes:
        return self.take(self.number("H"))

    def end(self) -> None:
        assert self.at == len(self.data), "bytes after the end of an item"


def read_steered(body: bytes) -> dict[str, Any]:
    """Section 3 as a dictionary."""
    cursor = Cursor(body)
    assert cursor.number("B") == 1
    document: dict[str, Any] = {
        "answers": cursor.number("H"),
        "select": cursor.number("B"),
        "all_down": cursor.number("B"),
        "min_up": cursor.number("I"),
        "ttl": (cursor.number("B"), cursor.number("I"), cursor.number("I")),
        "own": [(cursor.number("I"), cursor.sized()) for _ in range(cursor.number("H"))],
    }
    document["pools"] = [_read_pool(cursor) for _ in range(cursor.number("H"))]
    document["rules"] = [_read_rule(cursor) for _ in range(cursor.number("H"))]
    cursor.end()
    return document


def _read_pool(cursor: Cursor) -> dict[str, Any]:
    pool: dict[str, Any] = {"name": cursor.text8(), "fallback": cursor.number("H")}
    pool["values"] = [
        {
            "id": cursor.number("I"),
            "weight": cursor.number("I"),
            "status": cursor.number("B"),
            "drained": cursor.number("B"),
            "site": cursor.text8(),
            "coordinates": (cursor.number("B"), cursor.number("i"), cursor.number("i")),
            "rdata": cursor.sized(),
        }
        for _ in range(cursor.number("H"))
    ]
    return pool


def _read_rule(cursor: Cursor) -> dict[str, Any]:
    return {
        "origin": cursor.number("B"),
        "pool": cursor.number("H"),
        "geos": [cursor.text8() for _ in range(cursor.number("H"))],
        "subnets": [cursor.prefix() for _ in range(cursor.number("I"))],
        "asns": [cursor.number("I") for _ in range(cursor.number("H"))],
        "lists": [cursor.text8() for _ in range(cursor.number("H"))],
    }


def read_items(stream: bytes) -> list[Item]:
    """The items of a transfer; asserts on anything that the format forbids."""
    cursor, items = Cursor(stream), []
    while cursor.at < len(stream):
        kind, length = cursor.number("B"), cursor.number("I")
        items.append(_read_item(kind, Cursor(cursor.take(length))))
    return items


def _read_item(kind: int, cursor: Cursor) -> Item:
    match kind:
        case 1:
            item = Item("zone", apex=cursor.name())
        case 2:
            item = Item("zone-drop", apex=cursor.name())
        case 3:
            apex, owner = cursor.name(), cursor.name()
            item = Item("owner", apex=apex, owner=owner, rrsets=tuple(_read_rrset(cursor) for _ in range(cursor.number("H"))))
        case 4:
            name = cursor.text8()
            item = Item("list", name=name, prefixes=tuple(cursor.prefix() for _ in range(cursor.number("I"))))
        case 5:
            item = Item("list-drop", name=cursor.text8())
        case _:
            raise AssertionError(f"item kind {kind}")
    cursor.end()
    return item


def _read_rrset(cursor: Cursor) -> tuple[int, int, object]:
    rtype, ttl, form, length = cursor.number("H"), cursor.number("I"), cursor.number("B"), cursor.number("I")
    body = cursor.take(length)
    if form == 1:
        return rtype, ttl, read_steered(body)
    assert form == 0
    inner = Cursor(body)
    rdatas = tuple(inner.sized() for _ in range(inner.number("H")))
    inner.end()
    assert rdatas
    return rtype, ttl, rdatas


@dataclass
class _Open:
    """A transfer that has begun."""

    begin: Begin
    stream: bytearray = field(default_factory=bytearray)


@dataclass
class FakeDataplane:
    """State, history of what was received, and the faults to inject."""

    path: Path
    served: Triple | None = None
    version: int = frames.LINK_VERSION
    ownership: Ownership = Ownership.SUPERVISED
    pid: int = 1
    digest: bytes = bytes(32)
    # Faults
    refuse_next: RefusalCode | None = None
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledging: bool = True
    # What was received
    zones: dict[bytes, dict[bytes, tuple[tuple[int, int, object], ...]]] = field(default_factory=dict)
    lists: dict[str, tuple[tuple[int, int, bytes], ...]] = field(default_factory=dict)
    transfers: list[tuple[Begin, list[Item]]] = field(default_factory=list)
    health: dict[int, HealthEntry] = field(default_factory=dict)
    health_frames: list[frames.Health] = field(default_factory=list)
    configs: list[dict[str, Any]] = field(default_factory=list)
    attaches: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _pending_health: dict[int, HealthEntry] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeDataplane]:
        self.reading.set()
        server = await asyncio.start_unix_server(self._serve, str(self.path))
        try:
            yield self
        finally:
            server.close()
            self.drop_connections()
            await server.wait_closed()
            self.path.unlink(missing_ok=True)

    def drop_connections(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def until(self, claim: Any, timeout_s: float = 60.0) -> None:
        """Waits until `claim()` holds; it is judged after every frame."""
        async with asyncio.timeout(timeout_s), self.changed:
            await self.changed.wait_for(claim)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        decoder, state = frames.FrameDecoder(), _Connection()
        try:
            writer.write(frames.encode(Hello(self.version, self.ownership, self.pid, self.served, 0, self.digest)))
            while True:
                await self.reading.wait()
                data = await reader.read(65536)
                if not data:
                    return
                for frame in decoder.feed(data):
                    self._take(frame, state, writer)
                async with self.changed:
                    self.changed.notify_all()
        except ConnectionError:
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def _take(self, frame: frames.Frame | frames.Fault, state: _Connection, writer: asyncio.StreamWriter) -> None:
        match frame:
            case frames.Attach():
                self.attaches += 1
                packed = b"".join(entry.to_bytes(value_id) for value_id, entry in self.health.items())
                for data in frames.encode_health(0, packed, whole=True):
                    writer.write(data)
            case Begin():
                assert state.transfer is None, "a transfer inside a transfer"
                state.transfer = _Open(frame)
            case frames.Chunk(data):
                assert state.transfer is not None, "a chunk outside a transfer"
                state.transfer.stream += data
            case End():
                assert state.transfer is not None, "an end outside a transfer"
                answer = self._adopt(state.transfer, frame)
                state.transfer = None
                if self.acknowledging or isinstance(answer, Refuse):
                    writer.write(frames.encode(answer))
            case frames.Abort():
                state.transfer = None
            case frames.Health():
                self._take_health(frame)
            case frames.Config(document):
                self.configs.append(document)
            case frames.StatusRequest():
                self._send_json(writer, lambda last, data: frames.Status(last, data), {"served": str(self.served)})
            case frames.Explain(number, document):
                self._send_json(writer, lambda last, data: frames.Explained(number, last, data), {"asked": document})
            case _:
                raise AssertionError(f"control must not send {frame}")

    def _send_json(self, writer: asyncio.StreamWriter, make: Any, document: dict[str, Any]) -> None:
        """In pieces of seven bytes, so that reassembly is always tested."""
        data, size = json.dumps(document).encode(), 7
        for start in range(0, len(data), size):
            writer.write(frames.encode(make(start + size >= len(data), data[start : start + size])))

    def _adopt(self, transfer: _Open, end: End) -> Ack | Refuse:
        begin, stream = transfer.begin, bytes(transfer.stream)
        code = self._judge(begin)
        if self.refuse_next is not None:
            code, self.refuse_next = self.refuse_next, None
        items = read_items(stream)
        if (end.items, end.size, end.crc) != (len(items), len(stream), zlib.crc32(stream)):
            code = RefusalCode.CHECKSUM
        if code is not None:
            return Refuse(begin.triple.revision, code, f"refused: {code.name}")
        self.transfers.append((begin, items))
        self._apply(begin.kind, items)
        self.served = begin.triple
        return Ack(begin.triple)

    def _judge(self, begin: Begin) -> RefusalCode | None:
        served = self.served
        if begin.kind is TransferKind.DELTA:
            if served is None or served.lineage != begin.triple.lineage or begin.base != (served.revision, served.tag):
                return RefusalCode.BASE
            return None if begin.triple.revision > served.revision else RefusalCode.STALE
        if served is None or begin.triple == served or served.lineage in begin.ancestors:
            return None
        if served.lineage != begin.triple.lineage:
            return RefusalCode.LINEAGE
        return None if begin.triple.revision > served.revision else RefusalCode.STALE

    def _apply(self, kind: TransferKind, items: list[Item]) -> None:
        if kind is TransferKind.FULL:
            self.zones, self.lists = {}, {}
        for item in items:
            match item.kind:
                case "zone":
                    self.zones.setdefault(item.apex, {})
                case "zone-drop":
                    del self.zones[item.apex]
                case "owner":
                    owners = self.zones[item.apex]
                    owners.pop(item.owner, None)
                    if item.rrsets:
                        owners[item.owner] = item.rrsets
                case "list":
                    self.lists[item.name] = item.prefixes
                case "list-drop":
                    del self.lists[item.name]
        for apex, owners in self.zones.items():
            assert [rrset for rrset in owners.get(apex, ()) if rrset[0] == 6], f"no SOA at {apex!r}"

    def _take_health(self, health: frames.Health) -> None:
        self.health_frames.append(replace(health))
        if not (health.first or health.last) and not self._pending_health:
            self.health.update(health.entries)
            return
        if health.first:
            self._pending_health = {}
        self._pending_health.update(health.entries)
        if health.last:
            self.health, self._pending_health = self._pending_health, {}


@dataclass
class _Connection:
    transfer: _Open | None = None


def new_triple(revision: int, lineage: uuid.UUID | None = None) -> Triple:
    """A triple whose tag is told by its revision."""
    return Triple(lineage or uuid.UUID(int=7), revision, revision * 1000 + 1)
