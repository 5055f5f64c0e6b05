"""The frames of the link between control and dataplane: bytes to values and back (docs/link-protocol.md sections 1 and 4).

A protocol core without I/O. Decoding never raises on what the peer sent: it yields frames, and at most one `Fault`, after which the
stream is over. It deliberately does not know what a frame means for whom, nor what the items inside a transfer are (`items.py`).
"""

from __future__ import annotations

import enum
import json
import struct
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

LINK_VERSION = 1
MAGIC = b"GDNS"

# A length counts the type and the payload. 64 KiB bounds what a frame that is never finished can make the reader hold.
MAX_FRAME = 65536
# What fits beside type and header of the frames that carry free bytes.
MAX_CHUNK = MAX_FRAME - 1
MAX_JSON = MAX_FRAME - 1
MAX_TEXT16 = 0xFFFF
# CONFIG has no chunks; see `MAX_JSON`. A document in chunks (STATUS, EXPLAINED) is held whole: 4 MiB is far above any real one.
MAX_DOCUMENT = 4 * 1024 * 1024

NO_BOUND = 0xFFFFFFFF
FULL_FACTOR = 1000

_LENGTH = struct.Struct(">I")
_TRIPLE = struct.Struct(">16sQQ")
_HELLO = struct.Struct(">4sHBIB32sQ32s")
_ATTACH = struct.Struct(">4sHB")
_BEGIN = struct.Struct(">B32sQQB")
_END = struct.Struct(">QQI")
_HEALTH = struct.Struct(">QBH")
_ENTRY = struct.Struct(">IBHIQ")
_REFUSE = struct.Struct(">QHH")

ENTRY_SIZE = _ENTRY.size
MAX_ENTRIES = (MAX_FRAME - 1 - _HEALTH.size) // ENTRY_SIZE


class FrameType(enum.IntEnum):
    """The types of version 1; HANDOFF is reserved and refused."""

    HELLO = 0x01
    ATTACH = 0x02
    BEGIN = 0x10
    CHUNK = 0x11
    END = 0x12
    ABORT = 0x13
    HEALTH = 0x20
    CONFIG = 0x30
    ACK = 0x40
    REFUSE = 0x41
    STATUS = 0x50
    STATUS_REQUEST = 0x51
    EXPLAIN = 0x60
    EXPLAINED = 0x61


class RefusalCode(enum.IntEnum):
    """Why a transfer, or a connection, was refused."""

    BASE = 1
    LINEAGE = 2
    CHECKSUM = 3
    MALFORMED = 4
    LIMIT = 5
    STALE = 6
    VERSION = 7
    ROLE = 8
    STATE = 9


class Role(enum.IntEnum):
    """What a connection may send: everything, or only questions."""

    PUBLISHER = 0
    OBSERVER = 1


class Ownership(enum.IntEnum):
    """Whether `serve` started the dataplane and ends it, or it stands alone."""

    SUPERVISED = 0
    STANDALONE = 1


class TransferKind(enum.IntEnum):
    """The whole state, or the owner names that changed since a base."""

    FULL = 1
    DELTA = 2


class Operator(enum.IntEnum):
    """The override in force on a value, as the wire says it."""

    NONE = 0
    UP = 1
    DOWN = 2
    DRAIN = 3


@dataclass(frozen=True, slots=True)
class Triple:
    """What a state is: the history it belongs to, its number in it, and the tag that tells two equal numbers apart."""

    lineage: uuid.UUID
    revision: int
    tag: int

    def to_bytes(self) -> bytes:
        return _TRIPLE.pack(self.lineage.bytes, self.revision, self.tag)

    @classmethod
    def from_bytes(cls, data: bytes) -> Triple:
        """`data` has exactly 32 bytes."""
        lineage, revision, tag = _TRIPLE.unpack(data)
        return cls(uuid.UUID(bytes=lineage), revision, tag)

    def __str__(self) -> str:
        return f"{self.lineage}/{self.revision}/{self.tag:016x}"


