"""The route table as a whole: roles, errors, limits, and that OpenAPI and docs/api.md say what is true."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from pathlib import Path
from typing import Any

import openapi_spec_validator
import pytest

from geodns.api import binding
from geodns.api.auth import GUESSES, Role
from geodns.api.binding import Route
from geodns.api.body import JSON_LIMIT
from geodns.api.openapi import describe
from geodns.api.table import ROUTES
from geodns.control.overlay import OverrideKind
from geodns.control.simulation import Assumed, Databases, Prefixes
from geodns.errors import (
    Busy,
    Conflict,
    DatabaseUnavailable,
    DataplaneUnavailable,
    Forbidden,
    ForeignHistory,
    GeodnsError,
    InvalidInput,
    MirroredZone,
    NotFound,
    PreconditionFailed,
    Problem,
    SchemaTooNew,
    Unauthorized,
    UnsafeChange,
)
from tests.unit.api.conftest import ADMIN, TOKENS, Api

DOCS = Path(__file__).parents[3] / "docs"

RECORD = "/zones/example.com/records/www/A"


def example_path(route: Route) -> str:
    """The route with something in its parts that is not there."""
    path = re.sub(r"\{[a-z_]+(:[^}]*)?\}", "x", route.path)
    return path.removeprefix("/api/v1") if path.startswith("/api/v1") else f"/{path}"


def route_name(route: Route) -> str:
    return route.name


@pytest.mark.parametrize("role", [None, *Role], ids=lambda role: role.value if role else "none")
@pytest.mark.parametrize("route", ROUTES, ids=route_name)
async def test_every_route_asks_for_its_role(api: Api, route: Route, role: Role | None) -> None:
    token = None if role is None else TOKENS[role]
    answer = await api.request(route.method, example_path(route), token=token)
    if route.role is None:
        assert answer.status not in (401, 403)
    elif role is None:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="geodns"'
    elif not role.covers(route.role):
        assert answer.status == 403
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    else:
        assert answer.status not in (401, 403)
    if answer.status >= 400:
        assert answer.headers["Content-Type"].startswith("application/problem+json")


def test_the_openapi_document_is_valid_openapi_3_1() -> None:
    document = describe(ROUTES)
    assert document["openapi"].startswith("3.1")
    openapi_spec_validator.validate(json.loads(json.dumps(document)))
    assert {(method.upper(), path) for path, methods in document["paths"].items() for method in methods} == {
        (route.method, route.path) for route in ROUTES
    }
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


async def test_the_openapi_document_is_served_to_anyone(api: Api) -> None:
    answer = await api.check("GET", "/openapi.json", token=None)
    assert answer.body["info"]["title"] == "geodns"


def test_every_route_is_documented() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    for route in ROUTES:
        role = "none" if route.role is None else f"`{route.role.value}`"
        assert f"| `{route.method}` | `{route.path}` | {role} | {route.summary} |" in page


@pytest.mark.parametrize("path", ["/nothing", "//", "//api", "//api/v2/zones", "/zones/", "/zones/a/records/b/c/d"])
async def test_an_unknown_route_is_404(api: Api, path: str) -> None:
    await api.check("GET", path, status=404)


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_an_unknown_method_is_405_and_names_the_others(api: Api, method: str) -> None:
    answer = await api.check(method, "/zones", status=405)
    assert answer.headers["Allow"] == "GET, HEAD, POST"


async def test_head_goes_where_get_goes(api: Api) -> None:
    await api.make_zone()
    answer = await api.check("HEAD", "/zones/example.com")
    assert answer.headers["ETag"]
    assert answer.body == ""


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidInput([Problem("/a", "b", "c")]), 422, "invalid-input"),
        (NotFound("x"), 404, "not-found"),
        (Conflict("x"), 409, "conflict"),
        (ForeignHistory("x"), 409, "foreign-history"),
        (MirroredZone("x"), 409, "mirrored-zone"),
        (UnsafeChange("x", hint="force"), 409, "unsafe-change"),
        (PreconditionFailed("x"), 412, "precondition-failed"),
        (DatabaseUnavailable("x"), 503, "database-unavailable"),
        (SchemaTooNew("x"), 503, "schema-too-new"),
        (DataplaneUnavailable("x"), 503, "dataplane-unavailable"),
        (Busy("x"), 503, "busy"),
        (Unauthorized("x"), 401, "unauthorized"),
        (Forbidden("x"), 403, "forbidden"),
        (GeodnsError("secret detail"), 500, "internal"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, GeodnsError) else "",
)
async def test_each_exception_has_its_status(api: Api, error: GeodnsError, status: int, kind: str) -> None:
    api.node.error = error
    answer = await api.check("PUT", RECORD, {"value": "192.0.2.1"}, status=status)
    assert answer.body["type"] == f"urn:geodns:problem:{kind}"
    assert answer.body.get("hint") == (error.hint if status != 500 else None)
    assert ("Retry-After" in answer.headers) == (kind in ("database-unavailable", "dataplane-unavailable", "busy"))
    assert "secret" not in json.dumps(answer.body)


async def test_an_unexpected_error_says_nothing_of_itself(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*arguments: object) -> None:
        raise KeyError("secret detail")

    monkeypatch.setattr(api.node, "write", fail)
    answer = await api.check("PUT", RECORD, {"value": "192.0.2.1"}, status=500)
    assert "secret" not in json.dumps(answer.body)
    assert "KeyError" not in json.dumps(answer.body)


async def test_every_validation_problem_is_told(api: Api) -> None:
    found = [Problem("/a/b", "one", "first"), Problem("", "two", "second", source="zones/x.yaml:3")]
    api.node.error = InvalidInput(found)
    answer = await api.check("PUT", RECORD, {"value": "192.0.2.1"}, status=422)
    assert answer.body["errors"] == [
        {"pointer": "/a/b", "code": "one", "message": "first", "severity": "error"},
        {"pointer": "", "code": "two", "message": "second", "severity": "error", "source": "zones/x.yaml:3"},
    ]


@pytest.mark.parametrize("raw", [b"{", b"", b"\xff", b'{"a": NaN}', b"[" * 50_000])
async def test_malformed_json_is_400(api: Api, raw: bytes) -> None:
    answer = await api.check("PUT", RECORD, raw=raw, status=400, headers={"Content-Type": "application/json"})
    assert answer.body["type"] == "urn:geodns:problem:malformed-json"


async def test_another_media_type_is_415_and_names_ours(api: Api) -> None:
    answer = await api.check("PUT", RECORD, raw=b"a=b", status=415, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert "application/json" in answer.headers["Accept"]


async def test_a_compressed_body_is_never_inflated(api: Api) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    answer = await api.check("PUT", RECORD, raw=bomb, status=415, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
    assert answer.headers["Accept-Encoding"] == "identity"


async def test_a_body_past_the_limit_is_413(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    await api.check("PUT", RECORD, raw=b'"' + b"x" * JSON_LIMIT + b'"', status=413, headers=headers)


async def test_a_body_without_a_length_is_read_only_to_the_limit(api: Api) -> None:
    port = int(api.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"PUT /api/v1{RECORD} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for _ in range(JSON_LIMIT // 0x10000 + 1):
        writer.write(chunk)
    status = await asyncio.wait_for(reader.readline(), 10)
    assert b" 413 " in status
    writer.close()


async def test_a_stranger_cannot_make_us_read_a_body(api: Api) -> None:
    await api.check("PUT", RECORD, raw=b"{", token=None, status=401, headers={"Content-Type": "application/json"})


async def test_guessing_is_limited(api: Api) -> None:
    for _ in range(GUESSES):
        await api.check("GET", "/zones", token="guess", status=401)  # noqa: S106 # a wrong token
    answer = await api.check("GET", "/zones", token="guess", status=429)  # noqa: S106 # a wrong token
    assert int(answer.headers["Retry-After"]) > 0
    await api.check("GET", "/zones")
    await api.check("GET", "//healthz", token=None)


async def test_responses_name_the_request_and_neither_program_nor_version(api: Api) -> None:
    answer = await api.check("GET", "/zones", headers={"X-Request-ID": "abc-123"})
    assert answer.headers["X-Request-ID"] == "abc-123"
    assert answer.headers["Server"] == binding.SERVER
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    forged = await api.check("GET", "/zones", headers={"X-Request-ID": "x" * 65})
    assert re.fullmatch("[0-9a-f]{32}", forged.headers["X-Request-ID"])


async def test_liveness_readiness_and_metrics_need_no_token(api: Api) -> None:
    assert (await api.check("GET", "//healthz", token=None)).body["status"] == "alive"
    assert (await api.check("GET", "//readyz", token=None)).body["status"] == "ready"
    metrics = await api.check("GET", "//metrics", token=None)
    assert 'geodns_dns_queries_total{transport="udp4"} 3.0' in metrics.body
    api.node.is_ready = False
    answer = await api.request("GET", "//readyz", token=None)
    assert answer.status == 503
    assert answer.body["reason"] == "the dataplane has adopted nothing"


async def test_status_is_the_nodes_own_word(api: Api) -> None:
    assert (await api.check("GET", "/status")).body == {"problems": [], "dataplane": {"connected": True}}


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("name=www.example.com", ("www.example.com.", "A", "127.0.0.1")),
        ("name=WWW.example.com.&type=aaaa&client=192.0.2.1", ("www.example.com.", "AAAA", "192.0.2.1")),
        ("name=a&client=192.0.2.77/24", ("a.", "A", "192.0.2.0/24")),
        ("name=a&client=2001:DB8::1", ("a.", "A", "2001:db8::1")),
    ],
)
async def test_explain_asks_the_dataplane(api: Api, query: str, asked: tuple[str, str, str]) -> None:
    await api.check("GET", f"/explain?{query}")
    assert api.node.questions == [asked]


@pytest.mark.parametrize("query", ["", "name=", "name=a..b", "name=a&type=NOSUCH", "name=a&client=x", "name=a&client=192.0.2.0/33"])
async def test_explain_refuses_what_is_no_question(api: Api, query: str) -> None:
    await api.check("GET", f"/explain?{query}", status=422)


async def test_explain_without_a_dataplane_is_503(api: Api) -> None:
    api.node.is_ready = False
    answer = await api.check("GET", "/explain?name=a", status=503)
    assert "Retry-After" in answer.headers


async def test_simulate_asks_for_records_assumptions_and_clients(api: Api) -> None:
    assume = [{"target": "site/fra1", "state": "fail"}, {"target": "pool/WWW.example.com./a/eu", "state": "drain"}]
    await api.check("POST", "/simulate", {"name": "www.example.com", "type": "a", "assume": assume, "seed": 3}, token=TOKENS[Role.READ])
    clients = [{"prefix": "192.0.2.0/24", "weight": 3}, {"prefix": "2001:db8::/32"}, {"prefix": "::ffff:198.51.100.0/120"}]
    await api.check("POST", "/simulate", {"assume": [{"target": "value/192.0.2.10", "state": "down"}], "population": clients})
    named, all_of_them = api.node.simulated
    assert (str(named.name), named.rtype, named.seed) == ("www.example.com.", 1, 3)
    assert named.assumptions == {(OverrideKind.SITE, "fra1"): Assumed.FAIL, (OverrideKind.POOL, "www.example.com/A/eu"): Assumed.DRAIN}
    assert named.population == Databases(0.5)
    assert isinstance(all_of_them.population, Prefixes)
    weights = [(str(network), weight) for network, weight in all_of_them.population.weights]
    assert weights == [("192.0.2.0/24", 3.0), ("2001:db8::/32", 1.0), ("198.51.100.0/24", 1.0)]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"name": "a..b", "type": "NOSUCH"}, {"/name", "/type"}),
        ({"type": "A"}, {"/name"}),
        ({"record": {"value": "192.0.2.1"}}, {"/name"}),
        ({"assume": [{"target": "zone/x", "state": "up"}, {"target": "pool/x", "state": "up"}]}, {"/assume/0/target", "/assume/1/target"}),
        ({"assume": [{"target": "site/a", "state": "up"}, {"target": "site/a", "state": "down"}]}, {"/assume/1/target"}),
        ({"assume": [{"target": "site/a", "state": "gone"}]}, {"/assume/0/state"}),
        ({"assume": [{"target": "site/a", "state": "up"}] * 1001}, {"/assume"}),
        ({"population": [{"prefix": "192.0.2.1/24"}, {"prefix": "x"}]}, {"/population/0/prefix", "/population/1/prefix"}),
        ({"population": [{"prefix": "192.0.2.0/24", "weight": 0}]}, {"/population"}),
        ({"population": [{"prefix": "192.0.2.0/24", "weight": -1}]}, {"/population/0/weight"}),
        ({"population": []}, {"/population"}),
        ({"population": [{"prefix": "192.0.2.0/24"}] * 20_001}, {"/population"}),
        ({"ipv6_share": 1.5}, {"/ipv6_share"}),
        ({"seed": 2**63}, {"/seed"}),
        ({"assumptions": []}, {"/assumptions"}),
    ],
)
async def test_simulate_refuses_what_is_no_question(api: Api, body: dict[str, Any], pointers: set[str]) -> None:
    answer = await api.check("POST", "/simulate", body, status=422)
    assert {problem["pointer"] for problem in answer.body["errors"]} == pointers
    assert not api.node.simulated


async def test_the_audit_trail_tells_who_did_what(api: Api) -> None:
    await api.make_zone()
    await api.check("PUT", RECORD, {"value": "192.0.2.1"}, status=201, token=TOKENS[Role.WRITE], headers={"X-Request-ID": "abc"})
    (newest, *_) = (await api.check("GET", "/audit?subject=example.com")).body["items"]
    assert {key: newest[key] for key in ("actor", "source", "address", "request_id", "subject")} == {
        "actor": "the write",
        "source": "api",
        "address": "127.0.0.1",
        "request_id": "abc",
        "subject": "example.com",
    }


async def test_a_revision_tells_what_it_changed(api: Api) -> None:
    await api.make_zone()
    await api.check("PUT", RECORD, {"ttl": 60, "value": "192.0.2.1"}, status=201)
    changed = await api.check("PUT", RECORD, {"ttl": 60, "values": ["192.0.2.2", "192.0.2.3"]})
    (newest, *_) = (await api.check("GET", "/audit")).body["items"]
    assert newest["revision"] == changed.body["revision"]
    told = await api.check("GET", f"/audit/{newest['revision']}/changes")
    assert told.body == {
        "items": [
            {
                "zone": "example.com",
                "name": "www",
                "type": "A",
                "before": {"ttl": 60, "values": ["192.0.2.1"]},
                "after": {"ttl": 60, "values": ["192.0.2.2", "192.0.2.3"]},
            }
        ],
        "next": None,
    }
    assert (await api.check("PUT", RECORD, told.body["items"][0]["before"])).body["changed"], "what was before can be put back as it is"
    await api.check("DELETE", RECORD)
    (newest, *_) = (await api.check("GET", "/audit")).body["items"]
    (gone,) = (await api.check("GET", f"/audit/{newest['revision']}/changes")).body["items"]
    assert (gone["before"], gone["after"]) == ({"ttl": 60, "values": ["192.0.2.1"]}, None)
    assert (await api.check("GET", "/audit/9999/changes")).body["items"] == []
    for revision in ("x", "-1", str(2**63), "%C2%B2", "9" * 5000):
        await api.check("GET", f"/audit/{revision}/changes", status=404)


async def test_lists_are_made_shown_replaced_and_deleted(api: Api) -> None:
    made = await api.check(
        "POST", "/lists", {"name": "my office", "prefixes": ["192.0.2.0/24", "2001:db8::/32", "198.51.100.1"]}, status=201
    )
    assert made.headers["Location"] == "/api/v1/lists/my%20office"
    shown = await api.check("GET", "/lists/my%20office")
    assert shown.body["prefixes"] == ["192.0.2.0/24", "2001:db8::/32", "198.51.100.1/32"]
    assert shown.headers["ETag"] == made.headers["ETag"]
    await api.check("POST", "/lists", {"name": "my office", "prefixes": []}, status=412)
    await api.check("PUT", "/lists/my%20office", {"prefixes": ["203.0.113.0/24"]}, headers={"If-Match": shown.headers["ETag"]})
    await api.check("PUT", "/lists/my%20office", {"prefixes": []}, status=412, headers={"If-Match": shown.headers["ETag"]})
    listed = (await api.check("GET", "/lists")).body["items"]
    assert [(item["name"], item["size"]) for item in listed] == [("my office", 1)]
    await api.check("DELETE", "/lists/my%20office")
    await api.check("GET", "/lists/my%20office", status=404)
    await api.check("PUT", "/lists/my%20office", {"prefixes": []}, status=201)


async def test_every_bad_prefix_of_a_list_is_told(api: Api) -> None:
    answer = await api.check("PUT", "/lists/office", {"prefixes": ["192.0.2.1/24", "192.0.2.0/24", "x", 5]}, status=422)
    assert [problem["pointer"] for problem in answer.body["errors"]] == ["/prefixes/3"]
    answer = await api.check("PUT", "/lists/office", {"prefixes": ["192.0.2.1/24", "192.0.2.0/24", "x"]}, status=422)
    assert [problem["pointer"] for problem in answer.body["errors"]] == ["/prefixes/0", "/prefixes/2"]


async def test_a_list_can_be_text_one_prefix_a_line(api: Api) -> None:
    text = b"# ours\n192.0.2.0/24 # main\n\n2001:db8::/32\r\n"
    await api.check("PUT", "/lists/office", raw=text, status=201, headers={"Content-Type": "text/plain"})
    assert (await api.check("GET", "/lists/office")).body["prefixes"] == ["192.0.2.0/24", "2001:db8::/32"]
    answer = await api.check(
        "PUT", "/lists/office", raw=b"192.0.2.0/24\n192.0.2.1/24\nx\xff\n", status=422, headers={"Content-Type": "text/plain"}
    )
    assert [problem["source"] for problem in answer.body["errors"]] == ["line 2", "line 3"]


async def test_a_list_longer_than_other_bodies_is_taken(api: Api) -> None:
    text = "\n".join(f"10.{number >> 8}.{number & 255}.0/24" for number in range(65536)).encode() + b"\n" + b"#" * JSON_LIMIT
    await api.check("PUT", "/lists/large", raw=text, status=201, headers={"Content-Type": "text/plain"})
    assert (await api.check("GET", "/lists")).body["items"][0]["size"] == 65536
