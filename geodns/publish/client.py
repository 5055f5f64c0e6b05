"""One connection from control to a dataplane: attach, transfers, health, configuration, explain, status (docs/link-protocol.md).

It knows nothing of the store: a transfer's items are handed in as bytes. It queues nothing without bound: a transfer is written only as
fast as the peer reads, and `unsent` tells the caller how much is waiting. It never reconnects; whoever owns it does (`control/link.py`).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from geodns.errors import DataplaneUnavailable
from geodns.publish import frames
from geodns.publish.frames import Ack, Begin, End, Hello, Refuse, Role, TransferKind, Triple
from geodns.publish.items import ItemBatch

log = structlog.get_logger(__name__)

# Connecting is local: a dataplane that has not said HELLO in this time is stopped or stuck, and the caller says so and tries again.
HELLO_TIMEOUT_S = 5.0
# The peer reads while it builds; when it takes no byte for this long, it is stuck and the connection is given up.
WRITE_TIMEOUT_S = 10.0
# From END to the answer: a million names are compiled in seconds; a minute is a dataplane that will not answer.
ADOPTION_TIMEOUT_S = 60.0
# A question to the dataplane is answered by one thread in microseconds; the time is for a loaded machine.
ANSWER_TIMEOUT_S = 5.0
# The transport's own buffer: small enough that health, written between two chunks, never stands behind more than 256 KiB of transfer.
WRITE_BUFFER = 256 * 1024
# Past this much unsent nothing but a FULL would be of use to the peer (link.md section 3).
UNSENT_LIMIT = 8 * 1024 * 1024
READ_SIZE = 64 * 1024
REFUSALS_KEPT = 8
_CREDENTIALS = struct.Struct("iII")


@dataclass(slots=True)
class _Transfer:
    """The transfer under way: which revision, and where its answer goes."""

    revision: int
    answer: asyncio.Future[Ack | Refuse]


@dataclass(slots=True)
class LinkClient:
    """A connection on which HELLO was read and ATTACH was sent. `run` reads it; everything else needs `run` to be running."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    hello: Hello
    role: Role
    peer_pid: int = 0
    served: Triple | None = None
    adopted: Callable[[Triple], None] | None = None
    reported_health: dict[int, frames.HealthEntry] = field(default_factory=dict)
    status: dict[str, Any] | None = None
    refusals: deque[Refuse] = field(default_factory=lambda: deque(maxlen=REFUSALS_KEPT))
    config_refusal: str | None = None
    lost: str | None = None
    heard_s: float = field(default_factory=time.monotonic)
    _decoder: frames.FrameDecoder = field(default_factory=frames.FrameDecoder)
    _transfer: _Transfer | None = None
    _one_transfer: asyncio.Lock = field(default_factory=asyncio.Lock)
    _questions: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _explained: dict[int, list[bytes]] = field(default_factory=dict)
    _status_parts: list[bytes] = field(default_factory=list)
    _status_waiters: list[asyncio.Future[dict[str, Any]]] = field(default_factory=list)
    _health_parts: dict[int, frames.HealthEntry] = field(default_factory=dict)
    _health_known: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def connect(cls, path: Path, role: Role, *, timeout_s: float = HELLO_TIMEOUT_S) -> LinkClient:
        """Connects, reads HELLO and attaches. Raises DataplaneUnavailable. A peer of another link version is returned unattached."""
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_unix_connection(str(path))
        except (OSError, TimeoutError) as error:
            raise DataplaneUnavailable(f"no dataplane answers on {path}: {_reason(error)}") from error
        try:
            peer_pid = _check_peer(writer, path)
            decoder = frames.FrameDecoder()
            async with asyncio.timeout(timeout_s):
                hello, rest = await _read_hello(reader, decoder)
        except (OSError, TimeoutError) as error:
            writer.close()
            raise DataplaneUnavailable(f"the dataplane on {path} does not say who it is: {_reason(error)}") from error
        except BaseException:
            writer.close()
            raise
        writer.transport.set_write_buffer_limits(high=WRITE_BUFFER)
        client = cls(reader, writer, hello, role, peer_pid, served=hello.served, _decoder=decoder)
        if hello.version == frames.LINK_VERSION:
            writer.write(frames.encode(frames.Attach(frames.LINK_VERSION, role)))
        for frame in rest:
            client._take(frame)
        return client

    @property
    def unsent(self) -> int:
        """Bytes that were written and not yet taken by the peer's socket."""
        size: int = self.writer.transport.get_write_buffer_size()
        return size

    @property
    def silent_s(self) -> float:
        """For how long the dataplane has said nothing. It sends its status every second, so more than a few are a stopped process."""
        return time.monotonic() - self.heard_s

    async def run(self) -> None:
        """Reads until the connection ends; never raises for that: `lost` says why, and everything that waits fails."""
        try:
            while not self.writer.is_closing():
                data = await self.reader.read(READ_SIZE)
                if not data:
                    self.lost = self.lost or "the dataplane closed the connection"
                    break
                self.heard_s = time.monotonic()
                for frame in self._decoder.feed(data):
                    self._take(frame)
        except OSError as error:
            self.lost = self.lost or _reason(error)
        finally:
            self.close("the link was closed")

    def close(self, reason: str) -> None:
        """Ends the connection; `run` returns. Closing twice is the same as once."""
        if self._closed.is_set():
            return
        self.lost = self.lost or reason
        self._closed.set()
        self._health_known.set()
        # abort, not close: what is unsent to a peer that does not read would otherwise be kept for ever.
        self.writer.transport.abort()
        failure = DataplaneUnavailable(f"the link to the dataplane was lost: {self.lost}")
        waiting: list[asyncio.Future[Any]] = [*self._questions.values(), *self._status_waiters]
        if self._transfer is not None:
            waiting.append(self._transfer.answer)
        for future in waiting:
            if not future.done():
                future.set_exception(failure)
                future.exception()  # retrieved here: whoever awaited it may be gone already

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    async def wait_closed(self) -> None:
        await self._closed.wait()

    async def health_reported(self) -> dict[int, frames.HealthEntry]:
        """What the dataplane had in force when we attached, which it sends unasked. Raises DataplaneUnavailable."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._health_known.wait()
        except TimeoutError as error:
            raise DataplaneUnavailable("the dataplane does not report the health that it has in force") from error
        if self.closed:
            raise DataplaneUnavailable(f"the link to the dataplane was lost: {self.lost}")
        return self.reported_health

    async def full(self, triple: Triple, ancestors: Sequence[Any], batches: AsyncIterator[ItemBatch]) -> Ack | Refuse:
        """Streams a whole state and waits for its answer. Memory stays at one batch and the write buffer."""
        begin = Begin(TransferKind.FULL, triple, None, tuple(ancestors))
        return await self._send_transfer(begin, batches)

    async def delta(self, base: Triple, triple: Triple, batch: ItemBatch) -> Ack | Refuse:
        """Sends what changed between two revisions of one lineage and waits for the answer."""
        begin = Begin(TransferKind.DELTA, triple, (base.revision, base.tag))
        return await self._send_transfer(begin, _one(batch))

    async def _send_transfer(self, begin: Begin, batches: AsyncIterator[ItemBatch]) -> Ack | Refuse:
        async with self._one_transfer:
            self._check_open()
            transfer = self._transfer = _Transfer(begin.triple.revision, asyncio.get_running_loop().create_future())
            try:
                await self._write_items(begin, batches, transfer)
                async with asyncio.timeout(ADOPTION_TIMEOUT_S):
                    return await transfer.answer
            except TimeoutError as error:
                self.close("the dataplane does not answer a transfer")
                raise DataplaneUnavailable("the dataplane does not answer a transfer") from error
            except BaseException:
                self._abort_transfer()
                raise
            finally:
                self._transfer = None

    async def _write_items(self, begin: Begin, batches: AsyncIterator[ItemBatch], transfer: _Transfer) -> None:
        """Writes BEGIN, the items in chunks and END; stops early, without END, when the peer has answered already."""
        count = size = crc = 0
        held = bytearray()
        self.writer.write(frames.encode(begin))
        async for batch in batches:
            count += batch.count
            size += len(batch.data)
            crc = zlib.crc32(batch.data, crc)
            held += batch.data
            while len(held) >= frames.MAX_CHUNK:
                self.writer.write(frames.encode_raw(frames.FrameType.CHUNK, memoryview(held)[: frames.MAX_CHUNK].tobytes()))
                del held[: frames.MAX_CHUNK]
                await self._drain()
            if transfer.answer.done():
                self._abort_transfer()
                return
        if held:
            self.writer.write(frames.encode_raw(frames.FrameType.CHUNK, bytes(held)))
        self.writer.write(frames.encode(End(count, size, crc)))
        await self._drain()

    async def _drain(self) -> None:
        self._check_open()
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self.writer.drain()
        except (OSError, TimeoutError) as error:
            self.close(f"the dataplane takes no bytes: {_reason(error)}")
            raise DataplaneUnavailable(f"the link to the dataplane was lost: {self.lost}") from error

    def _abort_transfer(self) -> None:
        if not self.closed:
            self.writer.write(frames.encode(frames.Abort()))

    def _check_open(self) -> None:
        if self.closed:
            raise DataplaneUnavailable(f"the link to the dataplane was lost: {self.lost}")

    def send_health(self, epoch: int, packed: bytes, *, whole: bool) -> bool:
        """Writes packed entries at once, between the chunks of a transfer if one is under way.

        False when the peer reads too slowly and nothing was written: the next whole vector carries what these entries say.
        """
        if self.closed or self.unsent > UNSENT_LIMIT:
            return False
        for frame in frames.encode_health(epoch, packed, whole=whole):
            self.writer.write(frame)
        return True

    def send_config(self, document: dict[str, Any]) -> bool:
        """Writes the whole configuration; False as in `send_health`."""
        if self.closed or self.unsent > UNSENT_LIMIT:
            return False
        self.config_refusal = None
        self.writer.write(frames.encode(frames.Config(document)))
        return True

    async def explain(self, question: dict[str, Any]) -> dict[str, Any]:
        """The dataplane's trace of its own answer. Raises DataplaneUnavailable."""
        self._check_open()
        number = next(self._numbers) & 0xFFFFFFFF
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._questions[number] = future
        try:
            self.writer.write(frames.encode(frames.Explain(number, question)))
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await future
        except TimeoutError as error:
            raise DataplaneUnavailable("the dataplane does not answer the question") from error
        finally:
            self._questions.pop(number, None)
            self._explained.pop(number, None)

    async def ask_status(self) -> dict[str, Any]:
        """A fresh STATUS document. Raises DataplaneUnavailable."""
        self._check_open()
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._status_waiters.append(future)
        try:
            self.writer.write(frames.encode(frames.StatusRequest()))
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await future
        except TimeoutError as error:
            raise DataplaneUnavailable("the dataplane does not tell its status") from error
        finally:
            if future in self._status_waiters:
                self._status_waiters.remove(future)

    def _take(self, frame: frames.Frame | frames.Fault) -> None:
        match frame:
            case Ack(served):
                self.served = served
                if self.adopted is not None:
                    self.adopted(served)
                self._answer(served.revision, frame)
            case Refuse():
                self._take_refusal(frame)
            case frames.Health():
                self._take_health(frame)
            case frames.Status(last, data):
                self._take_status(last, data)
            case frames.Explained(number, last, data):
                self._take_explained(number, last, data)
            case frames.Fault(_, reason):
                self.close(f"the dataplane broke the link protocol: {reason}")
            case _:
                self.close(f"the dataplane sent {type(frame).__name__}, which is not for it to send")

    def _answer(self, revision: int, answer: Ack | Refuse) -> None:
        transfer = self._transfer
        if transfer is not None and transfer.revision == revision and not transfer.answer.done():
            transfer.answer.set_result(answer)

    def _take_refusal(self, refusal: Refuse) -> None:
        self.refusals.append(refusal)
        log.warning("the dataplane refused", revision=refusal.revision, code=refusal.code.name.lower(), reason=refusal.reason)
        if refusal.code in (frames.RefusalCode.VERSION, frames.RefusalCode.ROLE):
            self.close(f"the dataplane refused the link: {refusal.reason}")
            return
        if refusal.revision == 0:  # no revision is 0: it is not about a transfer
            self.config_refusal = refusal.reason
        self._answer(refusal.revision, refusal)

    def _take_health(self, health: frames.Health) -> None:
        """Only the whole vector after ATTACH is of interest: afterwards control is the one that knows."""
        if self._health_known.is_set():
            return
        if health.first:
            self._health_parts = {}
        self._health_parts.update(health.entries)
        if health.last:
            self.reported_health, self._health_parts = self._health_parts, {}
            self._health_known.set()

    def _take_status(self, last: bool, data: bytes) -> None:
        self._status_parts.append(data)
        document = self._finish(self._status_parts, last)
        if document is None:
            return
        self._status_parts = []
        self.status = document
        waiters, self._status_waiters = self._status_waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(document)

    def _take_explained(self, number: int, last: bool, data: bytes) -> None:
        future = self._questions.get(number)
        if future is None:
            return  # the asker has gone
        parts = self._explained.setdefault(number, [])
        parts.append(data)
        document = self._finish(parts, last)
        if document is not None and not future.done():
            future.set_result(document)

    def _finish(self, parts: list[bytes], last: bool) -> dict[str, Any] | None:
        if sum(map(len, parts)) > frames.MAX_DOCUMENT:
            self.close(f"the dataplane sent a document of more than {frames.MAX_DOCUMENT} bytes")
            return None
        if not last:
            return None
        document = frames.parse_document(parts)
        if isinstance(document, frames.Fault):
            self.close(f"the dataplane sent {document.reason}")
            return None
        return document


