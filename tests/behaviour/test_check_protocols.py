"""Every check protocol, end to end: a real node, real servers of that protocol, good, bad and hostile; verdict, cause and answer.

Each record has one checked value and a fallback that is not checked, so that the answer on the wire tells the verdict.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from geodns.model.check import Check, Protocol
from geodns.prober.outcome import Evidence
from tests.support.asking import ask_quietly
from tests.support.certificates import Authority
from tests.support.databases import PostgresCluster
from tests.support.datagrams import replying
from tests.support.grpc_server import GrpcServer, serving_grpc
from tests.support.hostile import ADDRESS, HOSTILE, in_a_thread
from tests.support.hostile_outcomes import CASES, checks
from tests.support.nginx import Nginx, TlsListener
from tests.support.node import MakeNode, Node
from tests.support.peers import Nsd
from tests.support.ports import free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(400)  # several patiences one after the other

NAME = "www.example.com"
OTHER = "other.example.net"
FALLBACK = "192.0.2.99"
EXPIRED = ("20200101000000Z", "20200201000000Z")
ZONE = "'': {type: NS, values: [ns1.example.net.]}\n"
ZONE_OF_NSD = "$TTL 60\n@ SOA ns1.example.net. hostmaster.example.net. 1 3600 600 604800 60\n@ NS ns1.example.net.\nwww A 192.0.2.1\n"
PATIENCE_S = 60.0

POOLED = 10
"""Connections to the database, and their threads, that may have been opened meanwhile; a hundred checks that left one descriptor an attempt
would leave hundreds."""


@dataclass(frozen=True)
class Case:
    """Keys of a check, and what must come of it; `cause` is a regular expression for the beginning."""

    keys: Mapping[str, Any]
    is_up: bool
    cause: str
    timeout_s: float = 10.0  # that a good server keeps on any machine

    @property
    def record(self) -> dict[str, Any]:
        """A steered record that is checked like this."""
        timing = {"interval": 2, "timeout": self.timeout_s, "recheck": 0.1, "rise": 1, "hold_down": 0}
        pools = {
            "one": {"values": [{"value": ADDRESS}], "fallback": "two"},
            "two": {"values": [{"value": FALLBACK, "status": "up"}]},
        }
        return {
            "ttl": 30,
            "values": [FALLBACK],
            "dynamic": {"pools": pools, "rules": [{"pool": "one"}]},
            "octodns": {"geodns": {"healthcheck": {"host": NAME, **timing, **self.keys}}},
        }


@dataclass
class Servers:
    """Everything that is checked."""

    nginx: Nginx
    tls_ports: Mapping[str, int]
    grpc: GrpcServer
    grpc_tls: GrpcServer
    nsd: Nsd
    hostile: Mapping[str, int]
    udp: Mapping[str, int]
    certificate: Path
    closed_port: int = field(default_factory=free_port)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """nginx with chains good and bad, gRPC in clear and with TLS, NSD, UDP services, and all the hostile ones."""
    for name in ("root", "below", "web", "nsd"):
        (tmp_path / name).mkdir()
    root = Authority.create(tmp_path / "root")
    authority = root.create_below(tmp_path / "below")
    listeners = {name: TlsListener(free_port(), chain, key) for name, (chain, key) in _issue(authority).items()}
    (tmp_path / "nsd" / "zone").write_text(ZONE_OF_NSD)
    nginx = Nginx(tmp_path / "web", ADDRESS, free_port(), "web", list(listeners.values()))
    nsd = Nsd(tmp_path / "nsd", {"example.net": tmp_path / "nsd" / "zone"})
    udp = {
        "pong": partial(replying, lambda data: [b"pong"]),
        "mute": partial(replying, lambda data: []),
        "garbage": partial(replying, lambda data: [bytes(range(128, 192))]),
    }
    with ExitStack() as stack:
        stack.callback(nginx.stop)
        stack.callback(nsd.stop)
        nginx.start()
        nsd.start()
        yield Servers(
            nginx,
            {name: listener.port for name, listener in listeners.items()},
            stack.enter_context(serving_grpc()),
            stack.enter_context(serving_grpc((listeners["good"].chain, listeners["good"].key))),
            nsd,
            stack.enter_context(in_a_thread(HOSTILE)),
            stack.enter_context(in_a_thread(udp)),
            root.certificate,
        )


def _issue(authority: Authority) -> dict[str, tuple[Path, Path]]:
    """Chains as a server sends them: the certificate, and the intermediate authority's unless that is what is wrong."""
    issued = {
        "good": authority.issue(NAME),
        "short": authority.issue(NAME, days=3),
        "expired": authority.issue(NAME, not_before=EXPIRED[0], not_after=EXPIRED[1]),
        "other name": authority.issue(OTHER),
    }
    chains = {name: (_with_intermediate(leaf, authority), key) for name, (leaf, key) in issued.items()}
    return chains | {"no intermediate": issued["good"]}


