"""`kill -9` of control in the middle of REST writes: every acknowledged write is there afterwards, in the store and on the wire."""

from __future__ import annotations

import threading
import time
from functools import partial
from http.client import HTTPException

import pytest

from tests.support.asking import ask
from tests.support.databases import PostgresCluster
from tests.support.node import MakeNode, Node, Response
from tests.support.waiting import wait_until

ZONE = "'': {type: NS, values: [ns1.example.com.]}\nns1: {type: A, value: 192.0.2.53}\n"
WRITES = 500


def write_until_killed(node: Node, kills: int) -> dict[int, Response]:
    """Writes records until WRITES were tried, while control is killed and started again `kills` times; the acknowledged ones."""
    acknowledged: dict[int, Response] = {}
    done = threading.Event()

    def write() -> None:
        for number in range(WRITES):
            try:
                response = node.put(f"/api/v1/zones/example.com/records/w{number}/A", {"value": f"192.0.2.{number % 250 + 1}"})
            except (OSError, HTTPException):
                time.sleep(0.25)  # control is down: the writes go on when it is back, so that each kill meets writes under way
                continue
            if response.status in (200, 201, 202):
                acknowledged[number] = response
        done.set()

    def reached(floor: int) -> bool:
        return len(acknowledged) >= floor or done.is_set()

    writer = threading.Thread(target=write)
    writer.start()
    for round_number in range(kills):
        floor = (round_number + 1) * WRITES // (kills + 2)
        wait_until(partial(reached, floor), within_s=60, what=f"{floor} acknowledged writes")
        node.kill_control()
        node.start()
    writer.join()
    return acknowledged


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_acknowledged_write_survives_kill_9(make_node: MakeNode, postgres_cluster: PostgresCluster, kind: str) -> None:
    settings = {"DATABASE_URL": postgres_cluster.create_database()} if kind == "postgresql" else {}
    node = make_node(zones={"example.com.yaml": ZONE}, settings=settings)
    node.start()
    acknowledged = write_until_killed(node, kills=3)
    assert len(acknowledged) > WRITES // 4
    stored = set()
    cursor = ""
    while True:
        page = node.get(f"/api/v1/zones/example.com/records?type=A&limit=1000{cursor}").body
        stored |= {item["name"] for item in page["items"]}
        if not page["next"]:
            break
        cursor = f"&cursor={page['next']}"
    lost = {number for number in acknowledged if f"w{number}" not in stored}
    assert lost == set()
    node.wait_served(max(acknowledged.values(), key=lambda response: response.body["revision"]))
    for number in acknowledged:
        assert ask(node.dns_port, f"w{number}.example.com") == [f"192.0.2.{number % 250 + 1}"]
    audit = node.get("/api/v1/audit?limit=1000").body["items"]
    revisions = [entry["revision"] for entry in audit]
    assert len(set(revisions)) == len(revisions), "one audit entry a revision here: every write touched one record"
    print(f"{len(acknowledged)} of {WRITES} acknowledged, none lost")
