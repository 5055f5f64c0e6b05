"""A simulated outage against the same outage really caused: shares over clients of the population, asked one by one of the real node."""

from __future__ import annotations

import bisect
import ipaddress
import itertools
import random
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from tests.support.asking import Client, count_answers
from tests.support.mmdb import write_city_database
from tests.support.node import Node
from tests.support.waiting import wait_until

# How far a share may differ: absolute, in shares of all clients.
CLOSE = 0.01
# Where answers are drawn, a share of 60,000 is off by more than 1 % one time in a million; `sticky` and `nearest` draw nothing.
CLIENTS = {"weighted": 60_000, "sticky": 10_000, "nearest": 10_000}

ZONE = """
'':
  - type: NS
    values: [ns1.example.com.]
ns1: {type: A, value: 192.0.2.53}
"""

SITES = {
    "192.0.2.11": {"site": "fra", "latitude": 50.1, "longitude": 8.7},
    "192.0.2.12": {"site": "fra", "latitude": 50.1, "longitude": 8.7},
    "192.0.2.21": {"site": "nyc", "latitude": 40.7, "longitude": -74.0},
    "192.0.2.31": {"site": "sin", "latitude": 1.35, "longitude": 103.8},
}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FRA = {"192.0.2.11", "192.0.2.12"}

RECORD: dict[str, Any] = {
    "type": "A",
    "ttl": 30,
    "values": ["192.0.2.99"],
    "dynamic": {
        "pools": {
            "all": {"values": [{"value": value, "weight": weight} for value, weight in zip(SITES, (3, 2, 4, 1), strict=True)]},
            "eu": {"values": [{"value": "192.0.2.11", "weight": 3}, {"value": "192.0.2.12"}], "fallback": "all"},
        },
        "rules": [{"geos": ["EU"], "pool": "eu"}, {"pool": "all"}],
    },
}

# Country, latitude and longitude by block; each is cut into networks of several sizes.
PLACES = [
    ("DE", 51.0, 9.0),
    ("FR", 47.0, 2.0),
    ("US", 39.0, -77.0),
    ("US", 37.0, -122.0),
    ("BR", -23.0, -46.0),
    ("JP", 35.0, 139.0),
    ("AU", -33.0, 151.0),
]


def record(select: str) -> dict[str, Any]:
    """PUSH checks: what is reported down is down, as if a checked server had died."""
    geodns = {"select": select, "values": SITES, "healthcheck": {"protocol": "PUSH", "stale_after": 3600, "hold_down": 0}}
    return {**RECORD, "octodns": {"geodns": geodns}}


def known_networks() -> dict[str, tuple[str, float, float]]:
    """Three quarters of 198.18.0.0/15 and of 2001:db8::/32 in networks of four sizes, each somewhere."""
    randomness = random.Random(7)  # noqa: S311 # a repeatable one is wanted
    found = {}
    for whole, lengths in (("198.18.0.0/15", (19, 21, 22, 25)), ("2001:db8::/32", (36, 38, 39, 41))):
        blocks: list[Network] = [*ipaddress.ip_network(whole).subnets(new_prefix=lengths[0])]
        for number, block in enumerate(blocks):
            if number % 4:
                for network in block.subnets(new_prefix=lengths[number % 4]):
                    found[str(network)] = randomness.choice(PLACES)
    return found


