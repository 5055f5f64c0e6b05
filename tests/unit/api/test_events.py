"""`/events` and `/endpoints`: what happened and what is checked, from a store and a prober that a test has filled."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

from aiohttp import ClientResponse

from geodns.api.auth import Role
from geodns.model.check import Check, Protocol
from geodns.prober import Target
from geodns.store import events, health
from geodns.store.health import TransitionRow
from tests.unit.api.conftest import ADMIN, TOKENS, Api

WAIT_S = 10.0


def http_check(target: str) -> Check:
    return Check(Protocol.HTTP, target, 80, path="/healthz", host="www.example.com", headers=(("X-Secret", "hidden"),))


async def record(api: Api, kind: str, subject: str) -> None:
    async with api.node.database.write() as session:
        await events.record_event(session, "node1", kind, subject, {"cause": "connect refused"})


async def read_event(response: ClientResponse) -> dict[str, str]:
    """The next event of a stream; comments are passed over."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(WAIT_S):
        while True:
            line = (await response.content.readline()).decode().rstrip("\n")
            if line and not line.startswith(":"):
                key, _, value = line.partition(": ")
                fields[key] = value
            elif not line and fields:
                return fields


async def test_events_are_listed_newest_first(api: Api) -> None:
    for number in range(3):
        await record(api, "verdict-changed", f"value/{number}")
    await record(api, "frozen", "health")
    page = (await api.check("GET", "/events?kind=verdict-changed&limit=2")).body
    assert [event["subject"] for event in page["items"]] == ["value/2", "value/1"]
    rest = (await api.check("GET", f"/events?kind=verdict-changed&cursor={page['next']}")).body
    assert [event["subject"] for event in rest["items"]] == ["value/0"]
    assert rest["items"][0]["node"] == "node1"
    assert rest["items"][0]["detail"] == {"cause": "connect refused"}


async def test_events_are_streamed_as_they_happen_and_resumed(api: Api) -> None:
    await record(api, "before", "the stream")
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {ADMIN}"}
    async with api.session.get(f"{api.url}/api/v1/events", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["X-Request-ID"]
        await record(api, "first", "a")
        await record(api, "second", "b")
        one, two = await read_event(response), await read_event(response)
    assert (one["event"], json.loads(one["data"])["subject"]) == ("first", "a")
    assert two["event"] == "second"
    async with api.session.get(f"{api.url}/api/v1/events", headers={**headers, "Last-Event-ID": one["id"]}) as response:
        assert (await read_event(response))["event"] == "second"
    for nonsense in ("x", "-1", "9" * 5000):
        async with api.session.get(f"{api.url}/api/v1/events", headers={**headers, "Last-Event-ID": nonsense}) as response:
            assert response.status == 200, "as if it were not there"


async def test_a_verdict_that_changed_is_an_event(api: Api) -> None:
    at = datetime.now(UTC)
    row = TransitionRow(
        "abc", "node1", at, "up", "down", "connect refused", {"node1": "down"}, {"values": ["www.example.com/A/eu/192.0.2.10"]}
    )
    async with api.node.database.write() as session:
        await events.record_verdicts(session, [row])
    (event,) = (await api.check("GET", "/events?kind=verdict-changed")).body["items"]
    assert (event["node"], event["subject"], datetime.fromisoformat(event["at"])) == ("node1", "abc", at)
    assert event["detail"] == {
        "previous": "up",
        "verdict": "down",
        "cause": "connect refused",
        "values": ["www.example.com/A/eu/192.0.2.10"],
    }


async def test_endpoints_are_listed_with_their_values(api: Api) -> None:
    targets = [
        Target(1, "example.com", "www.example.com", "A", "eu", "192.0.2.10", http_check("192.0.2.10")),
        Target(2, "example.com", "www.example.com", "A", "us", "192.0.2.10", http_check("192.0.2.10")),
        Target(3, "example.net", "www.example.net", "A", "eu", "192.0.2.11", http_check("192.0.2.11")),
    ]
    api.node.prober.replace_targets(targets)
    every = (await api.check("GET", "/endpoints")).body["items"]
    assert len(every) == 2, "equal checks are one endpoint"
    (first,) = (await api.check("GET", "/endpoints?zone=example.com")).body["items"]
    assert [(value["record"], value["pool"]) for value in first["values"]] == [("www.example.com", "eu"), ("www.example.com", "us")]
    assert (first["verdict"], first["known"], first["check"]["protocol"]) == ("up", False, "HTTP")
    assert "hidden" not in json.dumps(first)
    assert (await api.check("GET", "/endpoints?state=down")).body["items"] == []
    assert (await api.check("GET", f"/endpoints/{first['id']}")).body == first
    page = (await api.check("GET", "/endpoints?limit=1")).body
    rest = (await api.check("GET", f"/endpoints?limit=1&cursor={page['next']}")).body
    assert {page["items"][0]["id"], rest["items"][0]["id"]} == {item["id"] for item in every}
    await api.check("GET", "/endpoints/absent", status=404)
    await api.check("GET", "/endpoints?state=sideways", status=422)


async def test_the_history_of_a_check_is_listed_newest_first(api: Api) -> None:
    at = datetime.now(UTC)
    rows = [
        TransitionRow("abc", "node1", at.replace(microsecond=1), "up", "down", "connect refused", {"node1": "down"}),
        TransitionRow("abc", "node1", at.replace(microsecond=2), "down", "up", "status 200", {"node1": "up"}),
    ]
    async with api.node.database.write() as session:
        await health.record_transitions(session, rows)
    page = (await api.check("GET", "/endpoints/abc/history?limit=1")).body
    assert [(item["verdict"], item["cause"]) for item in page["items"]] == [("up", "status 200")]
    rest = (await api.check("GET", f"/endpoints/abc/history?cursor={page['next']}")).body
    assert [(item["previous"], item["verdict"], item["votes"]) for item in rest["items"]] == [("up", "down", {"node1": "down"})]


async def test_only_a_push_check_takes_reports(api: Api) -> None:
    push = Check(Protocol.PUSH, "192.0.2.10", None)
    api.node.prober.replace_targets(
        [
            Target(1, "example.com", "www.example.com", "A", "eu", "192.0.2.10", push),
            Target(2, "example.com", "www.example.com", "A", "us", "192.0.2.11", http_check("192.0.2.11")),
        ]
    )
    report = {"state": "down", "cause": "queue is full"}
    answer = await api.check("PUT", f"/endpoints/{push.endpoint_id}/report", report, token=TOKENS[Role.REPORT])
    assert answer.body["check"]["protocol"] == "PUSH"
    await api.check("PUT", f"/endpoints/{http_check('192.0.2.11').endpoint_id}/report", report, status=409)
    await api.check("PUT", "/endpoints/absent/report", report, status=404)
    await api.check("PUT", f"/endpoints/{push.endpoint_id}/report", {"state": "sideways"}, status=422)
