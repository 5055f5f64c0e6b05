"""gRPC health checks: against the gRPC project's own server, and against servers that speak HTTP/2 and nothing sensible beyond."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from geodns.model.check import Check, Protocol, Tls
from geodns.prober.grpc import encode_request
from geodns.prober.outcome import Evidence
from tests.support.certificates import Authority
from tests.support.grpc_server import GrpcServer, serving_grpc
from tests.support.hostile import ADDRESS, Conversation, serving
from tests.unit.prober.conftest import PATIENCE_S, try_check

OK, BAD, SILENT = Evidence.OK, Evidence.ANSWERED_BADLY, Evidence.SILENT
NAME = "www.example.com"
GREETER = "example.v1.Greeter"
SERVING_MESSAGE = b"\x00\x00\x00\x00\x02\x08\x01"


@pytest.fixture(scope="module")
def server() -> Iterator[GrpcServer]:
    with serving_grpc() as running:
        yield running


@pytest.mark.parametrize(
    ("service", "status", "evidence", "cause"),
    [
        ("", "SERVING", OK, "SERVING"),
        ("", "NOT_SERVING", BAD, "NOT_SERVING, wanted SERVING"),
        (GREETER, "SERVING", OK, "SERVING"),
        (GREETER, "NOT_SERVING", BAD, "NOT_SERVING, wanted SERVING"),
        (GREETER, "UNKNOWN", BAD, "UNKNOWN, wanted SERVING"),
        (GREETER, "SERVICE_UNKNOWN", BAD, "SERVICE_UNKNOWN, wanted SERVING"),
        ("example.v1." + "Long" * 60, "SERVING", OK, "SERVING"),
    ],
)
async def test_what_the_server_says_of_itself(server: GrpcServer, service: str, status: str, evidence: Evidence, cause: str) -> None:
    server.set_status(service, status)
    outcome = await try_check(Check(Protocol.GRPC, ADDRESS, server.port, host=NAME, service=service))
    assert (outcome.evidence, outcome.cause) == (evidence, cause)
    assert outcome.latency_s is not None


async def test_a_service_that_the_server_does_not_know(server: GrpcServer) -> None:
    outcome = await try_check(Check(Protocol.GRPC, ADDRESS, server.port, service="example.v1.Nobody"))
    assert (outcome.evidence, outcome.cause) == (BAD, "NOT_FOUND: the server does not know the service")


async def test_tls_is_spoken_and_its_conditions_are_judged(trusted: Authority) -> None:
    with serving_grpc(trusted.issue(NAME, days=3)) as server:
        outcomes = {
            tls: await try_check(Check(Protocol.GRPC, ADDRESS, server.port, host=NAME, tls=tls))
            for tls in (Tls(), Tls(verify=True), Tls(verify=True, name="other.example.com"), Tls(min_days=14), None)
        }
    assert [(outcome.evidence, outcome.cause.partition(",")[0]) for outcome in outcomes.values()] == [
        (OK, "SERVING"),
        (OK, "SERVING"),
        (BAD, "certificate not accepted: Hostname mismatch"),
        (BAD, "certificate expires in 2 days"),
        (BAD, "closed without an answer"),
    ]


async def test_a_tls_server_without_http2_is_named_so(trusted: Authority) -> None:
    async with serving(hang, tls=trusted.server_context(NAME)) as port:
        outcome = await try_check(Check(Protocol.GRPC, ADDRESS, port, host=NAME, tls=Tls()))
    assert (outcome.evidence, outcome.cause) == (BAD, "TLS without h2 (ALPN)")


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


Misconduct = Callable[[H2Connection, int], None]


def speaking(misconduct: Misconduct, *, then_closes: bool = False) -> Conversation:
    """An HTTP/2 server that does this once the request has come, then waits for the client to leave, or leaves itself."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    misconduct(connection, event.stream_id)
            writer.write(connection.data_to_send())
            await writer.drain()
            if then_closes:
                return

    return converse


def answer(
    body: bytes = SERVING_MESSAGE, *, status: str = "200", kind: str = "application/grpc", grpc_status: str | None = "0"
) -> Misconduct:
    def speak(connection: H2Connection, stream_id: int) -> None:
        connection.send_headers(stream_id, [(":status", status), ("content-type", kind)])
        connection.send_data(stream_id, body, end_stream=grpc_status is None)
        if grpc_status is not None:
            connection.send_headers(stream_id, [("grpc-status", grpc_status)], end_stream=True)

    return speak


def headers_only(*headers: tuple[str, str], status: str = "200", kind: str = "application/grpc") -> Misconduct:
    def speak(connection: H2Connection, stream_id: int) -> None:
        connection.send_headers(stream_id, [(":status", status), ("content-type", kind), *headers], end_stream=True)

    return speak


