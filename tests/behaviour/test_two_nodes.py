"""Two nodes on one PostgreSQL: writes on one answer on the other, a node cut off keeps answering and catches up, seeds happen once."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.asking import ask
from tests.support.databases import PostgresCluster
from tests.support.node import MakeNode, Node
from tests.support.proxy import Relay
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timing

ZONE = """
'': {type: NS, values: [ns1.example.com., ns2.example.com.]}
ns1: {type: A, value: 192.0.2.53}
ns2: {type: A, value: 192.0.2.54}
www: {type: A, value: 192.0.2.10}
"""

CUT_S = 60
# An answer takes a millisecond, a busy machine may hold a process for longer, and a dataplane that waits for something takes seconds.
STALL_S = 1.5


@pytest.fixture
def relay(postgres_cluster: PostgresCluster) -> Iterator[Relay]:
    """The second node's way to the database."""
    relay = Relay(("127.0.0.1", postgres_cluster.port))
    yield relay
    relay.close()


@pytest.fixture
def nodes(make_node: MakeNode, postgres_cluster: PostgresCluster, relay: Relay) -> tuple[Node, Node]:
    """Two nodes that start at the same time on one empty database."""
    url = postgres_cluster.create_database()
    through_relay = re.sub(r":\d+/", f":{relay.port}/", url)
    first = make_node("first", zones={"example.com.yaml": ZONE}, settings={"DATABASE_URL": url, "NODE_NAME": "first"})
    second = make_node("second", zones={"example.com.yaml": ZONE}, settings={"DATABASE_URL": through_relay, "NODE_NAME": "second"})
    first.spawn()
    second.spawn()
    first.wait_ready()
    second.wait_ready()
    return first, second


def put(node: Node, number: int) -> None:
    """Writes count.example.com = 192.0.2.<number>."""
    node.wait_served(node.put("/api/v1/zones/example.com/records/count/A", {"ttl": 1, "value": f"192.0.2.{number}"}))


def count(node: Node) -> int:
    """The number that the node serves, 0 before the first."""
    values = ask(node.dns_port, "count.example.com")
    return int(values[0].rsplit(".", 1)[1]) if values else 0


def serves(node: Node, number: int) -> bool:
    """The node serves this number."""
    return count(node) == number


def test_both_seed_the_same_zones_once(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    wait_until(lambda: ask(second.dns_port, "www.example.com") == ["192.0.2.10"], within_s=20, what="the seed on the second node")
    assert ask(first.dns_port, "www.example.com") == ["192.0.2.10"]
    zones = first.get("/api/v1/zones").body["items"]
    assert [zone["name"] for zone in zones] == [zone["name"] for zone in second.get("/api/v1/zones").body["items"]] == ["example.com"]
    assert first.dig("example.com", "SOA").values == second.dig("example.com", "SOA").values
    seeds = [entry for entry in first.get("/api/v1/audit?limit=1000").body["items"] if entry["subject"] == "example.com"]
    assert len({entry["revision"] for entry in seeds}) == 1, seeds


def test_a_write_on_one_answers_on_the_other_within_a_second(nodes: tuple[Node, Node]) -> None:
    slowest = 0.0
    for number in range(1, 21):
        writer, other = nodes if number % 2 else nodes[::-1]
        put(writer, number)
        slowest = max(slowest, wait_until(partial(serves, other, number), within_s=1.0, what="the other node"))
    print(f"slowest of 20: {slowest:.3f} s")


def test_a_node_cut_off_for_a_minute_answers_and_never_goes_back(nodes: tuple[Node, Node], relay: Relay) -> None:
    first, second = nodes
    put(first, 1)
    wait_until(lambda: count(second) == 1, within_s=20, what="the second node")
    seen: list[int] = []
    took_s: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            asked_s = time.monotonic()
            seen.append(count(second))
            took_s.append(time.monotonic() - asked_s)
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        relay.cut()
        end = time.monotonic() + CUT_S
        number = 1
        while time.monotonic() < end:
            number += 1
            put(first, number)
            time.sleep(1)
        refused = second.put("/api/v1/zones/example.com/records/x/A", {"value": "192.0.2.1"})
        assert refused.status == 503, refused.body
        assert "Retry-After" in refused.headers
        assert count(second) == 1, "cut off, it serves what it had"
        relay.mend()
        took = wait_until(lambda: count(second) == number, within_s=10, what="catching up")
        print(f"caught up {took:.2f} s after the cut ended")
        wait_until(
            lambda: second.put("/api/v1/zones/example.com/records/x/A", {"value": "192.0.2.1"}).status in (200, 201),
            within_s=20,
            what="a write",
        )
    finally:
        stop.set()
        watcher.join()
    assert 0 not in seen, "every query during the cut was answered"
    assert max(took_s) < STALL_S, "and none had to wait"
    assert seen == sorted(seen), "never back"
