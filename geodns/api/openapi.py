"""The OpenAPI 3.1 document, made from the route table and the pydantic models; nothing in it is written by hand.

OpenAPI 3.1 takes JSON Schema 2020-12, which is what pydantic emits, so that no translation is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from geodns import __version__
from geodns.api.binding import Nothing, RawBody, Route
from geodns.api.models import ProblemDetails
from geodns.api.problems import MEDIA_TYPE

REFERENCE = "#/components/schemas/{model}"

ALWAYS = (400, 500)
WITH_TOKEN = (401, 403, 429)
WITH_WORDS = (422,)
WITH_BODY = (408, 413, 415, 422)


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document."""
    models = _collect_models(routes)
    references, definitions = models_json_schema([(model, "validation") for model in models], ref_template=REFERENCE)
    schemas = {model: references[(model, "validation")] for model in models}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _describe_route(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "geodns",
            "version": __version__,
            "description": "An authoritative DNS load balancer: zones, records, health, steering. Errors are problem details (RFC 9457).",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _collect_models(routes: Sequence[Route]) -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {ProblemDetails: None}
    for route in routes:
        for model in (route.reply, route.body.model if isinstance(route.body, RawBody) else route.body):
            if isinstance(model, type):
                found[model] = None
    return list(found)


def _describe_route(route: Route, schemas: dict[type[BaseModel], Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [_tag(route)],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": _responses(route, schemas),
    }
    if route.role is None:
        operation["security"] = []
    else:
        operation["description"] = f"Needs a token with the role `{route.role.value}`."
    if isinstance(route.body, RawBody):
        content: dict[str, Any] = {media_type: {"schema": {"type": "string"}} for media_type in route.body.media_types}
        if route.body.model is not None:
            content["application/json"] = {"schema": schemas[route.body.model]}
        operation["requestBody"] = {"required": True, "content": content}
    elif route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[route.body]}}}
    return operation


def _operation_id(route: Route) -> str:
    """`get_zones_zone_records`; unique because method and path are."""
    return re.sub(r"[^a-z0-9]+", "_", f"{route.method} {route.path.removeprefix('/api/v1')}".lower()).strip("_")


def _tag(route: Route) -> str:
    return route.path.removeprefix("/api/v1").split("/")[1]


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": "percent-encoded"}
        for name in re.findall(r"\{([a-z_]+)\}", route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is Nothing:
        return []
    schema = route.query.model_json_schema(ref_template=REFERENCE)
    definitions = schema.get("$defs", {})
    required = set(schema.get("required", []))
    parameters = []
    for name, described in schema.get("properties", {}).items():
        inlined = _inline(described, definitions)
        parameter = {"name": name, "in": "query", "required": name in required, "schema": inlined}
        if "description" in inlined:
            parameter["description"] = inlined.pop("description")
        parameters.append(parameter)
    return parameters


def _inline(schema: Any, definitions: dict[str, Any]) -> Any:
    """A parameter's schema with its references resolved: enums are all that a query refers to."""
    match schema:
        case {"$ref": str(reference), **rest}:
            return {**definitions[reference.rpartition("/")[2]], **rest}
        case dict():
            return {key: _inline(value, definitions) for key, value in schema.items()}
        case list():
            return [_inline(value, definitions) for value in schema]
        case _:
            return schema


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    names: tuple[str, ...] = ()
    if 412 in route.errors:
        names = ("If-Match", "If-None-Match")
    elif 304 in route.statuses:
        names = ("If-None-Match",)
    return [{"name": name, "in": "header", "required": False, "schema": {"type": "string"}} for name in names]


def _responses(route: Route, schemas: dict[type[BaseModel], Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in route.statuses:
        response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if status != HTTPStatus.NOT_MODIFIED:
            response["content"] = _content(route, schemas)
        responses[str(status)] = response
    for status in sorted(_error_statuses(route) - set(route.statuses)):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schemas[ProblemDetails]}}}
    return responses


def _content(route: Route, schemas: dict[type[BaseModel], Any]) -> dict[str, Any]:
    if isinstance(route.reply, str):
        return {media_type: {"schema": {"type": "string"}} for media_type in route.reply.split(" ")}
    return {"application/json": {"schema": schemas[route.reply]}}


def _error_statuses(route: Route) -> set[int]:
    statuses = {*ALWAYS, *route.errors}
    if route.role is not None:
        statuses |= {*WITH_TOKEN, 503}
    if route.query is not Nothing or "{" in route.path:
        statuses |= set(WITH_WORDS)
    if route.body is not None:
        statuses |= set(WITH_BODY)
    return statuses
