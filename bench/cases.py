"""What is asked: one zone in the master form that every peer reads, and a dnsperf query file a case."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ZONE = "bench.example"
CLIENT_SUBNET = "198.18.4.0/24"  # in the location database as Germany
QUERIES = 100_000


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the report. `features` must all be offered by a server for it to take part; `edns` is dnsperf's -E value."""

    name: str
    features: frozenset[str]
    transport: str = "udp"
    edns: str | None = None


def subnet_option() -> str:
    """CLIENT_SUBNET as dnsperf's code:value (RFC 7871 §6: family 1, source 24, scope 0, three address bytes)."""
    address, length = CLIENT_SUBNET.split("/")
    octets = bytes(int(part) for part in address.split("."))[: (int(length) + 7) // 8]
    return f"8:0001{int(length):02x}00{octets.hex()}"


CASES = [
    Case("static", frozenset({"static"})),
    Case("weighted", frozenset({"weighted"})),
    Case("country", frozenset({"geo"}), edns=subnet_option()),
    Case("nxdomain", frozenset({"static"})),
    Case("wildcard", frozenset({"static"})),
    Case("delegation", frozenset({"static"})),
    Case("tcp", frozenset({"static"}), transport="tcp"),
]


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
    """QUERIES lines for dnsperf; the seed is fixed, so that every server is asked the same."""
    draw = random.Random(53)  # noqa: S311 # a workload, not a secret
    with path.open("w") as file:
        for _ in range(QUERIES):
            match case.name:
                case "static" | "tcp":
                    name = f"n{draw.randrange(names):07}"
                case "weighted":
                    name = "weighted"
                case "country":
                    name = "country"
                case "nxdomain":
                    name = f"x{draw.randrange(1 << 40):010x}"
                case "wildcard":
                    name = f"w{draw.randrange(1 << 40):010x}.wild"
                case "delegation":
                    name = f"h{draw.randrange(1 << 20):05x}.sub"
                case other:
                    raise ValueError(f"no queries for the case {other!r}")
            file.write(f"{name}.{ZONE} A\n")
