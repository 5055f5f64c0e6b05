"""geodns and Debian's NSD, Knot and BIND load the same zones and are asked the same questions: we agree with the majority.

Differences that we chose stand in docs/rfc.md, section "Differences", and in two functions
below; nothing else is tolerated.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone
import pytest

from tests.support.differential import Asker, Question, Reply, ask_all, majority, names_to_ask, questions
from tests.support.node import MakeNode
from tests.support.peers import PEERS, Peer

ZONES = Path(__file__).parent / "zones"
SEED = 20260101
SHOWN = 12

# Zones that only some peers load are asked of those that do.
EVERYBODY = ("nasty.example", "child.nasty.example", "large.example")
GROUPS = {
    "zones": EVERYBODY,
    "root": (*EVERYBODY, "."),
    "occluded": ("occluded.example",),
}
LOADED_BY = {
    "zones": {"nsd", "knotd", "named"},
    "root": {"nsd", "knotd", "named"},
    "occluded": {"named"},
}
# With a root zone beside them, the zones of the first group are asked every so many names only: what can change is which zone answers.
STRIDE = {"root": 7}


def zone_path(zone: str, directory: Path) -> Path:
    """The master file of a zone; the large one is made on the spot."""
    if zone == "large.example":
        path = directory / "large.example.zone"
        path.write_text("\n".join(large_zone()) + "\n")
        return path
    return ZONES / ("root.zone" if zone == "." else f"{zone}.zone")


def large_zone() -> Iterator[str]:
    """Rrsets near the limits of a message: 64 KiB of TXT, 300 addresses, many name servers."""
    yield "$ORIGIN large.example.\n$TTL 600"
    yield "@ SOA ns0 hostmaster 1 3600 600 604800 60"
    for number in range(13):
        yield f"@ NS ns{number}"
        yield f"ns{number} A 192.0.2.{number + 1}"
        yield f"ns{number} AAAA 2001:db8::{number + 1:x}"
        yield f"cut NS ns{number}.cut"
        yield f"ns{number}.cut A 198.51.100.{number + 1}"
        yield f"ns{number}.cut AAAA 2001:db8:1::{number + 1:x}"
        yield f"wide NS a-rather-long-host-name-for-a-server-{number:04}.another-zone-that-is-not-here.example."
    for number in range(88):  # BIND takes at most 100 records in an rrset
        yield f'huge TXT "{number:04}{"x" * 234}" "{"y" * 238}" "{"z" * 238}"'
    for number in range(80):
        yield f"many A 203.0.113.{number + 1}"
        yield f"mx MX {number} mx{number}"
        yield f"mx{number} A 203.0.113.{number + 1}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Readable for peers that drop their privileges."""
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    return tmp_path


@pytest.mark.timeout(600)
@pytest.mark.parametrize("group", list(GROUPS))
def test_answers_agree_with_the_majority_of_nsd_knot_and_bind(make_node: MakeNode, directory: Path, group: str) -> None:
    paths = {zone: zone_path(zone, directory) for zone in GROUPS[group]}
    node = make_node(zones={("@" if zone == "." else zone) + ".zone": path.read_text() for zone, path in paths.items()})
    node.start(within_s=60)
    peers = [kind(directory / kind.program, paths) for kind in PEERS if kind.path()]
    assert len(peers) == len(PEERS), "NSD, Knot and BIND must be installed"
    try:
        running = start_those_that_load(peers)
        assert {peer.program for peer in running} == LOADED_BY[group], "a peer is missing, and with it a vote"
        with contextlib.ExitStack() as stack:
            ours, *askers = [
                stack.enter_context(contextlib.closing(Asker(program, port)))
                for program, port in [("geodns", node.dns_port), *((peer.program, peer.port) for peer in running)]
            ]
            compare(askers, ours, paths, STRIDE.get(group, 1))
    finally:
        for peer in peers:
            peer.stop()


def start_those_that_load(peers: list[Peer]) -> list[Peer]:
    """Starts all; a peer that refuses the zones is left out, the caller knows which ones must not be."""
    running = []
    for peer in peers:
        try:
            peer.start()
        except AssertionError:
            peer.stop()
            continue
        running.append(peer)
    return running


def compare(askers: list[Asker], ours: Asker, paths: dict[str, Path], stride: int = 1) -> None:
    """Asks everything and fails with the first differences and their number."""
    differences: list[str] = []
    tally: Counter[str] = Counter()
    zones = [dns.name.from_text(zone) for zone in paths]
    for zone, path in paths.items():
        apex = dns.name.from_text(zone)
        owners = dns.zone.from_file(str(path), origin=apex, relativize=False, check_origin=False).nodes
        names = names_to_ask(owners, apex)
        for question in questions(names if zone == "." else names[::stride], SEED):
            got, *theirs = ask_all([ours, *askers], question)
            wanted = majority(theirs)
            tally["asked"] += 1
            if wanted is None:
                tally["no majority"] += 1
            elif not (
                got == wanted
                or got == follow_across_zones(askers, question, wanted, zones)
                or is_referral_without_room(askers, ours, question, got, wanted)
            ):
                differences.append(f"{question}\n  we:   {got}\n  they: {wanted}")
    print(dict(tally), f"{len(differences)} differences")
    assert tally["no majority"] < tally["asked"] / 20, tally
    assert not differences, f"{len(differences)} of {tally['asked']} differ:\n" + "\n".join(differences[:SHOWN])


def follow_across_zones(askers: list[Asker], question: Question, wanted: Reply, zones: list[dns.name.Name]) -> Reply | None:
    """The chosen difference "CNAME chains across our own zones": what the peers say, continued by what they say of the chain's end.

    The peers end a chain where it leaves the zone; we go on as long as the target is in a zone of ours (RFC 1034 §4.3.2 step 3a says
    "go back to step 1", which looks for the nearest zone anew).
    """
    targets = {owner: rdata for owner, _, rtype, rdata in wanted.answer if rtype == "CNAME"}
    ends = set(targets.values()) - set(targets)
    if len(ends) != 1 or question.rtype == "CNAME":
        return None
    end = dns.name.from_text(ends.pop())
    if not any(end.is_subdomain(zone) for zone in zones):
        return None
    rest = majority(ask_all(askers, replace(question, name=end)))
    if rest is None or rest.rcode == "REFUSED":
        return None
    further = follow_across_zones(askers, replace(question, name=end), rest, zones) or rest
    return replace(
        wanted, rcode=further.rcode, answer=wanted.answer | further.answer, authority=further.authority, additional=further.additional
    )


def is_referral_without_room(askers: list[Asker], ours: Asker, question: Question, got: Reply, wanted: Reply) -> bool:
    """The chosen difference "glue that does not fit": we set TC (RFC 9471 §3.1), where peers leave glue out and say nothing.

    Over TCP, where there is room, the answers must agree.
    """
    if "TC" not in got.flags or "TC" in wanted.flags or "AA" in wanted.flags or wanted.answer:
        return False
    whole, *theirs = ask_all([ours, *askers], replace(question, transport="tcp"))
    return whole == majority(theirs)
