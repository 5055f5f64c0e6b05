"""`/lists`: named CIDR lists, which rules of steered records refer to."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Sequence

from geodns.api.binding import Call, Nothing, Reply
from geodns.api.common import actor_of, precondition_of, reply_to_write
from geodns.api.models import CidrList, ListInput, ListSummary, NewListInput, Page, PageQuery
from geodns.api.seam import Node
from geodns.errors import InvalidInput, Problem
from geodns.model.steering import Network
from geodns.store import lists as store
from geodns.store.requests import DeleteList, Precondition, PutList


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


async def put_list(call: Call[Node, Nothing, ListInput]) -> Reply:
    request = PutList(call.params["name"], parse_prefixes(call.body.prefixes), precondition_of(call.conditions))
    result = await call.node.write(request, actor_of(call))
    return reply_to_write(result, created=result.created)


async def delete_list(call: Call[Node, Nothing, None]) -> Reply:
    request = DeleteList(call.params["name"], precondition=precondition_of(call.conditions))
    return reply_to_write(await call.node.write(request, actor_of(call)))


def parse_prefixes(texts: Sequence[str]) -> list[Network]:
    """Prefixes without host bits; a bare address is a /32 or /128. Raises InvalidInput with every problem."""
    networks: list[Network] = []
    problems: list[Problem] = []
    for index, text in enumerate(texts):
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            problems.append(
                Problem(f"/prefixes/{index}", "bad-prefix", f"{text[:64]!r} is not a prefix without host bits; write 192.0.2.0/24")
            )
    if problems:
        raise InvalidInput(problems)
    return networks
