"""The binding between HTTP and handlers: one small value describes a route, and this module reads the request by it.

A `Route` says method, path, role, query model, body model, reply model and summary; the router and the OpenAPI document are both made
from the list of them, so that neither can lie about the other. Handlers get a `Call` and return a `Reply`; they know nothing of headers.
"""

from __future__ import annotations

import json
import re
import time
import urllib.parse
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from geodns.api import body as bodies
from geodns.api.auth import Authenticator, Identity, Role
from geodns.api.body import escape_pointer
from geodns.api.preconditions import Preconditions, matches_none
from geodns.api.problems import ErrorReply, render, reply_for
from geodns.errors import InvalidInput, Problem

log = structlog.get_logger(__name__)

SERVER = "geodns"

REQUEST_ID_KEY = web.RequestKey("request_id", str)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What we take over from a proxy's X-Request-ID; anything else could forge log lines, and gets a new id."""


BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")
"""RFC 3986 §2.1: a percent sign begins two hexadecimal digits."""


class Nothing(BaseModel):
    """A query or body that a route does not have."""

    model_config = {"extra": "forbid"}


NodeT = TypeVar("NodeT")
QueryT = TypeVar("QueryT", bound=BaseModel)
BodyT = TypeVar("BodyT")


@dataclass(frozen=True, slots=True)
class Call(Generic[NodeT, QueryT, BodyT]):
    """One request as a handler sees it. `params` are the path's parts, percent-decoded."""

    node: NodeT
    request: web.Request
    params: Mapping[str, str]
    query: QueryT
    body: BodyT
    caller: Identity
    conditions: Preconditions
    request_id: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers; a text is JSON already. `revision` becomes the ETag."""

    body: BaseModel | str | None
    status: HTTPStatus = HTTPStatus.OK
    revision: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call[Any, Any, Any]], Awaitable[Reply | web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class RawBody:
    """A body that is not, or not only, JSON: the media types that the route takes, and how long it may be.

    With a `model`, `application/json` is taken too, within the limit of JSON. What comes as one of `streamed` is left to the handler, who
    reads it from the request while it arrives; `body` is then empty.
    """

    media_types: tuple[str, ...]
    limit: int
    model: type[BaseModel] | None = None
    streamed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `role` None means that no token is needed; `body` None that there is none."""

    method: str
    path: str
    role: Role | None
    summary: str
    handler: Handler
    reply: type[BaseModel] | str
    query: type[BaseModel] = Nothing
    body: type[BaseModel] | RawBody | None = None
    statuses: Sequence[int] = (200,)
    errors: Sequence[int] = ()

    @property
    def name(self) -> str:
        """`GET /zones/{zone}`; also the operation's id in OpenAPI."""
        return f"{self.method} {self.path}"

    @property
    def pattern(self) -> str:
        """The path for the router: the target of an override has several parts."""
        return self.path.replace("{target}", "{target:.+}")


