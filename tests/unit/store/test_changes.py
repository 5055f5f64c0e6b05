"""The one write path: end states, serials, preconditions, brakes, and that nothing half is ever stored."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import dns.name
import pytest
import sqlalchemy as sa

from geodns.errors import Conflict, InvalidInput, MirroredZone, NotFound, PreconditionFailed, UnsafeChange
from geodns.model import records as model_records
from geodns.model.record import Rrset, Soa, ZoneContents
from geodns.store import audit, changelog, history, records, zones
from geodns.store.database import Database
from geodns.store.requests import ChangeRecords, CreateZone, DeleteZone, Operation, PatchZone, Precondition, ReplaceZone, WritePolicy
from tests.support.databases import opened
from tests.unit.store.writing import (
    ACTOR,
    APEX,
    MIRROR,
    NS,
    a,
    change,
    contents,
    create,
    delete,
    do,
    replace,
    rrset,
    steered,
    upsert,
    zone_name,
)


async def stored(database: Database, apex: dns.name.Name = APEX) -> dict[tuple[str, str], Any]:
    """The zone as (name, type) -> values."""
    async with database.read() as session:
        page = await records.list_records(session, apex, limit=1000)
    shown = [model_records.record_to_json(record.rrset, apex) for record in page.items]
    return {(each["name"], each["type"]): each.get("values", each.get("value")) for each in shown}


async def zone_of(database: Database, apex: dns.name.Name = APEX) -> zones.Zone:
    async with database.read() as session:
        return await zones.get_zone(session, apex)


async def head_of(database: Database) -> history.Triple:
    async with database.read() as session:
        return await history.head(session)


def codes(error: pytest.ExceptionInfo[InvalidInput]) -> set[tuple[str, str]]:
    return {(problem.pointer, problem.code) for problem in error.value.problems}


async def test_what_goes_in_comes_out(database: Database) -> None:
    await create(database)
    done = await change(
        database,
        upsert(a("www", "192.0.2.10", "192.0.2.11")),
        upsert({"name": "@", "type": "MX", "ttl": 60, "values": [{"preference": 10, "exchange": "mail.example.net."}]}),
        upsert({"name": "*.wild", "type": "TXT", "ttl": 60, "values": ["one", "two; three"]}),
    )
    assert done.changed
    assert dict(done.counts) == {Operation.CREATE: 3}
    found = await stored(database)
    assert found["www", "A"] == ["192.0.2.10", "192.0.2.11"]
    assert set(found) == {("@", "NS"), ("www", "A"), ("@", "MX"), ("*.wild", "TXT")}
    zone = await zone_of(database)
    assert (zone.rrset_count, zone.revision, zone.serial) == (4, done.revision, done.serial)


async def test_order_inside_a_changeset_means_nothing(database: Database) -> None:
    await create(database, a("www"))
    cname = {"name": "www", "type": "CNAME", "ttl": 60, "value": "elsewhere.example.net."}
    await change(database, upsert(cname), delete("www", "A"))
    assert ("www", "CNAME") in await stored(database)
    await change(database, delete("www", "CNAME"), upsert(a("www")))
    assert ("www", "A") in await stored(database)
    assert ("www", "CNAME") not in await stored(database)


async def test_end_state_is_judged_with_what_is_stored(database: Database) -> None:
    await create(database, a("www"))
    before = await head_of(database)
    cname = {"name": "www", "type": "CNAME", "ttl": 60, "value": "elsewhere.example.net."}
    with pytest.raises(InvalidInput) as error:
        await change(database, upsert(a("other")), upsert(cname, 1))
    assert {pointer for pointer, _ in codes(error)} == {"/changes/1/record"}
    with pytest.raises(InvalidInput):
        await change(database, delete("@", "NS"))
    assert await head_of(database) == before
    assert set(await stored(database)) == {("@", "NS"), ("www", "A")}


async def test_nothing_is_put_below_a_dname_rfc6672_2_4(database: Database) -> None:
    dname = {"name": "sub", "type": "DNAME", "ttl": 60, "value": "sub.example.net."}
    await create(database, a("deep.er.sub"), a("www"), a("subordinate"), a("sub"))
    with pytest.raises(InvalidInput) as error:
        await change(database, upsert(dname))
    assert codes(error) == {("/changes/0/record", "below-dname")}
    await change(database, upsert(dname), delete("deep.er.sub", "A"))
    with pytest.raises(InvalidInput) as error:
        await change(database, upsert(a("new.sub")))
    assert codes(error) == {("/changes/0/record", "below-dname")}
    await change(database, upsert(a("new.sub")), delete("sub", "DNAME"))
    with pytest.raises(InvalidInput):
        await change(database, upsert(dname | {"name": "@"}))


async def test_every_problem_is_told_at_once(database: Database) -> None:
    await create(database)
    with pytest.raises(InvalidInput) as error:
        await change(
            database,
            upsert(a("good")),
            upsert(a("bad..name"), 1),
            upsert({"name": "x", "type": "A", "ttl": -1, "values": ["not an address"]}, 2),
            delete("y", "NOTYPE"),
        )
    pointers = {pointer for pointer, _ in codes(error)}
    assert {"/changes/1/name", "/changes/2/record/ttl", "/changes/2/record/values/0", "/changes/0/type"} <= pointers
    assert set(await stored(database)) == {("@", "NS")}


async def test_one_rrset_twice_is_an_error(database: Database) -> None:
    await create(database)
    with pytest.raises(InvalidInput) as error:
        await change(database, upsert(a("www")), upsert(a("WWW.example.com."), 1))
    assert codes(error) == {("/changes/1/name", "duplicate-change")}
    with pytest.raises(InvalidInput):
        await change(database, upsert(a("www")), delete("www", "A"))


async def test_soa_is_no_record_of_a_changeset(database: Database) -> None:
    await create(database)
    for wanted in (delete("@", "SOA"), upsert({"name": "@", "type": "SOA", "ttl": 60, "value": "x"})):
        with pytest.raises(InvalidInput):
            await change(database, wanted)


async def test_no_change_takes_no_revision_and_no_serial(database: Database) -> None:
    await create(database, a("www"))
    before, zone = await head_of(database), await zone_of(database)
    for wanted in ([upsert(a("www"))], [delete("absent", "A")], [], [upsert(a("www")), delete("absent", "TXT")]):
        done = await change(database, *wanted)
        assert (done.changed, done.revision, done.serial) == (False, before.revision, zone.serial)
    assert await head_of(database) == before
    assert await zone_of(database) == zone


async def test_each_change_adds_one_to_the_serial_and_counts_rrsets(database: Database) -> None:
    created = await create(database)
    assert created.serial is not None
    await change(database, upsert(a("one")), upsert(a("two")))
    await change(database, delete("one", "A"))
    last = await change(database, upsert(a("two", "192.0.2.99")))
    assert last.serial == created.serial + 3
    assert (await zone_of(database)).rrset_count == 2


async def test_deleting_what_is_absent_can_be_an_error(database: Database) -> None:
    await create(database)
    with pytest.raises(NotFound):
        await change(database, delete("absent", "A", missing_ok=False))
    with pytest.raises(NotFound):
        await do(database, ChangeRecords(zone_name("example.net"), ()))


async def test_dry_run_tells_and_stores_nothing(database: Database) -> None:
    await create(database, a("www"))
    before, zone = await head_of(database), await zone_of(database)
    done = await change(database, upsert(a("new")), delete("www", "A"), dry_run=True)
    assert done.changed
    assert [(step.operation, str(step.owner)) for step in done.steps] == [
        (Operation.CREATE, "new.example.com."),
        (Operation.DELETE, "www.example.com."),
    ]
    assert done.revision == before.revision
    assert (await head_of(database), await zone_of(database)) == (before, zone)


async def test_dynamic_and_octodns_come_back_exactly_as_sent(database: Database) -> None:
    await create(database)
    sent = steered("www", eu=("192.0.2.10",), rest=("198.51.100.10", "198.51.100.11"))
    sent["octodns"] = {"healthcheck": {"protocol": "TCP", "port": 443}, "cloudflare": {"proxied": True}, "geodns": {"answers": 1}}
    await change(database, upsert(sent))
    async with database.read() as session:
        found = await records.get_record(session, APEX, zone_name("www.example.com"), 1)
    assert found.rrset.dynamic == sent["dynamic"]
    assert list(found.rrset.octodns or {}) == list(sent["octodns"])
    assert found.rrset.octodns == sent["octodns"]


async def test_preconditions_hold_against_the_object_and_the_zone(database: Database) -> None:
    created = await create(database)
    create_only = Precondition(exists=False)
    first = await change(database, upsert(a("www"), precondition=create_only))
    assert first.created
    with pytest.raises(PreconditionFailed):
        await change(database, upsert(a("www", "192.0.2.2"), precondition=create_only))
    with pytest.raises(PreconditionFailed):
        await change(database, upsert(a("www", "192.0.2.2"), precondition=Precondition(frozenset({created.revision}))))
    with pytest.raises(PreconditionFailed):
        await change(database, delete("absent", "A", precondition=Precondition(exists=True)))
    with pytest.raises(PreconditionFailed):
        await change(database, upsert(a("other")), precondition=Precondition(frozenset({created.revision})))
    second = await change(database, upsert(a("www", "192.0.2.2"), precondition=Precondition(frozenset({first.revision}))))
    assert second.changed
    assert not second.created
    await change(database, upsert(a("other")), precondition=Precondition(frozenset({second.revision})))


async def test_revision_of_an_rrset_is_that_of_its_own_last_change(database: Database) -> None:
    await create(database)
    first = await change(database, upsert(a("www")))
    await change(database, upsert(a("other")))
    await change(database, upsert(a("www")))
    async with database.read() as session:
        assert (await records.get_record(session, APEX, zone_name("www.example.com"), 1)).revision == first.revision


COUNTER = zone_name("counter.example.com")


async def read_counter(database: Database) -> tuple[int, int]:
    """The number that a TXT record holds, and its revision."""
    async with database.read() as session:
        seen = await records.get_record(session, APEX, COUNTER, 16)
    return int(seen.rrset.rdatas[0][1:]), seen.revision


async def write_counter(database: Database, count: int, revision: int) -> bool:
    """Put the number if the record is still at `revision`."""
    wanted = {"name": "counter", "type": "TXT", "ttl": 0, "values": [str(count)]}
    try:
        await change(database, upsert(wanted, precondition=Precondition(frozenset({revision}))))
    except PreconditionFailed:
        return False
    return True


async def test_of_concurrent_conditional_writes_exactly_one_holds(database: Database) -> None:
    await create(database, {"name": "counter", "type": "TXT", "ttl": 0, "values": ["0"]})
    for _ in range(50):
        count, revision = await read_counter(database)
        held = await asyncio.gather(*(write_counter(database, count + 1, revision) for _ in range(20)))
        assert sum(held) == 1
    assert (await read_counter(database))[0] == 50


async def test_concurrent_conditional_increments_lose_nothing(database: Database) -> None:
    await create(database, {"name": "counter", "type": "TXT", "ttl": 0, "values": ["0"]})
    before = (await head_of(database)).revision
    todo = iter(range(100))

    async def work() -> None:
        for _ in todo:
            written = False
            while not written:
                count, revision = await read_counter(database)
                written = await write_counter(database, count + 1, revision)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(work())
    assert (await read_counter(database))[0] == 100
    assert (await head_of(database)).revision == before + 100


async def test_zone_gets_an_soa_and_the_nameservers_of_the_settings(database: Database) -> None:
    await do(database, CreateZone(contents(a("www"))))
    zone = await zone_of(database)
    assert zone.soa == Soa(zone_name("ns1.example.net"), zone_name("hostmaster.example.com"))
    assert set((await stored(database))["@", "NS"]) == {"ns1.example.net.", "ns2.example.net."}
    with pytest.raises(InvalidInput):
        await do(database, CreateZone(contents(a("www", "192.0.2.1"), apex=zone_name("example.org"))), policy=WritePolicy())


async def test_zone_of_a_file_keeps_its_soa_and_serial(database: Database) -> None:
    soa = Soa(zone_name("primary.example.net"), zone_name("dns.example.net"), 1, 2, 3, 4, 5)
    done = await create(database, soa=soa, serial=2025010100)
    zone = await zone_of(database)
    assert (zone.soa, zone.serial, done.serial) == (soa, 2025010100, 2025010100)


async def test_zone_is_created_once(database: Database) -> None:
    first = await create(database)
    with pytest.raises(Conflict):
        await create(database)
    again = await do(database, CreateZone(contents(NS), seed=True))
    assert (again.changed, again.revision) == (False, first.revision)


async def test_deleted_zone_is_not_seeded_again_and_its_serial_goes_on(database: Database) -> None:
    await create(database, a("www"), steered("steered", eu=("192.0.2.1",), rest=("192.0.2.2",)), serial=3_000_000_000)
    deleted = await do(database, DeleteZone(APEX))
    async with database.read() as session:
        assert await zones.find_zone(session, APEX) is None
        tombstone = await zones.find_tombstone(session, APEX)
        for table in ("rrsets", "value_ids"):
            assert await session.scalar(sa.text(f"SELECT count(*) FROM {table}")) == 0  # noqa: S608
    assert tombstone is not None
    assert (tombstone.serial, tombstone.revision) == (3_000_000_000, deleted.revision)
    assert tombstone.nameservers == ("ns1.example.net.", "ns2.example.net.")
    assert not (await do(database, CreateZone(contents(NS), seed=True))).changed
    assert (await create(database)).serial == 3_000_000_001
    async with database.read() as session:
        assert await zones.find_tombstone(session, APEX) is None
    with pytest.raises(NotFound):
        await do(database, DeleteZone(zone_name("example.org")))


async def test_patch_changes_what_it_names(database: Database) -> None:
    created = await create(database)
    assert created.serial is not None
    done = await do(database, PatchZone(APEX, minimum=30, default_ttl=120))
    zone = await zone_of(database)
    assert (zone.soa.minimum, zone.soa.refresh, zone.default_ttl, zone.serial) == (30, 3600, 120, created.serial + 1)
    assert not (await do(database, PatchZone(APEX, minimum=30))).changed
    await do(database, PatchZone(APEX, serial=created.serial + 100))
    assert (await zone_of(database)).serial == created.serial + 100
    with pytest.raises(InvalidInput) as error:
        await do(database, PatchZone(APEX, refresh=-1, soa_ttl=2**31, serial=created.serial))
    assert {pointer for pointer, _ in codes(error)} == {"/soa/refresh", "/soa/ttl", "/soa/serial"}
    with pytest.raises(PreconditionFailed):
        await do(database, PatchZone(APEX, minimum=1, precondition=Precondition(frozenset({done.revision - 1}))))
    await change(database, upsert({"name": "www", "type": "A", "values": ["192.0.2.1"]}))
    async with database.read() as session:
        assert (await records.get_record(session, APEX, zone_name("www.example.com"), 1)).rrset.ttl == 120


@pytest.mark.parametrize(("serial", "following"), [(0, 1), (2**31 - 1, 2**31), (2**32 - 1, 0)])
def test_serials_wrap_as_rfc1982_says(serial: int, following: int) -> None:
    assert zones.next_serial(serial) == following
    assert zones.is_newer_serial(following, serial)
    assert not zones.is_newer_serial(serial, following)
    assert not zones.is_newer_serial(serial, serial)


async def test_replacing_makes_the_zone_equal_to_its_source(database: Database) -> None:
    kept = [a(f"h{index}") for index in range(20)]
    created = await create(database, *kept)
    done = await replace(database, *kept[2:], a("h1", "192.0.2.99"), a("new"))
    assert dict(done.counts) == {Operation.CREATE: 1, Operation.UPDATE: 1, Operation.DELETE: 1}
    found = await stored(database)
    assert ("h0", "A") not in found
    assert found["h1", "A"] == ["192.0.2.99"]
    assert ("new", "A") in found
    assert (await zone_of(database)).rrset_count == len(found) == 21
    assert created.serial is not None
    assert done.serial == created.serial + 1
    again = await replace(database, *kept[2:], a("h1", "192.0.2.99"), a("new"))
    assert (again.changed, again.revision, again.serial) == (False, done.revision, done.serial)


async def test_replacing_takes_a_newer_serial_of_the_source_and_no_older_one(database: Database) -> None:
    await create(database, serial=100)
    assert (await replace(database, a("one"), serial=200)).serial == 200
    assert (await replace(database, a("two"), serial=150)).serial == 201
    assert not (await replace(database, a("two"), serial=150)).changed
    assert (await replace(database, a("two"), serial=300)).serial == 300


async def test_replacing_creates_an_absent_zone(database: Database) -> None:
    done = await replace(database, a("www"))
    assert done.created
    assert ("www", "A") in await stored(database)


@pytest.mark.parametrize(
    ("before", "after", "stopped"),
    [(9, 0, False), (10, 7, False), (10, 6, True), (100, 70, False), (100, 69, True), (100, 0, True)],
)
async def test_brake_stops_removal_of_more_than_thirty_percent(database: Database, before: int, after: int, stopped: bool) -> None:
    hosts = [a(f"h{index}") for index in range(before - 1)]  # and the NS
    await create(database, *hosts)
    wanted = hosts[: max(after - 1, 0)]
    if not stopped:
        await replace(database, *wanted)
    else:
        with pytest.raises(UnsafeChange):
            await replace(database, *wanted)
        assert len(await stored(database)) == before
        await replace(database, *wanted, force=True)
    assert len(await stored(database)) == max(after, 1)


async def test_source_with_problems_stores_nothing_and_tells_all(database: Database) -> None:
    before = await head_of(database)
    cname = {"name": "www", "type": "CNAME", "ttl": 60, "value": "elsewhere.example.net."}
    with pytest.raises(InvalidInput) as error:
        await create(
            database,
            a("www"),
            cname,
            a("twice"),
            a("twice", "192.0.2.2"),
            a("two"),
            {"name": "two", "type": "CNAME", "ttl": 1, "value": "x.example.net."},
        )
    assert {problem.code for problem in error.value.problems} >= {"duplicate-rrset", "cname-and-other-data"}
    assert await head_of(database) == before


class Passing(Collection[Rrset]):
    """A source that is made anew each time it is iterated, as a large zone file is."""

    def __init__(self, *records: Mapping[str, Any]) -> None:
        self._records = records

    def __iter__(self) -> Iterator[Rrset]:
        return map(rrset, self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, wanted: object) -> bool:
        return wanted in list(self)


async def test_source_that_is_not_held_in_memory_is_stored_alike(database: Database) -> None:
    hosts = [a(f"h{index:04}") for index in range(2500)]
    held = await do(database, CreateZone(contents(*hosts)))
    before = await stored(database)
    passing = ZoneContents(APEX, Passing(*hosts))
    assert not (await do(database, ReplaceZone(passing))).changed
    await do(database, DeleteZone(APEX))
    created = await do(database, CreateZone(passing))
    assert (created.counts, await stored(database)) == (held.counts, before)
    assert (await zone_of(database)).soa.mname == zone_name("ns1.example.net")
    replaced = await do(database, ReplaceZone(ZoneContents(APEX, Passing(*hosts[1:], a("i", "192.0.2.7")))))
    assert dict(replaced.counts) == {Operation.CREATE: 1, Operation.DELETE: 1}
    assert (await zone_of(database)).rrset_count == 2501


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([a("b"), a("a")], "duplicate-rrset"),
        ([a("b"), a("b", "192.0.2.2")], "duplicate-rrset"),
        ([a("b"), {"name": "b", "type": "CNAME", "ttl": 1, "value": "x.example.net."}], "cname-and-other-data"),
        ([{"name": "sub", "type": "DNAME", "ttl": 1, "value": "x.example.net."}, a("a.b.sub")], "below-dname"),
    ],
)
async def test_source_that_is_not_held_in_memory_is_judged(database: Database, records: list[dict[str, Any]], code: str) -> None:
    with pytest.raises(InvalidInput) as error:
        await do(database, CreateZone(ZoneContents(APEX, Passing(*records))))
    assert code in {problem.code for problem in error.value.problems}
    with pytest.raises(InvalidInput):
        await do(database, CreateZone(ZoneContents(APEX, Passing(a("b")))), policy=WritePolicy())


async def test_large_difference_is_written_in_pieces_that_meet_no_row_twice(database: Database) -> None:
    """Every kind of edit, interleaved over several pages, with new rows that sort before and behind those still to be read."""
    await create(database, *(a(f"h{index:05}") for index in range(0, 6000, 2)))
    wanted = [a(f"h{index:05}", "192.0.2.99" if index % 3 else "192.0.2.1") for index in range(0, 7000) if index % 4]
    done = await replace(database, *wanted, force=True)
    assert dict(done.counts) == {Operation.CREATE: 3750, Operation.UPDATE: 1000, Operation.DELETE: 1500}
    async with database.read() as session:
        zone = await zones.get_zone(session, APEX)
        found = {str(record.rrset.owner): record.rrset.rdatas async for record in records.zone_records(session, zone)}
    assert zone.rrset_count == len(found) == len(wanted) + 1
    assert all(found[f"{each['name']}.example.com."] == rrset(each).rdatas for each in wanted)
    assert not (await replace(database, *wanted)).changed


async def test_import_of_many_rrsets_does_not_hold_the_event_loop(database: Database) -> None:
    """Ten thousand here; the figure that is promised is for a hundred thousand and 100 ms, and is measured in the bench."""
    hosts = contents(NS, *(a(f"h{index:05}") for index in range(10_000)))
    worst_s, is_done = 0.0, False

    async def watch() -> None:
        nonlocal worst_s
        while not is_done:
            started = time.thread_time()
            await asyncio.sleep(0)
            worst_s = max(worst_s, time.thread_time() - started)

    # What the tests before have left behind is not the import's to look through.
    gc.collect()
    gc.freeze()
    try:
        watcher = asyncio.create_task(watch())
        await do(database, CreateZone(hosts))
        is_done = True
        await watcher
    finally:
        gc.unfreeze()
    assert worst_s < 0.1


async def test_mirrored_zone_is_changed_by_its_mirror_alone(database: Database) -> None:
    await do(database, ReplaceZone(contents(NS, a("www")), mirror=True), MIRROR)
    assert (await zone_of(database)).mirrored
    for request in (
        ChangeRecords(APEX, [upsert(a("new"))]),
        PatchZone(APEX, minimum=1),
        DeleteZone(APEX),
        ReplaceZone(contents(NS)),
    ):
        with pytest.raises(MirroredZone):
            await do(database, request)
    await do(database, ReplaceZone(contents(NS, a("new")), mirror=True), MIRROR)
    async with database.write() as session:
        assert await zones.release_mirrored(session, keep=frozenset({APEX})) == []
        assert await zones.release_mirrored(session) == [APEX]
    await change(database, upsert(a("newer")))


async def test_zones_that_nodes_seed_together_are_made_once(database: Database, database_url: str) -> None:
    async with opened(database_url) as other:
        done = await asyncio.gather(*(do(each, CreateZone(contents(NS, a("www")), seed=True)) for each in (database, other)))
    assert sorted(each.changed for each in done) == [False, True]


async def test_log_tells_before_and_after(database: Database) -> None:
    await create(database, a("www", "192.0.2.1"))
    done = await change(database, upsert(a("www", "192.0.2.2")), upsert(a("new")))
    async with database.read() as session:
        page = await changelog.list_rrset_changes(session, done.revision)
        entries = (await audit.list_entries(session, subject="example.com")).items
    changed = {str(each.owner): (each.before, each.after) for each in page.items}
    before, after = changed["www.example.com."]
    assert before is not None
    assert after is not None
    assert (before.rdatas, after.rdatas) == ((b"\xc0\x00\x02\x01",), (b"\xc0\x00\x02\x02",))
    assert changed["new.example.com."][0] is None
    newest = entries[0]
    assert (newest.actor, newest.action, newest.revision) == (ACTOR, "change records", done.revision)
    assert [entry.action for entry in entries] == ["change records", "create zone"]


async def test_deleted_zone_can_be_read_in_the_log(database: Database) -> None:
    await create(database, *[a(f"h{index}") for index in range(5)])
    done = await do(database, DeleteZone(APEX))
    async with database.read() as session:
        first = await changelog.list_rrset_changes(session, done.revision, limit=4)
        rest = await changelog.list_rrset_changes(session, done.revision, limit=4, cursor=first.next)
    assert len(first.items) + len(rest.items) == 6
    assert all(each.before is not None and each.after is None for each in (*first.items, *rest.items))