def _with_intermediate(leaf: Path, authority: Authority) -> Path:
    chain = leaf.with_suffix(".chain.pem")
    chain.write_text(leaf.read_text() + authority.certificate.read_text())
    return chain


def good_and_bad(servers: Servers, node: Node) -> dict[str, Case]:
    """The cases of real servers."""
    web, closed = servers.nginx.port, servers.closed_port

    def tls(chain: str, /, **demands: Any) -> dict[str, Any]:
        return {"protocol": "HTTPS", "port": servers.tls_ports[chain], "path": "/", "tls": demands}

    def http(**keys: Any) -> dict[str, Any]:
        return {"protocol": "HTTP", "port": web, "path": "/healthz", **keys}

    def dns(port: int, name: str, answer: str | None = None, rtype: str = "A") -> dict[str, Any]:
        wanted = {} if answer is None else {"answer": answer}
        return {"protocol": "DNS", "port": port, "question": {"name": name, "type": rtype}, **wanted}

    def udp(name: str, **expect: str) -> dict[str, Any]:
        return {"protocol": "UDP", "port": servers.udp[name], "expect": {"send": "ping", **expect}}

    not_accepted = "certificate not accepted: "
    return {
        "http": Case(http(), True, "status 200$"),
        "http-status": Case(http(expect={"status": ["201-299", 404]}), False, "status 200, wanted 201-299, 404$"),
        "http-body": Case(http(expect={"body": r"/^web is \w+\s$/"}), True, "status 200$"),
        "http-no-body": Case(http(expect={"body": "is ill"}), False, "status 200, body without the wanted text$"),
        "http-refused": Case(http(port=closed), False, "connection refused$"),
        "https": Case(tls("expired"), True, "status 200$"),
        "https-chain": Case(tls("good", verify=True, min_days=30), True, "status 200$"),
        "https-no-intermediate": Case(tls("no intermediate", verify=True), False, not_accepted + "unable to get local issuer certificate$"),
        "https-expired": Case(tls("expired", verify=True), False, not_accepted + "certificate has expired$"),
        "https-expired-days": Case(tls("expired", min_days=0), False, r"certificate expired \d+ days ago, wanted 0 days left$"),
        "https-other-name": Case(tls("other name", verify=True), False, not_accepted + "Hostname mismatch"),
        "https-named": Case(tls("other name", verify=True, name=OTHER), True, "status 200$"),
        "https-min-days": Case(tls("short", verify=True, min_days=14), False, "certificate expires in 2 days, wanted 14$"),
        "https-clear": Case({**tls("good"), "port": web}, False, "answer is not TLS$"),
        "tcp": Case({"protocol": "TCP", "port": web}, True, "connected$"),
        "tcp-expect": Case(
            {"protocol": "TCP", "port": web, "expect": {"send": "GET /healthz\r\n\r\n", "body": "web is well"}}, True, "answer as wanted$"
        ),
        "tcp-refused": Case({"protocol": "TCP", "port": closed}, False, "connection refused$"),
        "udp": Case(udp("pong", body="/^pong$/"), True, "reply as wanted$"),
        "udp-other": Case(udp("garbage", body="pong"), False, "reply without the wanted text$"),
        "udp-mute": Case(udp("mute"), False, "timeout: a reply did not come within 0.5 s$", 0.5),
        "udp-refused": Case({"protocol": "UDP", "port": closed}, False, "connection refused$"),
        "dns": Case(dns(servers.nsd.port, "www.example.net", "192.0.2.1"), True, "NOERROR, 1 records$"),
        "dns-other": Case(dns(servers.nsd.port, "www.example.net", "192.0.2.2"), False, "answer without 192.0.2.2$"),
        "dns-nxdomain": Case(dns(servers.nsd.port, "no.example.net"), False, "NXDOMAIN for no.example.net. A$"),
        "dns-refused": Case(dns(servers.nsd.port, "www.example.org"), False, "REFUSED for www.example.org. A$"),
        "dns-ours": Case(dns(node.dns_port, "example.com", rtype="SOA"), True, "NOERROR, 1 records$"),
        "dns-garbage": Case(dns(servers.udp["garbage"], "www.example.net"), False, "answer is not DNS$"),
        "dns-closed": Case(dns(closed, "www.example.net"), False, "connection refused$"),
        "icmp": Case({"protocol": "ICMP"}, True, "echo reply$" if os.geteuid() == 0 else "echo reply$|ICMP is not permitted here"),
        "grpc": Case({"protocol": "GRPC", "port": servers.grpc.port}, True, "SERVING$"),
        "grpc-service": Case({"protocol": "GRPC", "port": servers.grpc.port, "service": "a.B"}, False, "NOT_SERVING, wanted SERVING$"),
        "grpc-unknown": Case(
            {"protocol": "GRPC", "port": servers.grpc.port, "service": "a.C"}, False, "NOT_FOUND: the server does not know"
        ),
        "grpc-tls": Case({"protocol": "GRPC", "port": servers.grpc_tls.port, "tls": {"verify": True}}, True, "SERVING$"),
        "grpc-web": Case({"protocol": "GRPC", "port": web}, False, "answer is not HTTP/2$"),
        "push": Case({"protocol": "PUSH", "stale_after": 600}, True, "no report yet$"),
        "push-silent": Case({"protocol": "PUSH", "stale_after": 0.5}, False, "no report for "),
    }


