"""`geodns status --delegation`: what is found wrong, on a world made of tables; and the real sockets against dnslib's server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import dnslib
import dnslib.server
import pytest

from geodns.cli.delegation import Examiner, Findings, Internet, Said, Server, parse_server, to_json
from geodns.errors import InvalidInput
from tests.support.ports import free_port

ZONE = "lb.example.org."
NODE = Server("", "127.0.0.1", 5300)
PARENT = "192.0.2.1"
BOTH = frozenset({"ns1.lb.example.org.", "ns2.lb.example.org."})
GLUE = frozenset({("ns1.lb.example.org.", "192.0.2.53"), ("ns2.lb.example.org.", "198.51.100.53")})


@dataclass
class Table:
    """A world: what each (address, name, type) answers."""

    said: dict[tuple[str, str, str], Said]
    nameservers: dict[str, list[str]] = field(default_factory=lambda: {"example.org.": ["ns.example.org."]})
    addresses: dict[str, list[str]] = field(default_factory=lambda: {"ns.example.org.": [PARENT]})

    def ask(self, server: Server, name: str, rtype: str) -> Said:
        return self.said.get((server.address, name, rtype), Said(fault="no answer in time"))

    def find_nameservers(self, zone: str) -> list[str]:
        return self.nameservers.get(zone, [])

    def find_addresses(self, name: str) -> list[str]:
        return self.addresses.get(name, [])


def right_world() -> dict[tuple[str, str, str], Said]:
    """Everything as it should be."""
    said = {(PARENT, ZONE, "NS"): Said(nameservers=BOTH, addresses=GLUE)}
    for host, address in GLUE:
        said[NODE.address, host, "A"] = Said(authoritative=True, addresses=frozenset({(host, address)}))
        said[NODE.address, host, "AAAA"] = Said(authoritative=True)
    for address in (NODE.address, "192.0.2.53", "198.51.100.53"):
        said[address, ZONE, "NS"] = Said(authoritative=True, nameservers=BOTH)
        said[address, ZONE, "SOA"] = Said(authoritative=True, serial=7)
    return said


def examine(changes: Mapping[tuple[str, str, str], Said] | None = None) -> Findings:
    return Examiner(ZONE, Table({**right_world(), **(changes or {})})).examine(NODE, None)


def test_a_right_delegation_has_no_problem() -> None:
    findings = examine()
    assert findings.problems == ()
    assert findings.parent_zone == "example.org."
    assert {server.address for server, _ in findings.servers} == {"192.0.2.53", "198.51.100.53"}
    assert to_json(findings)["node"] == {"nameservers": sorted(BOTH), "serial": 7}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {(PARENT, ZONE, "NS"): Said(fault="no answer in time")},
            "the parent's server ns.example.org. (192.0.2.1) does not answer: no answer in time",
        ),
        ({(PARENT, ZONE, "NS"): Said()}, "has no delegation for lb.example.org.: add its NS records to example.org."),
        (
            {(PARENT, ZONE, "NS"): Said(nameservers=frozenset({"ns1.lb.example.org."}), addresses=GLUE)},
            "the parent does not name ns2.lb.example.org., which the zone on this node does",
        ),
        (
            {(PARENT, ZONE, "NS"): Said(nameservers=BOTH | {"old.example.net."}, addresses=GLUE)},
            "the parent names old.example.net., which the zone on this node does not",
        ),
        ({(PARENT, ZONE, "NS"): Said(nameservers=BOTH)}, "the parent has no glue for ns1.lb.example.org.: add its addresses there"),
        (
            {(PARENT, ZONE, "NS"): Said(nameservers=BOTH, addresses=GLUE | {("ns1.lb.example.org.", "203.0.113.9")})},
            "the parent's glue for ns1.lb.example.org. says 203.0.113.9, which the zone does not",
        ),
        (
            {("127.0.0.1", "ns1.lb.example.org.", "AAAA"): Said(addresses=frozenset({("ns1.lb.example.org.", "2001:db8::53")}))},
            "the parent's glue for ns1.lb.example.org. lacks 2001:db8::53",
        ),
        (
            {("127.0.0.1", ZONE, "NS"): Said(fault="it answers REFUSED")},
            "this node (127.0.0.1 port 5300) does not answer for lb.example.org.: it answers REFUSED",
        ),
        ({("192.0.2.53", ZONE, "SOA"): Said(serial=7)}, "ns1.lb.example.org. (192.0.2.53) is not authoritative for lb.example.org."),
        (
            {("192.0.2.53", ZONE, "SOA"): Said(authoritative=True, serial=6)},
            "ns1.lb.example.org. (192.0.2.53) has serial 6, this node has 7",
        ),
        (
            {("198.51.100.53", ZONE, "SOA"): Said(fault="connection refused")},
            "ns2.lb.example.org. (198.51.100.53) does not answer: connection refused",
        ),
        (
            {("198.51.100.53", ZONE, "NS"): Said(authoritative=True, nameservers=frozenset({"ns1.lb.example.org."}))},
            "ns2.lb.example.org. (198.51.100.53) does not name ns2.lb.example.org.",
        ),
    ],
)
def test_each_fault_is_a_sentence(changes: Mapping[tuple[str, str, str], Said], problem: str) -> None:
    found = examine(changes).problems
    assert any(problem in sentence for sentence in found), found


def test_without_a_parent_zone_it_says_so() -> None:
    findings = Examiner(ZONE, Table(right_world(), nameservers={})).examine(NODE, None)
    assert any("the zone above lb.example.org. cannot be found" in problem for problem in findings.problems)


@pytest.mark.parametrize(
    ("text", "address", "port"), [("192.0.2.1", "192.0.2.1", 53), ("192.0.2.1:5353", "192.0.2.1", 5353), ("[::1]:53", "::1", 53)]
)
def test_a_parent_can_be_named(text: str, address: str, port: int) -> None:
    assert parse_server(text) == Server("", address, port)


def test_a_parent_that_is_no_address_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is no address of a server"):
        parse_server("ns1.example.org")


class Referral(dnslib.server.BaseResolver):  # type: ignore[misc] # dnslib ships no types
    """A parent that refers to the zone with glue; over UDP it says that the answer is cut off."""

    def resolve(self, request: dnslib.DNSRecord, handler: dnslib.server.DNSHandler) -> dnslib.DNSRecord:
        reply = request.reply(aa=0)
        if handler.protocol == "udp":
            reply.header.tc = 1
            return reply
        for rr in dnslib.RR.fromZone("LB.example.org. 60 NS ns1.lb.example.org."):
            reply.add_auth(rr)
        for rr in dnslib.RR.fromZone("ns1.lb.example.org. 60 A 192.0.2.53\nns1.lb.example.org. 60 AAAA 2001:db8::53"):
            reply.add_ar(rr)
        return reply


@pytest.fixture
def parent_port() -> Iterator[int]:
    """The port of a parent on loopback, over UDP and TCP."""
    port = free_port()
    with ExitStack() as stack:  # a server is closed even when the next cannot be made
        for tcp in (False, True):
            server = dnslib.server.DNSServer(Referral(), address="127.0.0.1", port=port, tcp=tcp)
            stack.callback(server.server.server_close)
            server.start_thread()
            stack.callback(server.stop)
        yield port


def test_the_real_sockets_follow_truncation_and_read_a_referral(parent_port: int) -> None:
    said = Internet().ask(Server("", "127.0.0.1", parent_port), ZONE, "NS")
    assert said == Said(
        nameservers=frozenset({"ns1.lb.example.org."}),
        addresses=frozenset({("ns1.lb.example.org.", "192.0.2.53"), ("ns1.lb.example.org.", "2001:db8::53")}),
    )


def test_a_server_that_closes_amid_its_answer_is_a_fault() -> None:
    with ExitStack() as stack:
        port = free_port()
        cut_off = dnslib.server.DNSServer(Referral(), address="127.0.0.1", port=port)
        stack.callback(cut_off.server.server_close)
        cut_off.start_thread()
        stack.callback(cut_off.stop)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", port)))

        def close_early() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(512)
                connection.sendall(b"\x01\x00half")

        thread = threading.Thread(target=close_early)
        thread.start()
        said = Internet().ask(Server("", "127.0.0.1", port), ZONE, "NS")
        thread.join()
    assert said.fault == "it closed the connection amid its answer"


def test_a_port_where_nobody_listens_is_a_fault() -> None:
    assert Internet().ask(Server("", "127.0.0.1", 9), ZONE, "NS").fault
