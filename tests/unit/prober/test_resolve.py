"""Names of targets: kept for their ttl, looked up once for many checks, and three ways in which that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import dns.asyncresolver
import dns.resolver
import pytest
from dnslib import AAAA, QTYPE, RCODE, RR, A, DNSRecord

from geodns.prober.fault import AnsweredBadly, Fault, NoEvidence
from geodns.prober.resolve import SystemLookup, SystemResolver, is_literal


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Names:
    """A lookup that counts, and can fail or wait."""

    def __init__(self, ttl_s: float, failure: Exception | None = None) -> None:
        self.ttl_s = ttl_s
        self.failure = failure
        self.lookups = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, name: str) -> tuple[str, float]:
        self.lookups += 1
        await self.gate.wait()
        if self.failure:
            raise self.failure
        return f"192.0.2.{self.lookups}", self.ttl_s


@pytest.mark.parametrize(("ttl_s", "kept_s"), [(0, 5), (3, 5), (30, 30), (86_400, 3_600)])
async def test_an_address_is_kept_for_its_ttl_and_at_least_five_seconds(ttl_s: float, kept_s: float) -> None:
    clock, names = Clock(), Names(ttl_s)
    resolver = SystemResolver(names, clock)
    assert await resolver.address("www.example.net.") == "192.0.2.1"
    clock.now_s += kept_s - 0.01
    assert await resolver.address("www.example.net.") == "192.0.2.1"
    clock.now_s += 0.02
    assert await resolver.address("www.example.net.") == "192.0.2.2"


async def test_many_checks_of_a_name_share_one_lookup() -> None:
    names = Names(30)
    names.gate.clear()
    resolver = SystemResolver(names, Clock())
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(resolver.address("www.example.net.")) for _ in range(50)]
        await asyncio.sleep(0)
        names.gate.set()
    assert {task.result() for task in tasks} == {"192.0.2.1"}
    assert names.lookups == 1


async def test_a_cancelled_lookup_does_not_block_the_next() -> None:
    names = Names(30)
    names.gate.clear()
    resolver = SystemResolver(names, Clock())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await resolver.address("www.example.net.")
    names.gate.set()
    assert await resolver.address("www.example.net.") == "192.0.2.2"


async def test_a_failure_is_not_kept() -> None:
    names = Names(30, NoEvidence("the system resolver failed"))
    resolver = SystemResolver(names, Clock())
    with pytest.raises(NoEvidence):
        await resolver.address("www.example.net.")
    names.failure = None
    assert await resolver.address("www.example.net.") == "192.0.2.2"


@pytest.mark.parametrize("target", ["192.0.2.7", "2001:db8::7"])
async def test_a_literal_is_itself(target: str) -> None:
    names = Names(30)
    assert await SystemResolver(names, Clock()).address(target) == target
    assert names.lookups == 0


@pytest.mark.parametrize("target", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "www.example.net."])
def test_other_spellings_of_addresses_are_names(target: str) -> None:
    assert not is_literal(target)


async def test_the_hosts_file_comes_first_and_is_read_again_when_it_changes(hosts_file: Path) -> None:
    write = hosts_file.write_text
    write("# comment\n2001:db8::1 www.example.net\n192.0.2.1 WWW.example.net alias # more\nnonsense\n")
    lookup = SystemLookup(hosts_file)
    assert await lookup("www.example.net.") == ("192.0.2.1", 5.0)
    assert (await lookup("alias."))[0] == "192.0.2.1"
    write("198.51.100.200 www.example.net\n")
    assert (await lookup("www.example.net."))[0] == "198.51.100.200"


class DnsServer(asyncio.DatagramProtocol):
    """A real name server, as small as they get: answers by a function, or not at all."""

    def __init__(self, answer: Callable[[DNSRecord], DNSRecord | None]) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._answer(DNSRecord.parse(data))
        if reply is not None:
            self._transport.sendto(reply.pack(), addr)


def a_records(request: DNSRecord) -> DNSRecord:
    reply = request.reply()
    if request.q.qtype == QTYPE.A:
        for last in (9, 7, 8):
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(f"192.0.2.{last}"), ttl=17))
    return reply


def only_ipv6(request: DNSRecord) -> DNSRecord:
    reply = request.reply()
    if request.q.qtype == QTYPE.AAAA:
        reply.add_answer(RR(request.q.qname, QTYPE.AAAA, rdata=AAAA("2001:db8::5"), ttl=60))
    return reply


def rcode(value: int) -> Callable[[DNSRecord], DNSRecord]:
    def answer(request: DNSRecord) -> DNSRecord:
        reply = request.reply()
        reply.header.rcode = value
        return reply

    return answer


async def look_up(
    answer: Callable[[DNSRecord], DNSRecord | None], monkeypatch: pytest.MonkeyPatch, hosts_file: Path, lifetime_s: float = 30.0
) -> tuple[str, float]:
    """`lifetime_s` is what the resolver waits for a good answer."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: DnsServer(answer), local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]

    def configured() -> dns.asyncresolver.Resolver:
        resolver = real(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], port, lifetime_s
        return resolver

    real = dns.asyncresolver.Resolver
    monkeypatch.setattr(dns.asyncresolver, "Resolver", configured)
    try:
        return await SystemLookup(hosts_file)("www.example.net.")
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("answer", "address", "ttl_s"),
    [(a_records, "192.0.2.7", 17.0), (only_ipv6, "2001:db8::5", 60.0)],
)
async def test_dns_gives_the_lowest_address_and_its_ttl(
    answer: Callable[[DNSRecord], DNSRecord], address: str, ttl_s: float, monkeypatch: pytest.MonkeyPatch, hosts_file: Path
) -> None:
    assert await look_up(answer, monkeypatch, hosts_file) == (address, ttl_s)


@pytest.mark.parametrize(
    ("answer", "kind", "cause"),
    [
        (rcode(RCODE.NXDOMAIN), AnsweredBadly, "the name does not exist"),
        (rcode(RCODE.NOERROR), AnsweredBadly, "the name has no address"),
        (rcode(RCODE.SERVFAIL), NoEvidence, "the system resolver failed"),
        (lambda request: None, NoEvidence, "the system resolver failed"),
    ],
)
async def test_dns_that_fails(
    answer: Callable[[DNSRecord], DNSRecord | None], kind: type[Fault], cause: str, monkeypatch: pytest.MonkeyPatch, hosts_file: Path
) -> None:
    with pytest.raises(kind, match=cause):
        await look_up(answer, monkeypatch, hosts_file, 0.5 if kind is NoEvidence else 30.0)
