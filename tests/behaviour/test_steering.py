"""The main job, end to end: real processes, the real dig, real nginx servers that are killed, frozen and brought back.

All timing is at default settings: a killed server is out of the answers within 6 s, a black hole within 10 s (docs/health.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dig import dig_batch
from tests.support.mmdb import CLIENTS, write_continents
from tests.support.nginx import Nginx
from tests.support.node import MakeNode, Node
from tests.support.ports import free_port
from tests.support.shares import assert_shares
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timing

FRA1, FRA2, NYC = "127.0.0.11", "127.0.0.12", "127.0.0.13"
LAST_RESORT = "192.0.2.1"

ZONE = """
'':
  - type: NS
    values: [ns1.example.com., ns2.example.com.]
ns1: {{type: A, value: 192.0.2.53}}
ns2: {{type: A, value: 192.0.2.54}}
static: {{type: A, ttl: 300, values: [192.0.2.7, 192.0.2.8]}}
weighted:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools:
      eu: {{values: [{{value: 127.0.0.11, weight: 3}}, {{value: 127.0.0.12, weight: 1}}], fallback: us}}
      us: {{values: [{{value: 127.0.0.13}}]}}
    rules:
      - {{geos: [NA, SA, OC], pool: us}}
      - {{pool: eu}}
  octodns: {{healthcheck: {{protocol: HTTP, port: {port}, path: /healthz}}}}
continents:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools:
      af: {{values: [{{value: 192.0.2.101, status: up}}]}}
      an: {{values: [{{value: 192.0.2.102, status: up}}]}}
      as: {{values: [{{value: 192.0.2.103, status: up}}]}}
      eu: {{values: [{{value: 192.0.2.104, status: up}}]}}
      na: {{values: [{{value: 192.0.2.105, status: up}}]}}
      oc: {{values: [{{value: 192.0.2.106, status: up}}]}}
      sa: {{values: [{{value: 192.0.2.107, status: up}}]}}
      elsewhere: {{values: [{{value: 192.0.2.108, status: up}}]}}
    rules:
      - {{geos: [AF], pool: af}}
      - {{geos: [AN], pool: an}}
      - {{geos: [AS], pool: as}}
      - {{geos: [EU], pool: eu}}
      - {{geos: [NA], pool: na}}
      - {{geos: [OC], pool: oc}}
      - {{geos: [SA], pool: sa}}
      - {{pool: elsewhere}}
"""


@pytest.fixture
def webs(tmp_path: Path) -> Iterator[dict[str, Nginx]]:
    """Three nginx servers on three loopback addresses, one port."""
    port = free_port(FRA1)
    servers = {address: Nginx(tmp_path, address, port, name) for address, name in ((FRA1, "fra1"), (FRA2, "fra2"), (NYC, "nyc"))}
    for server in servers.values():
        server.start()
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture
def node(make_node: MakeNode, webs: dict[str, Nginx], tmp_path: Path) -> Node:
    """A node that serves ZONE with the database of continents, all endpoints up."""
    database = write_continents(tmp_path / "continents.mmdb")
    node = make_node(zones={"example.com.yaml": ZONE.format(port=webs[FRA1].port)}, settings={"GEO_DATABASES": str(database)})
    node.start()
    wait_until(lambda: all_up(node), within_s=20, what="first checks of three endpoints")
    return node


def all_up(node: Node) -> bool:
    """Every endpoint was checked and is up."""
    endpoints = node.get("/api/v1/endpoints").body["items"]
    return len(endpoints) == 3 and all(endpoint["verdict"] == "up" and endpoint["known"] for endpoint in endpoints)


def drawn(node: Node, count: int = 40) -> set[str]:
    """The values seen in `count` queries from Europe (127.0.0.1 is in Germany)."""
    return {value for _ in range(count) for value in node.dig("weighted.example.com").values}


def batch(node: Node, count: int, *options: str) -> list[str]:
    """The values of `count` queries by one dig process."""
    return dig_batch(node.dns_port, ["weighted.example.com A"] * count, node.directory, *options)


def test_weights_in_ten_thousand_answers_fit_a_chi_square_bound(node: Node) -> None:
    assert_shares(batch(node, 6_000), {FRA1: 3, FRA2: 1})
    assert_shares(batch(node, 2_000, "+subnet=198.18.4.0/24"), {FRA1: 3, FRA2: 1})
    assert_shares(batch(node, 2_000, "+tcp"), {FRA1: 3, FRA2: 1})


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_a_client_of_each_continent_gets_its_pool(node: Node, transport: str) -> None:
    for position, (network, _) in enumerate(CLIENTS.values(), start=101):
        answer = node.dig("continents.example.com", "A", f"+subnet={network}", transport)
        assert answer.values == [f"192.0.2.{position}"], answer.text
        assert answer.client_subnet is not None
        assert answer.client_subnet.startswith(network)
        assert answer.scope is not None
        assert 0 < answer.scope <= 24


def test_the_sender_counts_when_there_is_no_client_subnet(node: Node) -> None:
    answer = node.dig("continents.example.com")
    assert answer.values == ["192.0.2.104"], "127.0.0.1 is in Germany"
    assert answer.client_subnet is None


def test_an_address_outside_the_database_gets_the_catch_all(node: Node) -> None:
    assert node.dig("continents.example.com", "A", "+subnet=203.0.113.0/24").values == ["192.0.2.108"]


def test_static_names_answer_whole_with_scope_zero(node: Node) -> None:
    answer = node.dig("static.example.com", "A", "+subnet=198.18.4.0/24")
    assert answer.values == ["192.0.2.7", "192.0.2.8"]
    assert answer.scope == 0
    assert "aa" in answer.flags


def test_a_killed_server_leaves_within_6_s_and_comes_back(node: Node, webs: dict[str, Nginx]) -> None:
    webs[FRA1].kill()
    took = wait_until(lambda: set(batch(node, 200)) == {FRA2}, within_s=6.0, what="answers without the killed server")
    print(f"killed server out of answers after {took:.2f} s")
    webs[FRA1].start()
    took = wait_until(lambda: FRA1 in batch(node, 200), within_s=30, what="the return of the killed server")
    print(f"back in answers after {took:.2f} s")


def test_a_black_hole_leaves_within_10_s_and_comes_back(node: Node, webs: dict[str, Nginx]) -> None:
    webs[FRA1].freeze()
    took = wait_until(lambda: set(batch(node, 200)) == {FRA2}, within_s=10.0, what="answers without the frozen server")
    print(f"frozen server out of answers after {took:.2f} s")
    webs[FRA1].thaw()
    took = wait_until(lambda: FRA1 in batch(node, 200), within_s=30, what="the return of the frozen server")
    print(f"back in answers after {took:.2f} s")


def test_fallback_pool_then_last_resort_then_back(node: Node, webs: dict[str, Nginx]) -> None:
    webs[FRA1].kill()
    webs[FRA2].kill()
    wait_until(lambda: set(batch(node, 50)) == {NYC}, within_s=8, what="the fallback pool")
    webs[NYC].kill()
    wait_until(lambda: set(batch(node, 50)) == {LAST_RESORT}, within_s=8, what="the record's own values")
    down = node.get("/api/v1/endpoints?state=down").body["items"]
    assert {endpoint["verdict"] for endpoint in down} == {"down"}
    assert all("refused" in endpoint["cause"] for endpoint in down), down
    webs[FRA2].start()
    wait_until(lambda: LAST_RESORT not in batch(node, 50), within_s=30, what="a return from the last resort")
