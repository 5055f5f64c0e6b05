"""The process behind a simulation: what control makes of one that lies, dies, hangs or is asked too often."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from geodns.control import simulation
from geodns.control.binary import BINARY_VARIABLE
from geodns.control.overlay import Overlay, OverrideKind
from geodns.control.simulation import RUNNING, WAITING, Assumed, Question, Simulator
from geodns.control.statedir import StateDirectory
from geodns.control.targets import watch
from geodns.errors import Busy, DataplaneUnavailable, InvalidInput, NotFound
from geodns.model import names
from geodns.model.findings import STRICT
from geodns.model.record import ZoneContents
from geodns.model.records import parse_record
from geodns.store import changes, records
from geodns.store.audit import Actor
from geodns.store.database import Database
from geodns.store.requests import ChangeRecords, CreateZone, Upsert, WritePolicy
from tests.support.waiting import wait_until

Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a shell script in the place of the dataplane's binary."""

    def put(script: str) -> None:
        path = tmp_path / "binary"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv(BINARY_VARIABLE, str(path))

    return put


def make_simulator(tmp_path: Path, database: Database | None = None, overlay: Overlay | None = None) -> Simulator:
    """One whose parts are never reached, but for the database and the overlay where they are given."""
    nothing = cast(Any, SimpleNamespace(overlay=overlay, frozen=None))
    return Simulator(cast(Database, database), nothing, nothing, nothing, StateDirectory(tmp_path), STRICT, {})


async def test_a_document_is_handed_on_and_an_order_is_read_whole(tmp_path: Path, install: Install) -> None:
    expected = f"simulate --state {tmp_path / 'dataplane'}"
    install(f"""test "$*" = "{expected}" || exit 9; printf '{{"bytes": %d}}' $(wc -c)""")
    assert await make_simulator(tmp_path)._ask(b"x" * 3_000_000) == {"bytes": 3_000_000}


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ('cat >/dev/null; echo \'{"error": "this is more work"}\'', InvalidInput, "more work"),
        ("exit 3", DataplaneUnavailable, "before its answer"),
        ("kill -9 $$", DataplaneUnavailable, "before its answer"),
        ("cat >/dev/null", DataplaneUnavailable, "before its answer"),
        ("exec sleep 60", DataplaneUnavailable, "longer than"),
    ],
)
async def test_a_process_that_fails_costs_its_question_alone(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch, script: str, error: type[Exception], words: str
) -> None:
    install(script)
    monkeypatch.setattr(simulation, "ANSWER_S", 1.0 if "sleep" in script else 60.0)
    with pytest.raises(error, match=words):
        await make_simulator(tmp_path)._ask(b"x" * 1_000_000)


async def test_a_question_that_is_given_up_ends_its_process(tmp_path: Path, install: Install) -> None:
    started = tmp_path / "pid"
    install(f"echo $$ > {started}.new; mv {started}.new {started}; exec sleep 60")
    asking = asyncio.create_task(make_simulator(tmp_path)._ask(b""))
    await asyncio.to_thread(wait_until, started.exists, within_s=20)
    (pid,) = await asyncio.to_thread(lambda: started.read_text().split())
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not psutil.pid_exists(int(pid))


async def test_whoever_asks_when_too_many_wait_is_told_to_come_back(tmp_path: Path) -> None:
    simulator = make_simulator(tmp_path)
    release = asyncio.Event()

    async def hold() -> None:
        async with simulator._turn():
            await release.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(RUNNING + WAITING):
            group.create_task(hold())
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await simulator.run(Question(None))
        release.set()
    async with simulator._turn():
        pass


async def test_a_name_outside_our_zones_is_not_found(tmp_path: Path, database: Database) -> None:
    with pytest.raises(NotFound, match="in none of our zones"):
        await make_simulator(tmp_path, database).run(Question(names.parse_name("www.example.com", None)))
    with pytest.raises(InvalidInput, match="nothing to simulate"):
        await make_simulator(tmp_path, database).run(Question(None))


def steered(value: str) -> dict[str, Any]:
    """A record with one value, which is in Frankfurt."""
    return {
        "ttl": 30,
        "values": [value],
        "dynamic": {"pools": {"all": {"values": [{"value": value}]}}, "rules": [{"pool": "all"}]},
        "octodns": {"geodns": {"healthcheck": "off", "values": {value: {"site": "fra"}}}},
    }


async def test_a_record_that_is_counted_as_left_out_is_left_out(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its owner is that of a record which is not, by another type."""
    monkeypatch.setattr(simulation, "MAX_RECORDS", 1)
    apex = names.parse_zone_name("example.com")
    both = tuple(Upsert("www", rtype, steered(value)) for rtype, value in (("A", "192.0.2.1"), ("AAAA", "2001:db8::1")))
    nameservers = parse_record(apex, apex, {"type": "NS", "values": ["ns1.example.net."]}).rrset
    assert nameservers is not None
    for request in (CreateZone(ZoneContents(apex, (nameservers,))), ChangeRecords(apex, both)):
        await changes.commit(database, request, Actor("test"), WritePolicy())
    overlay = Overlay()
    question = Question(None, assumptions={(OverrideKind.SITE, "fra"): Assumed.DOWN})
    async with database.read() as session:
        stored = await records.steered_at(session, [(apex, names.parse_name("www.example.com", None))])
        overlay.put_places(place for each in stored for place in watch(each).places)
        sides = await make_simulator(tmp_path, database, overlay)._gather_named(session, question)
    assert [watched.key[1] for watched in sides.watched] == ["www.example.com/A"]
    assert (len(sides.before), sides.left_out) == (1, 1)
