"""Health without the database: PostgreSQL crashes, servers fail, the operator speaks, control restarts, and nothing of it is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.support.databases import running_cluster
from tests.support.node import MakeNode, Node
from tests.support.steered import LAST_RESORT, Eye, owner, steered_zone
from tests.support.waiting import wait_until
from tests.support.web import Manner, WebServers

pytestmark = pytest.mark.timing

QUICK = "{healthcheck: {interval: 1, timeout: 0.5, recheck: 0.2, hold_down: 1}}"
COUNT = 6
OVERRIDDEN_WITHIN_S = 1.0


def address(number: int) -> str:
    return f"127.66.0.{number + 1}"


@pytest.fixture
def servers() -> Iterator[WebServers]:
    with closing(WebServers(map(address, range(COUNT)))) as servers:
        yield servers


def health(node: Node, figure: str) -> int:
    return int(node.get("/api/v1/status").body["health"][figure])


def story(node: Node, number: int) -> list[tuple[str, str, str]]:
    """The history of the Nth server's check, oldest first: verdict, cause, and the answers of its name before and after."""
    endpoints = node.get("/api/v1/endpoints?limit=1000").body["items"]
    (found,) = [endpoint for endpoint in endpoints if endpoint["values"][0]["value"] == address(number)]
    history = node.get(f"/api/v1/endpoints/{found['id']}/history").body["items"]
    return [(row["verdict"], row["cause"], " ".join(map(tell_change, row["detail"]["answers"]))) for row in reversed(history)]


def tell_change(answers: dict[str, Any]) -> str:
    """ "n1.example.com/A main 1/1 -> None 0/0"."""
    before, after = answers["before"], answers["after"]
    return f"{answers['record']} {before['pool']} {before['up']}/{before['of']} -> {after['pool']} {after['up']}/{after['of']}"


def test_failover_overrides_and_history_outlive_a_crash_of_the_database(make_node: MakeNode, servers: WebServers) -> None:
    with running_cluster() as cluster:
        zone = steered_zone([address(number) for number in range(COUNT)], servers.port, geodns=QUICK)
        node = make_node(zones={"example.com.yaml": zone}, settings={"DATABASE_URL": cluster.create_database()})
        node.start()
        wait_until(lambda: health(node, "endpoints") == COUNT and not health(node, "unknown"), within_s=60, what="a result of every check")
        wanted = {owner(number): address(number) for number in range(COUNT)}
        with closing(Eye("127.0.0.1", node.dns_port, list(wanted))) as eye:
            wait_until(lambda: eye.look() == wanted, within_s=10, what="every server in service")
            cluster.stop("immediate")

            servers.tell(Manner.REFUSES, [address(0), address(1)])
            wanted |= {owner(0): LAST_RESORT, owner(1): LAST_RESORT}
            wait_until(lambda: eye.look() == wanted, within_s=10, what="failover without the database")
            servers.tell(Manner.ANSWERS, [address(1)])
            wanted[owner(1)] = address(1)
            wait_until(lambda: eye.look() == wanted, within_s=10, what="a return without the database")

            said_s = time.monotonic()
            said = node.put(f"/api/v1/overrides/value/{address(2)}", {"state": "down", "reason": "the disk smells of smoke"})
            assert said.status in (200, 201, 202), said.body
            wanted[owner(2)] = LAST_RESORT
            wait_until(lambda: eye.look() == wanted, within_s=OVERRIDDEN_WITHIN_S, what="the operator's word")
            took_s = time.monotonic() - said_s
            print(f"an override without the database was in force after {took_s:.3f} s")
            assert took_s <= OVERRIDDEN_WITHIN_S, "from the operator's word on, not from the answer to it"

            node.kill_control()
            node.start()
            assert eye.look() == wanted, "health and overrides stay while control and the database are away"
            spoken = node.get("/api/v1/overrides").body["items"]
            assert [override["target"] for override in spoken] == [address(2)]

            cluster.start()
            servers.tell(Manner.REFUSES, [address(3)])
            wanted[owner(3)] = LAST_RESORT
            wait_until(lambda: eye.look() == wanted, within_s=15, what="checks after the database's return")
        refused = "connection refused"
        wait_until(lambda: len(story(node, 3)) == 1 and health(node, "spooled") == 0, within_s=30, what="all of it in the history")
        gone = {number: f"{owner(number)}/A main 1/1 -> None 0/0" for number in range(COUNT)}
        assert story(node, 0) == [("down", refused, gone[0])]
        assert story(node, 1) == [("down", refused, gone[1]), ("up", "status 200", f"{owner(1)}/A None 0/0 -> main 1/1")]
        assert story(node, 3) == [("down", refused, gone[3])]
        assert [story(node, number) for number in (2, 4, 5)] == [[], [], []], "and nothing else turned"
        events = node.get("/api/v1/events?limit=1000").body["items"]
        assert sorted(event["kind"] for event in events) == ["override-set"] + ["verdict-changed"] * 4
        entries = node.get("/api/v1/audit?limit=1000").body["items"]
        assert [entry["subject"] for entry in entries if entry["subject"].startswith("override/")] == [f"override/value/{address(2)}"]
