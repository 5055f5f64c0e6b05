"""The SOA's rdata (RFC 1035 §3.3.13), its serial apart, and the SOA of a zone whose source has none (contract section 1)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import dns.name

from geodns.model import names
from geodns.model.names import Name
from geodns.model.record import Soa

_NUMBERS = struct.Struct("!IIIII")


def make_soa(apex: Name, nameservers: Sequence[Name]) -> Soa:
    """The default SOA: the first name server in canonical order, `hostmaster` of the zone."""
    mname = min(nameservers, key=names.sort_key) if nameservers else apex
    return Soa(mname=mname, rname=dns.name.Name((b"hostmaster", *apex.labels)))


def parse_soa(rdata: bytes, ttl: int) -> tuple[Soa, int]:
    """The SOA and its serial from valid rdata."""
    at = names.wire_to_text(rdata)[1]
    mname = names.from_wire(rdata[:at])
    end = names.wire_to_text(rdata, at)[1]
    serial, refresh, retry, expire, minimum = _NUMBERS.unpack(rdata[end:])
    return Soa(mname, names.from_wire(rdata[at:end]), refresh, retry, expire, minimum, ttl), serial


def soa_rdata(soa: Soa, serial: int) -> bytes:
    """Wire form."""
    numbers = _NUMBERS.pack(serial, soa.refresh, soa.retry, soa.expire, soa.minimum)
    return names.wire_of(soa.mname) + names.wire_of(soa.rname) + numbers
