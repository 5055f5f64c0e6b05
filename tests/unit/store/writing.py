"""Short words for the store's tests: zones and records as an author would write them, changes as a client would ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dns.name

from geodns.model import names
from geodns.model.record import Rrset, Soa, ZoneContents
from geodns.model.records import parse_record
from geodns.store import changes
from geodns.store.audit import Actor, Source
from geodns.store.database import Database
from geodns.store.requests import (
    ALWAYS,
    ChangeRecords,
    ChangeRequest,
    Committed,
    CreateZone,
    Delete,
    Pointers,
    Precondition,
    ReplaceZone,
    Upsert,
    WritePolicy,
)

ACTOR = Actor("tester", Source.API, "192.0.2.1", "request-1")
MIRROR = Actor("node-a", Source.MIRROR)
POLICY = WritePolicy(nameservers=(dns.name.from_text("ns2.example.net."), dns.name.from_text("ns1.example.net.")))
APEX = dns.name.from_text("example.com.")

NS = {"name": "@", "type": "NS", "ttl": 3600, "values": ["ns1.example.net.", "ns2.example.net."]}


def a(name: str, *addresses: str, ttl: int = 300) -> dict[str, Any]:
    return {"name": name, "type": "A", "ttl": ttl, "values": list(addresses or ["192.0.2.1"])}


def steered(name: str, *, values: tuple[str, ...] = ("192.0.2.1",), **pools: tuple[str, ...]) -> dict[str, Any]:
    """An A record with a rule for each pool: the first pools by continent, the last one for everybody."""
    continents = ["EU", "NA", "AS", "AF"]
    rules: list[dict[str, Any]] = [{"geos": [continents[index]], "pool": pool} for index, pool in enumerate(list(pools)[:-1])]
    return {
        "name": name,
        "type": "A",
        "ttl": 60,
        "values": list(values),
        "dynamic": {
            "pools": {pool: {"values": [{"value": value} for value in held]} for pool, held in pools.items()},
            "rules": [*rules, {"pool": list(pools)[-1]}],
        },
    }


def rrset(record: Mapping[str, Any], apex: dns.name.Name = APEX) -> Rrset:
    parsed = parse_record(apex, record["name"], record)
    assert parsed.rrset is not None, parsed.problems
    return parsed.rrset


def contents(*records: Mapping[str, Any], apex: dns.name.Name = APEX, serial: int | None = None, soa: Soa | None = None) -> ZoneContents:
    return ZoneContents(apex, tuple(rrset(record, apex) for record in records), soa, serial)


async def do(database: Database, request: ChangeRequest, actor: Actor = ACTOR, policy: WritePolicy = POLICY) -> Committed:
    return await changes.commit(database, request, actor, policy)


async def create(database: Database, *records: Mapping[str, Any], apex: dns.name.Name = APEX, **options: Any) -> Committed:
    return await do(database, CreateZone(contents(NS, *records, apex=apex, **options)))


async def replace(database: Database, *records: Mapping[str, Any], force: bool = False, **options: Any) -> Committed:
    return await do(database, ReplaceZone(contents(NS, *records, **options), force=force))


def upsert(record: Mapping[str, Any], index: int = 0, precondition: Precondition = ALWAYS) -> Upsert:
    at = f"/changes/{index}"
    return Upsert(record["name"], record["type"], record, Pointers(f"{at}/name", f"{at}/type", f"{at}/record"), precondition)


def delete(name: str, rtype: str, *, precondition: Precondition = ALWAYS, missing_ok: bool = True) -> Delete:
    return Delete(name, rtype, Pointers("/changes/0/name", "/changes/0/type"), precondition, missing_ok)


async def change(database: Database, *wanted: Upsert | Delete, actor: Actor = ACTOR, **options: Any) -> Committed:
    return await do(database, ChangeRecords(APEX, wanted, **options), actor)


def zone_name(text: str) -> dns.name.Name:
    return names.parse_zone_name(text)
