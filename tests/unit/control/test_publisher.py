"""Following the store's history, on both databases: what is sent, what is coalesced, and what is never sent."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from geodns.control import source
from geodns.control.keeper import DatabaseKeeper
from geodns.control.publisher import Publisher, from_store
from geodns.control.writer import Writer
from geodns.errors import ForeignHistory
from geodns.model import names
from geodns.model.prefixes import Prefixes
from geodns.model.record import ZoneContents
from geodns.model.records import parse_record
from geodns.publish.client import LinkClient, open_link
from geodns.publish.frames import RefusalCode, Role, TransferKind, Triple
from geodns.store import history
from geodns.store.audit import Actor
from geodns.store.database import Database
from geodns.store.requests import ChangeRecords, CreateZone, Delete, DeleteZone, PutList, Upsert, WritePolicy
from tests.support.fake_dataplane import FakeDataplane, Item

ACTOR = Actor("test")
APEX = names.parse_zone_name("example.com")
WIRE = names.wire_of(APEX)
STEERED = {
    "type": "A",
    "ttl": 30,
    "values": ["192.0.2.1", "192.0.2.2"],
    "dynamic": {"pools": {"eu": {"values": [{"value": "192.0.2.10"}]}}, "rules": [{"pool": "eu"}]},
    "octodns": {"healthcheck": {"protocol": "TCP", "port": 80}},
}


def contents(apex: str = "example.com") -> ZoneContents:
    zone = names.parse_zone_name(apex)
    nameservers = parse_record(zone, zone, {"type": "NS", "ttl": 3600, "values": ["ns1.example.net."]})
    assert nameservers.rrset is not None
    return ZoneContents(zone, (nameservers.rrset,))


def put(name: str, value: str = "192.0.2.1") -> ChangeRecords:
    return ChangeRecords(APEX, (Upsert(name, "A", {"value": value}),))


class Bench:
    """A store, a publisher and a fake dataplane."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.link: LinkClient | None = None
        self.publisher = Publisher(database, lambda: self.link)
        self.publisher.gate.set()
        open_keeper = SimpleNamespace(database=database, require=self._require)
        self.writer = Writer(cast(DatabaseKeeper, open_keeper), self.publisher, WritePolicy())

    async def _require(self) -> None:
        """The database of a test is always open."""

    async def head(self) -> Triple:
        async with self.database.read() as session:
            return from_store(await history.head(session))

    @asynccontextmanager
    async def attached(self, plane: FakeDataplane) -> AsyncIterator[LinkClient]:
        async with open_link(plane.path, Role.PUBLISHER) as link:
            self.link = link
            self.publisher.attached(link)
            yield link
        self.link = None

    async def publish(self) -> None:
        while await self.publisher.step():
            pass


@pytest.fixture
async def bench(database: Database) -> Bench:
    made = Bench(database)
    await made.writer.commit(CreateZone(contents()), ACTOR)
    return made


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[FakeDataplane]:
    async with FakeDataplane(tmp_path / "s").running() as running:
        yield running


def kinds(plane: FakeDataplane) -> list[TransferKind]:
    return [begin.kind for begin, _ in plane.transfers]


async def test_an_empty_dataplane_gets_everything_once(bench: Bench, plane: FakeDataplane) -> None:
    await bench.writer.commit(put("www"), ACTOR)
    async with bench.attached(plane):
        await bench.publish()
        assert kinds(plane) == [TransferKind.FULL]
        assert plane.served == await bench.head()
        assert plane.zones[WIRE][b"\x03www" + WIRE] == ((1, 3600, (b"\xc0\x00\x02\x01",)),)
        await bench.publish()
        assert len(plane.transfers) == 1


async def test_the_first_full_waits_for_seeding(bench: Bench, plane: FakeDataplane) -> None:
    bench.publisher.gate.clear()
    async with bench.attached(plane):
        await bench.publish()
        assert plane.transfers == []
        bench.publisher.gate.set()
        await bench.publish()
        assert kinds(plane) == [TransferKind.FULL]


async def test_many_revisions_go_out_as_one_delta_of_their_end(bench: Bench, plane: FakeDataplane) -> None:
    async with bench.attached(plane):
        await bench.publish()
        for value in range(1, 6):
            await bench.writer.commit(put("www", f"192.0.2.{value}"), ACTOR)
        await bench.writer.commit(put("gone"), ACTOR)
        await bench.writer.commit(ChangeRecords(APEX, (Delete("gone", "A"),)), ACTOR)
        await bench.publish()
        assert kinds(plane) == [TransferKind.FULL, TransferKind.DELTA]
        _, items = plane.transfers[1]
        owners = {item.owner: item for item in items}
        assert set(owners) == {WIRE, b"\x03www" + WIRE, b"\x04gone" + WIRE}
        assert owners[b"\x03www" + WIRE].rrsets == ((1, 3600, (b"\xc0\x00\x02\x05",)),)
        assert owners[b"\x04gone" + WIRE].rrsets == ()
        assert plane.served == await bench.head()


async def test_zones_and_lists_come_and_go_in_the_order_of_a_delta(bench: Bench, plane: FakeDataplane) -> None:
    other = names.parse_zone_name("example.net")
    await bench.writer.commit(CreateZone(contents("example.net")), ACTOR)
    async with bench.attached(plane):
        await bench.publish()
        await bench.writer.commit(PutList("office", Prefixes(b"", 0)), ACTOR)
        await bench.writer.commit(DeleteZone(other), ACTOR)
        await bench.writer.commit(CreateZone(contents("example.org")), ACTOR)
        await bench.publish()
        _, items = plane.transfers[1]
        assert [item.kind for item in items] == ["zone-drop", "list", "zone", "owner"]
        assert items[0] == Item("zone-drop", apex=names.wire_of(other))
        assert set(plane.zones) == {WIRE, names.wire_of(names.parse_zone_name("example.org"))}


