"""What each hostile server is to each protocol that connects to it: the class of evidence and the cause, as docs/health.md states them."""

from __future__ import annotations

from dataclasses import dataclass

from geodns.model.check import Check, Expect, Protocol
from geodns.prober.outcome import Evidence
from tests.support.hostile import ADDRESS

OK, BAD, SILENT = Evidence.OK, Evidence.ANSWERED_BADLY, Evidence.SILENT
NAME = "www.example.com"


@dataclass(frozen=True)
class Case:
    """A hostile server and what HTTP, HTTPS, TCP, TCP with an expectation and GRPC make of it."""

    server: str
    http: tuple[Evidence, str]
    https: tuple[Evidence, str]
    tcp: tuple[Evidence, str] = (OK, "connected")
    expect: tuple[Evidence, str] = (BAD, "closed without an answer")
    grpc: tuple[Evidence, str] = (BAD, "answer is not HTTP/2")


CASES = [
    Case("refuses", *[(BAD, "connection refused")] * 5),
    Case(
        "black hole",
        (SILENT, "timeout: a connection did not come within 0.5 s"),
        *[(SILENT, "timeout: a connection")] * 4,
    ),
    Case(
        "accepts and never answers",
        (SILENT, "timeout: an answer did not come"),
        (SILENT, "timeout: the TLS handshake did not come"),
        expect=(SILENT, "timeout: an answer"),
        grpc=(SILENT, "timeout: an answer"),
    ),
    Case(
        "closes at once",
        (BAD, "closed without an answer|connection reset"),
        (BAD, "closed during the TLS handshake|connection reset"),
        grpc=(BAD, "closed without an answer|connection reset"),
    ),
    Case(
        "resets at once",
        (BAD, "connection reset"),
        (BAD, "connection reset"),
        expect=(BAD, "connection reset"),
        grpc=(BAD, "connection reset"),
    ),
    Case(
        "resets after the request",
        (BAD, "connection reset"),
        (SILENT, "timeout"),
        expect=(SILENT, "timeout"),
        grpc=(BAD, "connection reset"),
    ),
    Case("drips", (SILENT, "timeout: the rest of the answer"), (BAD, "answer is not TLS"), expect=(SILENT, "timeout: the wanted text")),
    Case("closes within the header", (BAD, "closed within the header"), (SILENT, "timeout"), expect=(SILENT, "timeout")),
    Case("closes within the body", (BAD, "status 200, closed before the end of the body"), (SILENT, "timeout"), expect=(SILENT, "timeout")),
    Case("closes within a chunk", (BAD, "status 200, closed before the end of the body"), (SILENT, "timeout"), expect=(SILENT, "timeout")),
    Case("lies about chunks", (BAD, "body is not chunked as announced"), (SILENT, "timeout"), expect=(SILENT, "timeout")),
    Case("answers garbage", (BAD, "answer is not HTTP"), (SILENT, "timeout"), expect=(SILENT, "timeout")),
    Case(
        "answers garbage without end",
        (BAD, "answer is not HTTP"),
        (BAD, "answer is not TLS"),
        expect=(BAD, "answer without the wanted text"),
    ),
    Case("header without end", (BAD, "header larger than 16 KiB"), (BAD, "answer is not TLS"), expect=(BAD, "answer without the wanted")),
    Case("header line without end", (BAD, "header larger than 16 KiB"), (BAD, "answer is not TLS"), expect=(BAD, "answer without the")),
    Case("answers 10 GB", (OK, "status 200"), (BAD, "answer is not TLS"), expect=(BAD, "answer without the wanted text")),
    Case("body without end", (OK, "status 200"), (BAD, "answer is not TLS"), expect=(BAD, "answer without the wanted text")),
    Case("chunks without end", (OK, "status 200"), (BAD, "answer is not TLS"), expect=(BAD, "answer without the wanted text")),
    Case(
        "interim answers without end",
        (BAD, "interim answers without end"),
        (BAD, "answer is not TLS"),
        expect=(BAD, "answer without the wanted text"),
    ),
    Case("speaks SSH", (BAD, "answer is not HTTP"), (BAD, "answer is not TLS"), expect=(SILENT, "timeout: the wanted text")),
]


def checks(case: Case, port: int) -> list[tuple[Check, tuple[Evidence, str]]]:
    """The five checks of one port, each with what it must come to."""
    return [
        (Check(Protocol.HTTP, ADDRESS, port, path="/healthz", host=NAME), case.http),
        (Check(Protocol.HTTPS, ADDRESS, port, path="/healthz", host=NAME), case.https),
        (Check(Protocol.TCP, ADDRESS, port), case.tcp),
        (Check(Protocol.TCP, ADDRESS, port, expect=Expect(body="wanted")), case.expect),
        (Check(Protocol.GRPC, ADDRESS, port, host=NAME), case.grpc),
    ]
