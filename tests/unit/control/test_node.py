"""The node with the real dataplane: what an operator relies on, in one process so that each claim is quick to judge."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode
import psutil
import pytest

from geodns.control import zonefiles
from geodns.control.ground import Ground
from geodns.control.healthtable import Override
from geodns.control.node import Node
from geodns.control.overlay import OverrideKind
from geodns.control.statedir import StateDirectory
from geodns.errors import Conflict, DatabaseUnavailable, ForeignHistory, SchemaTooNew, StartupError
from geodns.model import names
from geodns.publish.client import open_link
from geodns.publish.frames import Operator, Role
from geodns.settings import Settings
from geodns.store import history, migrate
from geodns.store.audit import Actor
from geodns.store.database import Database
from geodns.store.requests import ChangeRecords, DeleteZone, Upsert
from tests.support.ports import free_port

ACTOR = Actor("test")
APEX = names.parse_zone_name("example.com")
# For what other processes do, on a machine that is busy with other suites.
PATIENCE_S = 60.0
ZONE = """
'': {type: NS, values: [ns1.example.com.]}
ns1: {type: A, value: 192.0.2.53}
www: {type: A, ttl: 300, value: 192.0.2.10}
"""


class Place:
    """Where a node lives: its directories, its port, its settings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.zones = path / "zones"
        self.zones.mkdir()
        (self.zones / "example.com.yaml").write_text(ZONE)
        self.port = free_port()
        self.more: dict[str, object] = {}

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def database(self) -> Path:
        return self.state / "geodns.db"

    def flags(self) -> dict[str, object]:
        return {
            "dns.listen": f"127.0.0.1:{self.port}",
            "dns.workers": 2,
            "state.directory": str(self.state),
            "zones.directory": str(self.zones),
            "node.name": "test",
            "prober.allow_loopback": True,
            **self.more,
        }

    def settings(self) -> Settings:
        return Settings.load(self.flags(), environ={})

    @asynccontextmanager
    async def killed(self) -> AsyncIterator[tuple[int, int]]:
        """Control as a process of its own, once its dataplane serves, killed at the end of the block: its pid and the dataplane's."""
        process = launch([sys.executable, "-m", "tests.support.control_program", json.dumps(self.flags())])
        with process:
            try:
                assert process.stdout is not None
                assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
                async with open_link(StateDirectory(self.state).socket, Role.OBSERVER) as link:
                    pid = link.hello.pid
                yield process.pid, pid
            finally:
                process.kill()

    @asynccontextmanager
    async def serving(self, *, ready: bool = True) -> AsyncIterator[Node]:
        settings = self.settings()
        async with Ground(settings) as ground, Node(settings, ground) as node:
            if ready:
                await until(lambda: node.readiness()[0])
            yield node

    @asynccontextmanager
    async def dying(self) -> AsyncIterator[Node]:
        """A control that ends by a defect, which is as near to being killed as one process can come."""
        with contextlib.suppress(ZeroDivisionError):
            async with self.serving() as node:
                yield node
                raise ZeroDivisionError

    async def ask(self, name: str, rtype: str = "A", *, tcp: bool = False) -> list[str]:
        """The values of an answer, sorted; one that never comes is an error."""
        query = dns.message.make_query(name, rtype)
        ask = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        answer = await ask(query, "127.0.0.1", port=self.port, timeout=PATIENCE_S)
        return sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset)

    def move_database(self, away: Path) -> None:
        away.mkdir()
        # A node that runs closes a database that it misses, and SQLite then removes the file of its WAL.
        for file in sorted(self.state.glob("geodns.db*")):
            with contextlib.suppress(FileNotFoundError):
                shutil.move(str(file), away / file.name)

    def bring_database_back(self, away: Path) -> None:
        for file in sorted(away.glob("geodns.db*"), reverse=True):
            shutil.move(str(file), self.state / file.name)


def launch(arguments: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)


