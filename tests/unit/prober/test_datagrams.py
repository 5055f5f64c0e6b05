"""UDP, DNS and ICMP checks against real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from dnslib import QTYPE, RCODE, RR, TXT, A, DNSRecord

from geodns.model.check import Check, Expect, Protocol
from geodns.prober.icmp import checksum, is_echo_reply, make_echo_request
from geodns.prober.outcome import Evidence
from geodns.prober.probe import make_probe
from tests.support.datagrams import Reply, replying
from tests.support.hostile import ADDRESS, serving
from tests.support.ports import free_port
from tests.unit.prober.conftest import PATIENCE_S, try_check

OK, BAD, SILENT = Evidence.OK, Evidence.ANSWERED_BADLY, Evidence.SILENT
SHORT_S = 0.4
NAME = "www.example.com."


def _timeout_s(evidence: Evidence) -> float:
    return SHORT_S if evidence is SILENT else PATIENCE_S


@pytest.mark.parametrize(
    ("reply", "expect", "evidence", "cause"),
    [
        (lambda data: [data.upper()], Expect(send="ping", body="PING"), OK, "reply as wanted"),
        (lambda data: [b"pong"], Expect(send="ping", body="/^pong$/"), OK, "reply as wanted"),
        (lambda data: [b"err"], Expect(send="ping", body="pong"), BAD, "reply without the wanted text"),
        (lambda data: [bytes(range(200, 250))], Expect(body="pong"), BAD, "reply without the wanted text"),
        (lambda data: [b"."], Expect(), OK, "replied"),
        (lambda data: [], Expect(send="ping"), SILENT, "timeout: a reply did not come within 0.4 s"),
    ],
)
async def test_udp(reply: Reply, expect: Expect, evidence: Evidence, cause: str) -> None:
    async with replying(reply) as port:
        outcome = await try_check(Check(Protocol.UDP, ADDRESS, port, expect=expect), _timeout_s(evidence))
    assert (outcome.evidence, outcome.cause) == (evidence, cause)


@pytest.mark.parametrize("check", [Check(Protocol.UDP, ADDRESS, 1), Check(Protocol.DNS, ADDRESS, 1, question=(NAME, "A"))])
async def test_a_closed_udp_port_refuses(check: Check) -> None:
    outcome = await try_check(Check(check.protocol, ADDRESS, free_port(), question=check.question))
    assert (outcome.evidence, outcome.cause) == (BAD, "connection refused")


def answering(change: Callable[[DNSRecord], object]) -> Reply:
    def reply(data: bytes) -> list[bytes]:
        message = DNSRecord.parse(data).reply()
        message.add_answer(RR(message.q.qname, QTYPE.A, rdata=A("192.0.2.1"), ttl=5))
        message.add_answer(RR(message.q.qname, QTYPE.TXT, rdata=TXT("Is Well"), ttl=5))
        change(message)
        return [message.pack()]

    return reply


def with_rcode(rcode: int) -> Callable[[DNSRecord], object]:
    def change(message: DNSRecord) -> None:
        message.header.rcode = rcode

    return change


def with_other_id(message: DNSRecord) -> None:
    message.header.id ^= 1


def as_query(message: DNSRecord) -> None:
    message.header.qr = 0


def nothing(message: DNSRecord) -> None:
    return None


@pytest.mark.parametrize(
    ("reply", "answer", "evidence", "cause"),
    [
        (answering(nothing), None, OK, "NOERROR, 2 records"),
        (answering(nothing), "192.0.2.1", OK, "NOERROR, 2 records"),
        (answering(nothing), "is well", OK, "NOERROR, 2 records"),
        (answering(nothing), "192.0.2.2", BAD, "answer without 192.0.2.2"),
        (answering(with_rcode(RCODE.NXDOMAIN)), None, BAD, "NXDOMAIN for www.example.com. A"),
        (answering(with_rcode(RCODE.SERVFAIL)), None, BAD, "SERVFAIL for www.example.com. A"),
        (answering(with_rcode(RCODE.REFUSED)), None, BAD, "REFUSED for www.example.com. A"),
        (answering(with_other_id), None, SILENT, "timeout: an answer did not come within 0.4 s"),
        (answering(as_query), None, SILENT, "timeout: an answer did not come within 0.4 s"),
        (lambda data: answering(with_other_id)(data) * 40, None, BAD, "answers to other questions"),
        (lambda data: [data + bytes(513 - len(data))], None, BAD, "answer larger than 512 bytes over UDP"),
        (lambda data: [b"garbage"], None, BAD, "answer is not DNS"),
        (lambda data: [data[:2] + b"\xff" * 400], None, BAD, "answer is not DNS"),
        (lambda data: [answering(with_other_id)(data)[0], answering(nothing)(data)[0]], None, OK, "NOERROR, 2 records"),
        (lambda data: [], None, SILENT, "timeout: an answer did not come within 0.4 s"),
    ],
)
async def test_dns(reply: Reply, answer: str | None, evidence: Evidence, cause: str) -> None:
    async with replying(reply) as port:
        outcome = await try_check(Check(Protocol.DNS, ADDRESS, port, question=(NAME, "A"), answer=answer), _timeout_s(evidence))
    assert (outcome.evidence, outcome.cause) == (evidence, cause)


@pytest.mark.parametrize(
    ("ending", "evidence", "cause"),
    [
        (lambda data: len(data).to_bytes(2, "big") + data, OK, "NOERROR, 2 records"),
        (lambda data: len(data).to_bytes(2, "big") + data[:20], BAD, "closed before the end of the answer over TCP"),
        (lambda data: b"", BAD, "closed before the end of the answer over TCP"),
        (lambda data: b"\x10\x01" + data + bytes(4097 - len(data)), BAD, "answer larger than 4 KiB over TCP"),
    ],
)
async def test_a_cut_answer_is_asked_for_again_over_tcp(ending: Callable[[bytes], bytes], evidence: Evidence, cause: str) -> None:
    def cut(message: DNSRecord) -> None:
        message.header.tc = 1

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        writer.write(ending(answering(nothing)(query)[0]))
        await writer.drain()

    async with serving(converse) as port, replying(answering(cut), port):
        outcome = await try_check(Check(Protocol.DNS, ADDRESS, port, question=(NAME, "A")))
    assert (outcome.evidence, outcome.cause) == (evidence, cause)


@pytest.mark.parametrize("question", [None, ("x" * 70 + ".example.com.", "A"), (NAME, "NOTATYPE")])
def test_a_question_that_cannot_be_asked_is_known_at_once(question: tuple[str, str] | None) -> None:
    with pytest.raises(ValueError, match="question"):
        make_probe(Check(Protocol.DNS, ADDRESS, 53, question=question))


@pytest.mark.parametrize("address", [ADDRESS, "::1"])
async def test_icmp_echo(address: str) -> None:
    """Where neither kind of socket may be opened, that is no evidence, and said."""
    outcome = await try_check(Check(Protocol.ICMP, address, None))
    if outcome.evidence is Evidence.NO_EVIDENCE:
        assert outcome.cause == "ICMP is not permitted here: see net.ipv4.ping_group_range"
    else:
        assert (outcome.evidence, outcome.cause) == (OK, "echo reply")


async def test_icmp_without_permission_is_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def forbidden(family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        if protocol == socket.IPPROTO_ICMP:
            raise PermissionError(1, "Operation not permitted")
        return real(family, kind, protocol)

    monkeypatch.setattr(socket, "socket", forbidden)
    outcome = await try_check(Check(Protocol.ICMP, "192.0.2.1", None), 1.0)
    assert outcome.evidence is Evidence.NO_EVIDENCE
    assert outcome.cause.startswith("ICMP is not permitted here")


def test_an_echo_request_is_well_formed_and_only_its_reply_counts() -> None:
    nonce = bytes(range(16))
    request = make_echo_request(socket.IPPROTO_ICMP, nonce)
    assert (request[0], request[1], request[8:]) == (8, 0, nonce)
    assert checksum(request) == 0
    reply = b"\x00" + request[1:]
    assert is_echo_reply(reply, socket.IPPROTO_ICMP, nonce)
    assert is_echo_reply(b"\x45" + bytes(19) + reply, socket.IPPROTO_ICMP, nonce), "a raw socket hands over the IP header"
    assert not is_echo_reply(request, socket.IPPROTO_ICMP, nonce), "our own request, seen on loopback"
    assert not is_echo_reply(reply, socket.IPPROTO_ICMP, b"another nonce...")
    assert not is_echo_reply(b"", socket.IPPROTO_ICMP, nonce)
