"""`/overrides` and `/health/freeze`: the operator's word over health, in force when the answer goes out, database or not.

A target is written as in `pool/www.example.com/A/eu`, each part percent-encoded; a client that encodes the whole target as one part is
understood too. Only steered rrsets are touched, and the more specific target wins.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from geodns.api import models
from geodns.api.binding import Call, Nothing, Reply
from geodns.api.common import AnyCall, actor_of, rtype_of
from geodns.api.models import Deleted, Freeze, FreezeInput, OverrideInput, OverrideState, Page, PageQuery
from geodns.api.seam import Node
from geodns.control.healthtable import Override
from geodns.control.overlay import OverrideKind
from geodns.errors import InvalidInput, NotFound, Problem
from geodns.model import names
from geodns.model.rdata import rtype_to_text
from geodns.publish.frames import Operator
from geodns.store.pages import make_page, read_cursor

STATES = {OverrideState.UP: Operator.UP, OverrideState.DOWN: Operator.DOWN, OverrideState.DRAIN: Operator.DRAIN}
SHOWN = {operator: state for state, operator in STATES.items()}

MAX_SITE = 255
"""Bytes; the link carries a site's name with one byte for its length."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an override names, in the one spelling in which it is stored and compared."""

    kind: OverrideKind
    text: str


async def list_overrides(call: Call[Node, PageQuery, None]) -> Reply:
    after = None if call.query.cursor is None else read_cursor(call.query.cursor, str, str)
    found = sorted(call.node.overrides(), key=_place)
    page = make_page([override for override in found if after is None or _place(override) > after], call.query.limit, _place)
    return Reply(Page[models.Override](items=[show_override(override) for override in page.items], next=page.next))


async def get_override(call: Call[Node, Nothing, None]) -> Reply:
    return Reply(show_override(_find(call, read_target(call))))


async def put_override(call: Call[Node, Nothing, OverrideInput]) -> Reply:
    target, now = read_target(call), datetime.now(UTC)
    expires_at = call.body.expires_at
    if expires_at is not None and expires_at <= now:
        raise InvalidInput([Problem("/expires_at", "past", "expires_at is in the past")])
    existed = any((override.kind, override.target) == (target.kind, target.text) for override in call.node.overrides())
    state = STATES[call.body.state]
    override = Override(target.kind, target.text, state, call.body.reason, call.caller.name, now, expires_at)
    await call.node.set_override(override, actor_of(call))
    return Reply(show_override(override), HTTPStatus.OK if existed else HTTPStatus.CREATED)


async def delete_override(call: Call[Node, Nothing, None]) -> Reply:
    target = read_target(call)
    _find(call, target)
    cleared = Override(target.kind, target.text, None, "", call.caller.name, datetime.now(UTC))
    await call.node.set_override(cleared, actor_of(call))
    return Reply(Deleted(deleted=f"{target.kind.value}/{target.text}"))


async def get_freeze(call: Call[Node, Nothing, None]) -> Reply:
    return Reply(_show_freeze(call.node))


async def put_freeze(call: Call[Node, Nothing, FreezeInput]) -> Reply:
    await call.node.set_freeze(call.body.frozen, call.body.reason or f"by {call.caller.name}", actor_of(call))
    return Reply(_show_freeze(call.node))


def _show_freeze(node: Node) -> Freeze:
    return Freeze(frozen=node.frozen is not None, reason=node.frozen)


def _find(call: AnyCall, target: Target) -> Override:
    node: Node = call.node
    for override in node.overrides():
        if (override.kind, override.target) == (target.kind, target.text):
            return override
    raise NotFound(f"there is no override on {target.kind.value}/{target.text}")


def _place(override: Override) -> tuple[str, str]:
    return override.kind.value, override.target


def show_override(override: Override) -> models.Override:
    """An override in force as the API shows it."""
    return models.Override(
        kind=override.kind.value,
        target=override.target,
        state=SHOWN[override.state or Operator.UP],
        reason=override.reason,
        author=override.author,
        set_at=override.set_at,
        expires_at=override.expires_at,
    )


def read_target(call: AnyCall) -> Target:
    """From the path as it came, because only there an encoded slash differs from a plain one. Raises InvalidInput."""
    kind = _read_kind(call.params["kind"])
    raw = call.request.rel_url.raw_path.split("/overrides/", 1)[1].split("/", 1)[1]
    return parse_target(kind, [urllib.parse.unquote(part) for part in raw.split("/")])


def _read_kind(text: str) -> OverrideKind:
    try:
        return OverrideKind(text)
    except ValueError:
        raise _refuse(f"{text!r} is no kind of override; write value, pool, record or site") from None


def parse_target(kind: OverrideKind, parts: Sequence[str]) -> Target:
    """Names lower-case without final dot, types upper-case, addresses in their shortest form. Raises InvalidInput."""
    match kind:
        case OverrideKind.VALUE:
            return Target(kind, _parse_value("/".join(parts)))
        case OverrideKind.SITE:
            return Target(kind, _parse_site("/".join(parts)))
        case OverrideKind.RECORD:
            split = parts if len(parts) > 1 else parts[0].rsplit("/", 1)
            if len(split) != 2:
                raise _refuse("a record is written record/NAME/TYPE, as in record/www.example.com/A")
            return Target(kind, _parse_record(*split))
        case OverrideKind.POOL:
            split = parts if len(parts) > 1 else parts[0].split("/", 2)
            if len(split) < 3 or not split[2]:
                raise _refuse("a pool is written pool/NAME/TYPE/POOL, as in pool/www.example.com/A/eu")
            return Target(kind, f"{_parse_record(split[0], split[1])}/{'/'.join(split[2:])}")


def parse_any_target(text: str) -> Target:
    """`site/fra1`, `pool/www.example.com/A/eu`: a whole target as one text. Raises InvalidInput."""
    kind, _, rest = text.partition("/")
    return parse_target(_read_kind(kind), [rest])


def _parse_value(text: str) -> str:
    """An address, or the target of a CNAME."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return names.parse_name(text, None).to_text()


def _parse_site(text: str) -> str:
    if not text or len(text.encode()) > MAX_SITE:
        raise _refuse(f"a site has a name of 1 to {MAX_SITE} bytes")
    return text


def _parse_record(name: str, rtype: str) -> str:
    return f"{names.zone_text(names.parse_zone_name(name))}/{rtype_to_text(rtype_of(rtype))}"


def _refuse(sentence: str) -> InvalidInput:
    return InvalidInput([Problem("", "bad-target", sentence)], sentence)
