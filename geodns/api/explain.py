"""`/explain`: why a client gets the answer it gets. The dataplane says so, from the code that answers packets."""

from __future__ import annotations

import ipaddress

from geodns.api.binding import Call, Reply
from geodns.api.common import at_pointer, rtype_of
from geodns.api.models import Document, ExplainQuery
from geodns.api.seam import Node
from geodns.errors import InvalidInput, Problem
from geodns.model import names

DEFAULT_CLIENT = "127.0.0.1"


async def explain(call: Call[Node, ExplainQuery, None]) -> Reply:
    query = call.query
    name = at_pointer("/query/name", lambda text: names.parse_name(text, None), query.name)
    rtype_of(query.type, "/query/type")
    client = parse_client(query.client or DEFAULT_CLIENT, "/query/client")
    return Reply(Document(dict(await call.node.explain(name.to_text(), query.type.upper(), client))))


def parse_client(text: str, pointer: str = "") -> str:
    """`ADDR`, a sender, or `ADDR/LEN`, a client subnet (host bits are cut off, as a resolver would). Raises InvalidInput."""
    try:
        return str(ipaddress.ip_network(text, strict=False)) if "/" in text else str(ipaddress.ip_address(text))
    except ValueError:
        sentence = f"{text!r} is neither an address nor a prefix; write 192.0.2.1 or 192.0.2.0/24"
        raise InvalidInput([Problem(pointer, "bad-client", sentence)], sentence) from None
