"""`/lists`: named CIDR lists, which rules of steered records refer to."""

from __future__ import annotations

import asyncio
import io
import json
import urllib.parse
from collections.abc import Iterable, Sequence

from geodns.api.binding import Call, Nothing, RawBody, Reply
from geodns.api.body import LIST_LIMIT
from geodns.api.common import actor_of, precondition_of, reply_to_write
from geodns.api.models import CidrList, ListInput, ListSummary, NewListInput, Page, PageQuery
from geodns.api.problems import MAX_PROBLEMS
from geodns.api.seam import Node
from geodns.errors import InvalidInput, Problem
from geodns.model.prefixes import Prefixes, pack_text
from geodns.store import lists as store
from geodns.store.requests import DeleteList, Precondition, PutList

LIST_BODY = RawBody(("text/plain",), LIST_LIMIT, ListInput)

BAD_PREFIX = "{!r} is not a prefix without host bits; write 192.0.2.0/24"


async def list_lists(call: Call[Node, PageQuery, None]) -> Reply:
    async with call.node.database.read() as session:
        page = await store.list_lists(session, cursor=call.query.cursor, limit=call.query.limit)
    items = [ListSummary(name=item.name, size=item.prefixes, revision=item.revision, changed_at=item.changed_at) for item in page.items]
    return Reply(Page[ListSummary](items=items, next=page.next))


async def create_list(call: Call[Node, Nothing, NewListInput]) -> Reply:
    prefixes = await asyncio.to_thread(parse_prefixes, call.body.prefixes)
    request = PutList(call.body.name, prefixes, Precondition(exists=False))
    result = await call.node.write(request, actor_of(call))
    location = f"/api/v1/lists/{urllib.parse.quote(call.body.name, safe='')}"
    return reply_to_write(result, created=True, headers={"Location": location})


async def get_list(call: Call[Node, Nothing, None]) -> Reply:
    async with call.node.database.read() as session:
        found, prefixes = await store.get_list(session, call.params["name"])
    return Reply(await asyncio.to_thread(_show, found, prefixes), revision=found.revision)


def _show(found: store.CidrList, prefixes: Prefixes) -> str:
    """The body of a reply. An encoder would stop everybody for half a second over a million prefixes; they need no escapes and go last."""
    frame = CidrList(name=found.name, size=prefixes.count, revision=found.revision, changed_at=found.changed_at, prefixes=[])
    head = json.dumps(frame.model_dump(mode="json"), ensure_ascii=False).removesuffix("]}")
    quoted = ", ".join(f'"{text}"' for text in prefixes.texts())
    return f"{head}{quoted}]}}"


async def put_list(call: Call[Node, Nothing, ListInput | bytes]) -> Reply:
    given = call.body
    # A million prefixes take seconds; in a thread the event loop gets its turns.
    if isinstance(given, ListInput):
        prefixes = await asyncio.to_thread(parse_prefixes, given.prefixes)
    else:
        prefixes = await asyncio.to_thread(parse_text, given)
    request = PutList(call.params["name"], prefixes, precondition_of(call.conditions))
    result = await call.node.write(request, actor_of(call))
    return reply_to_write(result, created=result.created)


async def delete_list(call: Call[Node, Nothing, None]) -> Reply:
    request = DeleteList(call.params["name"], precondition=precondition_of(call.conditions))
    return reply_to_write(await call.node.write(request, actor_of(call)))


def parse_text(body: bytes) -> Prefixes:
    """One prefix a line; # begins a comment. Raises InvalidInput with every problem, by line."""
    lines = (line.partition(b"#")[0].strip().decode("utf-8", "replace") for line in io.BytesIO(body))
    return _collect((text, "", f"line {number}") for number, text in enumerate(lines, start=1) if text)


def parse_prefixes(texts: Sequence[str]) -> Prefixes:
    """Prefixes without host bits; a bare address is a /32 or /128. Raises InvalidInput with every problem."""
    return _collect((text, f"/prefixes/{index}", None) for index, text in enumerate(texts))


def _collect(given: Iterable[tuple[str, str, str | None]]) -> Prefixes:
    """From texts, each with its pointer and its source."""
    body, count = bytearray(), 0
    problems: list[Problem] = []
    for text, pointer, source in given:
        packed = pack_text(text)
        if packed is not None:
            body += packed
            count += 1
        elif len(problems) <= MAX_PROBLEMS:  # one more than is shown, so that it is said that there are more
            problems.append(Problem(pointer, "bad-prefix", BAD_PREFIX.format(text[:64]), source=source))
    if problems:
        raise InvalidInput(problems)
    return Prefixes(bytes(body), count)
