"""REST as a stranger meets it: 401 without a token, problem details with every problem, ETags, the first start's token."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from tests.support.node import MakeNode, Node

ZONE = "'': {type: NS, values: [ns1.example.com.]}\nns1: {type: A, value: 192.0.2.53}\nwww: {type: A, value: 192.0.2.10}\n"


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    """A node with one small zone."""
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    return node


def test_without_a_token_401_and_the_open_routes_answer(node: Node) -> None:
    for path in ("/api/v1/zones", "/api/v1/status", "/api/v1/endpoints", "/api/v1/explain?name=www.example.com"):
        refused = node.request("GET", path, token=None)
        assert refused.status == 401, path
        assert refused.headers["Content-Type"].startswith("application/problem+json")
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"):
        assert node.request("GET", path, token=None).status == 200, path


def test_the_first_start_makes_a_token_that_only_its_owner_reads(make_node: MakeNode) -> None:
    node = make_node("first", zones={"example.com.yaml": ZONE})
    node.settings["API_TOKEN"] = ""
    node.start()
    (file,) = node.state.glob("*token*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = file.read_text().strip()
    assert node.request("GET", "/api/v1/zones", token=token).status == 200
    assert node.request("GET", "/api/v1/zones", token="guess").status == 401  # noqa: S106 # a wrong token
    assert node.logged().count(token) == 1, "printed once"
    listed = node.command("token", "list", "--json")
    assert listed.returncode == 0, "the command finds the token file"
    assert token not in listed.stdout


def test_every_problem_at_once_and_nothing_stored(node: Node) -> None:
    response = node.put(
        "/api/v1/zones/example.com/records/bad/A",
        {
            "ttl": -1,
            "values": ["192.0.2.1", "300.0.0.1"],
            "dynamic": {
                "pools": {"one": {"values": [{"value": "192.0.2.2", "weight": 500}], "fallback": "none"}},
                "rules": [{"pool": "two"}],
            },
        },
    )
    assert response.status == 422
    assert response.headers["Content-Type"].startswith("application/problem+json")
    pointers = {problem["pointer"] for problem in response.body["errors"]}
    assert len(response.body["errors"]) >= 5, response.body
    assert all(pointer.startswith("/") for pointer in pointers), pointers
    assert node.get("/api/v1/zones/example.com/records/bad/A").status == 404
    assert node.dig("bad.example.com").rcode == "NXDOMAIN"


def test_etags_guard_against_lost_updates(node: Node) -> None:
    path = "/api/v1/zones/example.com/records/www/A"
    first = node.get(path)
    etag = first.headers["ETag"]
    node.wait_served(node.request("PUT", path, {"value": "192.0.2.11"}, headers={"If-Match": etag}))
    assert node.request("PUT", path, {"value": "192.0.2.12"}, headers={"If-Match": etag}).status == 412
    assert node.request("PUT", path, {"value": "192.0.2.12"}, headers={"If-None-Match": "*"}).status == 412
    assert node.dig("www.example.com").values == ["192.0.2.11"]


def test_a_changeset_is_whole_or_not_at_all(node: Node) -> None:
    changes = [
        {"op": "delete", "name": "www", "type": "A"},
        {"op": "upsert", "name": "www", "record": {"type": "CNAME", "value": "web.example.com."}},
        {"op": "upsert", "name": "web", "type": "A", "record": {"values": ["192.0.2.20", "192.0.2.21"]}},
    ]
    dry = node.request("POST", "/api/v1/zones/example.com/changes", {"changes": changes, "dry_run": True})
    assert dry.status == 200, dry.body
    assert node.dig("www.example.com").values == ["192.0.2.10"]
    done = node.request("POST", "/api/v1/zones/example.com/changes", {"changes": changes})
    node.wait_served(done)
    assert node.dig("www.example.com").values == ["web.example.com.", "192.0.2.20", "192.0.2.21"]
    broken = [*changes, {"op": "upsert", "name": "web", "type": "MX", "record": {"value": "nonsense"}}]
    assert node.request("POST", "/api/v1/zones/example.com/changes", {"changes": broken}).status == 422


def test_explain_is_answered_by_the_dataplane(node: Node) -> None:
    explained = node.get("/api/v1/explain?name=www.example.com&type=A&client=192.0.2.1")
    assert explained.status == 200, explained.body
    printed = node.command("explain", "www.example.com", "A", "--client", "198.18.4.0/24")
    assert printed.returncode == 0, printed.stderr
    assert "192.0.2.10" in printed.stdout


def test_started_as_root_both_processes_serve_as_the_user_of_the_settings() -> None:
    # Not below pytest's own directory, which another user may not even enter.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        node = Node(Path(name), settings={"USER": "nobody", "ZONES_NAMESERVERS": "ns1.example.net"})
        try:
            if os.geteuid() != 0:
                refused = node.command("serve")
                assert (refused.returncode, "only root can become 'nobody'" in refused.stderr) == (1, True)
                return
            node.start()
            assert node.process is not None
            # Nothing from a file: what nobody reads depends on where this Python is installed.
            node.wait_served(node.request("POST", "/api/v1/zones", {"name": "example.org"}))
            owners = {Path(f"/proc/{pid}").stat().st_uid for pid in (node.process.pid, *(found.pid for found in node.dataplanes()))}
            assert len(owners) == 1
            assert 0 not in owners
        finally:
            node.stop()