def hostile(ports: Mapping[str, int]) -> dict[str, Case]:
    """What every hostile server is to the protocols that connect to it."""
    found: dict[str, Case] = {}
    for case in CASES:
        for check, (evidence, cause) in checks(case, ports[case.server]):
            key = f"x-{case.server}-{check.protocol.value}{'-expect' if check.expect.body else ''}".replace(" ", "-").lower()
            found[key] = Case(_keys(check), evidence is Evidence.OK, cause, 0.5)
    return found


def _keys(check: Check) -> dict[str, Any]:
    keys: dict[str, Any] = {"protocol": check.protocol.value, "port": check.port}
    if check.protocol in (Protocol.HTTP, Protocol.HTTPS):
        keys["path"] = check.path
    if check.expect.body is not None:
        keys["expect"] = {"body": check.expect.body}
    return keys


def write(node: Node, cases: Mapping[str, Case]) -> None:
    """All records in one change."""
    change(node, [{"op": "upsert", "name": key, "type": "A", "record": case.record} for key, case in cases.items()])


def change(node: Node, changes: Sequence[Mapping[str, Any]]) -> None:
    """One change, which is served when this returns."""
    node.wait_served(node.request("POST", "/api/v1/zones/example.com/changes", {"changes": changes}))


def endpoints(node: Node) -> dict[str, dict[str, Any]]:
    """Every endpoint by the first label of each record that it checks."""
    items = node.get("/api/v1/endpoints?limit=1000").body["items"]
    return {value["record"].partition(".")[0]: endpoint for endpoint in items for value in endpoint["values"]}


def await_outcomes(node: Node, cases: Mapping[str, Case]) -> None:
    """Waits until every case has come to what it must, on the wire as well; each is asked about until then."""
    open_cases = dict(cases)

    def all_came() -> bool:
        shown = endpoints(node)
        for key, case in list(open_cases.items()):
            endpoint = shown.get(key)
            if endpoint is not None and has_come(case, endpoint) and answers(node, key) == [ADDRESS if case.is_up else FALLBACK]:
                del open_cases[key]
        if open_cases:
            differing = {
                key: (case.cause, shown.get(key, {}).get("verdict"), shown.get(key, {}).get("cause")) for key, case in open_cases.items()
            }
            raise AssertionError(f"{len(differing)}: {differing}")
        return True

    wait_until(all_came, within_s=PATIENCE_S, every_s=0.3, what="every verdict and cause")


def has_come(case: Case, endpoint: Mapping[str, Any]) -> bool:
    """Verdict and cause are those of the case."""
    return (endpoint["verdict"] == "up") is case.is_up and re.match(case.cause, endpoint["cause"]) is not None


def answers(node: Node, key: str) -> Sequence[str]:
    """What the world sees."""
    return ask_quietly(node.dns_port, f"{key}.example.com")


def report(node: Node, key: str, state: str) -> None:
    """What a script beside the endpoint does, with a token that may do nothing else."""
    token = node.request("POST", "/api/v1/tokens", {"name": f"script-{state}", "role": "report"}).body["token"]
    endpoint_id = endpoints(node)[key]["id"]
    response = node.request("PUT", f"/api/v1/endpoints/{endpoint_id}/report", {"state": state, "cause": "disk full"}, token=token)
    assert response.status == 200, response.body
    assert node.request("DELETE", "/api/v1/zones/example.com", token=token).status == 403


def test_verdict_and_cause_of_every_protocol(servers: Servers, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(servers.certificate))
    servers.grpc.set_status("a.B", "NOT_SERVING")
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    cases = good_and_bad(servers, node)
    write(node, cases)
    await_outcomes(node, cases)

    # Every protocol in the other direction, and back.
    servers.nginx.kill()
    servers.nsd.stop()
    servers.grpc.set_status("", "NOT_SERVING")
    servers.grpc.set_status("a.B", "SERVING")
    report(node, "push", "down")
    refused = "connection refused$"
    turned = {
        key: Case(cases[key].keys, False, refused) for key in ("http", "http-body", "https", "https-chain", "tcp", "tcp-expect", "dns")
    }
    turned |= {
        "grpc": Case(cases["grpc"].keys, False, "NOT_SERVING, wanted SERVING$"),
        "grpc-service": Case(cases["grpc-service"].keys, True, "SERVING$"),
        "push": Case(cases["push"].keys, False, "reported down: disk full$"),
    }
    await_outcomes(node, turned)
    servers.nginx.start()
    servers.nsd.start()
    servers.grpc.set_status("", "SERVING")
    report(node, "push", "up")
    back = {key: cases[key] for key in turned if key not in ("push", "grpc-service")}
    await_outcomes(node, back | {"push": Case(cases["push"].keys, True, "reported up: disk full$")})


