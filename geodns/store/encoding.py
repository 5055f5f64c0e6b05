"""How names, rdata and prefixes are laid out in columns, so that reading a zone needs no object per rrset.

- An *owner key* orders owner names of one zone as RFC 4034 §6.1 does under plain bytewise comparison, which both databases do natively.
- A *body* is the `form 0` body of docs/link-protocol.md section 2, so that the publisher only concatenates.
- A *list body* is `geodns.model.prefixes.Prefixes.body`.

Nothing here validates what the model has judged; lengths are checked because they become counts in a binary format.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

import dns.name

from geodns.model import names
from geodns.model.record import Soa

SOA_RTYPE = 6
NS_RTYPE = 2
A_RTYPE = 1
AAAA_RTYPE = 28
DNAME_RTYPE = 39

# Inside a key a label ends with a zero byte, so that a shorter label sorts before a longer one that it begins. Zero and one inside a label
# are therefore written as two bytes each, in their order.
_LABEL_END = b"\x00"
_ESCAPES = ((b"\x01", b"\x01\x02"), (b"\x00", b"\x01\x01"))

_U16 = struct.Struct(">H")
_SOA_NUMBERS = struct.Struct(">5I")


def owner_key(owner: dns.name.Name, apex: dns.name.Name) -> bytes:
    """The key of an owner name at or below `apex`; b"" for the apex itself."""
    labels = owner.labels[: len(owner.labels) - len(apex.labels)]
    return _join_labels(labels)


def zone_key(apex: dns.name.Name) -> bytes:
    """The key that puts zones in canonical order; b"" for the root zone."""
    return _join_labels(apex.labels[:-1])


def _join_labels(labels: Sequence[bytes]) -> bytes:
    parts = []
    for label in reversed(labels):
        if b"\x00" in label or b"\x01" in label:
            for plain, escaped in _ESCAPES:
                label = label.replace(plain, escaped)
        parts.append(label)
        parts.append(_LABEL_END)
    return b"".join(parts)


def name_to_wire(name: dns.name.Name) -> bytes:
    """The uncompressed wire form of an absolute name."""
    return b"".join([bytes((len(label),)) + label for label in name.labels])


def name_from_wire(wire: bytes) -> dns.name.Name:
    """An uncompressed wire-form name, as the store has it, as a dnspython name."""
    return names.from_wire(wire)


def pack_body(rdatas: Sequence[bytes]) -> bytes:
    """u16 count, then each rdata with its u16 length, in stored order."""
    parts = [_U16.pack(len(rdatas))]
    for rdata in rdatas:
        parts.append(_U16.pack(len(rdata)))
        parts.append(rdata)
    return b"".join(parts)


def unpack_body(body: bytes) -> tuple[bytes, ...]:
    """The rdatas of a body in stored order."""
    (count,) = _U16.unpack_from(body)
    rdatas = []
    at = 2
    for _ in range(count):
        (length,) = _U16.unpack_from(body, at)
        rdatas.append(bytes(body[at + 2 : at + 2 + length]))
        at += 2 + length
    return tuple(rdatas)


def soa_rdata(soa: Soa, serial: int) -> bytes:
    """RFC 1035 §3.3.13, names uncompressed."""
    numbers = _SOA_NUMBERS.pack(serial, soa.refresh, soa.retry, soa.expire, soa.minimum)
    return b"".join((name_to_wire(soa.mname), name_to_wire(soa.rname), numbers))


def own_value_text(rtype: int, rdata: bytes) -> str:
    """The canonical text of an own value of a steered rrset: an address, or an absolute name."""
    if rtype in (A_RTYPE, AAAA_RTYPE):
        return str(ipaddress.ip_address(rdata))
    return name_from_wire(rdata).to_text()