async def until(claim: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not claim():  # noqa: ASYNC110 - the claim is about other processes
            await asyncio.sleep(0.01)


def put(name: str, value: str = "192.0.2.1") -> ChangeRecords:
    return ChangeRecords(APEX, (Upsert(name, "A", {"value": value}),))


def is_gone(pid: int) -> bool:
    """Ended; one that this process started and then let go stays a zombie of it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pid_of(node: Node) -> int:
    assert node.supervisor.hello is not None
    return node.supervisor.hello.pid


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_a_first_start_seeds_and_a_write_answers_before_it_is_acknowledged(place: Place) -> None:
    async with place.serving() as node:
        assert await place.ask("www.example.com") == ["192.0.2.10"]
        for number in range(20):
            result = await node.write(put("new", f"192.0.2.{number}"), ACTOR)
            assert result.applied
            assert await place.ask("new.example.com", tcp=number % 2 == 0) == [f"192.0.2.{number}"]
        assert node.status()["problems"] == []
        pid = pid_of(node)
    assert is_gone(pid)


async def test_a_killed_dataplane_is_back_with_its_state(place: Place) -> None:
    async with place.serving() as node:
        await node.write(put("kept"), ACTOR)
        os.kill(pid_of(node), signal.SIGKILL)
        await until(lambda: node.supervisor.restarts == 1 and node.readiness()[0])
        assert await place.ask("kept.example.com") == ["192.0.2.1"]
        assert (await node.write(put("after"), ACTOR)).applied


async def test_a_returning_control_attaches_to_the_dataplane_that_outlived_it(place: Place) -> None:
    pids = []
    for number in range(3):
        async with place.dying() as node:
            pids.append(pid_of(node))
            assert (await node.write(put("www", f"192.0.2.{number}"), ACTOR)).applied
        assert await place.ask("www.example.com") == [f"192.0.2.{number}"]
    assert len(set(pids)) == 1
    async with place.serving() as node:
        assert pid_of(node) == pids[0]
    assert is_gone(pids[0])


async def test_control_is_killed_and_the_dataplane_neither_ends_nor_stops_answering(place: Place) -> None:
    for number in range(3):
        async with place.killed() as (control, pid):
            assert os.getpgid(pid) == os.getpgid(control)
        assert await place.ask("www.example.com") == ["192.0.2.10"], number
        assert not is_gone(pid)
    async with place.serving() as node:
        assert pid_of(node) == pid
        assert (await node.write(put("after"), ACTOR)).applied
        assert await place.ask("after.example.com") == ["192.0.2.1"]
    assert is_gone(pid)


@pytest.mark.timing
async def test_both_are_killed_and_without_the_database_it_answers_within_two_seconds(place: Place, tmp_path: Path) -> None:
    async with place.killed() as (_, pid):
        pass
    os.kill(pid, signal.SIGKILL)
    place.move_database(tmp_path / "away")
    started = time.monotonic()
    async with place.serving():
        assert await place.ask("www.example.com") == ["192.0.2.10"]
        assert time.monotonic() - started < 2
        assert not place.database.exists()


async def test_other_start_settings_replace_the_running_dataplane(place: Place) -> None:
    async with place.dying() as node:
        first = pid_of(node)
    place.more["dns.workers"] = 1
    async with place.serving() as node:
        assert pid_of(node) != first
        assert await place.ask("www.example.com") == ["192.0.2.10"]


async def test_with_the_database_gone_it_answers_from_disk_and_takes_it_up_when_it_is_back(place: Place, tmp_path: Path) -> None:
    async with place.serving():
        pass
    place.move_database(tmp_path / "away")
    async with place.serving() as node:
        assert await place.ask("www.example.com") == ["192.0.2.10"]
        with pytest.raises(DatabaseUnavailable, match="is missing under a state that is being served"):
            await node.write(put("x"), ACTOR)
        assert not place.database.exists()
        assert any("is missing" in problem for problem in node.status()["problems"])
        place.bring_database_back(tmp_path / "away")
        await until(lambda: node.keeper.is_open.is_set())
        assert (await node.write(put("x"), ACTOR)).applied
        assert await place.ask("x.example.com") == ["192.0.2.1"]


async def test_a_database_moved_away_under_a_running_node_refuses_writes_until_it_is_back(place: Place, tmp_path: Path) -> None:
    async with place.serving() as node:
        place.move_database(tmp_path / "away")
        with pytest.raises(DatabaseUnavailable):
            await node.write(put("x"), ACTOR)
        assert await place.ask("www.example.com") == ["192.0.2.10"]
        assert not place.database.exists()
        place.bring_database_back(tmp_path / "away")
        await until(lambda: node.keeper.is_open.is_set())
        assert (await node.write(put("x"), ACTOR)).applied


async def test_an_older_backup_is_served_only_once_it_was_adopted(place: Place, tmp_path: Path) -> None:
    async with place.serving() as node:
        await node.write(put("early"), ACTOR)
    shutil.copy(place.database, tmp_path / "backup")
    async with place.serving() as node:
        await node.write(put("late"), ACTOR)
    shutil.copy(tmp_path / "backup", place.database)
    async with place.serving() as node:
        await until(lambda: node.publisher.foreign is not None)
        assert await place.ask("late.example.com") == ["192.0.2.1"]
        with pytest.raises(ForeignHistory):
            await node.write(put("x"), ACTOR)
        status = node.status()
        assert status["histories"]["stored"] != status["histories"]["served"]
        assert any("another history" in problem for problem in status["problems"])
        async with node.database.write() as session:
            await history.adopt_lineage(session, "restored", ACTOR)
        await until(lambda: node.publisher.foreign is None)
        assert (await node.write(put("x"), ACTOR)).applied
        assert await place.ask("late.example.com") == []


async def test_an_empty_database_under_a_served_state_changes_nothing(place: Place) -> None:
    async with place.serving():
        pass
    for file in place.state.glob("geodns.db*"):
        file.unlink()
    await migrate.upgrade(place.settings().database.url)
    async with place.serving() as node:
        await until(lambda: node.publisher.foreign is not None)
        with pytest.raises(ForeignHistory):
            await node.write(put("x"), ACTOR)
        assert await place.ask("www.example.com") == ["192.0.2.10"]
        async with node.database.read() as session:
            assert (await history.head(session)).revision <= 1


async def test_a_newer_schema_is_left_alone_and_dns_goes_on(place: Place) -> None:
    async with place.serving():
        pass
    with sqlite3.connect(place.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    async with place.serving() as node:
        assert await place.ask("www.example.com") == ["192.0.2.10"]
        with pytest.raises(SchemaTooNew):
            await node.write(put("x"), ACTOR)
        assert node.keeper.too_new
        assert any("newer" in problem for problem in node.status()["problems"])


async def test_a_busy_port_is_one_sentence_and_leaves_nothing_behind(place: Place) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", place.port))
        with pytest.raises(StartupError, match=str(place.port)):
            async with place.serving():
                raise AssertionError("must not start")
    assert [p for p in psutil.process_iter(["cmdline"]) if str(place.state) in " ".join(p.info["cmdline"] or [])] == []


async def test_a_second_serve_is_refused_and_the_first_goes_on(place: Place) -> None:
    async with place.serving():
        with pytest.raises(StartupError, match="another geodns serve"):
            async with place.serving():
                raise AssertionError("must not start")
        assert await place.ask("www.example.com") == ["192.0.2.10"]


async def test_a_broken_zone_file_is_named_with_its_line_and_the_others_are_served(place: Place) -> None:
    (place.zones / "example.net.yaml").write_text("'': {type: NS, values: [ns1.example.net.]}\nwww:\n  type: A\n  value: 300.1.1.1\n")
    async with place.serving() as node:
        assert await place.ask("www.example.com") == ["192.0.2.10"]
        assert any("example.net.yaml" in problem and "300.1.1.1" in problem for problem in node.status()["problems"])


async def test_seeding_happens_once_and_a_differing_file_is_named_with_its_command(place: Place) -> None:
    (place.zones / "example.net.yaml").write_text(ZONE.replace("example.com", "example.net"))
    async with place.serving() as node:
        await node.write(DeleteZone(names.parse_zone_name("example.net")), ACTOR)
        await node.write(put("www", "192.0.2.99"), ACTOR)
    async with place.serving() as node:
        await until(lambda: node.files is not None and node.files.differing)
        assert await place.ask("www.example.com") == ["192.0.2.99"]
        assert await place.ask("www.example.net") == []
        (problem,) = node.status()["problems"]
        assert f"geodns apply {place.zones / 'example.com.yaml'}" in problem


async def test_a_mended_file_is_seeded_and_an_applied_difference_is_no_longer_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zonefiles, "SEED_POLL_S", 0.1)
    broken = place.zones / "example.net.yaml"
    broken.write_text("'': {type: NS, values: [ns1.example.net.]}\nwww: {type: A, value: 300.1.1.1}\n")
    async with place.serving() as node:
        assert any("300.1.1.1" in problem for problem in node.status()["problems"])
        broken.write_text(ZONE.replace("example.com", "example.net"))
        await until_answer(place, "www.example.net", ["192.0.2.10"])
        await until(lambda: node.status()["problems"] == [])
        await node.write(put("www", "192.0.2.99"), ACTOR)
        (place.zones / "example.com.yaml").write_text(ZONE + "# touched\n")
        await until(lambda: any("differs from its file" in problem for problem in node.status()["problems"]))
        result = await node.write(ChangeRecords(APEX, (Upsert("www", "A", {"value": "192.0.2.10", "ttl": 300}),)), ACTOR)
        assert result.applied
        await until(lambda: node.status()["problems"] == [])


@pytest.mark.timing
async def test_two_nodes_that_start_together_seed_once(place: Place, tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "second").mkdir()
    other = Place(tmp_path / "second")
    place.more = {"database.url": postgres_url, "node.name": "a"}
    other.more = {"database.url": postgres_url, "node.name": "b"}
    async with place.serving() as first, other.serving() as second:
        database = await Database.open(postgres_url)
        async with database.read() as session:
            assert (await history.head(session)).revision == 2
        await database.close()
        started = time.monotonic()
        assert (await first.write(put("shared", "192.0.2.7"), ACTOR)).applied
        revision = first.publisher.served
        await until(lambda: second.publisher.served == revision)
        assert time.monotonic() - started < 1.0
        assert await other.ask("shared.example.com") == ["192.0.2.7"]


async def test_mirrored_files_are_followed_live_and_the_api_may_not_write(place: Place) -> None:
    place.more["zones.mode"] = "mirror"
    many = "".join(f"n{number}: {{type: A, value: 192.0.2.1}}\n" for number in range(20))
    file = place.zones / "example.com.yaml"
    file.write_text(ZONE + many)
    async with place.serving() as node:
        with pytest.raises(Conflict):
            await node.write(put("x"), ACTOR)
        file.write_text(ZONE.replace("192.0.2.10", "192.0.2.20") + many)
        await until_answer(place, "www.example.com", ["192.0.2.20"])
        file.write_text(ZONE)
        await until(lambda: any("example.com" in problem for problem in node.status()["problems"]))
        assert await place.ask("n1.example.com") == ["192.0.2.1"]
        file.write_text("broken: [")
        await until(lambda: any("example.com.yaml" in problem for problem in node.status()["problems"]))
        assert await place.ask("n1.example.com") == ["192.0.2.1"]


STEERED = {
    "type": "A",
    "ttl": 5,
    "values": ["127.0.0.9"],
    "dynamic": {
        "pools": {"one": {"fallback": "two", "values": [{"value": "127.0.0.1"}]}, "two": {"values": [{"value": "127.0.0.2"}]}},
        "rules": [{"pool": "one"}],
    },
}


def steered(port: int, interval_s: float = 0.2) -> ChangeRecords:
    timing = {"interval": interval_s, "timeout": 0.2, "recheck": 0.05, "hold_down": 0.2}
    checks = {"healthcheck": {"protocol": "TCP", "port": port}, "geodns": {"healthcheck": timing}}
    return ChangeRecords(APEX, (Upsert("lb", "A", {**STEERED, "octodns": checks}),))


class Servers:
    """TCP servers on several loopback addresses and one port, to be checked and stopped."""

    def __init__(self) -> None:
        self.port = free_port()
        self._sockets: dict[str, socket.socket] = {}

    def start(self, address: str) -> None:
        # Nobody takes the connections, so that all checks of a test must have room.
        listener = socket.create_server((address, self.port), backlog=1024)
        # Refused at once when it is closed: nothing may linger.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sockets[address] = listener

    def stop(self, address: str) -> None:
        self._sockets.pop(address).close()

    def close(self) -> None:
        for address in list(self._sockets):
            self.stop(address)


@pytest.fixture
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.close()


async def until_answer(place: Place, name: str, expected: list[str], timeout_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while await place.ask(name) != expected:  # noqa: ASYNC110 - the claim is about another process
            await asyncio.sleep(0.02)


async def test_health_changes_answers_with_the_database_alive_or_gone(place: Place, tmp_path: Path, servers: Servers) -> None:
    servers.start("127.0.0.1")
    servers.start("127.0.0.2")
    async with place.serving() as node:
        assert (await node.write(steered(servers.port), ACTOR)).applied
        await until_answer(place, "lb.example.com", ["127.0.0.1"])
        servers.stop("127.0.0.1")
        await until_answer(place, "lb.example.com", ["127.0.0.2"])
        place.move_database(tmp_path / "away")
        servers.start("127.0.0.1")
        await until_answer(place, "lb.example.com", ["127.0.0.1"])
        servers.stop("127.0.0.1")
        await until_answer(place, "lb.example.com", ["127.0.0.2"])
        await until(lambda: node.recorder.spooled > 0)
        place.bring_database_back(tmp_path / "away")
        await until(lambda: node.recorder.spooled == 0)


async def test_a_verdict_outlives_control_and_dataplane(place: Place, servers: Servers) -> None:
    servers.start("127.0.0.2")
    async with place.serving() as node:
        await node.write(steered(servers.port), ACTOR)
        await until_answer(place, "lb.example.com", ["127.0.0.2"])
        # Slow checks from here on: what is answered after the restart is what was believed before.
        await node.write(steered(servers.port, interval_s=60), ACTOR)
        await until_answer(place, "lb.example.com", ["127.0.0.2"])
    async with place.serving() as node:
        await until(lambda: node.flow.lineage is not None)
        node.flow.send_whole()
        assert await place.ask("lb.example.com") == ["127.0.0.2"]


async def test_a_foreign_history_leaves_the_health_of_what_is_served_alone(place: Place, servers: Servers) -> None:
    servers.start("127.0.0.1")
    servers.start("127.0.0.2")
    async with place.serving() as node:
        await node.write(steered(servers.port), ACTOR)
        await until_answer(place, "lb.example.com", ["127.0.0.1"])
        for file in place.state.glob("geodns.db*"):
            file.unlink(missing_ok=True)
        await migrate.upgrade(node.settings.database.url)
        await until(lambda: node.publisher.foreign is not None)
        word = Override(OverrideKind.VALUE, "127.0.0.2", Operator.DOWN, "", "tester", datetime.now(UTC))
        with pytest.raises(ForeignHistory):
            await node.set_override(word, ACTOR)
        with pytest.raises(ForeignHistory):
            await node.set_freeze(True, "", ACTOR)
        servers.stop("127.0.0.1")
        await until_answer(place, "lb.example.com", ["127.0.0.2"])
