"""What handlers share: the path's parts as names and types, who acts, and how a write is answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import dns.name

from geodns.api.binding import Call, Reply
from geodns.api.models import ChangesetWritten, ValidationProblem, Written
from geodns.api.preconditions import Preconditions
from geodns.api.problems import ErrorReply, show_problem
from geodns.api.seam import WriteResult
from geodns.errors import InvalidInput, PreconditionFailed, Problem
from geodns.model import names
from geodns.model.fields import BadRdata
from geodns.model.rdata import rtype_from_text
from geodns.store.audit import Actor
from geodns.store.requests import Operation, Precondition

DIGITS = re.compile("[0-9]{1,19}")
MAX_BIGINT = 2**63 - 1
"""What the store's columns hold."""

AnyCall = Call[Any, Any, Any]
ParsedT = TypeVar("ParsedT")


def zone_of(call: AnyCall) -> dns.name.Name:
    """The zone that the path names. Raises InvalidInput."""
    return names.parse_zone_name(call.params["zone"])


def owner_of(call: AnyCall, apex: dns.name.Name) -> dns.name.Name:
    """The owner name that the path names. Raises InvalidInput."""
    return names.parse_name(call.params["name"], apex)


def rtype_of(text: str, pointer: str = "") -> int:
    """A type's number. Raises InvalidInput."""
    try:
        return rtype_from_text(text.upper())
    except BadRdata as error:
        raise InvalidInput([Problem(pointer, error.code, str(error))], str(error)) from None


def parse_count(text: str) -> int | None:
    """A number of the store, an id or a revision; None for what can be none."""
    return int(text) if DIGITS.fullmatch(text) and int(text) <= MAX_BIGINT else None


def at_pointer(pointer: str, parse: Callable[[str], ParsedT], text: str) -> ParsedT:
    """`parse(text)`, whose problems are then laid to `pointer`."""
    try:
        return parse(text)
    except InvalidInput as error:
        raise InvalidInput([problem.below(pointer) for problem in error.problems], str(error)) from None


def actor_of(call: AnyCall) -> Actor:
    """Who the audit trail names."""
    return Actor(call.caller.name, address=call.request.remote, request_id=call.request_id)


def precondition_of(conditions: Preconditions) -> Precondition:
    """The conditions as the store judges them, inside the transaction."""
    if conditions.if_none_match:
        raise ErrorReply(HTTPStatus.BAD_REQUEST, "malformed-header", "If-None-Match on a write takes * only")
    if conditions.must_exist and conditions.create_only:
        raise PreconditionFailed("nothing both exists and does not exist")
    exists = True if conditions.must_exist else False if conditions.create_only else None
    return Precondition(revisions=conditions.if_match, exists=exists)


def describe_write(result: WriteResult, warnings: Sequence[Problem] = ()) -> dict[str, Any]:
    """The members of `Written`; `warnings` are those of the reading before."""
    return {
        "revision": result.revision,
        "serial": result.serial,
        "changed": result.changed,
        "applied": result.applied,
        "warnings": [ValidationProblem(**show_problem(problem)) for problem in (*warnings, *result.problems)],
    }


def reply_to_write(result: WriteResult, *, created: bool = False, headers: Mapping[str, str] | None = None) -> Reply:
    """201 when something was made, 200 otherwise; 202 when it is committed and this node does not serve it yet."""
    return Reply(Written(**describe_write(result)), status_of(result, created=created), etag_of(result), headers or {})


def reply_to_changeset(result: WriteResult, *, dry_run: bool, warnings: Sequence[Problem] = ()) -> Reply:
    """Many rrsets at once: 200 whatever was made, or 202."""
    counts = dict(result.counts)
    deleted = counts.get(Operation.DELETE, 0)
    body = ChangesetWritten(**describe_write(result, warnings), dry_run=dry_run, upserted=sum(counts.values()) - deleted, deleted=deleted)
    return Reply(body, HTTPStatus.OK if dry_run else status_of(result), None if dry_run else etag_of(result))


def etag_of(result: WriteResult) -> int | None:
    """Without a change the result's revision is the store's, not the object's."""
    return result.revision if result.changed else None


def status_of(result: WriteResult, *, created: bool = False) -> HTTPStatus:
    """The status of a write that was committed."""
    if not result.applied:
        return HTTPStatus.ACCEPTED
    return HTTPStatus.CREATED if created else HTTPStatus.OK
