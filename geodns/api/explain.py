"""`/explain`: why a client gets the answer it gets. The dataplane says so, from the code that answers packets."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from geodns.api.binding import Call, Reply
from geodns.api.common import at_pointer, rtype_of
from geodns.api.models import Document, ExplainQuery
from geodns.api.overrides import show_override
from geodns.api.seam import Node
from geodns.errors import InvalidInput, Problem
from geodns.model import names

DEFAULT_CLIENT = "127.0.0.1"
UNCHECKED = {"up": "not checked, which counts as up", "down": "not checked now, and down since it was"}
"""By the verdict that the dataplane has: one without a check counts as up, and one from before stays."""


async def explain(call: Call[Node, ExplainQuery, None]) -> Reply:
    query = call.query
    name = at_pointer("/query/name", lambda text: names.parse_name(text, None), query.name)
    rtype_of(query.type, "/query/type")
    client = parse_client(query.client or DEFAULT_CLIENT, "/query/client")
    document = dict(await call.node.explain(name.to_text(), query.type.upper(), client))
    refuse_fault(document)
    add_reasons(document, call.node)
    return Reply(Document(document))


def refuse_fault(document: Mapping[str, Any]) -> None:
    """A document with the key `error` says why the question could not be asked. Raises InvalidInput."""
    if "error" in document:
        sentence = f"the dataplane could not be asked this: {document['error']}"
        raise InvalidInput([Problem("", "bad-question", sentence)], sentence)


def add_reasons(document: dict[str, Any], node: Node) -> None:
    """The dataplane knows verdicts and overrides by value id; why they are so is known here.

    Each value gets `cause`, in words, where it obeys health, and `override_set`, the override as `/overrides` shows it.
    """
    values = [
        value
        for step in document.get("path", [])
        for pool in (step.get("decision") or {}).get("pools", [])
        for value in pool.get("values", [])
    ]
    if not values:
        return
    causes = {target.value_id: report.state.cause for report in node.prober.endpoints() for target in report.values}
    for value in values:
        value["cause"] = causes.get(value.get("id"), UNCHECKED.get(value["verdict"]) if value.get("status") == "obey" else None)
        override = None if value.get("override") is None else node.override_of(value["id"])
        value["override_set"] = None if override is None else show_override(override).model_dump(mode="json")


def parse_client(text: str, pointer: str = "") -> str:
    """`ADDR`, a sender, or `ADDR/LEN`, a client subnet (host bits are cut off, as a resolver would). Raises InvalidInput."""
    try:
        return str(ipaddress.ip_network(text, strict=False)) if "/" in text else str(ipaddress.ip_address(text))
    except ValueError:
        sentence = f"{text!r} is neither an address nor a prefix; write 192.0.2.1 or 192.0.2.0/24"
        raise InvalidInput([Problem(pointer, "bad-client", sentence)], sentence) from None