_NO_TRIPLE = bytes(_TRIPLE.size)


@dataclass(frozen=True, slots=True)
class HealthEntry:
    """What control says of one value besides the record. The default is what the dataplane assumes of an id it never heard of.

    `factor` is the share of the weight in thousandths; `ttl_bound_s` None = no bound; `since_ms` unix milliseconds, 0 = unknown.
    """

    down: bool = False
    operator: Operator = Operator.NONE
    factor: int = FULL_FACTOR
    ttl_bound_s: int | None = None
    since_ms: int = 0

    def to_bytes(self, value_id: int) -> bytes:
        bound = NO_BOUND if self.ttl_bound_s is None else min(self.ttl_bound_s, NO_BOUND - 1)
        return _ENTRY.pack(value_id, self.down | self.operator << 1, self.factor, bound, self.since_ms)


@dataclass(frozen=True, slots=True)
class Hello:
    """The dataplane's first word. `served` is None without a state."""

    version: int
    ownership: Ownership
    pid: int
    served: Triple | None
    health_epoch: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Attach:
    version: int
    role: Role


@dataclass(frozen=True, slots=True)
class Begin:
    """Opens a transfer; `base` is None in a FULL, whose `ancestors` are the lineages that it may replace."""

    kind: TransferKind
    triple: Triple
    base: tuple[int, int] | None
    ancestors: tuple[uuid.UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    items: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class Abort:
    pass


@dataclass(frozen=True, slots=True)
class Health:
    """Entries of one frame; neither `first` nor `last`: changes only. A whole vector is one epoch from first to last."""

    epoch: int
    first: bool
    last: bool
    entries: tuple[tuple[int, HealthEntry], ...]


@dataclass(frozen=True, slots=True)
class Config:
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ack:
    served: Triple


@dataclass(frozen=True, slots=True)
class Refuse:
    revision: int
    code: RefusalCode
    reason: str


@dataclass(frozen=True, slots=True)
class Status:
    last: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class StatusRequest:
    pass


@dataclass(frozen=True, slots=True)
class Explain:
    number: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Explained:
    number: int
    last: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """What was wrong with the stream; nothing can be read after it."""

    code: RefusalCode
    reason: str


Frame = Hello | Attach | Begin | Chunk | End | Abort | Health | Config | Ack | Refuse | Status | StatusRequest | Explain | Explained


def encode(frame: Frame) -> bytes:
    """The bytes of a frame, length included. Raises ValueError when it does not fit into one."""
    kind, payload = _payload(frame)
    return encode_raw(kind, payload)


def encode_raw(kind: FrameType, payload: bytes | memoryview) -> bytes:
    """A frame around a payload that is already packed."""
    length = 1 + len(payload)
    if length > MAX_FRAME:
        raise ValueError(f"a {kind.name} frame of {length} bytes is over the limit of {MAX_FRAME}")
    return b"".join((_LENGTH.pack(length), bytes((kind,)), payload))


def encode_health(epoch: int, packed: bytes, *, whole: bool) -> Iterator[bytes]:
    """HEALTH frames for entries that are already packed end to end. A whole vector is at least one frame, changes may be none."""
    step = MAX_ENTRIES * ENTRY_SIZE
    view = memoryview(packed)
    starts = range(0, len(packed), step) if packed else range(1 if whole else 0)
    for start in starts:
        part = view[start : start + step]
        flags = (start == 0) | (start + step >= len(packed)) << 1 if whole else 0
        yield encode_raw(FrameType.HEALTH, _HEALTH.pack(epoch, flags, len(part) // ENTRY_SIZE) + part)


def _payload(frame: Frame) -> tuple[FrameType, bytes]:  # noqa: C901 - one flat arm for each frame is how the table reads
    match frame:
        case Hello(version, ownership, pid, served, epoch, digest):
            triple = served.to_bytes() if served else _NO_TRIPLE
            return FrameType.HELLO, _HELLO.pack(MAGIC, version, ownership, pid, served is not None, triple, epoch, digest)
        case Attach(version, role):
            return FrameType.ATTACH, _ATTACH.pack(MAGIC, version, role)
        case Begin(kind, triple, base, ancestors):
            revision, tag = base or (0, 0)
            head = _BEGIN.pack(kind, triple.to_bytes(), revision, tag, len(ancestors))
            return FrameType.BEGIN, head + b"".join(lineage.bytes for lineage in ancestors)
        case Chunk(data):
            return FrameType.CHUNK, data
        case End(items, size, crc):
            return FrameType.END, _END.pack(items, size, crc)
        case Abort():
            return FrameType.ABORT, b""
        case Health(epoch, first, last, entries):
            packed = b"".join(entry.to_bytes(value_id) for value_id, entry in entries)
            return FrameType.HEALTH, _HEALTH.pack(epoch, first | last << 1, len(entries)) + packed
        case Config(document):
            return FrameType.CONFIG, _to_json(document)
        case Ack(served):
            return FrameType.ACK, served.to_bytes()
        case Refuse(revision, code, reason):
            text = reason.encode()[:MAX_TEXT16]
            return FrameType.REFUSE, _REFUSE.pack(revision, code, len(text)) + text
        case Status(last, data):
            return FrameType.STATUS, bytes((last,)) + data
        case StatusRequest():
            return FrameType.STATUS_REQUEST, b""
        case Explain(number, document):
            return FrameType.EXPLAIN, _LENGTH.pack(number) + _to_json(document)
        case Explained(number, last, data):
            return FrameType.EXPLAINED, _LENGTH.pack(number) + bytes((last,)) + data
        case _:
            assert_never(frame)


def _to_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


class FrameDecoder:
    """Cuts a byte stream into frames and checks each wholly. After a `Fault` it yields nothing more."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._failed = False

    def feed(self, data: bytes) -> Iterator[Frame | Fault]:
        """The frames that `data` completes."""
        self._held += data
        while not self._failed and len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            if not 1 <= length <= MAX_FRAME:
                yield self._fail(Fault(RefusalCode.MALFORMED, f"a frame of {length} bytes is outside 1 to {MAX_FRAME}"))
                return
            end = _LENGTH.size + length
            if len(self._held) < end:
                return
            kind, payload = self._held[_LENGTH.size], bytes(self._held[_LENGTH.size + 1 : end])
            del self._held[:end]
            frame = decode(kind, payload)
            yield self._fail(frame) if isinstance(frame, Fault) else frame

    def _fail(self, fault: Fault) -> Fault:
        self._failed = True
        self._held.clear()
        return fault


def decode(kind: int, payload: bytes) -> Frame | Fault:
    """One frame's payload as a value, or what is wrong with it."""
    parser = _PARSERS.get(kind)
    if parser is None:
        return Fault(RefusalCode.VERSION, f"frame type {kind:#04x} is not known in link version {LINK_VERSION}")
    try:
        return parser(payload)
    except (struct.error, ValueError, IndexError) as error:
        return Fault(RefusalCode.MALFORMED, f"{FrameType(kind).name}: {error}")


def _exactly(payload: bytes, size: int) -> bytes:
    if len(payload) != size:
        raise ValueError(f"{len(payload)} bytes where {size} belong")
    return payload


def _flag(value: int, what: str) -> bool:
    if value > 1:
        raise ValueError(f"{what} is {value}, not 0 or 1")
    return value == 1


def _parse_hello(payload: bytes) -> Hello:
    magic, version, ownership, pid, has_state, triple, epoch, digest = _HELLO.unpack(payload)
    if magic != MAGIC:
        raise ValueError("the magic is not GDNS")
    served = Triple.from_bytes(triple) if _flag(has_state, "has_state") else None
    if served is None and triple != _NO_TRIPLE:
        raise ValueError("a triple without a state")
    return Hello(version, Ownership(ownership), pid, served, epoch, digest)


def _parse_attach(payload: bytes) -> Attach:
    magic, version, role = _ATTACH.unpack(payload)
    if magic != MAGIC:
        raise ValueError("the magic is not GDNS")
    return Attach(version, Role(role))


def _parse_begin(payload: bytes) -> Begin:
    kind, triple, revision, tag, count = _BEGIN.unpack_from(payload)
    tail = _exactly(payload[_BEGIN.size :], 16 * count)
    ancestors = tuple(uuid.UUID(bytes=tail[at : at + 16]) for at in range(0, len(tail), 16))
    if TransferKind(kind) is TransferKind.DELTA:
        return Begin(TransferKind.DELTA, Triple.from_bytes(triple), (revision, tag), ancestors)
    if revision or tag:
        raise ValueError("a FULL with a base")
    return Begin(TransferKind.FULL, Triple.from_bytes(triple), None, ancestors)


def _parse_end(payload: bytes) -> End:
    return End(*_END.unpack(payload))


def _parse_health(payload: bytes) -> Health:
    epoch, flags, count = _HEALTH.unpack_from(payload)
    if flags > 3:
        raise ValueError(f"flags {flags:#04x} have unknown bits")
    body = _exactly(payload[_HEALTH.size :], count * ENTRY_SIZE)
    return Health(epoch, bool(flags & 1), bool(flags & 2), tuple(_parse_entries(body)))


def _parse_entries(body: bytes) -> Iterator[tuple[int, HealthEntry]]:
    for value_id, state, factor, bound, since in _ENTRY.iter_unpack(body):
        if value_id == 0 or state > 7 or factor > FULL_FACTOR:
            raise ValueError(f"the entry of value {value_id} is out of range")
        yield value_id, HealthEntry(bool(state & 1), Operator(state >> 1), factor, None if bound == NO_BOUND else bound, since)


def _parse_refuse(payload: bytes) -> Refuse:
    revision, code, length = _REFUSE.unpack_from(payload)
    return Refuse(revision, RefusalCode(code), _exactly(payload[_REFUSE.size :], length).decode())


def _parse_json(payload: bytes) -> dict[str, Any]:
    document = json.loads(payload)
    if not isinstance(document, dict):
        raise TypeError("a JSON object belongs here")
    return document


def _parse_object(payload: bytes) -> dict[str, Any]:
    try:
        return _parse_json(payload)
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


_PARSERS: dict[int, Callable[[bytes], Frame]] = {
    FrameType.HELLO: _parse_hello,
    FrameType.ATTACH: _parse_attach,
    FrameType.BEGIN: _parse_begin,
    FrameType.CHUNK: Chunk,
    FrameType.END: _parse_end,
    FrameType.ABORT: lambda payload: _nothing(payload, Abort()),
    FrameType.HEALTH: _parse_health,
    FrameType.CONFIG: lambda payload: Config(_parse_object(payload)),
    FrameType.ACK: lambda payload: Ack(Triple.from_bytes(payload)),
    FrameType.REFUSE: _parse_refuse,
    FrameType.STATUS: lambda payload: Status(_flag(payload[0], "last"), payload[1:]),
    FrameType.STATUS_REQUEST: lambda payload: _nothing(payload, StatusRequest()),
    FrameType.EXPLAIN: lambda payload: Explain(_LENGTH.unpack(payload[:4])[0], _parse_object(payload[4:])),
    FrameType.EXPLAINED: lambda payload: Explained(_LENGTH.unpack(payload[:4])[0], _flag(payload[4], "last"), payload[5:]),
}


def _nothing(payload: bytes, frame: Abort | StatusRequest) -> Abort | StatusRequest:
    _exactly(payload, 0)
    return frame


def parse_document(parts: Sequence[bytes]) -> dict[str, Any] | Fault:
    """The JSON object whose chunks were collected."""
    try:
        return _parse_object(b"".join(parts))
    except ValueError as error:
        return Fault(RefusalCode.MALFORMED, f"a document that is not JSON: {error}")
