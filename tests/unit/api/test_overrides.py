"""`/overrides` and `/health/freeze`: targets in every spelling, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.api.conftest import Api


async def test_an_override_is_put_shown_replaced_and_cleared(api: Api) -> None:
    expires_at = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    made = await api.check("PUT", "/overrides/value/192.0.2.10", {"state": "down", "reason": "disk", "expires_at": expires_at}, status=201)
    assert {key: made.body[key] for key in ("kind", "target", "state", "reason", "author")} == {
        "kind": "value",
        "target": "192.0.2.10",
        "state": "down",
        "reason": "disk",
        "author": "admin token",
    }
    assert datetime.fromisoformat(made.body["expires_at"]) == datetime.fromisoformat(expires_at)
    assert (await api.check("GET", "/overrides/value/192.0.2.10")).body == made.body
    await api.check("PUT", "/overrides/value/192.0.2.10", {"state": "drain"})
    listed = (await api.check("GET", "/overrides")).body["items"]
    assert [(item["target"], item["state"], item["expires_at"]) for item in listed] == [("192.0.2.10", "drain", None)]
    await api.check("DELETE", "/overrides/value/192.0.2.10")
    await api.check("GET", "/overrides/value/192.0.2.10", status=404)
    await api.check("DELETE", "/overrides/value/192.0.2.10", status=404)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("value/2001:DB8:0::1", "2001:db8::1"),
        ("value/EU.example.net", "eu.example.net."),
        ("pool/WWW.example.com./a/eu", "www.example.com/A/eu"),
        ("pool/www.example.com/A/north%2Fsouth%20west", "www.example.com/A/north/south west"),
        ("pool/www.example.com%2FA%2Feu", "www.example.com/A/eu"),
        ("record/www.example.com/AAAA", "www.example.com/AAAA"),
        ("record/%2A.example.com/A", "*.example.com/A"),
        ("record/0%2F25.example.com/A", "0/25.example.com/A"),
        ("record/www.example.com%2FA", "www.example.com/A"),
        ("site/fra%2F1", "fra/1"),
    ],
)
async def test_targets_have_one_spelling(api: Api, path: str, target: str) -> None:
    await api.check("PUT", f"/overrides/{path}", {"state": "up"}, status=201)
    assert (await api.check("GET", "/overrides")).body["items"][0]["target"] == target
    await api.check("DELETE", f"/overrides/{path}")


@pytest.mark.parametrize(
    "path", ["zone/example.com", "record/www.example.com", "record/a/b/A", "pool/www.example.com/A", "value/a..b", "record/a/NOSUCH"]
)
async def test_what_is_no_target_is_refused(api: Api, path: str) -> None:
    await api.check("PUT", f"/overrides/{path}", {"state": "up"}, status=422)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/state"),
        ({"state": "sideways"}, "/state"),
        ({"state": "up", "expires_at": "tomorrow"}, "/expires_at"),
        ({"state": "up", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"state": "up", "expires_at": "2030-01-01T00:00:00"}, "/expires_at"),
        ({"state": "up", "colour": "red"}, "/colour"),
    ],
)
async def test_a_malformed_override_is_told_with_its_place(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = await api.check("PUT", "/overrides/site/fra1", body, status=422)
    assert [problem["pointer"] for problem in answer.body["errors"]] == [pointer]


async def test_overrides_are_listed_in_pages(api: Api) -> None:
    for number in range(5):
        await api.check("PUT", f"/overrides/site/s{number}", {"state": "drain"}, status=201)
    first = (await api.check("GET", "/overrides?limit=3")).body
    rest = (await api.check("GET", f"/overrides?limit=3&cursor={first['next']}")).body
    assert [item["target"] for item in first["items"] + rest["items"]] == [f"s{number}" for number in range(5)]


async def test_health_is_frozen_and_thawed(api: Api) -> None:
    assert (await api.check("GET", "/health/freeze")).body == {"frozen": False, "reason": None}
    assert (await api.check("PUT", "/health/freeze", {"frozen": True, "reason": "maintenance"})).body == {
        "frozen": True,
        "reason": "maintenance",
    }
    assert (await api.check("PUT", "/health/freeze", {"frozen": False})).body["frozen"] is False
    await api.check("PUT", "/health/freeze", {}, status=422)
