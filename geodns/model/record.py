"""Rrsets, zones and owners as the store keeps them and the publisher sends them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import dns.name

from geodns.model.steering import Steering

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rrset:
    """A valid rrset.

    `owner` is absolute and lower-case. `rtype` is the number. `rdatas` are wire form, uncompressed, in stored order; for a steered
    rrset they are the record's own values. `dynamic` and `octodns` are exactly as sent, or None; `steering` is what they mean.
    """

    owner: dns.name.Name
    rtype: int
    ttl: int
    rdatas: tuple[bytes, ...]
    dynamic: JsonObject | None = None
    octodns: JsonObject | None = None
    steering: Steering | None = None


@dataclass(frozen=True, slots=True)
class Soa:
    """The zone's SOA without its serial, which the store counts (contract section 1). Times in seconds."""

    mname: dns.name.Name
    rname: dns.name.Name
    refresh: int = 3600
    retry: int = 600
    expire: int = 604800
    minimum: int = 60
    ttl: int = 3600


@dataclass(frozen=True, slots=True)
class ZoneContents:
    """A whole zone as a source gives it: a file, an import. `soa` None = make one; `serial` None = unix time at creation.

    `rrsets` exclude the SOA. A big zone's are read from a spool each time they are iterated, so they are a collection, not always a tuple.
    `is_master`: the source is a master file, which cannot say how a record is steered.
    """

    apex: dns.name.Name
    rrsets: Collection[Rrset]
    soa: Soa | None = None
    serial: int | None = None
    default_ttl: int = 3600
    is_master: bool = False
