"""`/tokens`: made, shown once, listed, revoked; and how the database's tokens become callers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from geodns.api.auth import Identity, Role
from geodns.api.tokens import make_look_up
from geodns.errors import ForeignHistory
from tests.unit.api.conftest import Api


async def test_a_token_is_made_shown_once_listed_and_revoked(api: Api) -> None:
    expires_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = await api.check("POST", "/tokens", {"name": "deploy", "role": "write", "expires_at": expires_at}, status=201)
    secret = made.body["token"]
    assert secret.startswith("gdt_")
    assert made.headers["Cache-Control"] == "no-store"
    look_up = make_look_up(api.node.database)
    assert await look_up(secret) == Identity("deploy", Role.WRITE)
    listed = await api.check("GET", "/tokens")
    assert [(item["id"], item["name"], item["role"], item["created_by"]) for item in listed.body["items"]] == [
        (made.body["id"], "deploy", "write", "admin token")
    ]
    assert listed.body["items"][0]["last_used_at"] is not None
    assert secret not in json.dumps(listed.body)
    assert (await api.check("DELETE", f"/tokens/{made.body['id']}")).body == {"deleted": f"token/{made.body['id']}"}
    assert await look_up(secret) is None
    assert (await api.check("GET", "/tokens")).body["items"][0]["revoked_at"] is not None


async def test_what_is_not_a_token_is_nobody(api: Api) -> None:
    assert await make_look_up(api.node.database)("guess") is None


async def test_a_second_token_of_the_name_is_a_conflict(api: Api) -> None:
    await api.check("POST", "/tokens", {"name": "deploy", "role": "read"}, status=201)
    await api.check("POST", "/tokens", {"name": "deploy", "role": "read"}, status=409)


async def test_a_token_that_is_not_there_cannot_be_revoked(api: Api) -> None:
    await api.check("DELETE", "/tokens/absent", status=404)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"role": "read"}, "/name"),
        ({"name": "x"}, "/role"),
        ({"name": "x", "role": "root"}, "/role"),
        ({"name": "", "role": "read"}, "/name"),
        ({"name": "x" * 101, "role": "read"}, "/name"),
        ({"name": "a\nb", "role": "read"}, "/name"),
        ({"name": "x", "role": "read", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    ],
)
async def test_a_malformed_token_is_told_with_its_place(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = await api.check("POST", "/tokens", body, status=422)
    assert [problem["pointer"] for problem in answer.body["errors"]] == [pointer]


async def test_under_another_history_no_token_is_made_or_revoked(api: Api) -> None:
    made = await api.check("POST", "/tokens", {"name": "ci", "role": "read"}, status=201)
    api.node.error = ForeignHistory("the database holds another history")
    await api.check("POST", "/tokens", {"name": "more", "role": "read"}, status=409)
    await api.check("DELETE", f"/tokens/{made.body['id']}", status=409)
    assert [token["name"] for token in (await api.check("GET", "/tokens")).body["items"]] == ["ci"]
