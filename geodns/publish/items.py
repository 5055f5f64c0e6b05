"""The items of a transfer: stored rows and frozen steering values to the bytes of docs/link-protocol.md sections 2 and 3.

It encodes only; the dataplane decodes. It validates nothing that the model has judged, but refuses what the format cannot carry.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from geodns.model.prefixes import Prefixes, pack_network
from geodns.model.steering import AllDown, Pool, PoolValue, Rule, RuleOrigin, Select, Status, Steering

# An item above this is refused by the dataplane; an owner name with the most rdata the DNS allows stays far below it.
MAX_ITEM = 32 * 1024 * 1024
STEERED_VERSION = 1
NO_FALLBACK = 0xFFFF
MILLION = 1_000_000

_ITEM = struct.Struct(">BI")
_RRSET = struct.Struct(">HIBI")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_STEERED = struct.Struct(">BHBBIBII")
_POOL = struct.Struct(">HH")
_VALUE = struct.Struct(">IIBB")
_COORDINATES = struct.Struct(">Bii")
_RULE = struct.Struct(">BH")
_OWN_VALUE = struct.Struct(">IH")

_ZONE, _ZONE_DROP, _OWNER, _LIST, _LIST_DROP = range(1, 6)
_STATIC, _STEERED_FORM = 0, 1

_SELECT = {Select.WEIGHTED: 0, Select.STICKY: 1, Select.NEAREST: 2}
_ALL_DOWN = {AllDown.VALUES: 0, AllDown.SERVE_ALL: 1, AllDown.NODATA: 2, AllDown.SERVFAIL: 3}
_STATUS = {Status.OBEY: 0, Status.UP: 1, Status.DOWN: 2}
_ORIGIN = {RuleOrigin.DYNAMIC: 0, RuleOrigin.OWN: 1}


@dataclass(frozen=True, slots=True)
class ItemBatch:
    """Several whole items end to end, and how many they are."""

    count: int
    data: bytes


@dataclass(frozen=True, slots=True)
class OwnValue:
    """One of a steered record's own `values`, the last resort; it has an id so that an override can name it."""

    value_id: int
    rdata: bytes


class ValueIds(Protocol):
    """The id of each (pool, value) of one steered rrset: the store gives them and never gives one twice in a lineage."""

    def __getitem__(self, key: tuple[str, str]) -> int: ...


def zone_item(apex: bytes) -> bytes:
    """The zone exists."""
    return _item(_ZONE, apex)


def zone_drop_item(apex: bytes) -> bytes:
    """The zone and all its owner names vanish."""
    return _item(_ZONE_DROP, apex)


def owner_item(apex: bytes, owner: bytes, rrsets: Sequence[bytes]) -> bytes:
    """Everything at an owner name; no rrsets remove it."""
    return _item(_OWNER, b"".join((apex, owner, _U16.pack(len(rrsets)), *rrsets)))


def list_item(name: str, prefixes: Prefixes) -> bytes:
    """A named CIDR list."""
    return _item(_LIST, _text8(name) + _U32.pack(prefixes.count) + prefixes.body)


def list_drop_item(name: str) -> bytes:
    """The named list vanishes."""
    return _item(_LIST_DROP, _text8(name))


def static_rrset(rtype: int, ttl: int, rdatas: Sequence[bytes]) -> bytes:
    """An rrset in form 0, rdata in stored order."""
    body = b"".join((_U16.pack(len(rdatas)), *(_sized(rdata) for rdata in rdatas)))
    return _RRSET.pack(rtype, ttl, _STATIC, len(body)) + body


def packed_rrset(rtype: int, ttl: int, body: bytes) -> bytes:
    """An rrset in form 0 whose body the store keeps already packed: the hot path of a FULL."""
    return _RRSET.pack(rtype, ttl, _STATIC, len(body)) + body


def steered_rrset(rtype: int, ttl: int, own: Sequence[OwnValue], steering: Steering, ids: ValueIds) -> bytes:
    """An rrset in form 1."""
    body = steered_body(own, steering, ids)
    return _RRSET.pack(rtype, ttl, _STEERED_FORM, len(body)) + body


def steered_body(own: Sequence[OwnValue], steering: Steering, ids: ValueIds) -> bytes:
    """Section 3 of the format."""
    positions = {pool.name: index for index, pool in enumerate(steering.pools)}
    bounds = steering.ttl
    head = _STEERED.pack(
        STEERED_VERSION,
        steering.answers or 0,
        _SELECT[steering.select],
        _ALL_DOWN[steering.all_down],
        round(steering.min_up * MILLION),
        bounds is not None,
        bounds.min if bounds else 0,
        bounds.max if bounds else 0,
    )
    parts = [head, _U16.pack(len(own))]
    parts += [_OWN_VALUE.pack(value.value_id, len(value.rdata)) + value.rdata for value in own]
    parts.append(_U16.pack(len(steering.pools)))
    parts += [_pool(pool, positions, ids) for pool in steering.pools]
    parts.append(_U16.pack(len(steering.rules)))
    parts += [_rule(rule, positions) for rule in steering.rules]
    return b"".join(parts)


def _pool(pool: Pool, positions: Mapping[str, int], ids: ValueIds) -> bytes:
    fallback = NO_FALLBACK if pool.fallback is None else positions[pool.fallback]
    values = (_value(value, ids[pool.name, value.value]) for value in pool.values)
    return b"".join((_text8(pool.name), _POOL.pack(fallback, len(pool.values)), *values))


def _value(value: PoolValue, value_id: int) -> bytes:
    return b"".join(
        (
            _VALUE.pack(value_id, value.weight, _STATUS[value.status], value.drained),
            _text8(value.site),
            _coordinates(value),
            _sized(value.rdata),
        )
    )


def _coordinates(value: PoolValue) -> bytes:
    if value.latitude is None or value.longitude is None:
        return _COORDINATES.pack(0, 0, 0)
    return _COORDINATES.pack(1, round(value.latitude * MILLION), round(value.longitude * MILLION))


def _rule(rule: Rule, positions: Mapping[str, int]) -> bytes:
    return b"".join(
        (
            _RULE.pack(_ORIGIN[rule.origin], positions[rule.pool]),
            _U16.pack(len(rule.geos)),
            *(_text8(geo) for geo in rule.geos),
            _U32.pack(len(rule.subnets)),
            *(pack_network(network) for network in rule.subnets),
            _U16.pack(len(rule.asns)),
            *(_U32.pack(asn) for asn in rule.asns),
            _U16.pack(len(rule.lists)),
            *(_text8(name) for name in rule.lists),
        )
    )


def _text8(text: str) -> bytes:
    data = text.encode()
    return bytes((len(data),)) + data


def _sized(data: bytes) -> bytes:
    return _U16.pack(len(data)) + data


def _item(kind: int, payload: bytes) -> bytes:
    if len(payload) > MAX_ITEM:
        raise ValueError(f"an item of {len(payload)} bytes is over the limit of {MAX_ITEM}")
    return _ITEM.pack(kind, len(payload)) + payload
