"""Whole zones: `/zones/{zone}/export` and `/zones/{zone}/import`.

Three forms come in: octoDNS's YAML, master files (RFC 1035 §5), and JSON lines, which `geodns apply` sends: a head with SOA, serial
and default ttl, then one record a line. Only the last holds everything that a zone has in one stream, and it is read a line at a time,
so that a large import does not hold up the event loop.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice

import dns.name
from aiohttp import web
from pydantic import ValidationError

from geodns.api.binding import Call, RawBody, Reply, describe_validation, set_common_headers
from geodns.api.body import IMPORT_LIMIT, parse_json
from geodns.api.common import actor_of, precondition_of, reply_to_changeset, zone_of
from geodns.api.models import ExportQuery, Format, ImportHead, ImportQuery
from geodns.api.problems import ErrorReply
from geodns.api.seam import Node
from geodns.api.soa import make_soa
from geodns.errors import InvalidInput, Problem, errors_in
from geodns.model import names
from geodns.model.findings import Policy
from geodns.model.record import Rrset, ZoneContents
from geodns.model.records import parse_record
from geodns.store import records, zones
from geodns.store.pacing import Pacer
from geodns.store.requests import ReplaceZone
from geodns.zonefile import parse_zone_text, write_yaml, write_zone

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
IMPORT_BODY = RawBody((JSON_LINES, *FORMATS, "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"), IMPORT_LIMIT)

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
        contents, warnings = await _read_lines(call.body, apex, policy)
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
    read = await asyncio.to_thread(parse_zone_text, text, apex, form.value, policy)
    if read.contents is None or errors_in(read.problems):
        raise InvalidInput(read.problems)
    return read.contents, list(read.problems)


async def _read_lines(body: bytes, apex: dns.name.Name, policy: Policy) -> tuple[ZoneContents, list[Problem]]:
    """JSON lines. Problems carry the line as their source; every line is judged before anything is refused."""
    lines = body.split(b"\n")
    head = _parse_head(lines[0])
    problems: list[Problem] = []
    rrsets: list[Rrset] = []
    pacer = Pacer()
    for number, line in enumerate(lines[1:], start=2):
        if line.strip():
            rrset, found = _parse_line(line, apex, policy, head.default_ttl)
            problems += [problem.at(f"line {number}") for problem in found]
            if rrset is not None:
                rrsets.append(rrset)
        await pacer.breathe()
    if errors_in(problems):
        raise InvalidInput(problems)
    soa = None if head.soa is None else make_soa(apex, head.soa, ())
    return ZoneContents(apex, tuple(rrsets), soa, head.serial, head.default_ttl), problems


def _parse_head(line: bytes) -> ImportHead:
    try:
        return ImportHead.model_validate(parse_json(line))
    except ValidationError as error:
        raise InvalidInput([problem.at("line 1") for problem in describe_validation(error, "", "key")]) from None


def _parse_line(line: bytes, apex: dns.name.Name, policy: Policy, default_ttl: int) -> tuple[Rrset | None, list[Problem]]:
    try:
        record = parse_json(line)
    except ErrorReply as error:
        return None, [Problem("", error.kind, error.detail)]
    except InvalidInput as error:
        return None, list(error.problems)
    name = record.get("name") if isinstance(record, dict) else None
    if not isinstance(name, str):
        return None, [Problem("/name", "missing", "the record's name is missing")]
    parsed = parse_record(apex, name, record, default_ttl=default_ttl, policy=policy)
    return parsed.rrset, parsed.problems


def _file_name(apex: dns.name.Name) -> str:
    """Safe in a header whatever the zone is called."""
    return urllib.parse.quote(names.zone_text(apex), safe="@")


def _join(lines: Iterator[str]) -> bytes:
    """The next lines of a zone; empty at its end."""
    return "".join(islice(lines, LINES_AT_ONCE)).encode()
