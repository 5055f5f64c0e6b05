"""Whole zones: `/zones/{zone}/export` and `/zones/{zone}/import`.

Three forms come in: octoDNS's YAML, master files (RFC 1035 §5), and JSON lines (`jsonlines`), which `geodns apply` sends. Only the last
holds everything that a zone has in one stream, and it alone may be of any size: it is read while it arrives.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice

import dns.name
from aiohttp import web

from geodns.api.binding import Call, RawBody, Reply, set_common_headers
from geodns.api.body import IMPORT_LIMIT, LINES_LIMIT, read_pieces
from geodns.api.common import actor_of, precondition_of, reply_to_changeset, zone_of
from geodns.api.jsonlines import LinesReader
from geodns.api.models import ExportQuery, Format, ImportQuery
from geodns.api.problems import ErrorReply
from geodns.api.seam import Node
from geodns.errors import InvalidInput, Problem, errors_in
from geodns.model import names
from geodns.model.findings import Policy
from geodns.model.record import ZoneContents
from geodns.store import records, zones
from geodns.store.requests import ReplaceZone
from geodns.zonefile import ReadZone, parse_zone_text, write_yaml, write_zone

MEDIA_TYPES = {Format.ZONE: "text/dns", Format.YAML: "application/yaml"}
"""RFC 4027 and RFC 9512."""

JSON_LINES = "application/jsonl"

FORMATS = {
    "text/dns": Format.ZONE,
    "application/yaml": Format.YAML,
    "application/x-yaml": Format.YAML,
    "text/yaml": Format.YAML,
}

# The last three say nothing of the form: they are what clients send when nobody told them, and need ?format=.
IMPORT_BODY = RawBody(
    (JSON_LINES, *FORMATS, "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"),
    IMPORT_LIMIT,
    streamed=frozenset({JSON_LINES}),
)

LINES_AT_ONCE = 500
"""Lines made at a time, some tens of kilobytes."""


async def export_zone(call: Call[Node, ExportQuery, None]) -> web.StreamResponse:
    apex = zone_of(call)
    async with call.node.database.read() as session:
        zone = await zones.get_zone(session, apex)
        rrsets = tuple([stored.rrset async for stored in records.zone_records(session, zone)])
    contents = ZoneContents(apex, rrsets, zone.soa, zone.serial, zone.default_ttl)
    chosen = call.query.format
    lines = write_yaml(contents) if chosen is Format.YAML else write_zone(contents, zone.serial)
    suffix = "yaml" if chosen is Format.YAML else "zone"
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{MEDIA_TYPES[chosen]}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{_file_name(apex)}.{suffix}"',
            "ETag": f'"{zone.revision}"',
        }
    )
    set_common_headers(response, call.request_id)
    await response.prepare(call.request)
    # In a thread: sorting a hundred thousand names before the first line takes a second.
    while chunk := await asyncio.to_thread(_join, lines):
        await response.write(chunk)
    await response.write_eof()
    return response


async def import_zone(call: Call[Node, ImportQuery, bytes]) -> Reply:
    apex = zone_of(call)
    policy = Policy(allow_loopback=call.node.settings.prober.allow_loopback, denied=call.node.settings.prober.denied)
    if call.request.content_type == JSON_LINES:
        contents, warnings = await _read_lines(call.request, apex, policy)
    else:
        contents, warnings = await _read_text(call.body, apex, policy, _choose_format(call))
    request = ReplaceZone(contents, force=call.query.force, precondition=precondition_of(call.conditions), dry_run=call.query.dry_run)
    result = await call.node.write(request, actor_of(call))
    return reply_to_changeset(result, dry_run=call.query.dry_run, warnings=warnings)


def _choose_format(call: Call[Node, ImportQuery, bytes]) -> Format:
    """The parameter stands over the header, which curl sets to something useless by itself."""
    chosen = call.query.format or FORMATS.get(call.request.content_type)
    if chosen is None:
        raise ErrorReply(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "the form of the zone is not known; send Content-Type text/dns or application/yaml, or ?format=zone or ?format=yaml",
        )
    return chosen


async def _read_text(body: bytes, apex: dns.name.Name, policy: Policy, form: Format) -> tuple[ZoneContents, list[Problem]]:
    """A YAML or master file. It is read in a thread: the interpreter then goes back and forth between it and the event loop."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ErrorReply(HTTPStatus.BAD_REQUEST, "malformed-body", "the body is not UTF-8") from None
    return _judge(await asyncio.to_thread(parse_zone_text, text, apex, form.value, policy))


async def _read_lines(request: web.Request, apex: dns.name.Name, policy: Policy) -> tuple[ZoneContents, list[Problem]]:
    """JSON lines, while they arrive."""
    reader = await asyncio.to_thread(LinesReader, apex, policy)
    async for piece in read_pieces(request, LINES_LIMIT):
        await asyncio.to_thread(reader.feed, piece)
    return _judge(await asyncio.to_thread(reader.finish))


def _judge(read: ReadZone) -> tuple[ZoneContents, list[Problem]]:
    if read.contents is None or errors_in(read.problems):
        raise InvalidInput(read.problems)
    return read.contents, list(read.problems)


def _file_name(apex: dns.name.Name) -> str:
    """Safe in a header whatever the zone is called."""
    return urllib.parse.quote(names.zone_text(apex), safe="@")


def _join(lines: Iterator[str]) -> bytes:
    """The next lines of a zone; empty at its end."""
    return "".join(islice(lines, LINES_AT_ONCE)).encode()
