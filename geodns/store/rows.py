"""One rrset as a row, and back. A row knows nothing of steering beyond whether there is any: the model reads that from the JSON."""

from __future__ import annotations

import json
from typing import NamedTuple

import dns.name

from geodns.model import names
from geodns.model.record import Rrset
from geodns.store.encoding import name_to_wire, owner_key, pack_body, unpack_body
from geodns.store.schema import to_json

Name = dns.name.Name


class Row(NamedTuple):
    """The columns of `rrsets` that its author decides, in the table's order; two rows that are equal are the same rrset."""

    owner_key: bytes
    rtype: int
    owner: bytes
    ttl: int
    body: bytes
    steered: bool
    dynamic: str | None
    octodns: str | None


def row_of(rrset: Rrset, apex: Name) -> Row:
    """The row of a valid rrset of the zone `apex`."""
    return Row(
        owner_key(rrset.owner, apex),
        rrset.rtype,
        name_to_wire(rrset.owner),
        rrset.ttl,
        pack_body(rrset.rdatas),
        rrset.steering is not None,
        None if rrset.dynamic is None else to_json(rrset.dynamic),
        None if rrset.octodns is None else to_json(rrset.octodns),
    )


def rrset_of(owner: bytes, rtype: int, ttl: int, body: bytes, dynamic: str | None, octodns: str | None) -> Rrset:
    """The rrset of a row, without its steering."""
    return Rrset(
        names.from_wire(owner),
        rtype,
        ttl,
        unpack_body(body),
        None if dynamic is None else json.loads(dynamic),
        None if octodns is None else json.loads(octodns),
    )