@asynccontextmanager
async def open_link(path: Path, role: Role) -> AsyncIterator[LinkClient]:
    """A link for the time of a block: the reader starts and ends here. Raises DataplaneUnavailable when there is nobody to talk to."""
    client = await LinkClient.connect(path, role)
    try:
        if client.hello.version != frames.LINK_VERSION:
            raise DataplaneUnavailable(f"the dataplane speaks link version {client.hello.version}, not {frames.LINK_VERSION}")
        failure: Exception | None = None
        async with asyncio.TaskGroup() as group:
            group.create_task(client.run())
            try:
                yield client
            except Exception as error:  # raised again below: leaving the group with it would wrap it in an ExceptionGroup
                failure = error
            finally:
                client.close("done")
        if failure is not None:
            raise failure
    finally:
        client.close("done")


def _check_peer(writer: asyncio.StreamWriter, path: Path) -> int:
    """The peer's pid by the kernel's word (0 = in another pid namespace). In a shared folder anybody may listen: only we and root count."""
    connection = writer.get_extra_info("socket")
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if os.geteuid() not in (0, uid) and uid != 0:
        raise DataplaneUnavailable(f"what listens on {path} belongs to another user (uid {uid})")
    return int(pid)


async def _read_hello(reader: asyncio.StreamReader, decoder: frames.FrameDecoder) -> tuple[Hello, list[frames.Frame | frames.Fault]]:
    while True:
        data = await reader.read(READ_SIZE)
        if not data:
            raise DataplaneUnavailable("the dataplane closed the connection before HELLO")
        found = list(decoder.feed(data))
        if not found:
            continue
        match found[0]:
            case Hello() as hello:
                return hello, found[1:]
            case frames.Fault(_, reason):
                raise DataplaneUnavailable(f"what listens there is no dataplane of ours: {reason}")
            case frame:
                raise DataplaneUnavailable(f"the dataplane began with {type(frame).__name__} instead of Hello")


async def _one(batch: ItemBatch) -> AsyncIterator[ItemBatch]:
    yield batch


def _reason(error: BaseException) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
