"""RFC 8906 §8: what a server must do with ordinary, unknown and future DNS and EDNS, asked with the real dig over UDP and TCP.

The names carry the RFC's subsection. Each case: dig's options, what the header must say, what must and must not be in the reply.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.dig import PATIENCE
from tests.support.node import Node

ZONE = """
$ORIGIN example.com.
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 604800 60
@ NS ns1
ns1 A 192.0.2.53
@ TXT "a text that makes an answer too large for 512 bytes: {filler}"
"""


@dataclass(frozen=True, slots=True)
class Case:
    """`present` and `absent` are regular expressions over dig's output."""

    section: str
    options: str
    status: str
    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    udp_only: bool = False


SOA = r"example\.com\.\s+\d+\s+IN\s+SOA"
AA = r"flags: qr aa"
OPT0 = r"EDNS: version: 0"
OPT = r"EDNS: version:"
MBZ = r"MBZ"

CASES = [
    Case("8.1.1 testing using SOA", "+noedns +noad +norec soa example.com", "NOERROR", (SOA, AA), (OPT,)),
    Case(
        "8.1.2 unknown types",
        "+noedns +noad +norec type1000 example.com",
        "NOERROR",
        (r"AUTHORITY SECTION:\n" + SOA, AA, "ANSWER: 0"),
        (OPT,),
    ),
    Case("8.1.3.1 CD=1", "+noedns +noad +norec +cd soa example.com", "NOERROR", (SOA, AA), (OPT,)),
    Case("8.1.3.2 AD=1", "+noedns +norec +ad soa example.com", "NOERROR", (SOA, AA), (OPT, r"flags:[^;]* ad")),
    Case("8.1.3.3 reserved bit", "+noedns +noad +norec +zflag soa example.com", "NOERROR", (SOA, AA), (OPT, MBZ)),
    Case("8.1.3.4 recursive query", "+noedns +noad +rec soa example.com", "NOERROR", (SOA, r"flags: qr aa rd"), (OPT, r"flags:[^;]* ra")),
    Case(
        "8.1.4 unknown opcode", "+noedns +noad +opcode=15 +norec +header-only", "NOTIMP", ("opcode: RESERVED15", "QUERY: 0"), (AA, SOA, OPT)
    ),
    Case("8.2.1 minimal EDNS", "+nocookie +edns=0 +noad +norec soa example.com", "NOERROR", (SOA, AA, OPT0)),
    Case("8.2.2 EDNS version negotiation", "+nocookie +edns=1 +noednsneg +noad +norec soa example.com", "BADVERS", (OPT0,), (SOA, AA)),
    Case(
        "8.2.3 unknown EDNS options",
        "+nocookie +edns=0 +noad +norec +ednsopt=100 soa example.com",
        "NOERROR",
        (SOA, AA, OPT0),
        ("OPT=100",),
    ),
    Case("8.2.4 unknown EDNS flags", "+nocookie +edns=0 +noad +norec +ednsflags=0x40 soa example.com", "NOERROR", (SOA, AA, OPT0), (MBZ,)),
    Case(
        "8.2.5 version negotiation, unknown flags",
        "+nocookie +edns=1 +noednsneg +noad +norec +ednsflags=0x40 soa example.com",
        "BADVERS",
        (OPT0,),
        (SOA, AA, MBZ),
    ),
    Case(
        "8.2.6 version negotiation, unknown options",
        "+nocookie +edns=1 +noednsneg +noad +norec +ednsopt=100 soa example.com",
        "BADVERS",
        (OPT0,),
        (SOA, AA, "OPT=100"),
    ),
    Case(
        "8.2.7 truncated responses",
        "+nocookie +norec +dnssec +bufsize=512 +ignore txt example.com",
        "NOERROR",
        (OPT0, r"flags: qr aa tc"),
        (),
        True,
    ),
    Case(
        "8.2.8 DO=1", "+nocookie +edns=0 +noad +norec +dnssec soa example.com", "NOERROR", (SOA, AA, OPT0, r"EDNS: version: 0, flags: do")
    ),
    Case(
        "8.2.9 version negotiation, DO=1",
        "+nocookie +edns=1 +noednsneg +noad +norec +dnssec soa example.com",
        "BADVERS",
        (OPT0,),
        (SOA, AA),
    ),
    Case(
        "8.2.10 multiple defined EDNS options",
        "+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0 soa example.com",
        "NOERROR",
        (SOA, AA, OPT0),
    ),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for all cases."""
    directory: Path = tmp_path_factory.mktemp("rfc8906")
    node = Node(directory, zones={"example.com.zone": ZONE.format(filler="x" * 150) + '@ TXT "' + "y" * 250 + '" "' + "z" * 250 + '"\n'})
    try:
        node.start()
        yield node
    finally:
        node.stop()


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.section)
def test_rfc8906(node: Node, case: Case, transport: str) -> None:
    command = ["dig", "@127.0.0.1", "-p", str(node.dns_port), *PATIENCE, transport, *case.options.split()]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    found = re.search(r"status: (\w+),", output)
    assert found is not None, f"no reply to {' '.join(command)}:\n{output}"
    assert found.group(1) == case.status, output
    if transport == "+tcp" and case.udp_only:
        assert " tc" not in output.split("flags:")[1].split(";")[0], "nothing is truncated over TCP"
        return
    for pattern in case.present:
        assert re.search(pattern, output), f"{pattern!r} is missing:\n{output}"
    for pattern in case.absent:
        assert not re.search(pattern, output), f"{pattern!r} is there:\n{output}"
