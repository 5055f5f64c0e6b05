"""`/zones/{zone}/records` and `/changes`: rrsets in octoDNS's form, one by one and many at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.conftest import Api

RECORDS = "/zones/example.com/records"
CHANGES = "/zones/example.com/changes"

STEERED: dict[str, Any] = {
    "ttl": 30,
    "values": ["192.0.2.10", "198.51.100.10"],
    "dynamic": {
        "pools": {
            "eu": {"fallback": "us", "values": [{"value": "192.0.2.10", "weight": 3}, {"value": "192.0.2.11"}]},
            "us": {"values": [{"value": "198.51.100.10"}]},
        },
        "rules": [{"geos": ["AF", "EU"], "pool": "eu"}, {"pool": "us"}],
    },
    "octodns": {"healthcheck": {"protocol": "HTTP", "port": 80, "path": "/healthz"}, "geodns": {"all_down": "values", "ttl": {"min": 5}}},
}


@pytest.fixture(autouse=True)
async def _zone(api: Api) -> None:
    await api.make_zone()


async def test_a_record_is_put_shown_replaced_and_deleted(api: Api) -> None:
    made = await api.check("PUT", f"{RECORDS}/WWW/a", {"value": "192.0.2.1"}, status=201)
    assert made.body["applied"] is True
    shown = await api.check("GET", f"{RECORDS}/www/A")
    assert shown.body == {"name": "www", "type": "A", "ttl": 3600, "values": ["192.0.2.1"], "revision": made.body["revision"]}
    assert shown.headers["ETag"] == made.headers["ETag"] == f'"{made.body["revision"]}"'
    replaced = await api.check("PUT", f"{RECORDS}/www/A", {"type": "A", "ttl": 60, "values": ["192.0.2.2", "192.0.2.1"]})
    assert replaced.body["serial"] == made.body["serial"] + 1
    assert (await api.check("GET", f"{RECORDS}/www/A")).body["values"] == ["192.0.2.2", "192.0.2.1"]
    await api.check("DELETE", f"{RECORDS}/www/A")
    await api.check("GET", f"{RECORDS}/www/A", status=404)
    await api.check("DELETE", f"{RECORDS}/www/A", status=404)


async def test_a_steered_record_comes_back_exactly_as_it_was_sent(api: Api) -> None:
    await api.check("PUT", f"{RECORDS}/www/A", STEERED, status=201)
    shown = (await api.check("GET", f"{RECORDS}/www/A")).body
    assert {key: shown[key] for key in STEERED} == STEERED
    assert list(shown["dynamic"]["pools"]) == ["eu", "us"]


async def test_a_single_value_type_is_shown_with_value(api: Api) -> None:
    await api.check("PUT", f"{RECORDS}/alias/CNAME", {"value": "www.example.net."}, status=201)
    shown = (await api.check("GET", f"{RECORDS}/alias/CNAME")).body
    assert shown["value"] == "www.example.net."
    assert "values" not in shown


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("@", "@"),
        ("%40", "@"),
        ("example.com.", "@"),
        ("*", "*"),
        ("%2A.a", "*.a"),
        ("a.b.c", "a.b.c"),
        ("www.example.com.", "www"),
        ("0%2F25", "0/25"),
        ("a%5C.b", "a\\.b"),
        ("a%5C032b", "a\\032b"),
        ("%5C255", "\\255"),
        ("_sip._tcp", "_sip._tcp"),
        ("b%C3%BCcher", "xn--bcher-kva"),
        ("50%25", "50%"),
        ("%252F", "%2f"),
    ],
)
async def test_names_in_paths_are_percent_encoded(api: Api, path: str, name: str) -> None:
    await api.check("PUT", f"{RECORDS}/{path}/TXT", {"value": "hello"}, status=201)
    shown = (await api.check("GET", f"{RECORDS}/{path}/TXT")).body
    assert shown["name"] == name
    listed = (await api.check("GET", f"{RECORDS}?type=TXT")).body["items"]
    assert [item["name"] for item in listed] == [name]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("www.example.net./A", 422),
        ("a..b/A", 422),
        ("x" * 64 + "/A", 422),
        ("www/NOSUCHTYPE", 422),
        ("www/ALIAS", 422),
        ("www/URLFWD", 422),
        ("www/SOA", 422),
        ("www", 404),
        ("%FF/A", 400),
        ("%zz/A", 400),
        ("a%2/A", 400),
        ("a%/A", 400),
        ("a/b/A", 404),
    ],
)
async def test_a_path_that_names_no_record_is_an_error(api: Api, path: str, status: int) -> None:
    await api.check("PUT", f"{RECORDS}/{path}", {"value": "192.0.2.1"}, status=status)


async def test_every_problem_of_a_record_is_told_at_once(api: Api) -> None:
    body = {
        "ttl": -1,
        "values": ["192.0.2.1", "300.0.0.1"],
        "dynamic": {"pools": {"one": {"values": [{"value": "192.0.2.2", "weight": 500}], "fallback": "none"}}, "rules": [{"pool": "two"}]},
    }
    answer = await api.check("PUT", f"{RECORDS}/bad/A", body, status=422)
    pointers = [problem["pointer"] for problem in answer.body["errors"]]
    assert len(pointers) >= 5
    assert "/ttl" in pointers
    assert "/values/1" in pointers
    assert all(set(problem) >= {"pointer", "code", "message"} for problem in answer.body["errors"])
    await api.check("GET", f"{RECORDS}/bad/A", status=404)


async def test_a_type_that_contradicts_the_url_is_refused(api: Api) -> None:
    answer = await api.check("PUT", f"{RECORDS}/www/A", {"type": "AAAA", "value": "192.0.2.1"}, status=422)
    assert "/type" in [problem["pointer"] for problem in answer.body["errors"]]


async def test_etags_guard_a_record(api: Api) -> None:
    first = await api.check("PUT", f"{RECORDS}/www/A", {"value": "192.0.2.1"}, status=201, headers={"If-None-Match": "*"})
    etag = first.headers["ETag"]
    await api.check("PUT", f"{RECORDS}/www/A", {"value": "192.0.2.2"}, status=412, headers={"If-None-Match": "*"})
    # Another record's change does not touch this one's ETag.
    await api.check("PUT", f"{RECORDS}/other/A", {"value": "192.0.2.9"}, status=201)
    second = await api.check("PUT", f"{RECORDS}/www/A", {"value": "192.0.2.2"}, headers={"If-Match": etag})
    await api.check("PUT", f"{RECORDS}/www/A", {"value": "192.0.2.3"}, status=412, headers={"If-Match": etag})
    await api.check("DELETE", f"{RECORDS}/www/A", status=412, headers={"If-Match": etag})
    await api.check("PUT", f"{RECORDS}/none/A", {"value": "192.0.2.3"}, status=412, headers={"If-Match": "*"})
    await api.check("GET", f"{RECORDS}/www/A", status=304, headers={"If-None-Match": second.headers["ETag"]})
    await api.check("PUT", f"{RECORDS}/www/A", {"value": "192.0.2.3"}, status=400, headers={"If-Match": "17"})
    await api.check("DELETE", f"{RECORDS}/www/A", headers={"If-Match": f'"0", {second.headers["ETag"]}'})


async def test_a_write_that_is_not_served_yet_is_accepted(api: Api) -> None:
    api.node.applied = False
    for method, path, body in (
        ("PUT", f"{RECORDS}/www/A", {"value": "192.0.2.1"}),
        ("POST", CHANGES, {"changes": [{"op": "delete", "name": "www", "type": "A"}]}),
    ):
        answer = await api.check(method, path, body, status=202)
        assert answer.body["applied"] is False


async def test_records_are_listed_by_name_and_type(api: Api) -> None:
    for name in ("a", "b"):
        for rtype, value in (("A", "192.0.2.1"), ("TXT", "x")):
            await api.check("PUT", f"{RECORDS}/{name}/{rtype}", {"value": value}, status=201)
    every = (await api.check("GET", RECORDS)).body["items"]
    assert [(item["name"], item["type"]) for item in every] == [("@", "NS"), ("a", "A"), ("a", "TXT"), ("b", "A"), ("b", "TXT")]
    assert [item["type"] for item in (await api.check("GET", f"{RECORDS}?name=a")).body["items"]] == ["A", "TXT"]
    assert [item["name"] for item in (await api.check("GET", f"{RECORDS}?type=txt")).body["items"]] == ["a", "b"]
    assert len((await api.check("GET", f"{RECORDS}?name=a&type=A")).body["items"]) == 1
    page = (await api.check("GET", f"{RECORDS}?limit=2")).body
    rest = (await api.check("GET", f"{RECORDS}?limit=3&cursor={page['next']}")).body
    assert len(page["items"]) + len(rest["items"]) == 5
    await api.check("GET", "/zones/absent.example/records", status=404)
    await api.check("GET", f"{RECORDS}?type=NOSUCH", status=422)
    await api.check("GET", f"{RECORDS}?name=www.example.net.", status=422)


async def test_a_changeset_is_whole_or_not_at_all(api: Api) -> None:
    await api.check("PUT", f"{RECORDS}/www/A", {"value": "192.0.2.10"}, status=201)
    changes = [
        {"op": "upsert", "name": "www", "record": {"type": "CNAME", "value": "web.example.com."}},
        {"op": "delete", "name": "www", "type": "A"},
        {"op": "upsert", "name": "web", "type": "A", "record": {"values": ["192.0.2.20", "192.0.2.21"]}},
        {"op": "delete", "name": "absent", "type": "A"},
    ]
    dry = (await api.check("POST", CHANGES, {"changes": changes, "dry_run": True})).body
    assert (dry["dry_run"], dry["upserted"], dry["deleted"], dry["changed"]) == (True, 2, 1, True)
    await api.check("GET", f"{RECORDS}/www/A")
    done = await api.check("POST", CHANGES, {"changes": changes})
    assert (done.body["upserted"], done.body["deleted"], done.body["applied"]) == (2, 1, True)
    await api.check("GET", f"{RECORDS}/www/CNAME")
    broken = [*changes, {"op": "upsert", "name": "x", "type": "MX", "record": {"value": "nonsense"}}]
    before = (await api.check("GET", "/zones/example.com")).headers["ETag"]
    answer = await api.check("POST", CHANGES, {"changes": broken}, status=422)
    assert any(problem["pointer"].startswith("/changes/4/record") for problem in answer.body["errors"])
    assert (await api.check("GET", "/zones/example.com")).headers["ETag"] == before


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"op": "replace", "name": "www"}, "/changes/0/op"),
        ({"op": "upsert", "name": "www"}, "/changes/0/record"),
        ({"op": "upsert", "name": "www", "type": "A", "record": []}, "/changes/0/record"),
        ({"op": "upsert", "type": "A", "record": {}}, "/changes/0/name"),
        ({"op": "upsert", "name": "a..b", "type": "A", "record": {"value": "192.0.2.1"}}, "/changes/0/name"),
        ({"op": "delete", "name": "www"}, "/changes/0/type"),
        ({"op": "delete", "name": "www", "type": "A", "record": {}}, "/changes/0/record"),
        ({"op": "delete", "name": "www", "type": "NOSUCH"}, "/changes/0/type"),
        ({"op": "delete", "name": "www", "type": "A", "colour": "red"}, "/changes/0/colour"),
    ],
)
async def test_a_malformed_change_is_told_with_its_place(api: Api, change: dict[str, Any], pointer: str) -> None:
    answer = await api.check("POST", CHANGES, {"changes": [change]}, status=422)
    assert pointer in [problem["pointer"] for problem in answer.body["errors"]], answer.body


async def test_one_rrset_twice_in_a_changeset_is_refused(api: Api) -> None:
    change = {"op": "upsert", "name": "www", "type": "A", "record": {"value": "192.0.2.1"}}
    await api.check("POST", CHANGES, {"changes": [change, {**change, "name": "WWW.example.com."}]}, status=422)


async def test_a_changeset_takes_the_condition_of_the_zone(api: Api) -> None:
    etag = (await api.check("GET", "/zones/example.com")).headers["ETag"]
    change = {"changes": [{"op": "upsert", "name": "www", "type": "A", "record": {"value": "192.0.2.1"}}]}
    await api.check("POST", CHANGES, change, headers={"If-Match": etag})
    await api.check("POST", CHANGES, change, status=412, headers={"If-Match": etag})


async def test_a_zone_that_is_not_there_is_not_found(api: Api) -> None:
    await api.check("PUT", "/zones/absent.example/records/www/A", {"value": "192.0.2.1"}, status=404)
    await api.check("POST", "/zones/absent.example/changes", {"changes": []}, status=404)


async def test_a_warning_lets_the_write_pass_and_is_told(api: Api) -> None:
    answer = await api.check("PUT", f"{RECORDS}/www/A", {"values": ["192.0.2.1", "192.0.2.1"]}, status=201)
    assert [problem["severity"] for problem in answer.body["warnings"]] == ["warning"]