@dataclass(frozen=True, slots=True)
class Binding(Generic[NodeT]):
    """Makes an aiohttp handler of a route."""

    node: NodeT
    authenticator: Authenticator

    def bind(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            # Who calls comes first: a stranger learns nothing from how a body is judged, and cannot make us read one.
            caller = Identity("anyone", Role.READ) if route.role is None else await self._authorize(request, route.role)
            call = Call(
                node=self.node,
                request=request,
                params=_read_path(request),
                query=_read_query(request, route.query),
                body=await _read_body(request, route.body),
                caller=caller,
                conditions=Preconditions.read(request.headers),
                request_id=request[REQUEST_ID_KEY],
            )
            return _respond(request, await route.handler(call))

        return handle

    async def _authorize(self, request: web.Request, needed: Role) -> Identity:
        caller = await self.authenticator.identify(request)
        if not caller.role.covers(needed):
            challenge = 'Bearer realm="geodns", error="insufficient_scope"'
            detail = f"this route needs the role {needed.value}; the token has {caller.role.value}"
            raise ErrorReply(HTTPStatus.FORBIDDEN, "forbidden", detail, {"WWW-Authenticate": challenge})
        return caller


def _read_path(request: web.Request) -> dict[str, str]:
    # The router takes what it cannot decode as it stands, and would then know of no such zone or record: that hides the slip.
    path = request.raw_path.partition("?")[0]
    if broken := BROKEN_ESCAPE.search(path):
        detail = f"{broken[0]} in the path is no percent-encoding; write two hexadecimal digits after %, and %25 for % itself"
        raise ErrorReply(HTTPStatus.BAD_REQUEST, "malformed-path", detail)
    try:
        urllib.parse.unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise ErrorReply(HTTPStatus.BAD_REQUEST, "malformed-path", "the path is not percent-encoded UTF-8") from None
    return dict(request.match_info)


def _read_query(request: web.Request, model: type[QueryT]) -> QueryT:
    given: dict[str, str] = {}
    problems: list[Problem] = []
    for key, value in request.query.items():
        if key in given:
            problems.append(Problem(f"/query/{escape_pointer(key)}", "given-twice", f"the parameter {key} is given twice"))
        given[key] = value
    try:
        parsed = model.model_validate(given)
    except ValidationError as error:
        problems += describe_validation(error, "/query", "parameter")
    if problems:
        raise InvalidInput(problems, "the query has a problem" if len(problems) == 1 else f"the query has {len(problems)} problems")
    return parsed


async def _read_body(request: web.Request, model: type[BaseModel] | RawBody | None) -> object:
    if model is None:
        return None
    if isinstance(model, RawBody):
        if model.model is not None and request.content_type in bodies.JSON_TYPES:
            return await _read_body(request, model.model)
        bodies.check_media_type(request, frozenset(model.media_types))
        return b"" if request.content_type in model.streamed else await bodies.read_bytes(request, model.limit)
    raw = await bodies.read_json(request)
    try:
        # Strict: JSON has types of its own, and neither "1" nor true is 1.
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise InvalidInput(describe_validation(error, "", "key")) from None


def describe_validation(error: ValidationError, prefix: str, noun: str) -> list[Problem]:
    """pydantic's findings as problems; `noun` is what a field is called here."""
    return [_describe(detail["loc"], detail["type"], detail["msg"], prefix, noun) for detail in error.errors(include_url=False)]


def _describe(loc: tuple[int | str, ...], kind: str, message: str, prefix: str, noun: str) -> Problem:
    pointer = prefix + "".join(f"/{escape_pointer(str(part))}" for part in loc)
    match kind:
        case "extra_forbidden":
            return Problem(pointer, "unknown-key", f"there is no {noun} {loc[-1]!s} here")
        case "missing":
            return Problem(pointer, "missing", f"the {noun} {loc[-1]!s} is missing")
        case _:
            text = message.removeprefix("Value error, ")
            return Problem(pointer, kind.replace("_", "-"), text[:1].lower() + text[1:])


def _respond(request: web.Request, reply: Reply | web.StreamResponse) -> web.StreamResponse:
    if isinstance(reply, web.StreamResponse):
        return reply
    headers = dict(reply.headers)
    if reply.revision is not None:
        etag = f'"{reply.revision}"'
        headers["ETag"] = etag
        if request.method in ("GET", "HEAD") and matches_none(request.headers.getall("If-None-Match", []), etag):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    body = reply.body
    text = json.dumps(body.model_dump(mode="json"), ensure_ascii=False) if isinstance(body, BaseModel) else body
    return web.Response(status=reply.status, text=text, content_type="application/json", headers=headers)


@web.middleware
async def describe_errors(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """The outermost middleware: every error becomes problem details, every request is logged once, and headers are set."""
    given = request.headers.get("X-Request-ID", "")
    request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    request[REQUEST_ID_KEY] = request_id
    started_s = time.monotonic()
    try:
        response = await handler(request)
    except Exception as error:  # the one place where an unexpected error becomes a 500
        if isinstance(error, ConnectionError) and _is_gone(request):
            raise  # in the middle of its request or of our response: there is nobody to tell, and nothing to log
        if request.writer.output_size > 0:
            # Half a response is out; all that can be said is that the rest does not come.
            log.exception("a response was broken off", method=request.method, path=request.path, request_id=request_id)
            raise ConnectionError("a response was broken off") from error
        reply = reply_for(error)
        if reply.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.exception("request failed", method=request.method, path=request.path, request_id=request_id)
        response = render(reply, instance=request.path, request_id=request_id)
    set_common_headers(response, request_id)
    log.debug(
        "request",
        method=request.method,
        path=request.path,
        status=response.status,
        address=request.remote,
        duration_ms=round((time.monotonic() - started_s) * 1000, 1),
        request_id=request_id,
    )
    return response


def _is_gone(request: web.Request) -> bool:
    """Whether the client has hung up."""
    return request.transport is None or request.transport.is_closing()


def set_common_headers(response: web.StreamResponse, request_id: str) -> None:
    """A response that has begun (a stream) is past changing; it sets these itself before it begins."""
    if response.prepared:
        return
    response.headers["Server"] = SERVER
    response.headers["X-Request-ID"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    # Answers depend on the token and change with every write: kept by a client with its ETag, by nobody else.
    response.headers.setdefault("Cache-Control", "private, no-cache")
