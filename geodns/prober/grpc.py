"""The gRPC check: one call of `grpc.health.v1.Health/Check` on one fresh HTTP/2 connection (RFC 9113), in clear with prior
knowledge or over TLS with ALPN.

HTTP/2 is spoken by h2, a protocol core without I/O, over the same sockets as the other checks. The gRPC library would bring threads, an
event engine and descriptors of its own, and hide which errors are local. Its two messages have one field each, so they are
written out here; nothing else of protobuf is needed. The protocol: grpc/grpc doc/health-checking.md and doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.exceptions import ProtocolError

from geodns.model.check import Check
from geodns.prober.fault import AnsweredBadly
from geodns.prober.stream import Progress, Stream, TcpStream
from geodns.prober.tls import open_tls

MAX_ANSWER_BYTES = 16 * 1024
"""An honest answer has a few hundred bytes. So many bytes of the costliest frames keep this process busy for 20 ms."""

FRAME_HEADER_BYTES = 9
SETTINGS = 4

METHOD = "/grpc.health.v1.Health/Check"
SERVING = "SERVING"

# HealthCheckResponse has one field, `status`; protobuf leaves a zero out.
_STATUSES = {b"": "UNKNOWN", b"\x08\x00": "UNKNOWN", b"\x08\x01": SERVING, b"\x08\x02": "NOT_SERVING", b"\x08\x03": "SERVICE_UNKNOWN"}

# grpc/grpc doc/statuscodes.md
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
    "UNAUTHENTICATED",
)  # fmt: skip
_MEANINGS = {
    "NOT_FOUND": "the server does not know the service",
    "UNIMPLEMENTED": "the server has no health service",
}

_CONFIGURATION = H2Configuration(client_side=True, header_encoding="utf-8")


class GrpcProbe:
    """Made once for a check, used for all its attempts."""

    def __init__(self, check: Check) -> None:
        """Raises ValueError for a check that cannot be carried out."""
        if check.port is None:
            raise ValueError("a GRPC check needs a port")
        self._check = check
        self._port = check.port
        self._request = encode_request(check.service)

    async def attempt(self, address: str, progress: Progress) -> str:
        """See `probe.Probe`."""
        stream = await self._open(address, progress)
        try:
            progress.waiting_for = "an answer"
            answer = await self._call(stream, address)
        finally:
            stream.close()
        return answer.judge()

    async def _open(self, address: str, progress: Progress) -> Stream:
        if self._check.tls is not None:
            return await open_tls(self._check, address, self._port, progress, application="h2")
        return await TcpStream.open(address, self._port)

    async def _call(self, stream: Stream, address: str) -> Answer:
        connection = H2Connection(_CONFIGURATION)
        connection.initiate_connection()
        connection.send_headers(1, self._headers(address))
        connection.send_data(1, self._request, end_stream=True)
        answer = Answer()
        start, received = b"", 0
        while not answer.is_done:
            if pending := connection.data_to_send():
                await stream.send(pending)
            data = await stream.receive()
            if not data:
                raise AnsweredBadly("closed before the end of the answer" if received else "closed without an answer")
            start, received = (start + data)[:FRAME_HEADER_BYTES], received + len(data)
            if not could_be_settings(start):
                raise AnsweredBadly("answer is not HTTP/2")
            if received > MAX_ANSWER_BYTES:
                raise AnsweredBadly("answer without end")
            try:
                events = connection.receive_data(data)
            except (ProtocolError, UnicodeDecodeError) as error:  # the latter: a header whose value is not UTF-8
                raise AnsweredBadly("answer is not HTTP/2") from error
            for event in events:
                answer.take(event)
        return answer

    def _headers(self, address: str) -> list[tuple[str, str]]:
        check = self._check
        return [
            (":method", "POST"),
            (":scheme", "http" if check.tls is None else "https"),
            (":path", METHOD),
            (":authority", check.host or (f"[{address}]" if ":" in address else address)),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "geodns"),
            *((name.lower(), value) for name, value in check.headers),
        ]


@dataclass(slots=True)
class Answer:
    """One response, as far as it has come. Raises AnsweredBadly for what a gRPC server would not say."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_done: bool = False

    def take(self, event: Event) -> None:
        """The next event of the connection; those that do not concern the answer are passed over."""
        match event:
            case ResponseReceived() | TrailersReceived():
                self.headers |= {_text(name): _text(value) for name, value in event.headers or ()}
            case DataReceived():
                self.body += event.data or b""
            case StreamEnded():
                self.is_done = True
            case StreamReset():
                raise AnsweredBadly(f"call reset: {_error_name(event.error_code)}")
            case ConnectionTerminated() if not self.is_done:
                raise AnsweredBadly(f"connection ended by the server: {_error_name(event.error_code)}")
            case _:
                pass

    def judge(self) -> str:
        """What was good, in words.

        A gateway without gRPC answers with an HTTP status; a call that failed has a `grpc-status` and no message.
        """
        status = self.headers.get(":status", "")
        if status != "200":
            raise AnsweredBadly(f"status {status}, wanted 200")
        if not self.headers.get("content-type", "").startswith("application/grpc"):
            raise AnsweredBadly("answer is not gRPC")
        code = _code_name(self.headers.get("grpc-status", ""))
        if code != "OK":
            raise AnsweredBadly(f"{code}: {_MEANINGS[code]}" if code in _MEANINGS else f"the call failed: {code}")
        serving = decode_response(self.body)
        if serving != SERVING:
            raise AnsweredBadly(f"{serving}, wanted {SERVING}")
        return serving


def could_be_settings(start: bytes) -> bool:
    """Whether these first bytes can be a server's: its preface is a SETTINGS frame on stream 0 (RFC 9113 §3.4, §4.1).

    h2 would take "SSH-" for the length of a frame and wait for the rest, so that another protocol would look like silence.
    """
    return start[3:4] in (b"", bytes([SETTINGS])) and start[5:] == bytes(4)[: len(start[5:])]


def encode_request(service: str) -> bytes:
    """HealthCheckRequest with field 1, `service`, as one uncompressed gRPC message; an empty one asks for the whole server."""
    name = service.encode()
    length, width = b"", len(name)
    while width > 0x7F:
        length, width = length + bytes([width & 0x7F | 0x80]), width >> 7
    message = b"\x0a" + length + bytes([width]) + name if name else b""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def decode_response(body: bytes) -> str:
    """The name of the serving status in one uncompressed gRPC message; compression was not offered."""
    message = body[5:]
    if body[:5] != b"\x00" + len(message).to_bytes(4, "big") or message not in _STATUSES:
        raise AnsweredBadly("answer is not a HealthCheckResponse")
    return _STATUSES[message]


def _code_name(code: str) -> str:
    number = int(code) if code.isascii() and code.isdecimal() and len(code) <= 2 else -1
    return _CODES[number] if 0 <= number < len(_CODES) else "no grpc-status" if not code else "unknown grpc-status"


def _error_name(code: ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, ErrorCodes) else f"error {code}"


def _text(word: bytes | str) -> str:
    return word if isinstance(word, str) else word.decode("utf-8", "replace")