def test_a_report_to_one_node_is_heard_by_the_others(make_node: MakeNode, postgres_cluster: PostgresCluster) -> None:
    url = postgres_cluster.create_database()
    nodes = [
        make_node(name, zones={"example.com.yaml": ZONE}, settings={"DATABASE_URL": url, "NODE_NAME": name}) for name in ("first", "second")
    ]
    for node in nodes:
        node.spawn()
    for node in nodes:
        node.wait_ready()
    first, second = nodes
    keys = {"protocol": "PUSH", "stale_after": 600}
    write(first, {"push": Case(keys, True, "no report yet$")})
    for speaker, state, cause in ((first, "down", "reported down"), (second, "up", "reported up")):
        wait_until(lambda: "push" in endpoints(speaker), within_s=PATIENCE_S, what="the check")  # noqa: B023 - it waits within the round
        report(speaker, "push", state)
        for node in nodes:
            await_outcomes(node, {"push": Case(keys, state == "up", f"{cause}: disk full$")})
    silent = {**keys, "stale_after": 0.5}
    write(first, {"push": Case(silent, False, "")})
    for node in nodes:
        await_outcomes(node, {"push": Case(silent, False, "no report for ")})


def test_hostile_servers_take_their_value_out_and_leave_nothing_in_the_node(servers: Servers, make_node: MakeNode) -> None:
    silent = f"http://{ADDRESS}:{servers.hostile['accepts and never answers']}/"
    sentinels = f"tcp://{ADDRESS}:{servers.nginx.port},{silent}"
    node = make_node(zones={"example.com.yaml": ZONE}, settings={"HEALTH_SENTINELS": sentinels, "HEALTH_BRAKE_RECORD": "0.5"})
    node.start()
    assert node.process is not None
    process = psutil.Process(node.process.pid)
    write(node, {"first": Case({"protocol": "TCP", "port": servers.nginx.port}, True, "connected")})
    wait_until(lambda: endpoints(node).get("first", {}).get("known"), within_s=PATIENCE_S, what="the first check")
    descriptors, threads = process.num_fds(), process.num_threads()
    cases = hostile(servers.hostile)
    write(node, cases)
    await_outcomes(node, cases)
    change(node, [{"op": "delete", "name": key, "type": "A"} for key in cases])
    wait_until(lambda: endpoints(node).keys() == {"first"}, within_s=PATIENCE_S, what="the end of the checks")
    wait_until(lambda: process.num_fds() <= descriptors + POOLED, within_s=PATIENCE_S, what="as many descriptors as before")
    wait_until(lambda: process.num_threads() <= threads + POOLED, within_s=PATIENCE_S, what="as many threads as before")
    status = node.get("/api/v1/status").body
    assert (status["health"]["endpoints"], status["health"]["braked"]) == (1, 0)
    problem = f"the sentinel {ADDRESS} does not answer: timeout: an answer did not come within 2 s"
    wait_until(lambda: problem in node.get("/api/v1/status").body["problems"], within_s=PATIENCE_S, what=problem)
    check_that_the_brake_holds(node, servers.closed_port)


def check_that_the_brake_holds(node: Node, closed_port: int) -> None:
    """Of a record's two dead values one stays in service, and that is said."""
    record = Case({"protocol": "TCP", "port": closed_port}, False, "").record
    record["dynamic"]["pools"]["one"]["values"] = [{"value": ADDRESS}, {"value": "127.0.0.2"}]
    node.wait_served(node.put("/api/v1/zones/example.com/records/braked/A", record))
    wait_until(lambda: node.get("/api/v1/status").body["health"]["braked"] == 1, within_s=PATIENCE_S, what="the brake")
    (held,) = [endpoint for endpoint in node.get("/api/v1/endpoints").body["items"] if endpoint["held_back"]]
    assert (held["verdict"], held["held_back"]) == (
        "up",
        "1 of 2 values of braked.example.com/A are down, and one vantage alone may take out 1",
    )
    wait_until(lambda: answers(node, "braked") == [held["check"]["target"]], within_s=PATIENCE_S, what="the answer that is left")
    assert f"brakes keep 1 failing checks in service: {held['held_back']}" in node.get("/api/v1/status").body["problems"]
