"""`/zones/{zone}/records` and `/zones/{zone}/changes`: rrsets, one by one or many at once."""

from __future__ import annotations

from collections.abc import Sequence

from geodns.api.binding import Call, Nothing, Reply
from geodns.api.common import actor_of, at_pointer, owner_of, precondition_of, reply_to_changeset, reply_to_write, rtype_of, zone_of
from geodns.api.models import Change, Changeset, Operation, Page, Record, RecordInput, RecordsQuery
from geodns.api.seam import Node
from geodns.errors import InvalidInput, Problem
from geodns.model import names
from geodns.model.names import Name
from geodns.model.records import record_to_json
from geodns.store import records as store
from geodns.store.requests import ChangeRecords, Delete, Pointers, Upsert


async def list_records(call: Call[Node, RecordsQuery, None]) -> Reply:
    apex, query = zone_of(call), call.query
    owner = None if query.name is None else at_pointer("/query/name", lambda text: names.parse_name(text, apex), query.name)
    rtype = None if query.type is None else rtype_of(query.type, "/query/type")
    async with call.node.database.read() as session:
        page = await store.list_records(session, apex, owner=owner, rtype=rtype, cursor=query.cursor, limit=query.limit)
    return Reply(Page[Record](items=[show_record(item, apex) for item in page.items], next=page.next))


async def get_record(call: Call[Node, Nothing, None]) -> Reply:
    apex = zone_of(call)
    async with call.node.database.read() as session:
        found = await store.get_record(session, apex, owner_of(call, apex), rtype_of(call.params["type"]))
    return Reply(show_record(found, apex), revision=found.revision)


async def put_record(call: Call[Node, Nothing, RecordInput]) -> Reply:
    upsert = Upsert(call.params["name"], call.params["type"].upper(), call.body.root, precondition=precondition_of(call.conditions))
    result = await call.node.write(ChangeRecords(zone_of(call), (upsert,)), actor_of(call))
    return reply_to_write(result, created=result.created)


async def delete_record(call: Call[Node, Nothing, None]) -> Reply:
    delete = Delete(call.params["name"], call.params["type"].upper(), precondition=precondition_of(call.conditions), missing_ok=False)
    return reply_to_write(await call.node.write(ChangeRecords(zone_of(call), (delete,)), actor_of(call)))


async def change_records(call: Call[Node, Nothing, Changeset]) -> Reply:
    changes = _parse_changes(call.body.changes)
    request = ChangeRecords(zone_of(call), changes, precondition_of(call.conditions), call.body.dry_run)
    result = await call.node.write(request, actor_of(call))
    return reply_to_changeset(result, dry_run=call.body.dry_run)


def _parse_changes(changes: Sequence[Change]) -> list[Upsert | Delete]:
    """Every change, or InvalidInput with what is wrong with their shape; the records themselves are judged by the store."""
    parsed: list[Upsert | Delete] = []
    problems: list[Problem] = []
    for index, change in enumerate(changes):
        pointer = f"/changes/{index}"
        pointers = Pointers(f"{pointer}/name", f"{pointer}/type", f"{pointer}/record")
        match change:
            case Change(op=Operation.UPSERT, record=RecordInput() as record):
                parsed.append(Upsert(change.name, _upper(change.type), record.root, pointers))
            case Change(op=Operation.UPSERT):
                problems.append(Problem(f"{pointer}/record", "missing", "an upsert needs a record"))
            case Change(op=Operation.DELETE, type=str() as rtype, record=None):
                parsed.append(Delete(change.name, rtype.upper(), pointers))
            case Change(op=Operation.DELETE, type=None):
                problems.append(Problem(f"{pointer}/type", "missing", "a delete needs a type"))
            case _:
                problems.append(Problem(f"{pointer}/record", "unknown-key", "a delete has no record"))
    if problems:
        raise InvalidInput(problems)
    return parsed


def _upper(text: str | None) -> str | None:
    return None if text is None else text.upper()


def show_record(stored: store.StoredRecord, apex: Name) -> Record:
    """A stored rrset in octoDNS's form."""
    return Record(**record_to_json(stored.rrset, apex), revision=stored.revision)
