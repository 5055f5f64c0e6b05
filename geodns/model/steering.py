"""Steering as frozen values: what a valid `dynamic` record means, after octoDNS's defaults and the `octodns.geodns` block were applied.

Parsing and validation live in `dynamic.py`; this module holds the result that the publisher compiles and the prober watches.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from geodns.model.check import Check

Network = IPv4Network | IPv6Network


class Status(enum.Enum):
    """octoDNS's word on a pool value."""

    OBEY = "obey"
    UP = "up"
    DOWN = "down"


class Select(enum.Enum):
    """How values are chosen within a pool."""

    WEIGHTED = "weighted"
    STICKY = "sticky"
    NEAREST = "nearest"


class AllDown(enum.Enum):
    """What is answered when no pool of the chain can serve."""

    VALUES = "values"
    SERVE_ALL = "serve-all"
    NODATA = "nodata"
    SERVFAIL = "servfail"


@dataclass(frozen=True, slots=True)
class TtlRange:
    """Adaptive ttl in seconds, `min <= max`."""

    min: int
    max: int


@dataclass(frozen=True, slots=True)
class PoolValue:
    """One distinct value of a pool; equal ones were merged, their weights added.

    `value` is the address or the absolute target name as canonical text, `rdata` its wire form. `check` is None when the value is
    not checked (`status: up`/`down`, or healthcheck off). `drained`: weight 0 under `octodns.geodns.values`.
    """

    value: str
    rdata: bytes
    weight: int
    status: Status
    check: Check | None
    drained: bool = False
    site: str = ""
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool; `fallback` names another one or is None. Values are sorted as octoDNS sorts them."""

    name: str
    values: tuple[PoolValue, ...]
    fallback: str | None = None


class RuleOrigin(enum.Enum):
    """Where a rule was written."""

    DYNAMIC = "dynamic.rules"
    OWN = "octodns.geodns.rules"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule matches when any of its predicates does; one without predicates is the catch-all."""

    origin: RuleOrigin
    pool: str
    geos: tuple[str, ...] = ()
    subnets: tuple[Network, ...] = ()
    asns: tuple[int, ...] = ()
    lists: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Steering:
    """A steered rrset. `rules` stand in the order in which they are judged (own rules first); the last is the catch-all.

    `answers` None means all values of the pool. `min_up` is a share, 0.0 to 1.0.
    """

    pools: tuple[Pool, ...]
    rules: tuple[Rule, ...]
    answers: int | None = 1
    select: Select = Select.WEIGHTED
    all_down: AllDown = AllDown.VALUES
    min_up: float = 0.0
    ttl: TtlRange | None = None
