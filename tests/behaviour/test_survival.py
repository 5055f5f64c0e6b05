"""What an operator is woken for: control killed, the dataplane killed, both killed and no database, a busy port, foreign histories."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import sqlite3
import time
from pathlib import Path

import pytest

from tests.support.asking import ask, ask_quietly
from tests.support.load import Load
from tests.support.node import MakeNode, Node
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timing

ZONE = """
'': {type: NS, values: [ns1.example.com.]}
ns1: {type: A, value: 192.0.2.53}
www: {type: A, ttl: 300, value: 192.0.2.10}
"""


def serves(node: Node, name: str = "www.example.com", value: str = "192.0.2.10") -> bool:
    """The node answers on the wire."""
    return ask(node.dns_port, name) == [value]


def serves_again(node: Node, name: str = "www.example.com") -> bool:
    """The same of a node that may be away, to be asked until it is back."""
    return ask_quietly(node.dns_port, name) == ["192.0.2.10"]


def database(node: Node) -> Path:
    """The node's SQLite file."""
    return node.state / "geodns.db"


def move_database_away(node: Node, place: Path) -> None:
    """As a restored or lost disk would leave it: the file and its WAL are elsewhere."""
    place.mkdir(exist_ok=True)
    for file in node.state.glob("geodns.db*"):
        shutil.move(str(file), place / file.name)


def move_database_back(node: Node, place: Path) -> None:
    """The reverse of `move_database_away`: the file itself comes last, because the node looks for it."""
    for file in sorted(place.glob("geodns.db*"), reverse=True):
        shutil.move(str(file), node.state / file.name)


def test_control_killed_ten_times_under_load_loses_no_query(make_node: MakeNode) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    (dataplane,) = node.dataplanes()
    with Load(node.dns_port, "www.example.com", rate=2000) as load:
        for _ in range(10):
            node.kill_control()
            node.start()
    tally = load.tally
    print(f"{tally.sent} queries, {tally.lost} lost")
    assert tally.sent > 2000
    assert tally.lost == 0, f"lost at {tally.lost_after_s[:10]} s"
    assert [process.pid for process in node.dataplanes()] == [dataplane.pid], "the returning control attaches"
    node.wait_served(node.put("/api/v1/zones/example.com/records/after/A", {"value": "192.0.2.11"}))
    assert serves(node, "after.example.com", "192.0.2.11")


def test_a_killed_dataplane_answers_again_within_half_a_second(make_node: MakeNode) -> None:
    names = "".join(f"n{number}: {{type: A, value: 192.0.2.10}}\n" for number in range(10_000))
    node = make_node(zones={"example.com.yaml": ZONE + names})
    node.start()
    wait_until(lambda: serves_again(node, "n9999.example.com"), within_s=20, what="10,000 names")
    took = []
    for _ in range(3):
        node.kill_dataplane()
        took.append(wait_until(lambda: serves_again(node, "n9999.example.com"), within_s=20, every_s=0.005, what="the dataplane's return"))
        node.wait_ready()
        # The first restart is immediate and later ones back off: a dataplane that has run for a while starts afresh.
        wait_until(lambda: node.get("/api/v1/status").body["dataplane"]["connected"], within_s=20, what="a linked dataplane")
    print(f"answering again after {', '.join(f'{seconds:.3f}' for seconds in took)} s")
    assert took[0] < 0.5