def draw_clients(count: int) -> list[Client]:
    """Half of IPv4, half of IPv6, and of each family by the size of the networks: as the population is documented.

    One of each of `count` equal parts, so that chance has little to say in how many are of which country.
    """
    randomness = random.Random(11)  # noqa: S311 # as above
    networks = [ipaddress.ip_network(text) for text in known_networks()]
    clients: list[Client] = []
    for version in (4, 6):
        family = [network for network in networks if network.version == version]
        ends = list(itertools.accumulate(network.num_addresses for network in family))
        part = ends[-1] / (count // 2)
        for number in range(count // 2):
            point = int((number + randomness.random()) * part)
            place = bisect.bisect_right(ends, point)
            clients.append(family[place][point - ends[place]])
    return clients


def has_location(node: Node) -> bool:
    """Whether the dataplane has said that the location database is in force."""
    told = node.get("/api/v1/status").body["dataplane"].get("geo", [])
    return bool(told) and all(file["in_force"] for file in told)


def put(node: Node, name: str, content: Mapping[str, Any]) -> None:
    """Writes a record and waits until it is served."""
    node.wait_served(node.put(f"/api/v1/zones/example.com/records/{name}/A", content))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One for all tests here, each of which leaves it as it was."""
    directory = tmp_path_factory.mktemp("simulation")
    database = write_city_database(directory / "city.mmdb", known_networks())
    node = Node(directory / "node", zones={"example.com.yaml": ZONE}, settings={"GEO_DATABASES": str(database)})
    try:
        node.start(within_s=60)
        for select in CLIENTS:
            put(node, select, record(select))
        wait_until(partial(has_location, node), within_s=60)
        yield node
    finally:
        node.stop()


def simulate(node: Node, **question: Any) -> Any:
    response = node.request("POST", "/api/v1/simulate", {"seed": 1, **question}, timeout_s=60)
    assert response.status == 200, response.body
    assert response.body["population"]["source"] == "databases"
    return response.body


def assert_close(measured: Mapping[str, int], simulated: Mapping[str, float], what: str) -> None:
    total = sum(measured.values())
    for value in measured.keys() | simulated.keys():
        share = measured.get(value, 0) / total
        assert abs(share - simulated.get(value, 0.0)) <= CLOSE, f"{what}: {value} has {share:.4f}, simulated {simulated.get(value, 0):.4f}"


def shares(report: Mapping[str, Any], side: str) -> dict[str, float]:
    return {row["value"]: row[side] for row in report["values"] if row[side] > 0}


def report_state(node: Node, value: str, state: str) -> None:
    """Every check of the value says so from now on, and nothing of it is still to be written."""

    def is_believed(endpoint_id: str) -> bool:
        return bool(node.put(f"/api/v1/endpoints/{endpoint_id}/report", {"state": state}).body["verdict"] == state)

    def is_told(endpoint_id: str) -> bool:
        """Events come newest first."""
        events = node.get("/api/v1/events?kind=verdict-changed&limit=1000").body["items"]
        told = [event["detail"]["verdict"] for event in events if event["subject"] == endpoint_id]
        return told[:1] == [state]

    for endpoint in node.get("/api/v1/endpoints").body["items"]:
        if endpoint["check"]["target"] == value:
            wait_until(partial(is_believed, endpoint["id"]), within_s=60)
            wait_until(partial(is_told, endpoint["id"]), within_s=60, what=f"the event that {value} is {state}")


def values_now(node: Node, name: str) -> set[str]:
    """What one client gets in fifty answers. A verdict or an override is in them a moment after it is acknowledged."""
    client = ipaddress.ip_address("198.18.32.1")
    return set(count_answers(node.dns_port, f"{name}.example.com", [client] * 50))


def is_without_fra(node: Node, name: str) -> bool:
    """Whether a whole site is gone from the answers."""
    return not FRA & values_now(node, name)


def test_a_simulated_outage_is_what_really_happens(node: Node) -> None:
    clients = {name: draw_clients(count) for name, count in CLIENTS.items()}
    outage = [{"target": "site/fra", "state": "down"}]
    before = {name: simulate(node, name=f"{name}.example.com", assume=outage) for name in clients}
    failing = simulate(node, name="weighted.example.com", assume=[{"target": "value/192.0.2.11", "state": "fail"}])
    for name, document in before.items():
        (report,) = document["records"]
        assert report["moved"] > 0.3
        if name != "weighted":  # whose shares before are written in the record
            measured = count_answers(node.dns_port, f"{name}.example.com", clients[name])
            assert_close(measured, shares(report, "before"), f"{name} before")
    # An operator's word.
    node.put("/api/v1/overrides/site/fra", {"state": "down"})
    for name, document in before.items():
        (report,) = document["records"]
        wait_until(partial(is_without_fra, node, name), within_s=30)
        measured = count_answers(node.dns_port, f"{name}.example.com", clients[name])
        assert_close(measured, shares(report, "after"), f"{name} without a site")
        assert not FRA & measured.keys()
    node.request("DELETE", "/api/v1/overrides/site/fra")
    wait_until(lambda: values_now(node, "weighted") >= FRA, within_s=30)
    # What checks find.
    report_state(node, "192.0.2.11", "down")
    wait_until(lambda: values_now(node, "weighted") & FRA == {"192.0.2.12"}, within_s=30)
    measured = count_answers(node.dns_port, "weighted.example.com", clients["weighted"])
    assert_close(measured, shares(failing["records"][0], "after"), "weighted without a value")
    assert "192.0.2.11" not in measured
    report_state(node, "192.0.2.11", "up")


def test_a_simulation_changes_nothing_and_a_changed_record_is_foreseen(node: Node) -> None:
    def everything() -> list[Any]:
        pages = ("/api/v1/audit", "/api/v1/overrides", "/api/v1/events", "/api/v1/zones/example.com/records", "/api/v1/health/freeze")
        status = node.get("/api/v1/status").body
        return [*(node.get(page).body for page in pages), status["store"], status["dataplane"]["revision"], status["health"]["overrides"]]

    there = everything()
    pools = {"all": RECORD["dynamic"]["pools"]["all"]}
    changed = {**record("weighted"), "dynamic": {"pools": pools, "rules": [{"pool": "all"}]}}
    simulate(node, assume=[{"target": "site/fra", "state": "drain"}, {"target": "value/192.0.2.21", "state": "fail"}])
    foreseen = simulate(node, name="weighted.example.com", record=changed)["records"][0]
    assert everything() == there
    put(node, "weighted", changed)
    measured = count_answers(node.dns_port, "weighted.example.com", draw_clients(CLIENTS["weighted"]))
    assert_close(measured, shares(foreseen, "after"), "a changed record")
    assert shares(foreseen, "after") == pytest.approx({"192.0.2.11": 0.3, "192.0.2.12": 0.2, "192.0.2.21": 0.4, "192.0.2.31": 0.1})
    put(node, "weighted", record("weighted"))


def test_every_kind_of_question_has_an_answer(node: Node) -> None:
    put(node, "static", {"type": "A", "value": "192.0.2.53"})
    listed = record("weighted")
    listed["octodns"]["geodns"]["rules"] = [{"lists": ["office"], "pool": "eu"}]
    assert node.request("POST", "/api/v1/lists", {"name": "office", "prefixes": ["198.18.64.0/20"]}).status in (201, 202)
    put(node, "*.listed", listed)
    # A record that is not steered yet, one that is not there, and one with a list for clients that are given.
    steered = simulate(node, name="static.example.com", record=record("weighted"))["records"][0]
    assert [(row["from"], row["before"], row["after"]) for row in steered["pools"]][:1] == [("static", 1.0, 0.0)]
    absent = simulate(node, name="new.example.com", record=record("sticky"))["records"][0]
    assert {row["outcome"]: (row["before"], row["after"]) for row in absent["outcomes"]} == {"absent": (1.0, 0.0), "answer": (0.0, 1.0)}
    response = node.request(
        "POST",
        "/api/v1/simulate",
        {"name": "*.listed.example.com", "population": [{"prefix": "198.18.64.0/20"}, {"prefix": "203.0.113.0/24", "weight": 3}]},
    )
    (rules,) = [response.body["records"][0]["rules"]]
    assert [(row["clients"], row["before"]["pool"]) for row in rules] == [(0.25, "eu"), (0.75, "all")]
    everywhere = simulate(node, assume=[{"target": "site/fra", "state": "fail"}, {"target": "site/nowhere", "state": "down"}])
    names = {report["name"] for report in everywhere["records"]}
    assert names == {f"{name}.example.com." for name in ("weighted", "sticky", "nearest", "*.listed")}
    assert any("site/nowhere" in note for note in everywhere["notes"])
    assert everywhere["total"]["records"] == 4


@pytest.mark.parametrize(
    ("question", "status"),
    [
        ({"name": "nobody.example.com"}, 404),
        ({"name": "www.elsewhere.example"}, 404),
        ({"assume": [{"target": "site/nowhere", "state": "down"}]}, 422),
        ({}, 422),
        ({"name": "weighted.example.com", "record": {"type": "A", "value": "x", "dynamic": {"rules": 1}}}, 422),
        ({"name": "example.com", "record": {"type": "CNAME", "value": "a."}}, 422),
        ({"name": "weighted.example.com", "record": {"type": "CNAME", "value": "a.example.net."}}, 422),
        ({"name": "sticky.example.com", "population": [{"prefix": "198.18.64.0/24"}] * 20_000}, 200),
        ({"name": "nearest.example.com", "assume": [{"target": f"site/{number}", "state": "up"} for number in range(1000)]}, 200),
    ],
    ids=lambda value: "" if isinstance(value, int) else "-".join(value) or "nothing",
)
def test_strange_questions_are_answered_or_refused(node: Node, question: dict[str, Any], status: int) -> None:
    response = node.request("POST", "/api/v1/simulate", question, timeout_s=90)
    assert response.status == status, response.body
    assert node.get("/readyz").status == 200
