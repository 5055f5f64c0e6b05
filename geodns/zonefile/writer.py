"""Zones as master files (RFC 1035 §5): sorted canonically, the apex first, one record a line, every name absolute or below `$ORIGIN`.

A master file cannot say how a record is steered. Such a record is written with its own values, the last resort, under a comment.
"""

from __future__ import annotations

from collections.abc import Iterator

from geodns.model import names, rdata
from geodns.model.record import Rrset, ZoneContents
from geodns.model.soa import make_soa, soa_rdata


def write_zone(contents: ZoneContents, serial: int) -> Iterator[str]:
    """The zone as a master file, a record at a time, with this serial in its SOA."""
    apex = contents.apex
    yield f"$ORIGIN {apex}\n$TTL {contents.default_ttl}\n"
    rrsets = sorted(contents.rrsets, key=lambda rrset: (names.sort_key(rrset.owner), rrset.rtype))
    apex_ns = [names.from_wire(wire) for rrset in rrsets if rrset.owner == apex and rrset.rtype == rdata.NS for wire in rrset.rdatas]
    soa = contents.soa or make_soa(apex, apex_ns)
    yield f"@ {soa.ttl} IN SOA {rdata.to_text(rdata.SOA, soa_rdata(soa, serial))}\n"
    for rrset in rrsets:
        yield from _write_rrset(rrset, contents)


def _write_rrset(rrset: Rrset, contents: ZoneContents) -> Iterator[str]:
    owner = names.to_text(rrset.owner, contents.apex)
    if owner.startswith("$"):  # else it would be read as a directive
        owner = f"\\{owner}"
    ttl = "" if rrset.ttl == contents.default_ttl else f" {rrset.ttl}"
    head = f"{owner}{ttl} IN {rdata.rtype_to_text(rrset.rtype)} "
    if rrset.dynamic is not None:  # what the store gives has no `steering`: it was made of this, and is not needed here
        yield f"; {owner} is steered; what stands here are its own values, and the YAML form has the rest\n"
    for wire in rrset.rdatas:
        yield f"{head}{rdata.to_text(rrset.rtype, wire)}\n"
