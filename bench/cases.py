"""What is asked: one zone in the master form that every peer reads; for each case a query file for dnsperf, and what a right answer is."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rcode

ZONE = "bench.example"
CLIENT_SUBNET = "198.18.4.0"  # in the location databases as Germany
QUERIES = 100_000
STEERED_NAMES = 10_000
VALUES_EACH = 10
WEIGHTED = (("192.0.2.10", 3), ("192.0.2.11", 2), ("192.0.2.12", 1))
EU, ELSEWHERE = "192.0.2.20", "192.0.2.21"
CITY_VALUES = {"NA-US-NY": ("192.0.2.30", "192.0.2.31"), "NA-US-CA": ("192.0.2.32", "192.0.2.33"), None: ("192.0.2.34",)}


class Subnet(Enum):
    """The client subnet of the queries (RFC 7871): none, one for all, or another for each."""

    NONE = 0
    FIXED = 1
    RANDOM = 2


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the report. `feature` must be offered by a server for it to take part; `owner` draws a name below the zone."""

    name: str
    feature: str
    owner: Callable[[random.Random, int], str]
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    # The addresses that an answer may carry; empty: any, and for a denial or a referral none.
    answers: frozenset[str] = frozenset()
    has_answer: bool = True
    subnet: Subnet = Subnet.NONE
    transport: str = "udp"
    # Over TCP: every query on a connection of its own.
    is_once: bool = False
    # Queries a second; 0: as many as are answered.
    pace: int = 0
    # Ports that are asked from in turn, so that the queries which a server takes together come from many or from few.
    clients: int = 8

    @property
    def is_text(self) -> bool:
        """Whether its queries are lines of names, as dnsperf reads them; else messages."""
        return self.subnet is not Subnet.RANDOM and not self.is_once

    def edns(self) -> str | None:
        """CLIENT_SUBNET as dnsperf's code:value (RFC 7871 §6: family 1, source 24, scope 0, three address octets)."""
        return f"8:0001{24:02x}00{bytes(map(int, CLIENT_SUBNET.split('.')[:3])).hex()}" if self.subnet is Subnet.FIXED else None

    def query(self, draw: random.Random, names: int) -> dns.message.Message:
        """One query, as the file has them."""
        options: list[dns.edns.Option] = []
        match self.subnet:
            case Subnet.FIXED:
                options = [dns.edns.ECSOption(CLIENT_SUBNET, 24)]
            case Subnet.RANDOM:
                options = [dns.edns.ECSOption(f"{draw.randrange(1, 224)}.{draw.randrange(256)}.{draw.randrange(256)}.0", 24)]
            case Subnet.NONE:
                pass
        return dns.message.make_query(f"{self.owner(draw, names)}.{ZONE}", "A", use_edns=0 if options else None, options=options)

    def complaint(self, reply: dns.message.Message) -> str | None:
        """What is wrong with a reply."""
        if reply.rcode() != self.rcode:
            return f"rcode {dns.rcode.to_text(reply.rcode())}"
        found = {rdata.to_text() for rrset in reply.answer for rdata in rrset}
        if bool(found) != self.has_answer or (self.answers and not found <= self.answers):
            return f"answer {sorted(found)}"
        if not self.has_answer and not reply.authority:
            return "empty authority section"
        return None


def static_owner(draw: random.Random, names: int) -> str:
    """One of the zone's ordinary names."""
    return f"n{draw.randrange(names):07}"


def absent_owner(draw: random.Random, _names: int) -> str:
    """A name that does not exist."""
    return f"x{draw.randrange(1 << 40):010x}"


# The most that one thread of dnsperf has. A batch of any server is far smaller, so each of its queries comes from another port, as with
# resolvers, which choose a port at random for each query (RFC 5452 §9.2).
MANY_CLIENTS = 256

# The pace of the cases about rate limiting: dnsperf asks from one address, to which no more than 100,000 answers a second can be allowed.
LIMITED_PACE = 60_000

STATIC = Case("static", "static", static_owner)
STATIC_PORTS = Case("static-ports", "static", static_owner, clients=MANY_CLIENTS)
WEIGHTED_CASE = Case("weighted", "weighted", lambda _draw, _names: "weighted", answers=frozenset(value for value, _ in WEIGHTED))
COUNTRY = Case("country", "geo", lambda _draw, _names: "country", answers=frozenset({EU}), subnet=Subnet.FIXED)
NXDOMAIN = Case("nxdomain", "static", absent_owner, rcode=dns.rcode.NXDOMAIN, has_answer=False)
WILDCARD = Case("wildcard", "static", lambda draw, _names: f"w{draw.randrange(1 << 40):010x}.wild", answers=frozenset({"192.0.2.77"}))
DELEGATION = Case("delegation", "static", lambda draw, _names: f"h{draw.randrange(1 << 20):05x}.sub", has_answer=False)
TCP = Case("tcp", "tcp", static_owner, transport="tcp")
TCP_ONCE = Case("tcp-once", "tcp", static_owner, transport="tcp", is_once=True)
CITY_STICKY = Case(
    "city-sticky",
    "city",
    lambda _draw, _names: "city",
    answers=frozenset(value for values in CITY_VALUES.values() for value in values),
    subnet=Subnet.RANDOM,
)
MANY_VALUES = Case("100k-values", "city", lambda draw, _names: f"s{draw.randrange(STEERED_NAMES):05}")
PACED_STATIC = Case("static-60k", "static", static_owner, pace=LIMITED_PACE)
PACED_NXDOMAIN = Case("nxdomain-60k", "static", absent_owner, rcode=dns.rcode.NXDOMAIN, has_answer=False, pace=LIMITED_PACE)


def static_lines(names: int) -> Iterator[str]:
    """The zone's ordinary records, one a line: `names` addresses, a wildcard, a delegation with glue."""
    yield f"$ORIGIN {ZONE}."
    yield "$TTL 300"
    yield f"@ SOA ns1.{ZONE}. hostmaster.{ZONE}. 1 3600 600 604800 60"
    yield f"@ NS ns1.{ZONE}."
    yield "ns1 A 192.0.2.53"
    yield "*.wild A 192.0.2.77"
    yield "sub NS ns.sub"
    yield "ns.sub A 192.0.2.54"
    for number in range(names):
        yield f"n{number:07} A 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def write_queries(case: Case, names: int, path: Path) -> None:
    """QUERIES queries for dnsperf; the seed is fixed, so that every server is asked the same.

    dnsperf's text form knows no client subnet that changes, so such queries stand as messages, each behind its length (dnsperf -B).
    """
    draw = random.Random(53)  # noqa: S311 # a workload, not a secret
    if case.is_text:
        with path.open("w") as file:
            file.writelines(f"{case.owner(draw, names)}.{ZONE} A\n" for _ in range(QUERIES))
        return
    with path.open("wb") as file:
        for _ in range(QUERIES):
            wire = case.query(draw, names).to_wire()
            file.write(struct.pack("!H", len(wire)) + wire)
