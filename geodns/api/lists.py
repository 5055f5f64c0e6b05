"""`/lists`: named CIDR lists, which rules of steered records refer to."""

from __future__ import annotations

import asyncio
import ipaddress
import urllib.parse
from collections.abc import Sequence

from geodns.api.binding import Call, Nothing, RawBody, Reply
from geodns.api.body import LIST_LIMIT
from geodns.api.common import actor_of, precondition_of, reply_to_write
from geodns.api.models import CidrList, ListInput, ListSummary, NewListInput, Page, PageQuery
from geodns.api.seam import Node
from geodns.errors import InvalidInput, Problem
from geodns.model.steering import Network
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
    request = PutList(call.body.name, parse_prefixes(call.body.prefixes), Precondition(exists=False))
    result = await call.node.write(request, actor_of(call))
    location = f"/api/v1/lists/{urllib.parse.quote(call.body.name, safe='')}"
    return reply_to_write(result, created=True, headers={"Location": location})


async def get_list(call: Call[Node, Nothing, None]) -> Reply:
    async with call.node.database.read() as session:
        found, networks = await store.get_list(session, call.params["name"])
    prefixes = [str(network) for network in networks]
    body = CidrList(name=found.name, size=len(prefixes), revision=found.revision, changed_at=found.changed_at, prefixes=prefixes)
    return Reply(body, revision=found.revision)


async def put_list(call: Call[Node, Nothing, ListInput | bytes]) -> Reply:
    given = call.body
    # A million prefixes take seconds; in a thread the event loop gets its turns.
    parsed = parse_prefixes(given.prefixes) if isinstance(given, ListInput) else await asyncio.to_thread(parse_text, given)
    request = PutList(call.params["name"], parsed, precondition_of(call.conditions))
    result = await call.node.write(request, actor_of(call))
    return reply_to_write(result, created=result.created)


async def delete_list(call: Call[Node, Nothing, None]) -> Reply:
    request = DeleteList(call.params["name"], precondition=precondition_of(call.conditions))
    return reply_to_write(await call.node.write(request, actor_of(call)))


def parse_text(body: bytes) -> list[Network]:
    """One prefix a line; # begins a comment. Raises InvalidInput with every problem, by line."""
    networks: list[Network] = []
    problems: list[Problem] = []
    for number, line in enumerate(body.decode("utf-8", "replace").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if text:
            network = _parse_prefix(text)
            if network is None:
                problems.append(Problem("", "bad-prefix", BAD_PREFIX.format(text[:64]), source=f"line {number}"))
            else:
                networks.append(network)
    if problems:
        raise InvalidInput(problems)
    return networks


def parse_prefixes(texts: Sequence[str]) -> list[Network]:
    """Prefixes without host bits; a bare address is a /32 or /128. Raises InvalidInput with every problem."""
    networks: list[Network] = []
    problems: list[Problem] = []
    for index, text in enumerate(texts):
        network = _parse_prefix(text)
        if network is None:
            problems.append(Problem(f"/prefixes/{index}", "bad-prefix", BAD_PREFIX.format(text[:64])))
        else:
            networks.append(network)
    if problems:
        raise InvalidInput(problems)
    return networks


def _parse_prefix(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None