async def test_a_steered_rrset_carries_ids_for_pool_values_and_own_values(bench: Bench, plane: FakeDataplane) -> None:
    async with bench.attached(plane):
        await bench.publish()
        await bench.writer.commit(ChangeRecords(APEX, (Upsert("www", "A", STEERED),)), ACTOR)
        await bench.publish()
        ((rtype, ttl, body),) = plane.zones[WIRE][b"\x03www" + WIRE]
        assert (rtype, ttl) == (1, 30)
        assert isinstance(body, dict)
        ids = [value_id for value_id, _ in body["own"]] + [body["pools"][0]["values"][0]["id"]]
        assert len(set(ids)) == 3
        assert 0 not in ids
        again = FakeDataplane(plane.path.with_name("other"))
        async with again.running(), bench.attached(again):
            await bench.publish()
            assert again.zones == plane.zones


async def test_a_refused_delta_is_followed_by_a_full(bench: Bench, plane: FakeDataplane) -> None:
    async with bench.attached(plane):
        await bench.publish()
        await bench.writer.commit(put("www"), ACTOR)
        plane.refuse_next = RefusalCode.BASE
        await bench.publish()
        assert kinds(plane) == [TransferKind.FULL, TransferKind.FULL]
        assert plane.served == await bench.head()


async def test_a_delta_past_the_limit_becomes_a_full(bench: Bench, plane: FakeDataplane, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench.attached(plane):
        await bench.publish()
        await bench.writer.commit(put("www"), ACTOR)
        monkeypatch.setattr(source, "DELTA_BYTES", 10)
        await bench.publish()
        assert kinds(plane) == [TransferKind.FULL, TransferKind.FULL]


async def test_a_refused_full_is_a_problem_and_not_a_loop(bench: Bench, plane: FakeDataplane) -> None:
    async with bench.attached(plane):
        plane.refuse_next = RefusalCode.LIMIT
        assert not await bench.publisher.step()
        assert bench.publisher.problem is not None
        assert "refused: LIMIT" in bench.publisher.problem
        await bench.publish()
        assert bench.publisher.problem is None


@pytest.mark.parametrize("what", ["newer than the store", "another tag", "another lineage"])
async def test_a_foreign_history_is_never_published_and_writes_are_refused(bench: Bench, plane: FakeDataplane, what: str) -> None:
    head = await bench.head()
    match what:
        case "newer than the store":
            plane.served = Triple(head.lineage, head.revision + 5, 1)
        case "another tag":
            plane.served = Triple(head.lineage, head.revision, head.tag ^ 1)
        case _:
            plane.served = Triple(uuid.UUID(int=1), 1, 1)
    served = plane.served
    async with bench.attached(plane):
        await bench.publish()
        assert plane.transfers == []
        foreign = bench.publisher.foreign
        assert foreign is not None
        assert (foreign.stored, foreign.served) == (head, served)
        with pytest.raises(ForeignHistory, match="another history"):
            await bench.writer.write(put("www"), ACTOR)
        assert await bench.head() == head


async def test_an_adopted_history_is_followed_by_nodes_that_hold_its_parent(bench: Bench, plane: FakeDataplane) -> None:
    head = await bench.head()
    plane.served = Triple(head.lineage, head.revision + 5, 1)
    async with bench.attached(plane):
        await bench.publish()
        assert plane.transfers == []
        async with bench.database.write() as session:
            adopted = from_store(await history.adopt_lineage(session, "restored", ACTOR))
        await bench.publish()
        assert plane.served == adopted
        begin, _ = plane.transfers[0]
        assert begin.ancestors == (head.lineage,)
        assert bench.publisher.foreign is None


async def test_a_write_is_acknowledged_when_it_is_served(bench: Bench, plane: FakeDataplane) -> None:
    async with bench.attached(plane), asyncio.TaskGroup() as group:
        running = group.create_task(bench.publisher.run())
        result = await bench.writer.write(put("www"), ACTOR)
        assert result.applied
        assert plane.served == Triple(plane.served.lineage, result.revision, plane.served.tag) if plane.served else False
        results = await asyncio.gather(*(bench.writer.write(put(f"n{number}"), ACTOR) for number in range(30)))
        assert all(result.applied for result in results)
        running.cancel()


async def test_a_write_that_nobody_serves_is_committed_and_said_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geodns.control.writer.ADOPTION_S", 0.05)
    result = await bench.writer.write(put("www"), ACTOR)
    assert (result.changed, result.created, result.applied) == (True, True, False)


@pytest.mark.timing
async def test_a_write_of_another_node_is_seen_without_being_told(bench: Bench, plane: FakeDataplane) -> None:
    other = await Database.open(bench.database.location.url.render_as_string(hide_password=False).replace("+asyncpg", ""))
    async with bench.attached(plane), asyncio.TaskGroup() as group:
        running = group.create_task(bench.publisher.run())
        await plane.until(lambda: plane.served is not None)
        writer = Bench(other)
        committed = await writer.writer.commit(put("www"), ACTOR)
        started = time.monotonic()
        await plane.until(lambda: plane.served is not None and plane.served.revision == committed.revision, 5)
        assert time.monotonic() - started < 2
        running.cancel()
    await other.close()
