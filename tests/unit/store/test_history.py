"""Lineage, revision, tag; what changed since; and that nobody who reads "newer than mine" misses anything."""

from __future__ import annotations

import asyncio
import uuid
from ipaddress import ip_network

import pytest
import sqlalchemy as sa

from geodns.model.prefixes import Prefixes
from geodns.store import history, records, schema
from geodns.store.database import Database
from geodns.store.history import ChangedSince
from geodns.store.requests import DeleteList, DeleteZone, PatchZone, PutList
from tests.support.databases import opened
from tests.unit.store.writing import ACTOR, APEX, a, change, create, delete, do, replace, steered, upsert, zone_name


async def changed_since(database: Database, revision: int, limit: int = 1000) -> ChangedSince | None:
    async with database.read() as session:
        return await history.changed_owners_since(session, revision, limit=limit)


async def head_of(database: Database) -> history.Triple:
    async with database.read() as session:
        return await history.head(session)


def owners(changed: ChangedSince | None) -> list[str]:
    assert changed is not None
    return [str(owner) for _, owner in changed.owners]


async def test_store_holds_exactly_the_states_it_had(database: Database) -> None:
    first = await head_of(database)
    await create(database)
    second = await head_of(database)
    assert second.lineage == first.lineage
    assert second.revision == first.revision + 1
    async with database.read() as session:
        assert await history.holds(session, first)
        assert await history.holds(session, second)
        assert not await history.holds(session, history.Triple(second.lineage, second.revision, second.tag ^ 1))
        assert not await history.holds(session, history.Triple(uuid.uuid4(), second.revision, second.tag))
        assert not await history.holds(session, history.Triple(second.lineage, second.revision + 1, second.tag))


async def test_tags_use_all_64_bits_and_come_back(database: Database) -> None:
    tags = set()
    for index in range(20):
        await create(database, apex=zone_name(f"z{index}.example.net"))
        tags.add((await head_of(database)).tag)
    assert len(tags) == 20
    assert any(tag >= 1 << 63 for tag in tags)
    assert all(0 <= tag < 1 << 64 for tag in tags)


async def test_adopted_lineage_names_its_parents(database: Database) -> None:
    before = await head_of(database)
    lost = uuid.uuid4()
    async with database.write() as session:
        adopted = await history.adopt_lineage(session, "the database was lost", ACTOR, replaces=[lost])
    assert adopted.lineage not in {before.lineage, lost}
    assert adopted.revision == before.revision + 1
    async with database.read() as session:
        assert await history.head(session) == adopted
        assert set(await history.ancestors(session)) == {before.lineage, lost}
        assert await history.holds(session, before)
    async with database.write() as session:
        await history.adopt_lineage(session, "again", ACTOR)
    async with database.read() as session:
        assert await history.ancestors(session) == (adopted.lineage, *sorted((before.lineage, lost)))
        reasons = [row.reason for row in await session.rows(sa.select(schema.lineages.c.reason).order_by(schema.lineages.c.at))]
    assert reasons == ["the database was made", "the database was lost", "again"]


async def test_change_tells_its_owner_names_and_the_apex(database: Database) -> None:
    created = await create(database, a("www"), a("other"))
    await change(database, upsert(a("www", "192.0.2.9")), upsert(a("new")))
    await change(database, delete("other", "A"))
    changed = await changed_since(database, created.revision)
    assert changed is not None
    assert (changed.dropped_zones, changed.put_zones) == ((), ())
    assert owners(changed)[0] == "example.com."
    assert sorted(owners(changed)) == ["example.com.", "new.example.com.", "other.example.com.", "www.example.com."]
    assert owners(await changed_since(database, (await head_of(database)).revision)) == []


async def test_patched_zone_tells_its_apex(database: Database) -> None:
    created = await create(database, a("www"))
    await do(database, PatchZone(APEX, minimum=5))
    assert owners(await changed_since(database, created.revision)) == ["example.com."]


async def test_new_zone_is_told_as_such_whatever_happened_in_it_since(database: Database) -> None:
    before = await head_of(database)
    await create(database, a("www"), a("other"))
    await change(database, upsert(a("new")))
    assert await changed_since(database, before.revision) == ChangedSince((), (APEX,), (), (), ())


