"""The DNS check: one question over UDP, and over TCP when the answer was cut (RFC 1035 §4.2, RFC 7766 §5). Built with dnslib.

Asks with RD set, so that resolvers can be checked as well as authoritative servers. No EDNS: the oldest server that is worth balancing
answers without it.
"""

from __future__ import annotations

import secrets

from dnslib import RCODE, DNSRecord

from geodns.model.check import Check
from geodns.prober.datagram import Datagrams
from geodns.prober.fault import AnsweredBadly
from geodns.prober.stream import Progress, TcpStream

DNS_PORT = 53

MAX_UDP_BYTES = 512
"""RFC 1035 §4.2.1; nobody may send more who was not asked with EDNS."""

MAX_TCP_BYTES = 4096
"""What an answer to a check may need. dnslib takes 8 µs for a byte of the costliest message: 64 KiB would stop all other checks for half a
second."""

MAX_STRANGERS = 16
"""Datagrams passed over in an attempt because they answer something else: each is parsed, and a flood of them must not keep us busy."""


class DnsProbe:
    """Made once for a check, used for all its attempts."""

    def __init__(self, check: Check) -> None:
        """Raises ValueError for a check that cannot be carried out."""
        if check.question is None:
            raise ValueError("a DNS check needs a question")
        self._name, self._rtype = check.question
        self._port = check.port or DNS_PORT
        self._answer = None if check.answer is None else _normal(check.answer)
        self._wanted = check.answer
        self._make_query()

    async def attempt(self, address: str, progress: Progress) -> str:
        """See `probe.Probe`."""
        progress.waiting_for = "an answer"
        query = self._make_query()
        reply = await self._ask_udp(query, address)
        if reply.header.tc:
            reply = await self._ask_tcp(query, address, progress)
        return self._judge(reply)

    def _make_query(self) -> DNSRecord:
        try:
            query = DNSRecord.question(self._name, self._rtype)
            query.header.id = secrets.randbits(16)
            query.pack()
        except Exception as error:  # dnslib has no exception of its own for every input
            raise ValueError(f"the question cannot be asked: {error}") from error
        return query

    async def _ask_udp(self, query: DNSRecord, address: str) -> DNSRecord:
        datagrams = Datagrams.open(address, self._port)
        try:
            datagrams.send(query.pack())
            for _ in range(MAX_STRANGERS):
                data = await datagrams.receive()
                if len(data) > MAX_UDP_BYTES:
                    raise AnsweredBadly("answer larger than 512 bytes over UDP")
                reply = _parse(data)
                if _answers(reply, query):
                    return reply
            raise AnsweredBadly("answers to other questions")
        finally:
            datagrams.close()

    async def _ask_tcp(self, query: DNSRecord, address: str, progress: Progress) -> DNSRecord:
        progress.waiting_for = "an answer over TCP"
        stream = await TcpStream.open(address, self._port)
        try:
            packed = query.pack()
            await stream.send(len(packed).to_bytes(2, "big") + packed)
            data = b""
            while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
                more = await stream.receive()
                if not more:
                    raise AnsweredBadly("closed before the end of the answer over TCP")
                data += more
                if len(data) > 2 + MAX_TCP_BYTES:
                    raise AnsweredBadly("answer larger than 4 KiB over TCP")
        finally:
            stream.close()
        reply = _parse(data[2 : 2 + int.from_bytes(data[:2], "big")])
        if not _answers(reply, query):
            raise AnsweredBadly("answer to another question")
        return reply

    def _judge(self, reply: DNSRecord) -> str:
        rcode = RCODE.get(reply.header.rcode)
        if reply.header.rcode != RCODE.NOERROR:
            raise AnsweredBadly(f"{rcode} for {self._name} {self._rtype}")
        if self._answer is not None and all(_normal(str(record.rdata)) != self._answer for record in reply.rr):
            raise AnsweredBadly(f"answer without {self._wanted}")
        return f"{rcode}, {len(reply.rr)} records"


def _parse(data: bytes) -> DNSRecord:
    try:
        return DNSRecord.parse(data)
    except Exception as error:  # dnslib lets errors of struct, int and its own through
        raise AnsweredBadly("answer is not DNS") from error


def _answers(reply: DNSRecord, query: DNSRecord) -> bool:
    """Whether it is a response to this very query (RFC 5452 §9.1); a connected socket has judged the address."""
    if not (reply.header.qr and reply.header.id == query.header.id and len(reply.questions) == 1):
        return False
    return bool(reply.q.qname.matchSuffix(query.q.qname) and query.q.qname.matchSuffix(reply.q.qname) and reply.q.qtype == query.q.qtype)


def _normal(rdata: str) -> str:
    """Rdata text as it is compared: without quotes, case and the final dots of names."""
    return " ".join(word.rstrip(".") for word in rdata.replace('"', "").lower().split())
