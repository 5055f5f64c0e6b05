"""What is read back: pages, the state as it is served, steered rrsets and the ids of their values."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import dns.name
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodns.errors import Conflict, InvalidInput, NotFound
from geodns.model.prefixes import Prefixes
from geodns.store import history, lists, records, zones
from geodns.store.database import Database, Dialect
from geodns.store.encoding import owner_key, pack_body, unpack_body
from geodns.store.records import StateList, StateRow, StateZone, StoredSteered
from geodns.store.requests import DeleteList, DeleteZone, Precondition, PutList
from tests.unit.store.writing import APEX, a, change, create, delete, do, steered, upsert, zone_name

OFFICE = Prefixes.of([ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")])

LABELS = st.lists(st.binary(min_size=1, max_size=5).map(bytes.lower), max_size=4)


@given(st.lists(LABELS, min_size=2, max_size=8))
def test_owner_keys_sort_as_rfc4034_6_1_says(names_below: list[list[bytes]]) -> None:
    owners = [dns.name.Name([*labels, *APEX.labels]) for labels in names_below]
    by_key = sorted(set(owners), key=lambda owner: owner_key(owner, APEX))
    assert by_key == sorted(set(owners))  # dnspython compares canonically


@given(LABELS, LABELS)
def test_what_begins_with_a_key_lies_below_it(upper: list[bytes], lower: list[bytes]) -> None:
    above = dns.name.Name([*upper, *APEX.labels])
    other = dns.name.Name([*lower, *APEX.labels])
    assert owner_key(other, APEX).startswith(owner_key(above, APEX)) == other.is_subdomain(above)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_bodies_come_back(rdatas: list[bytes]) -> None:
    assert unpack_body(pack_body(rdatas)) == tuple(rdatas)


async def test_records_come_in_pages_in_canonical_order(database: Database) -> None:
    hosts = ["a", "b.a", "c", "z.b.a", "*", "*.a", "yb.a"]
    await create(database, *map(a, hosts), {"name": "a", "type": "TXT", "ttl": 1, "values": ["x"]})
    seen: list[tuple[str, int]] = []
    cursor = None
    while True:
        async with database.read() as session:
            page = await records.list_records(session, APEX, cursor=cursor, limit=2)
        seen += [(str(record.rrset.owner), record.rrset.rtype) for record in page.items]
        if page.next is None:
            break
        cursor = page.next
    expected = sorted([(dns.name.from_text(host, APEX), 1) for host in hosts] + [(dns.name.from_text("a", APEX), 16), (APEX, 2)])
    assert seen == [(str(owner), rtype) for owner, rtype in expected]


async def test_records_can_be_asked_for_by_name_and_type(database: Database) -> None:
    await create(database, a("www"), a("other"), {"name": "www", "type": "TXT", "ttl": 1, "values": ["x"]})
    async with database.read() as session:
        by_name = await records.list_records(session, APEX, owner=zone_name("www.example.com"))
        by_type = await records.list_records(session, APEX, rtype=1)
        both = await records.list_records(session, APEX, owner=zone_name("www.example.com"), rtype=16)
        with pytest.raises(NotFound):
            await records.list_records(session, zone_name("example.net"))
        with pytest.raises(NotFound):
            await records.get_record(session, APEX, zone_name("absent.example.com"), 1)
    assert [len(page.items) for page in (by_name, by_type, both)] == [2, 2, 1]


@pytest.mark.parametrize("cursor", ["", "x", "bm9uc2Vuc2U", "W10", "WyJ6enoiLDFd", "////", "é"])
async def test_cursor_of_another_list_is_refused(database: Database, cursor: str) -> None:
    await create(database)
    async with database.read() as session:
        with pytest.raises(InvalidInput):
            await records.list_records(session, APEX, cursor=cursor)


async def test_zones_come_in_pages(database: Database) -> None:
    for text in ("example.net", "a.example.com", "example.com", "b.example.com"):
        await create(database, apex=zone_name(text))
    async with database.read() as session:
        first = await zones.list_zones(session, limit=3)
        rest = await zones.list_zones(session, limit=3, cursor=first.next)
        assert await zones.count_zones(session) == 4
    shown = [str(zone.apex) for zone in (*first.items, *rest.items)]
    assert shown == ["example.com.", "a.example.com.", "b.example.com.", "example.net."]
    assert rest.next is None


async def state_of(database: Database) -> list[StateList | StateZone | StateRow]:
    async with database.read() as session:
        return [item async for item in records.stream_state(session)]


async def test_state_has_lists_zones_soa_and_rows_in_the_order_of_a_full(database: Database) -> None:
    await do(database, PutList("office", Prefixes.of([ip_network("192.0.2.0/24")])))
    created = await create(database, a("b"), a("a", "192.0.2.1", "192.0.2.2", ttl=77))
    await create(database, apex=zone_name("example.net"))
    items = await state_of(database)
    assert isinstance(items[0], StateList)
    assert (items[0].name, items[0].prefixes) == ("office", Prefixes.of([ip_network("192.0.2.0/24")]))
    assert items[1] == StateZone(b"\x07example\x03com\x00")
    soa = items[2]
    assert isinstance(soa, StateRow)
    assert (soa.owner, soa.rtype, soa.ttl) == (soa.apex, 6, 3600)
    (rdata,) = unpack_body(soa.body)
    assert created.serial is not None
    assert rdata.endswith(created.serial.to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in (3600, 600, 604800, 60)))
    rows = [item for item in items[3:] if isinstance(item, StateRow) and item.apex == soa.apex]
    assert [(row.owner, row.rtype, row.ttl) for row in rows] == [
        (b"\x07example\x03com\x00", 2, 3600),
        (b"\x01a\x07example\x03com\x00", 1, 77),
        (b"\x01b\x07example\x03com\x00", 1, 300),
    ]
    assert rows[1].body == b"\x00\x02\x00\x04\xc0\x00\x02\x01\x00\x04\xc0\x00\x02\x02"
    assert sum(isinstance(item, StateZone) for item in items) == 2


async def test_state_and_triple_are_one_snapshot(database: Database) -> None:
    await create(database, *(a(f"h{index}") for index in range(5000)))
    async with database.read() as session:
        before = await history.head(session)
        stream = records.stream_state(session)
        first = [await anext(stream) for _ in range(10)]
        await change(database, *(delete(f"h{index}", "A") for index in range(4000, 5000)), upsert(a("new")))
        rest = [item async for item in stream]
        assert await history.head(session) == before
    assert sum(isinstance(item, StateRow) for item in (*first, *rest)) == 5000 + 2


async def test_owner_names_are_read_with_the_soa_at_the_apex(database: Database) -> None:
    await create(database, a("www"), {"name": "www", "type": "TXT", "ttl": 1, "values": ["x"]})
    www, absent = zone_name("www.example.com"), zone_name("absent.example.com")
    async with database.read() as session:
        assert [row.rtype for row in await records.owner_rrsets(session, APEX, www)] == [1, 16]
        assert [row.rtype for row in await records.owner_rrsets(session, APEX, APEX)] == [6, 2]
        assert await records.owner_rrsets(session, APEX, absent) == []
        assert await records.owner_rrsets(session, zone_name("example.net"), zone_name("example.net")) == []
        asked = [(APEX, www), (APEX, absent), (APEX, APEX)]
        found = [(there.owner, len(there.rows)) async for batch in records.owner_batches(session, asked) for there in batch]
    assert found == [(www, 2), (absent, 0), (APEX, 2)]


async def test_whole_zone_can_be_read_for_an_export(database: Database) -> None:
    await create(database, *(a(f"h{index}") for index in range(3000)))
    async with database.read() as session:
        zone = await zones.get_zone(session, APEX)
        found = [record async for record in records.zone_records(session, zone)]
    assert len(found) == zone.rrset_count == 3001
    owners = [record.rrset.owner for record in found]
    assert owners == sorted(owners)


async def all_steered(database: Database) -> dict[str, StoredSteered]:
    async with database.read() as session:
        return {str(found.rrset.owner): found async for found in records.steered_rrsets(session)}


async def test_steered_rrsets_come_with_their_steering_and_ids(database: Database) -> None:
    await create(database, a("static"), steered("www", eu=("192.0.2.10", "192.0.2.11"), rest=("198.51.100.10",)))
    found = await all_steered(database)
    assert set(found) == {"www.example.com."}
    www = found["www.example.com."]
    assert www.rrset.steering is not None
    assert [pool.name for pool in www.rrset.steering.pools] == ["eu", "rest"]
    assert set(www.value_ids) == {("", "192.0.2.1"), ("eu", "192.0.2.10"), ("eu", "192.0.2.11"), ("rest", "198.51.100.10")}
    assert www.own_ids == (www.value_ids["", "192.0.2.1"],)
    assert len(set(www.value_ids.values())) == 4
    assert 0 not in www.value_ids.values()
    async with database.read() as session:
        at = await records.steered_at(session, [(APEX, zone_name("www.example.com")), (APEX, zone_name("static.example.com"))])
    assert at == [www]
    assert [row.steered for row in await state_of(database) if isinstance(row, StateRow) and row.rtype == 1] == [False, True]


async def test_steered_cname_has_ids_for_its_targets(database: Database) -> None:
    record = {
        "name": "cdn",
        "type": "CNAME",
        "ttl": 60,
        "value": "One.example.net.",
        "dynamic": {
            "pools": {"all": {"values": [{"value": "one.example.net."}, {"value": "two.example.net."}]}},
            "rules": [{"pool": "all"}],
        },
    }
    await create(database, record)
    (found,) = (await all_steered(database)).values()
    assert found.rrset.steering is not None
    assert {value.value for pool in found.rrset.steering.pools for value in pool.values} == {
        value for pool, value in found.value_ids if pool == "all"
    }
    assert len(found.own_ids) == 1


async def test_deleted_and_unsteered_rrsets_give_their_ids_up_for_good(database: Database) -> None:
    await create(database, steered("www", all=("192.0.2.10",)))
    used = set((await all_steered(database))["www.example.com."].value_ids.values())
    for step in (
        delete("www", "A"),
        upsert(steered("www", all=("192.0.2.10",))),
        upsert(a("www")),
        upsert(steered("www", all=("192.0.2.10",))),
    ):
        await change(database, step)
        ids = {value_id for found in (await all_steered(database)).values() for value_id in found.value_ids.values()}
        assert not ids & used
        used |= ids
    await do(database, DeleteZone(APEX))
    await create(database, steered("www", all=("192.0.2.10",)))
    assert not set((await all_steered(database))["www.example.com."].value_ids.values()) & used


VALUES = [f"192.0.2.{index}" for index in range(1, 7)]
OWN = st.lists(st.sampled_from(VALUES), min_size=1, max_size=3, unique=True)
HELD = st.lists(st.sampled_from(VALUES), min_size=1, max_size=4, unique=True)
POOLS = st.dictionaries(st.sampled_from(["eu", "us", "asia"]), HELD, min_size=1, max_size=3)
CHANGES = st.lists(st.tuples(st.sampled_from(["one", "two"]), st.one_of(st.none(), POOLS), OWN), min_size=1, max_size=8)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=CHANGES)
async def test_value_ids_are_stable_while_a_value_stays_and_never_used_again(
    database: Database, plan: list[tuple[str, dict[str, list[str]] | None, list[str]]]
) -> None:
    """A plan of changes against the obvious model: a dictionary of living ids and the set of all that ever lived."""
    async with database.write() as session:
        exists = await zones.find_zone(session, APEX) is not None
    if exists:
        await do(database, DeleteZone(APEX))
    async with database.read() as session:
        first_id = await session.scalar(sa.text("SELECT next_value_id FROM head"))
    await create(database)
    living: dict[tuple[str, str, str], int] = {}
    dead: set[int] = set()
    for name, pools, own in plan:
        if pools is None:
            await change(database, upsert(a(name, *own)))
            wanted = set()
        else:
            await change(database, upsert(steered(name, values=tuple(own), **{pool: tuple(held) for pool, held in pools.items()})))
            wanted = {(name, pool, value) for pool, held in pools.items() for value in held} | {(name, "", value) for value in own}
        found = {
            (str(owner).split(".")[0], pool, value): value_id
            for owner, steered_rrset in (await all_steered(database)).items()
            for (pool, value), value_id in steered_rrset.value_ids.items()
        }
        assert {key for key in found if key[0] == name} == wanted
        for key, value_id in found.items():
            assert living.get(key, value_id) == value_id  # what stayed kept its id
            assert value_id not in dead
            assert value_id >= first_id
        dead |= {value_id for key, value_id in living.items() if key not in found}
        living = found
        assert len(set(living.values())) == len(living)


async def test_lists_are_kept_and_guarded(database: Database) -> None:
    first = await do(database, PutList("office", OFFICE))
    assert first.created
    assert not (await do(database, PutList("office", OFFICE))).changed
    record = steered("www", all=("192.0.2.10",))
    record["octodns"] = {"geodns": {"rules": [{"lists": ["office"], "pool": "all"}, {"lists": ["later"], "pool": "all"}]}}
    created = await create(database, record)
    assert [problem.code for problem in created.problems if problem.code == "unknown-list"] == ["unknown-list"]
    with pytest.raises(Conflict, match=r"www\.example\.com"):
        await do(database, DeleteList("office"))
    async with database.read() as session:
        shown, prefixes = await lists.get_list(session, "office")
        page = await lists.list_lists(session)
    assert (shown.prefixes, prefixes, page.items) == (2, OFFICE, (shown,))
    await do(database, DeleteList("office", force=True, precondition=Precondition(frozenset({first.revision}))))
    with pytest.raises(NotFound):
        await do(database, DeleteList("office"))
    with pytest.raises(InvalidInput):
        await do(database, PutList("", Prefixes(b"", 0)))


async def test_list_of_a_hundred_thousand_prefixes_is_stored(database: Database) -> None:
    networks = [ip_network((int(ip_address("10.0.0.0")) + index * 16, 28)) for index in range(100_000)]
    await do(database, PutList("many", Prefixes.of(networks)))
    async with database.read() as session:
        _, found = await lists.get_list(session, "many")
    assert list(found.texts()) == [str(network) for network in networks]


class Statements:
    """Notes every statement of a database with the parameters of its first execution."""

    def __init__(self, database: Database) -> None:
        self.seen: list[tuple[str, Any]] = []
        self._engine = database._engine.sync_engine

    def __enter__(self) -> Statements:
        sa.event.listen(self._engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        sa.event.remove(self._engine, "before_cursor_execute", self._note)

    def _note(self, _connection: object, _cursor: object, statement: str, parameters: Any, _context: object, is_many: bool) -> None:
        self.seen.append((statement, parameters[0] if is_many else parameters))


BIG = ("rrsets", "value_ids", "rrset_changes")


async def test_single_upsert_asks_few_questions(database: Database) -> None:
    """What a write costs is the number of its statements, far more than what any of them finds."""
    at = await create(database, a("www"))
    with Statements(database) as statements:
        await change(database, upsert(a("www", "192.0.2.9")))
    written = len(statements.seen)
    assert written <= 13, statements.seen
    with Statements(database) as statements:
        async with database.read() as session:
            assert not await history.may_change_steering(session, at.revision)
            changed = await history.changed_owners_since(session, at.revision, limit=1000)
            assert changed is not None
            assert [there async for batch in records.owner_batches(session, changed.owners) for there in batch]
    assert len(statements.seen) <= 7, statements.seen


async def test_single_upsert_never_scans_a_zone(database: Database) -> None:
    """Every statement of a small change, and of what follows it, finds its rows in the big tables by an index."""
    hosts = [steered(f"s{index}", all=("192.0.2.10",)) for index in range(500)]
    await create(database, *(a(f"h{index}") for index in range(3000)), *hosts)
    at = await change(database, upsert(a("h9", "192.0.2.9")))
    async with database.write() as session:
        if database.dialect is Dialect.POSTGRESQL:
            await session.execute(sa.text("ANALYZE"))
    with Statements(database) as statements:
        await change(database, upsert(steered("h7", all=("192.0.2.10",))), delete("h8", "A"))
        async with database.read() as session:
            changed = await history.changed_owners_since(session, at.revision, limit=1000)
            assert changed is not None
            assert await history.may_change_steering(session, at.revision)
            await records.steered_at(session, changed.owners)
            await records.owner_rrsets(session, APEX, zone_name("h7.example.com"))
            await records.list_records(session, APEX, limit=10)
    explain = "EXPLAIN QUERY PLAN " if database.dialect is Dialect.SQLITE else "EXPLAIN "
    asked = [
        each for each in statements.seen if each[0].split()[0] in {"SELECT", "UPDATE", "DELETE"} and any(big in each[0] for big in BIG)
    ]
    assert len(asked) >= 8
    async with database.read() as session:
        for statement, parameters in asked:
            plan = await session.connection.exec_driver_sql(explain + statement, parameters)
            steps = "\n".join(str(row[-1]) for row in plan)
            scans = [word for big in BIG for word in (f"SCAN {big}", f"Seq Scan on {big}") if word in steps]
            assert not scans, f"{statement}\n{steps}"
