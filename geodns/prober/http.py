"""The HTTP and HTTPS check: one GET (or another method) on one fresh connection, judged by status and, if wanted, by its body.

Implements as much of RFC 9112 as a check needs, so that 10,000 checks every 10 s fit into half a core: one request, one
response, read to 5 KiB. No redirects, no cookies, no compression (identity is asked for), no reuse. `ResponseReader` is
the protocol without I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from geodns.model.check import Check, Protocol
from geodns.prober.expectation import BodyMatch
from geodns.prober.fault import AnsweredBadly
from geodns.prober.stream import Progress, Stream, TcpStream
from geodns.prober.tls import open_tls

MAX_BODY_BYTES = 5 * 1024
"""Route 53 reads 5,120 bytes; what is not found there is not there."""

MAX_HEAD_BYTES = 16 * 1024
"""Servers accept 8 to 16 KiB of header fields themselves; more in an answer to a health check is an attack or a mistake."""

MAX_CHUNKED_BYTES = 3 * MAX_BODY_BYTES
"""Chunk sizes and extensions come on top of the body (RFC 9112 §7.1); past three times the body nothing honest is left."""

MAX_SIZE_LINE_BYTES = 1024
"""A chunk's size is a few digits; extensions are unheard of."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?:[ \r\n]|$)")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")  # RFC 9112 §2.2: a bare LF may end a line
_LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:[^\r\n]*chunked[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[^\r\n]*\r?\n")
_LINE_END = re.compile(rb"\r?\n")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.1
_PATH_SAFE = "/:?[]@!$&'()*+,;=%~"

DEFAULT_PORTS = {Protocol.HTTP: 80, Protocol.HTTPS: 443}


class HttpProbe:
    """Made once for a check, used for all its attempts."""

    def __init__(self, check: Check) -> None:
        """Raises ValueError for a check that cannot be carried out."""
        self._check = check
        self._port = check.port or DEFAULT_PORTS[check.protocol]
        self._is_tls = check.protocol is Protocol.HTTPS
        self._match = BodyMatch(check.expect.body) if check.expect.body is not None else None
        self._requests: dict[str, bytes] = {}
        encode_request(check, check.target)

    async def attempt(self, address: str, progress: Progress) -> str:
        """See `probe.Probe`."""
        stream = await self._open(address, progress)
        try:
            await stream.send(self._request(address))
            progress.waiting_for = "an answer"
            reader = await read_response(stream, is_head=self._check.method == "HEAD", progress=progress)
        finally:
            stream.close()
        return self._judge(reader)

    async def _open(self, address: str, progress: Progress) -> Stream:
        if self._is_tls:
            return await open_tls(self._check, address, self._port, progress)
        return await TcpStream.open(address, self._port)

    def _request(self, address: str) -> bytes:
        """The request, kept while the address stays the same: a name may resolve to another one at any time."""
        if address not in self._requests:
            self._requests = {address: encode_request(self._check, address)}
        return self._requests[address]

    def _judge(self, reader: ResponseReader) -> str:
        wanted = self._check.expect.status
        if not any(low <= reader.status <= high for low, high in wanted):
            raise AnsweredBadly(f"status {reader.status}, wanted {_status_words(wanted)}")
        if self._match and not self._match.holds(reader.body):
            raise AnsweredBadly(f"status {reader.status}, body without the wanted text")
        if reader.is_cut_short:
            raise AnsweredBadly(f"status {reader.status}, closed before the end of the body")
        return f"status {reader.status}"


async def read_response(stream: Stream, *, is_head: bool, progress: Progress) -> ResponseReader:
    """Feeds a reader until it has enough."""
    reader = ResponseReader(is_head=is_head)
    while not reader.is_done:
        data = await stream.receive()
        if not data:
            reader.end()
            break
        reader.feed(data)
        progress.waiting_for = "the rest of the answer"
    return reader


class ResponseReader:
    """One final response, RFC 9112 §4 and §6; interim ones (1xx, RFC 9110 §15.2) are passed over. Raises AnsweredBadly
    for what is not HTTP.

    The body ends where it says it does, or with the connection, or at `MAX_BODY_BYTES`.
    """

    def __init__(self, *, is_head: bool = False) -> None:
        self.status = 0
        self.body = b""
        self.is_done = False
        self.is_cut_short = False
        self._is_head = is_head
        self._buffer = b""
        self._searched = 0
        self._head_bytes = 0
        self._is_in_body = False
        self._length: int | None = None
        self._chunks: _ChunkedBody | None = None

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self._buffer += data
        while not self._is_in_body:
            if not self._read_head():
                return
        self._read_body()

    def end(self) -> None:
        """The connection ended."""
        if not self._is_in_body:
            raise AnsweredBadly("closed within the header" if self._buffer else "closed without an answer")
        self.is_cut_short = not self.is_done and (self._chunks is not None or self._length is not None)
        self.is_done = True

    def _read_head(self) -> bool:
        """Takes one header off the buffer; False when it is not complete."""
        if len(self._buffer) >= 12 and not _STATUS_LINE.match(self._buffer):
            raise AnsweredBadly("answer is not HTTP")
        end = _END_OF_HEAD.search(self._buffer, self._searched)
        if end is None:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise AnsweredBadly("header larger than 16 KiB")
            self._searched = max(0, len(self._buffer) - 3)
            return False
        status_line = _STATUS_LINE.match(self._buffer)
        if status_line is None:
            raise AnsweredBadly("answer is not HTTP")
        head, self._buffer, self._searched = self._buffer[: end.end()], self._buffer[end.end() :], 0
        self.status = int(status_line[1])
        self._head_bytes += len(head)
        if 100 <= self.status < 200 and self.status != 101:
            if self._head_bytes > MAX_HEAD_BYTES:
                raise AnsweredBadly("interim answers without end")
            return True
        self._is_in_body = True
        self._choose_framing(head)
        return True

    def _choose_framing(self, head: bytes) -> None:
        """Where the body ends (RFC 9112 §6.3)."""
        if self._is_head or self.status in (101, 204, 304):
            self._length = 0
        elif _CHUNKED.search(head):
            self._chunks = _ChunkedBody()
        elif length := _LENGTH.search(head):
            self._length = int(length[1])

    def _read_body(self) -> None:
        if self._chunks:
            self._chunks.feed(self._buffer)
            self._buffer = b""
            self.body, self.is_done = self._chunks.body, self._chunks.is_done
            return
        limit = MAX_BODY_BYTES if self._length is None else min(self._length, MAX_BODY_BYTES)
        self.body = self._buffer[:limit]
        self.is_done = len(self.body) >= limit


class _ChunkedBody:
    """A body in chunks, RFC 9112 §7.1; trailers do not matter here."""

    def __init__(self) -> None:
        self.body = b""
        self.is_done = False
        self._rest = b""
        self._left = 0  # bytes of the current chunk that have not come
        self._is_after_chunk = False
        self._seen = 0

    def feed(self, data: bytes) -> None:
        self._seen += len(data)
        self._rest += data
        while self._rest and not self.is_done and self._advance():
            if len(self.body) >= MAX_BODY_BYTES:
                self.is_done = True
        if self._seen > MAX_CHUNKED_BYTES:
            self.is_done = True
        self.body = self.body[:MAX_BODY_BYTES]

    def _advance(self) -> bool:
        """Takes one piece off what has come; False when that needs more bytes."""
        if self._left:
            part = self._rest[: self._left]
            self.body += part
            self._left -= len(part)
            self._rest = self._rest[len(part) :]
            self._is_after_chunk = not self._left
            return True
        pattern = _LINE_END if self._is_after_chunk else _CHUNK_SIZE
        piece = pattern.match(self._rest)
        if piece is None:
            is_hopeless = self._rest != b"\r" if self._is_after_chunk else b"\n" in self._rest
            if is_hopeless or len(self._rest) > MAX_SIZE_LINE_BYTES:
                raise AnsweredBadly("body is not chunked as announced")
            return False
        self._rest = self._rest[piece.end() :]
        if not self._is_after_chunk:
            self._left = int(piece[1], 16)
            self.is_done = self._left == 0
        self._is_after_chunk = False
        return True


def encode_request(check: Check, address: str) -> bytes:
    """The request's bytes. Host is the check's, exactly as given, else the address (RFC 9110 §7.2); raises ValueError
    for what would break out of its line, which validation refuses long before."""
    host = check.host or (f"[{address}]" if ":" in address else address)
    path = quote(check.path or "/", safe=_PATH_SAFE)
    fields = {"Host": host, "User-Agent": "geodns", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    for name, value in check.headers:
        if not _FIELD_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no header field name")
        fields = {known: fields[known] for known in fields if known.lower() != name.lower()} | {name: value}
    lines = [
        f"{check.method} {path if path.startswith('/') else '/' + path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in fields.items()),
    ]
    if any(not line.isprintable() for line in lines) or not check.method.isalpha():
        raise ValueError("control characters in method, host, path or headers")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _status_words(ranges: Sequence[tuple[int, int]]) -> str:
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
