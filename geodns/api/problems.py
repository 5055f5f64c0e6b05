"""Problem details (RFC 9457): the one place where what went wrong becomes a status and a body.

Each type is a stable URN. Nothing of an unexpected exception reaches the client but a request id, under which the log has the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web

from geodns.errors import (
    Busy,
    Conflict,
    DatabaseUnavailable,
    DataplaneUnavailable,
    Forbidden,
    ForeignHistory,
    GeodnsError,
    InvalidInput,
    MirroredZone,
    NotFound,
    PreconditionFailed,
    Problem,
    SchemaTooNew,
    Unauthorized,
    UnsafeChange,
)

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER_S = 2
"""A database that fails over, or a dataplane that restarts, is back within seconds; asking more often than this helps nobody."""

MAX_PROBLEMS = 1000
"""A zone file of a million lines can be wrong in every one; past a thousand nobody reads on, and a reply should stay below a megabyte."""


@dataclass(eq=False)
class ErrorReply(Exception):
    """An error with its status, as it goes out. `kind` is the end of the URN."""

    status: HTTPStatus
    kind: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    hint: str | None = None
    problems: Sequence[Problem] = ()


# The first class that matches; more special ones therefore stand before their base.
STATUSES: tuple[tuple[type[GeodnsError], HTTPStatus, str], ...] = (
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input"),
    (NotFound, HTTPStatus.NOT_FOUND, "not-found"),
    (ForeignHistory, HTTPStatus.CONFLICT, "foreign-history"),
    (MirroredZone, HTTPStatus.CONFLICT, "mirrored-zone"),
    (UnsafeChange, HTTPStatus.CONFLICT, "unsafe-change"),
    (Conflict, HTTPStatus.CONFLICT, "conflict"),
    (PreconditionFailed, HTTPStatus.PRECONDITION_FAILED, "precondition-failed"),
    (DatabaseUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "database-unavailable"),
    (SchemaTooNew, HTTPStatus.SERVICE_UNAVAILABLE, "schema-too-new"),
    (DataplaneUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "dataplane-unavailable"),
    (Busy, HTTPStatus.SERVICE_UNAVAILABLE, "busy"),
    (Unauthorized, HTTPStatus.UNAUTHORIZED, "unauthorized"),
    (Forbidden, HTTPStatus.FORBIDDEN, "forbidden"),
)

RETRIED = (DatabaseUnavailable, DataplaneUnavailable, Busy)


def reply_for(error: BaseException) -> ErrorReply:
    """The error as it goes out; what is not ours becomes a 500 that says nothing."""
    match error:
        case ErrorReply():
            return error
        case GeodnsError():
            return _reply_for_ours(error)
        case web.HTTPException():
            return _reply_for_aiohttp(error)
        case _:
            return ErrorReply(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "an internal error; the log has more under the request id")


def _reply_for_ours(error: GeodnsError) -> ErrorReply:
    for error_type, status, kind in STATUSES:
        if isinstance(error, error_type):
            headers: dict[str, str] = {}
            if isinstance(error, RETRIED):
                headers["Retry-After"] = str(RETRY_AFTER_S)
            if isinstance(error, Unauthorized):
                headers["WWW-Authenticate"] = 'Bearer realm="geodns"'
            if isinstance(error, Forbidden):
                headers["WWW-Authenticate"] = 'Bearer realm="geodns", error="insufficient_scope"'
            problems = error.problems if isinstance(error, InvalidInput) else ()
            return ErrorReply(status, kind, str(error), headers, error.hint, problems)
    return ErrorReply(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "an internal error; the log has more under the request id")


def _reply_for_aiohttp(error: web.HTTPException) -> ErrorReply:
    """What aiohttp itself raises: its router knows 404 and 405, its reader 400 and 413."""
    match error:
        case web.HTTPNotFound():
            return ErrorReply(HTTPStatus.NOT_FOUND, "no-such-route", "there is no such route", hint="see /api/v1/openapi.json")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return ErrorReply(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", f"this route takes {allowed}", {"Allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            return ErrorReply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", "the body is too large")
        case _:
            status = HTTPStatus(error.status)
            return ErrorReply(status, status.phrase.lower().replace(" ", "-"), status.description or status.phrase)


def show_problem(problem: Problem) -> dict[str, Any]:
    """One validation problem; severity and source only where they say something."""
    shown: dict[str, Any] = {
        "pointer": problem.pointer,
        "code": problem.code,
        "message": problem.message,
        "severity": problem.severity.value,
    }
    if problem.source is not None:
        shown["source"] = problem.source
    return shown


def show_problems(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [show_problem(problem) for problem in problems]


def render(reply: ErrorReply, *, instance: str, request_id: str) -> web.Response:
    """RFC 9457 §3, with `errors` (every validation problem), `hint` and `request_id` as extension members."""
    body: dict[str, Any] = {
        "type": f"urn:geodns:problem:{reply.kind}",
        "title": reply.status.phrase,
        "status": int(reply.status),
        "detail": reply.detail,
        "instance": instance,
        "request_id": request_id,
    }
    if reply.hint is not None:
        body["hint"] = reply.hint
    if reply.problems:
        body["errors"] = show_problems(reply.problems[:MAX_PROBLEMS])
        if len(reply.problems) > MAX_PROBLEMS:
            body["errors_left_out"] = len(reply.problems) - MAX_PROBLEMS
    text = json.dumps(body, ensure_ascii=False)
    return web.Response(status=reply.status, text=text, content_type=MEDIA_TYPE, headers=dict(reply.headers))