def not_in_utf8(connection: H2Connection, stream_id: int) -> None:
    connection.send_headers(stream_id, [(b":status", b"200"), (b"server", b"\xff")], end_stream=True)


def flood(connection: H2Connection, stream_id: int) -> None:
    for _ in range(10_000):
        connection.ping(b"12345678")


def never_ending(connection: H2Connection, stream_id: int) -> None:
    connection.send_headers(stream_id, [(":status", "200"), ("content-type", "application/grpc")])


def never_ending_body(connection: H2Connection, stream_id: int) -> None:
    never_ending(connection, stream_id)
    for _ in range(4):
        connection.send_data(stream_id, b"x" * 15_000)


@pytest.mark.parametrize(
    ("misconduct", "evidence", "cause"),
    [
        (answer(), OK, "SERVING"),
        (answer(kind="application/grpc+proto"), OK, "SERVING"),
        (answer(b"\x00\x00\x00\x00\x00"), BAD, "UNKNOWN, wanted SERVING"),
        (answer(b""), BAD, "answer is not a HealthCheckResponse"),
        (answer(b"\x01" + SERVING_MESSAGE[1:]), BAD, "answer is not a HealthCheckResponse"),
        (answer(SERVING_MESSAGE * 2), BAD, "answer is not a HealthCheckResponse"),
        (answer(b"\x00\x00\x00\x00\x02\x08\x09"), BAD, "answer is not a HealthCheckResponse"),
        (answer(status="503", kind="text/html"), BAD, "status 503, wanted 200"),
        (answer(kind="text/html"), BAD, "answer is not gRPC"),
        (answer(grpc_status=None), BAD, "the call failed: no grpc-status"),
        (answer(grpc_status="14"), BAD, "the call failed: UNAVAILABLE"),
        (answer(grpc_status="99"), BAD, "the call failed: unknown grpc-status"),
        (answer(grpc_status="²"), BAD, "the call failed: unknown grpc-status"),
        (not_in_utf8, BAD, "answer is not HTTP/2"),
        (headers_only(("grpc-status", "12")), BAD, "UNIMPLEMENTED: the server has no health service"),
        (headers_only(("grpc-status", "16"), ("grpc-message", "a secret")), BAD, "the call failed: UNAUTHENTICATED"),
        (lambda connection, stream_id: connection.reset_stream(stream_id, 7), BAD, "call reset: REFUSED_STREAM"),
        (lambda connection, stream_id: connection.close_connection(11), BAD, "connection ended by the server: ENHANCE_YOUR_CALM"),
        (lambda connection, stream_id: None, SILENT, "timeout: an answer did not come within 0.4 s"),
        (never_ending, SILENT, "timeout: an answer did not come within 0.4 s"),
        (never_ending_body, BAD, "answer without end"),
        (flood, BAD, "answer without end"),
    ],
)
async def test_misconduct_over_http2(misconduct: Misconduct, evidence: Evidence, cause: str) -> None:
    async with serving(speaking(misconduct)) as port:
        outcome = await try_check(Check(Protocol.GRPC, ADDRESS, port, host=NAME), 0.4 if evidence is SILENT else PATIENCE_S)
    assert (outcome.evidence, outcome.cause) == (evidence, cause)


async def test_a_server_that_leaves_within_its_answer() -> None:
    async with serving(speaking(never_ending, then_closes=True)) as port:
        outcome = await try_check(Check(Protocol.GRPC, ADDRESS, port, host=NAME))
    assert (outcome.evidence, outcome.cause) == (BAD, "closed before the end of the answer")


async def test_host_and_headers_arrive() -> None:
    seen: dict[bytes, bytes] = {}

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    seen.update({bytes(name): bytes(value) for name, value in event.headers or ()})
                    return

    async with serving(converse) as port:
        await try_check(Check(Protocol.GRPC, ADDRESS, port, host=NAME, headers=(("X-Probe", "a"),)))
    assert seen[b":authority"] == NAME.encode()
    assert seen[b":path"] == b"/grpc.health.v1.Health/Check"
    assert seen[b":scheme"] == b"http"
    assert seen[b"x-probe"] == b"a"


def test_requests_are_as_protobuf_writes_them() -> None:
    from grpc_health.v1.health_pb2 import HealthCheckRequest

    for service in ("", "a", "x" * 127, "x" * 128, "x" * 300):
        message = HealthCheckRequest(service=service).SerializeToString()
        assert encode_request(service) == b"\x00" + len(message).to_bytes(4, "big") + message
