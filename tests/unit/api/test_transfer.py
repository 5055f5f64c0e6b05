"""Whole zones: export in both forms, and import of three."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from tests.unit.api.conftest import Answer, Api
from tests.unit.api.test_records import STEERED

IMPORT = "/zones/example.com/import"

APEX = {"name": "@", "type": "NS", "values": ["ns.example.net."]}

YAML = """---
'':
  type: NS
  values: [ns1.example.com., ns2.example.com.]
ns1: {type: A, value: 192.0.2.53}
ns2: {type: A, value: 198.51.100.53}
www:
- {type: A, ttl: 60, values: [192.0.2.1, 192.0.2.2]}
- {type: TXT, value: hello}
"""

MASTER = """$ORIGIN example.com.
$TTL 300
@ IN SOA ns1 hostmaster 2024010101 7200 900 1209600 300
@ IN NS ns1
ns1 IN A 192.0.2.53
www 60 IN A 192.0.2.1
"""


async def send(api: Api, body: str, media_type: str, *, query: str = "", status: int = 200) -> Answer:
    return await api.check("POST", IMPORT + query, raw=body.encode(), status=status, headers={"Content-Type": media_type})


def lines(head: dict[str, Any], records: Sequence[object]) -> str:
    return "\n".join(json.dumps(line) for line in (head, *records)) + "\n"


async def test_a_yaml_zone_comes_in_and_goes_out(api: Api) -> None:
    done = await send(api, YAML, "application/yaml")
    assert (done.body["upserted"], done.body["deleted"], done.body["changed"], done.body["applied"]) == (5, 0, True, True)
    exported = await api.check("GET", "/zones/example.com/export")
    assert exported.headers["Content-Type"].startswith("application/yaml")
    assert exported.headers["ETag"] == done.headers["ETag"]
    read = yaml.safe_load(exported.body)
    assert read["ns1"]["value"] == "192.0.2.53"
    again = await send(api, exported.body, "application/yaml")
    assert again.body["changed"] is False


async def test_a_master_file_brings_its_soa(api: Api) -> None:
    await send(api, MASTER, "text/dns")
    zone = (await api.check("GET", "/zones/example.com")).body
    assert zone["soa"]["serial"] == 2024010101
    assert zone["soa"]["minimum"] == 300
    exported = await api.check("GET", "/zones/example.com/export?format=zone")
    assert exported.headers["Content-Type"].startswith("text/dns")
    assert "SOA" in exported.body
    assert (await send(api, exported.body, "text/dns")).body["changed"] is False


async def test_json_lines_hold_everything(api: Api) -> None:
    soa = {"mname": "ns1.example.com.", "rname": "admin.example.com.", "refresh": 1, "retry": 2, "expire": 3, "minimum": 4, "ttl": 5}
    records = [
        {"name": "@", "type": "NS", "values": ["ns1.example.com."]},
        {"name": "ns1", "type": "A", "value": "192.0.2.53"},
        {"name": "www", "type": "A", **STEERED},
    ]
    await send(api, lines({"soa": soa, "serial": 7, "default_ttl": 120}, records), "application/jsonl")
    zone = (await api.check("GET", "/zones/example.com")).body
    assert {key: zone["soa"][key] for key in soa} == soa
    assert (zone["soa"]["serial"], zone["default_ttl"]) == (7, 120)
    shown = (await api.check("GET", "/zones/example.com/records/www/A")).body
    assert shown["dynamic"] == STEERED["dynamic"]
    assert (await api.check("GET", "/zones/example.com/records/ns1/A")).body["ttl"] == 120


async def test_the_parameter_stands_over_what_curl_says(api: Api) -> None:
    await send(api, MASTER, "application/x-www-form-urlencoded", query="?format=zone")
    await send(api, MASTER, "application/octet-stream", status=415)


async def test_a_master_file_names_what_it_cannot_say(api: Api) -> None:
    await send(api, lines({}, [APEX, {"name": "www", "type": "A", **STEERED}]), "application/jsonl")
    exported = await api.check("GET", "/zones/example.com/export?format=zone")
    assert "; www is steered" in exported.body


@pytest.mark.parametrize("media_type", ["text/dns", "application/jsonl"])
async def test_a_master_file_ends_no_steering_unasked(api: Api, media_type: str) -> None:
    records = [APEX, {"name": "www", "type": "A", **STEERED}]
    await send(api, lines({}, records), "application/jsonl")
    exported = (await api.check("GET", "/zones/example.com/export?format=zone")).body
    static = {"name": "www", "type": "A", "ttl": STEERED.get("ttl", 3600), "values": STEERED["values"]}
    body = exported if media_type == "text/dns" else lines({"master": True}, [APEX, static])
    refused = await send(api, body, media_type, status=409)
    assert (refused.body["type"], "www/A" in refused.body["detail"]) == ("urn:geodns:problem:unsafe-change", True)
    await send(api, body, media_type, query="?dry_run=true", status=409)
    assert "dynamic" in (await api.check("GET", "/zones/example.com/records/www/A")).body
    await send(api, body, media_type, query="?force=true")
    assert "dynamic" not in (await api.check("GET", "/zones/example.com/records/www/A")).body
    await send(api, lines({}, records), "application/jsonl")
    await send(api, lines({}, [APEX, static]), "application/jsonl")  # this form could have said it


async def test_a_dry_run_says_what_would_change(api: Api) -> None:
    dry = await send(api, YAML, "application/yaml", query="?dry_run=true")
    assert (dry.body["dry_run"], dry.body["changed"], dry.body["upserted"]) == (True, True, 5)
    await api.check("GET", "/zones/example.com", status=404)


async def test_the_brake_holds_and_force_releases_it(api: Api) -> None:
    records = [{"name": f"n{number}", "type": "A", "value": "192.0.2.1"} for number in range(20)]
    await send(api, lines({}, [APEX, *records]), "application/jsonl")
    answer = await send(api, lines({}, [APEX, *records[:10]]), "application/jsonl", status=409)
    assert answer.body["type"] == "urn:geodns:problem:unsafe-change"
    assert (await send(api, lines({}, [APEX, *records[:10]]), "application/jsonl", query="?force=true")).body["deleted"] == 10


async def test_an_import_takes_the_condition_of_the_zone(api: Api) -> None:
    first = await send(api, YAML, "application/yaml")
    headers = {"Content-Type": "application/yaml", "If-Match": '"1"'}
    await api.check("POST", IMPORT, raw=YAML.encode(), status=412, headers=headers)
    headers = {"Content-Type": "text/dns", "If-Match": first.headers["ETag"]}
    await api.check("POST", IMPORT + "?force=true", raw=MASTER.encode(), headers=headers)


@pytest.mark.parametrize(
    ("body", "media_type", "source"),
    [
        (YAML + "bad: {type: A, value: 300.0.0.1}\n", "application/yaml", "example.com.yaml:"),
        (MASTER + "bad IN A 300.0.0.1\n", "text/dns", "example.com.zone:7"),
        (
            lines({}, [{"name": "@", "type": "NS", "value": "ns.example.net."}, {"name": "bad", "type": "A", "value": "x"}]),
            "application/jsonl",
            "example.com.jsonl:3",
        ),
        ("{}\n{\n", "application/jsonl", "example.com.jsonl:2"),
        ("{}\n[]\n", "application/jsonl", "example.com.jsonl:2"),
        ('{"colour": 1}\n', "application/jsonl", "example.com.jsonl:1"),
    ],
)
async def test_problems_name_their_line(api: Api, body: str, media_type: str, source: str) -> None:
    answer = await send(api, body, media_type, status=422)
    assert any(problem.get("source", "").startswith(source) for problem in answer.body["errors"]), answer.body
    await api.check("GET", "/zones/example.com", status=404)


async def test_a_body_that_is_not_utf_8_is_400(api: Api) -> None:
    await api.check("POST", IMPORT, raw=b"\xff\xfe", status=400, headers={"Content-Type": "text/dns"})


async def test_includes_do_not_reach_the_servers_files(api: Api) -> None:
    await send(api, MASTER + "$INCLUDE /etc/passwd\n", "text/dns", status=422)
    await send(api, "x: !include /etc/passwd\n", "application/yaml", status=422)


async def test_a_zone_that_is_not_there_cannot_be_exported(api: Api) -> None:
    await api.check("GET", "/zones/example.com/export", status=404)


@pytest.mark.parametrize("query", ["format=xml", "colour=red"])
async def test_a_form_that_is_not_known_is_refused(api: Api, query: str) -> None:
    await api.check("GET", f"/zones/example.com/export?{query}", status=422)
