"""`/zones`: zones, their SOA, their default ttl, and conditions on them."""

from __future__ import annotations

from typing import Any

import pytest

from geodns.store.audit import Source
from tests.unit.api.conftest import Api

JSON = {"Content-Type": "application/json"}


async def test_a_zone_is_made_shown_listed_changed_and_deleted(api: Api) -> None:
    made = await api.check("POST", "/zones", {"name": "Example.COM.", "nameservers": ["ns1", "ns2.example.net."]}, status=201)
    assert made.headers["Location"] == "/api/v1/zones/example.com"
    assert made.body["applied"] is True
    shown = await api.check("GET", "/zones/example.com")
    assert shown.headers["ETag"] == made.headers["ETag"]
    assert shown.body["name"] == "example.com"
    assert shown.body["default_ttl"] == 3600
    soa = shown.body["soa"]
    assert (soa["mname"], soa["rname"]) == ("ns1.example.com.", "hostmaster.example.com.")
    assert [soa[key] for key in ("refresh", "retry", "expire", "minimum", "ttl")] == [3600, 600, 604800, 60, 3600]
    listed = await api.check("GET", "/zones")
    assert [zone["name"] for zone in listed.body["items"]] == ["example.com"]
    assert listed.body["next"] is None
    patched = await api.check("PATCH", "/zones/example.com", {"default_ttl": 60, "soa": {"rname": "dns.admin@example.com", "minimum": 5}})
    assert patched.body["changed"] is True
    assert patched.body["serial"] == soa["serial"] + 1
    after = (await api.check("GET", "/zones/example.com")).body
    assert after["default_ttl"] == 60
    assert after["soa"]["rname"] == "dns\\.admin.example.com."
    assert after["soa"]["minimum"] == 5
    deleted = await api.check("DELETE", "/zones/example.com")
    assert deleted.body["changed"] is True
    await api.check("GET", "/zones/example.com", status=404)
    await api.check("DELETE", "/zones/example.com", status=404)
    assert {(actor.name, actor.source, actor.address) for actor in api.node.actors} == {("admin token", Source.API, "127.0.0.1")}


async def test_a_soa_can_be_given_whole(api: Api) -> None:
    soa = {"mname": "ns.example.net", "rname": "admin.example.net", "refresh": 1, "retry": 2, "expire": 3, "minimum": 4, "ttl": 5}
    await api.check("POST", "/zones", {"name": "example.com", "nameservers": ["ns.example.net."], "soa": soa}, status=201)
    shown = (await api.check("GET", "/zones/example.com")).body["soa"]
    assert {key: shown[key] for key in soa} == {**soa, "mname": "ns.example.net.", "rname": "admin.example.net."}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": 5}, "/name"),
        ({"name": "a..b"}, "/name"),
        ({"name": "example.com", "colour": "red"}, "/colour"),
        ({"name": "example.com", "default_ttl": -1}, "/default_ttl"),
        ({"name": "example.com", "default_ttl": "60"}, "/default_ttl"),
        ({"name": "example.com", "default_ttl": True}, "/default_ttl"),
        ({"name": "example.com", "soa": {"expire": 2**31}}, "/soa/expire"),
        ({"name": "example.com", "soa": {"rname": "a@@b"}, "nameservers": ["ns1"]}, "/soa/rname"),
        ({"name": "example.com", "nameservers": ["ns1", "-..x"]}, "/nameservers/1"),
        ([], ""),
        (None, ""),
    ],
)
async def test_what_is_wrong_with_a_zone_is_told_with_its_place(api: Api, body: Any, pointer: str) -> None:
    answer = await api.check("POST", "/zones", body, status=422, **({"raw": b"null", "headers": JSON} if body is None else {}))
    assert pointer in [problem["pointer"] for problem in answer.body["errors"]], answer.body
    assert (await api.check("GET", "/zones")).body["items"] == []


async def test_a_zone_without_name_servers_is_refused(api: Api) -> None:
    answer = await api.check("POST", "/zones", {"name": "example.com"}, status=422)
    assert answer.body["errors"]


async def test_a_second_zone_of_the_name_is_a_conflict(api: Api) -> None:
    await api.make_zone()
    await api.check("POST", "/zones", {"name": "EXAMPLE.com", "nameservers": ["ns1"]}, status=409)


async def test_conditions_guard_a_zone(api: Api) -> None:
    await api.make_zone()
    etag = (await api.check("GET", "/zones/example.com")).headers["ETag"]
    await api.check("GET", "/zones/example.com", status=304, headers={"If-None-Match": etag})
    changed = await api.check("PATCH", "/zones/example.com", {"default_ttl": 1}, headers={"If-Match": etag})
    await api.check("PATCH", "/zones/example.com", {"default_ttl": 2}, status=412, headers={"If-Match": etag})
    await api.check("DELETE", "/zones/example.com", status=412, headers={"If-Match": etag})
    # A zone's ETag is that of the last change of anything in it.
    written = await api.check("PUT", "/zones/example.com/records/www/A", {"value": "192.0.2.1"}, status=201)
    await api.check("GET", "/zones/example.com", headers={"If-None-Match": changed.headers["ETag"]})
    await api.check("DELETE", "/zones/example.com", headers={"If-Match": written.headers["ETag"]})


async def test_a_change_that_changes_nothing_takes_no_revision(api: Api) -> None:
    await api.make_zone()
    before = (await api.check("GET", "/zones/example.com")).body
    same = await api.check("PATCH", "/zones/example.com", {"default_ttl": before["default_ttl"]})
    assert same.body["changed"] is False
    assert "ETag" not in same.headers
    assert (await api.check("GET", "/zones/example.com")).body == before


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("@", "@"),
        ("@", "%40"),
        ("2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa."),
        ("0/25.2.0.192.in-addr.arpa", "0%2F25.2.0.192.in-addr.arpa"),
        ("bücher.example", "b%C3%BCcher.example"),
    ],
)
async def test_zones_are_found_by_every_spelling(api: Api, name: str, path: str) -> None:
    made = await api.check("POST", "/zones", {"name": name, "nameservers": ["ns.example.net."]}, status=201)
    shown = await api.check("GET", f"/zones/{path}")
    assert f"/zones/{shown.body['name'].replace('/', '%2F').replace('@', '%40')}" in made.headers["Location"]


async def test_lists_go_on_where_they_stopped(api: Api) -> None:
    for number in range(5):
        await api.make_zone(f"z{number}.example")
    first = (await api.check("GET", "/zones?limit=2")).body
    second = (await api.check("GET", f"/zones?limit=2&cursor={first['next']}")).body
    third = (await api.check("GET", f"/zones?limit=2&cursor={second['next']}")).body
    assert [zone["name"] for page in (first, second, third) for zone in page["items"]] == [f"z{number}.example" for number in range(5)]
    assert third["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=%21", "colour=red", "limit=1&limit=2"])
async def test_a_bad_query_is_refused_with_its_parameter(api: Api, query: str) -> None:
    answer = await api.check("GET", f"/zones?{query}", status=422)
    assert answer.body["errors"], answer.body