def test_both_killed_and_the_database_gone_answers_from_disk(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    node.kill_control()
    node.kill_dataplane()
    move_database_away(node, tmp_path / "away")
    start = time.monotonic()
    node.spawn()
    wait_until(lambda: serves_again(node), within_s=10, what="answers from disk")
    took = time.monotonic() - start
    print(f"answers from disk after {took:.2f} s")
    assert took < 2.0
    node.wait_ready()
    refused = node.put("/api/v1/zones/example.com/records/x/A", {"value": "192.0.2.1"})
    assert refused.status == 503, refused.body
    assert "Retry-After" in refused.headers
    assert not database(node).exists(), "no new database is created under a state that is served"
    move_database_back(node, tmp_path / "away")
    wait_until(
        lambda: node.put("/api/v1/zones/example.com/records/x/A", {"value": "192.0.2.1"}).status in (200, 201),
        within_s=20,
        what="the first write after the database's return",
    )
    assert serves(node, "x.example.com", "192.0.2.1")


def test_an_older_backup_is_not_published(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    node.wait_served(node.put("/api/v1/zones/example.com/records/early/A", {"value": "192.0.2.1"}))
    node.stop()
    backup = tmp_path / "backup.db"
    shutil.copy(database(node), backup)
    node.start()
    node.wait_served(node.put("/api/v1/zones/example.com/records/late/A", {"value": "192.0.2.2"}))
    node.stop()
    for file in node.state.glob("geodns.db*"):
        file.unlink()
    shutil.copy(backup, database(node))
    node.start()
    assert serves(node, "late.example.com", "192.0.2.2"), "the newer state goes on being served"
    refused = node.put("/api/v1/zones/example.com/records/other/A", {"value": "192.0.2.3"})
    assert refused.status == 409, refused.body
    wait_until_problems(node, "another history")
    adopted = node.command("db", "adopt", "--reason", "restored from backup")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    wait_until(
        lambda: node.put("/api/v1/zones/example.com/records/other/A", {"value": "192.0.2.3"}).status in (200, 201),
        within_s=10,
        what="a write after the history was adopted",
    )
    wait_until(lambda: ask_quietly(node.dns_port, "late.example.com") == [], within_s=20, what="the adopted history on the wire")


def test_an_empty_database_under_a_served_state_changes_nothing(make_node: MakeNode) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    node.stop()
    for file in node.state.glob("geodns.db*"):
        file.unlink()
    upgraded = node.command("db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stdout + upgraded.stderr
    node.start()
    assert serves(node)
    assert node.put("/api/v1/zones/example.com/records/x/A", {"value": "192.0.2.1"}).status == 409
    assert serves(node)


def test_an_empty_database_file_under_a_served_state_is_a_foreign_history(make_node: MakeNode) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    node.stop()
    for file in node.state.glob("geodns.db*"):
        file.unlink()
    database(node).touch()
    node.start()
    assert serves(node)
    refused = node.put("/api/v1/zones/example.com/records/x/A", {"value": "192.0.2.1"})
    assert refused.status == 409, refused.body
    with contextlib.closing(sqlite3.connect(database(node))) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,), "nothing is made in it"


def test_a_busy_dns_port_is_one_sentence_and_exit_1(make_node: MakeNode) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", node.dns_port))
        node.spawn()
        assert node.process is not None
        assert node.process.wait(timeout=60) == 1
    lines = [line for line in node.logged().splitlines() if str(node.dns_port) in line]
    assert lines, node.tail()
    assert "Traceback" not in node.logged()
    assert node.dataplanes() == []


def test_a_busy_api_port_is_one_sentence_and_exit_1(make_node: MakeNode) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", node.api_port))
        taken.listen()
        node.spawn()
        assert node.process is not None
        assert node.process.wait(timeout=60) == 1
    assert str(node.api_port) in node.logged()
    assert "Traceback" not in node.logged()


def test_a_second_serve_on_the_same_state_is_refused(make_node: MakeNode) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    second = node.command("serve")
    assert second.returncode == 1
    assert "Traceback" not in second.stderr
    assert serves(node)


def test_an_end_that_is_asked_for_during_the_start_leaves_no_dataplane(make_node: MakeNode) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    for number in (signal.SIGTERM, signal.SIGINT):
        node.spawn()
        assert node.process is not None
        wait_until(lambda: bool(node.dataplanes()), within_s=20, what="a dataplane that was started")
        node.process.send_signal(signal.SIGHUP)
        node.process.send_signal(number)
        assert node.process.wait(timeout=60) == 0, node.tail()
        assert node.dataplanes() == []
        assert "Traceback" not in node.logged()


def test_an_end_that_is_asked_for_twice_leaves_no_dataplane(make_node: MakeNode) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    assert node.process is not None
    node.process.send_signal(signal.SIGTERM)
    while node.process.poll() is None:
        node.process.send_signal(signal.SIGTERM)
        node.process.send_signal(signal.SIGHUP)
        time.sleep(0.05)
    assert node.process.returncode in (0, -signal.SIGTERM, -signal.SIGHUP), "the interpreter's last moment is its own"
    assert node.dataplanes() == []


def test_a_damaged_state_file_is_refused_and_the_store_is_used(make_node: MakeNode) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    node.stop()
    for base in (node.state / "dataplane").glob("base*"):
        raw = bytearray(base.read_bytes())
        raw[len(raw) // 2] ^= 0xFF
        base.write_bytes(raw)
    node.start()
    wait_until(lambda: serves_again(node), within_s=20, what="answers from the store")
    node.wait_served(node.put("/api/v1/zones/example.com/records/x/A", {"value": "192.0.2.1"}))


def test_a_broken_zone_file_is_named_and_the_others_are_served(make_node: MakeNode) -> None:
    broken = "'': {type: NS, values: [ns1.example.net.]}\nwww:\n  type: A\n  value: 300.1.1.1\n"
    node = make_node(zones={"example.com.yaml": ZONE, "example.net.yaml": broken})
    node.start()
    assert serves(node)
    assert node.get("/api/v1/zones/example.net").status == 404
    wait_until_problems(node, "example.net.yaml")
    assert "example.net.yaml" in node.logged()


def test_a_corrupt_location_database_is_loud_and_geo_rules_fall_through(make_node: MakeNode, tmp_path: Path) -> None:
    corrupt = tmp_path / "corrupt.mmdb"
    corrupt.write_bytes(b"\x00" * 5000)
    missing = tmp_path / "missing.mmdb"
    zone = ZONE + (
        "geo:\n  type: A\n  values: [192.0.2.1]\n  dynamic:\n    pools:\n"
        "      eu: {values: [{value: 192.0.2.2, status: up}]}\n      all: {values: [{value: 192.0.2.3, status: up}]}\n"
        "    rules: [{geos: [EU], pool: eu}, {pool: all}]\n"
    )
    node = make_node(zones={"example.com.yaml": zone}, settings={"GEO_DATABASES": f"{corrupt},{missing}"})
    node.start()
    assert serves(node, "geo.example.com", "192.0.2.3")
    wait_until_problems(node, "corrupt.mmdb", "missing.mmdb")
    assert "corrupt.mmdb" in node.logged()


def wait_until_problems(node: Node, *words: str) -> None:
    """Until each of `words` occurs in one of the problems of `status`."""

    def named() -> bool:
        problems = node.get("/api/v1/status").body["problems"]
        return all(any(word in problem for problem in problems) for word in words)

    wait_until(named, within_s=20, what=f"problems that name {words}")


def test_malformed_packets_get_formerr_or_silence_and_never_an_exit(make_node: MakeNode) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    (dataplane,) = node.dataplanes()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", node.dns_port))
        for size in range(64):
            sock.send(bytes(size))
            sock.send(b"\xff" * size)
            sock.send(b"\x12\x34\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff" + b"\xc0\x0c" * size)
    assert serves(node)
    assert [process.pid for process in node.dataplanes()] == [dataplane.pid]


def test_a_dataplane_that_is_stopped_is_noticed_and_left_alone(make_node: MakeNode) -> None:
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    (dataplane,) = node.dataplanes()
    dataplane.suspend()
    try:
        wait_until(lambda: node.get("/readyz").status == 503, within_s=30, what="a node that is not ready")
        assert "has said nothing for" in node.get("/readyz").body["reason"]
        assert any("stopped or stuck" in problem for problem in node.get("/api/v1/status").body["problems"])
        metrics = dict(line.rsplit(" ", 1) for line in node.get("/metrics").body.splitlines() if not line.startswith("#"))
        assert float(metrics["geodns_dataplane_silence_seconds"]) > 5
        assert float(metrics["geodns_ready"]) == 0
    finally:
        dataplane.resume()
    wait_until(lambda: node.get("/readyz").status == 200, within_s=30, what="readiness")
    assert [process.pid for process in node.dataplanes()] == [dataplane.pid]
    assert serves(node)
