"""The observer that is itself cut off is not believed: network namespaces with links that swallow everything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.databases import running_cluster
from tests.support.namespaces import Field, Host, server_address
from tests.support.node import Node
from tests.support.steered import LAST_RESORT, Eye, owner, steered_zone
from tests.support.waiting import wait_until
from tests.support.web import Manner, WebServers

pytestmark = pytest.mark.timing

MANY, FEW = 200, 20
ALARM_WITHIN_S = 30.0
# The arithmetic of the default settings, faster: a black hole is down after 1.1 + 1 + 0.5 + 1 s.
QUICK = "{healthcheck: {interval: 1, timeout: 1, recheck: 0.5, hold_down: 1}}"
QUICK_DOWN_S = 3.6


@pytest.fixture
def field() -> Iterator[Field]:
    with Field() as field:
        yield field


@pytest.fixture
def servers(field: Field) -> Iterator[WebServers]:
    with closing(WebServers(map(server_address, range(MANY)), field.command)) as servers:
        yield servers


def health(node: Node) -> Mapping[str, object]:
    found: Mapping[str, object] = node.get("/api/v1/status").body["health"]
    return found


def alarm(node: Node) -> bool:
    """The node says of itself that it is not to be believed."""
    return any("suspects its own network" in problem for problem in node.get("/api/v1/status").body["problems"])


def verdicts_changed(node: Node) -> int:
    """Transitions since the node's start."""
    metrics: str = node.get("/metrics").body
    return sum(int(float(line.split()[-1])) for line in metrics.splitlines() if line.startswith("geodns_probe_transitions_total{"))


def start_on(host: Host, directory: Path, zones: Mapping[str, str], settings: Mapping[str, str]) -> Node:
    node = Node(directory, zones=zones, settings=settings, address=host.address, command=host.command)
    node.spawn()
    return node


@pytest.mark.parametrize(
    ("cut_s", "geodns", "afterwards_s"),
    [(2 * QUICK_DOWN_S, QUICK, QUICK_DOWN_S), pytest.param(180.0, "{}", 15.0, marks=[pytest.mark.soak, pytest.mark.timeout(600)])],
    ids=["seconds", "minutes"],
)
def test_a_vantage_that_is_cut_off_changes_no_answer_and_is_loud(
    field: Field, servers: WebServers, tmp_path: Path, cut_s: float, geodns: str, afterwards_s: float
) -> None:
    host = field.add_host()
    zone = steered_zone([server_address(number) for number in range(MANY)], servers.port, geodns=geodns)
    ipv6 = steered_zone(["2001:db8::1"], servers.port, rtype="AAAA", last_resort="2001:db8::2").replace(".com", ".net")
    node = start_on(host, tmp_path / "node", {"example.com.yaml": zone, "example.net.yaml": ipv6}, {})
    eye = Eye(host.address, node.dns_port, [owner(number) for number in range(MANY)])
    everything = {owner(number): server_address(number) for number in range(MANY)}
    try:
        node.wait_ready()
        # All but the check over IPv6, which this host does not have.
        wait_until(
            lambda: health(node)["endpoints"] == MANY + 1 and health(node)["unknown"] == 1, within_s=60, what="a result of every check"
        )
        field.swallow(host)
        begun_s = time.monotonic()
        alarmed_s = wait_until(lambda: alarm(node), within_s=ALARM_WITHIN_S, what="the alarm")
        while time.monotonic() - begun_s < cut_s:
            assert eye.look() == everything
            time.sleep(0.5)
        assert alarm(node), "as long as it lasts"
        field.deliver(host)
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < afterwards_s:
            assert eye.look() == everything
            time.sleep(0.5)
        print(f"alarm after {alarmed_s:.1f} s; {verdicts_changed(node)} transitions in {cut_s:.0f} s without a network and after")
        assert verdicts_changed(node) == 0
        assert node.dig("n0.example.net", "AAAA").values == ["2001:db8::1"], "a host without IPv6 says nothing of values with it"
    finally:
        eye.close()
        node.stop()


def test_of_three_vantages_those_that_are_cut_off_change_nothing_and_a_dead_server_goes(
    field: Field, servers: WebServers, tmp_path: Path
) -> None:
    hosts = [field.add_host() for _ in range(3)]
    zone = steered_zone([server_address(number) for number in range(FEW)], servers.port, geodns=QUICK)
    everything = {owner(number): server_address(number) for number in range(FEW)}
    nodes: list[Node] = []
    with running_cluster(["127.0.0.1", *(host.gateway for host in hosts)]) as cluster:
        database = cluster.create_database().rsplit("/", 1)[-1]
        try:
            for number, host in enumerate(hosts):
                settings = {"DATABASE_URL": cluster.url(database, host.gateway), "NODE_NAME": f"vantage{number}"}
                nodes.append(start_on(host, tmp_path / f"node{number}", {"example.com.yaml": zone}, settings))
            for node in nodes:
                node.wait_ready()
            with closing(_Watch(nodes, everything)) as watch:
                for node in nodes:
                    wait_until(lambda node=node: _knows_all(node), within_s=60, what="three vantages that know every server")  # type: ignore[misc]
                field.swallow(hosts[0])
                watch.sees_no_change(1.5 * QUICK_DOWN_S)
                assert [alarm(node) for node in nodes] == [True, False, False]
                field.swallow(hosts[1])
                watch.sees_no_change(1.5 * QUICK_DOWN_S)
                assert [alarm(node) for node in nodes] == [True, True, False]
                field.deliver(hosts[0])
                field.deliver(hosts[1])
                watch.sees_no_change(2.0)
                assert [verdicts_changed(node) for node in nodes] == [0, 0, 0]
                servers.tell(Manner.HANGS, [server_address(7)])
                everything[owner(7)] = LAST_RESORT
                took_s = wait_until(lambda: all(eye.look() == everything for eye in watch.eyes), within_s=15, what="the dead server's end")
                print(f"with three vantages a dead server was out everywhere after {took_s:.1f} s")
        finally:
            for node in nodes:
                node.stop()


class _Watch:
    """Looks at all nodes at once."""

    def __init__(self, nodes: list[Node], wanted: Mapping[str, str]) -> None:
        self.eyes = [Eye(node.address, node.dns_port, list(wanted)) for node in nodes]
        self._wanted = wanted

    def sees_no_change(self, seconds: float) -> None:
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < seconds:
            for eye in self.eyes:
                assert eye.look() == self._wanted
            time.sleep(0.1)

    def close(self) -> None:
        for eye in self.eyes:
            eye.close()


def _knows_all(node: Node) -> bool:
    found = health(node)
    return found["endpoints"] == FEW and found["unknown"] == 0 and len(found["vantages"]) == 3  # type: ignore[arg-type]