async def test_more_new_zones_than_are_told_of_singly_are_sent_with_everything(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await head_of(database)
    await create(database, a("www"))
    monkeypatch.setattr(history, "MAX_NEW_ZONES", 1)
    assert await changed_since(database, before.revision) is not None
    monkeypatch.setattr(history, "MAX_NEW_ZONES", 0)
    assert await changed_since(database, before.revision) is None


async def test_deleted_zone_is_dropped_and_its_names_are_not_told(database: Database) -> None:
    created = await create(database, a("www"))
    await change(database, upsert(a("other")))
    await do(database, DeleteZone(APEX))
    changed = await changed_since(database, created.revision)
    assert changed is not None
    assert (changed.dropped_zones, changed.put_zones, changed.owners) == ((APEX,), (), ())


async def test_zone_made_anew_is_dropped_and_put(database: Database) -> None:
    created = await create(database, a("old"))
    await do(database, DeleteZone(APEX))
    await create(database, a("new"))
    changed = await changed_since(database, created.revision)
    assert changed is not None
    assert (changed.dropped_zones, changed.put_zones, changed.owners) == ((APEX,), (APEX,), ())


async def test_zone_that_came_and_went_is_not_told(database: Database) -> None:
    before = await head_of(database)
    await create(database, a("www"))
    await do(database, DeleteZone(APEX))
    changed = await changed_since(database, before.revision)
    assert changed == ChangedSince((), (), (), (), ())


async def test_more_changes_than_the_limit_ask_for_a_full(database: Database) -> None:
    before = await head_of(database)
    created = await create(database, *(a(f"h{index}") for index in range(20)))
    assert await changed_since(database, before.revision, limit=20) is not None, "a new zone is no list of names"
    await replace(database, *(a(f"h{index}", "192.0.2.7") for index in range(20)))
    assert await changed_since(database, created.revision, limit=20) is None
    assert len(owners(await changed_since(database, created.revision, limit=21))) == 21


async def test_what_may_have_changed_a_steered_rrset_is_told(database: Database) -> None:
    async def may_have(since: int) -> bool:
        async with database.read() as session:
            return await history.may_change_steering(session, since)

    created = await create(database, a("www"), steered("geo", all=("192.0.2.10",)))
    assert await may_have(created.revision - 1), "the zone is new"
    written = await change(database, upsert(a("www", "192.0.2.9")), delete("geo", "TXT"))
    assert not await may_have(created.revision)
    put = await change(database, upsert(steered("www", all=("192.0.2.10",))))
    assert await may_have(written.revision)
    assert not await may_have(put.revision)
    await change(database, upsert(a("www")), upsert(a("other")))
    assert await may_have(put.revision), "steered before, and not after"


async def test_changed_lists_are_told(database: Database) -> None:
    before = await head_of(database)
    network = ip_network("192.0.2.0/24")
    await do(database, PutList("office", Prefixes.of([network])))
    await do(database, PutList("gone", Prefixes.of([network])))
    middle = await head_of(database)
    await do(database, DeleteList("gone"))
    changed = await changed_since(database, before.revision)
    assert changed is not None
    assert (changed.put_lists, changed.dropped_lists) == (("office",), ("gone",))
    changed = await changed_since(database, middle.revision)
    assert changed is not None
    assert (changed.put_lists, changed.dropped_lists) == ((), ("gone",))


async def test_reader_of_newer_than_mine_never_misses_a_revision(database: Database, database_url: str) -> None:
    """Two nodes write as fast as they can; a follower that only asks what changed must at every step hold what the store holds."""
    created = await create(database)
    done = asyncio.Event()

    async def write(node: Database, name: str) -> None:
        for index in range(60):
            await change(node, upsert(a(f"{name}{index % 7}", f"192.0.2.{index}")))

    async def follow(copy: dict[bytes, list[records.StateRow]], at: int) -> int:
        async with database.read() as session:
            head = await history.head(session)
            changed = await history.changed_owners_since(session, at, limit=1000)
            assert changed is not None
            async for batch in records.owner_batches(session, changed.owners):
                copy |= {there.owner.to_wire() or b"": there.rows for there in batch}
            for apex in changed.put_zones:
                async for row in records.stream_zone(session, apex):
                    if isinstance(row, records.StateRow):
                        copy.setdefault(row.owner, []).append(row)
            stored = [row async for row in records.stream_state(session) if isinstance(row, records.StateRow)]
        assert sorted(row for rows in copy.values() for row in rows) == sorted(stored)
        return head.revision

    async def follow_until_done() -> int:
        copy: dict[bytes, list[records.StateRow]] = {}
        at, is_last = created.revision - 1, False
        while not is_last:
            is_last = done.is_set()
            at = await follow(copy, at)
        return at

    async with opened(database_url) as other:
        follower = asyncio.create_task(follow_until_done())
        async with asyncio.TaskGroup() as group:
            for node, name in ((database, "one"), (other, "two"), (database, "three")):
                group.create_task(write(node, name))
        done.set()
        assert await follower == created.revision + 180


async def test_large_values_survive_both_dialects(database: Database) -> None:
    values = [f"{index:05d}" + "x" * 250 for index in range(200)]
    await create(database, {"name": "big", "type": "TXT", "ttl": 2**31 - 1, "values": values})
    async with database.read() as session:
        found = await records.get_record(session, APEX, zone_name("big.example.com"), 16)
    assert found.rrset.ttl == 2**31 - 1
    assert len(found.rrset.rdatas) == 200
