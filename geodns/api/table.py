"""The route table: every route of the API, in the order in which docs/api.md shows them."""

from __future__ import annotations

from geodns.api import endpoints, events, explain, lists, operations, overrides, records, simulate, tokens, transfer, zones
from geodns.api.auth import Role
from geodns.api.binding import Route
from geodns.api.models import (
    AuditEntry,
    AuditQuery,
    Changeset,
    ChangesetWritten,
    CidrList,
    Deleted,
    Document,
    Endpoint,
    EndpointsQuery,
    Event,
    EventsQuery,
    ExplainQuery,
    ExportQuery,
    Freeze,
    FreezeInput,
    Health,
    ImportQuery,
    ListSummary,
    NewListInput,
    NewToken,
    Override,
    OverrideInput,
    Page,
    PageQuery,
    Record,
    RecordInput,
    RecordsQuery,
    Report,
    SimulationInput,
    Token,
    TokenInput,
    TransitionView,
    Written,
    Zone,
    ZoneInput,
    ZonePatch,
)

READ, WRITE, REPORT, ADMIN = Role.READ, Role.WRITE, Role.REPORT, Role.ADMIN

GOT = (200, 304)
PUT = (200, 201, 202)
DONE = (200, 202)

ZONE = "/api/v1/zones/{zone}"
OVERRIDE = "/api/v1/overrides/{kind}/{target}"
RECORD = ZONE + "/records/{name}/{type}"

ROUTES: tuple[Route, ...] = (
    # zones
    Route("GET", "/api/v1/zones", READ, "List zones", zones.list_zones, Page[Zone], query=PageQuery),
    Route("POST", "/api/v1/zones", WRITE, "Make a zone", zones.create_zone, Written, body=ZoneInput, statuses=(201, 202), errors=(409,)),
    Route("GET", ZONE, READ, "Show a zone", zones.get_zone, Zone, statuses=GOT, errors=(404,)),
    Route(
        "PATCH",
        ZONE,
        WRITE,
        "Change a zone's SOA or default ttl",
        zones.patch_zone,
        Written,
        body=ZonePatch,
        statuses=DONE,
        errors=(404, 409, 412),
    ),
    Route("DELETE", ZONE, WRITE, "Delete a zone", zones.delete_zone, Written, statuses=DONE, errors=(404, 409, 412)),
    # records
    Route("GET", ZONE + "/records", READ, "List records", records.list_records, Page[Record], query=RecordsQuery, errors=(404,)),
    Route("GET", RECORD, READ, "Show a record", records.get_record, Record, statuses=GOT, errors=(404, 422)),
    Route("PUT", RECORD, WRITE, "Put a record", records.put_record, Written, body=RecordInput, statuses=PUT, errors=(404, 409, 412)),
    Route("DELETE", RECORD, WRITE, "Delete a record", records.delete_record, Written, statuses=DONE, errors=(404, 409, 412, 422)),
    Route(
        "POST",
        ZONE + "/changes",
        WRITE,
        "Change many records at once",
        records.change_records,
        ChangesetWritten,
        body=Changeset,
        statuses=DONE,
        errors=(404, 409, 412),
    ),
    # whole zones
    Route(
        "GET",
        ZONE + "/export",
        READ,
        "Export a zone",
        transfer.export_zone,
        "application/yaml text/dns",
        query=ExportQuery,
        errors=(404,),
    ),
    Route(
        "POST",
        ZONE + "/import",
        WRITE,
        "Make a zone equal to a file",
        transfer.import_zone,
        ChangesetWritten,
        query=ImportQuery,
        body=transfer.IMPORT_BODY,
        statuses=PUT,
        errors=(409, 412),
    ),
    # lists
    Route("GET", "/api/v1/lists", READ, "List CIDR lists", lists.list_lists, Page[ListSummary], query=PageQuery),
    Route(
        "POST",
        "/api/v1/lists",
        WRITE,
        "Make a CIDR list",
        lists.create_list,
        Written,
        body=NewListInput,
        statuses=(201, 202),
        errors=(409, 412),
    ),
    Route("GET", "/api/v1/lists/{name}", READ, "Show a CIDR list", lists.get_list, CidrList, statuses=GOT, errors=(404,)),
    Route(
        "PUT",
        "/api/v1/lists/{name}",
        WRITE,
        "Put a CIDR list",
        lists.put_list,
        Written,
        body=lists.LIST_BODY,
        statuses=PUT,
        errors=(409, 412),
    ),
    Route("DELETE", "/api/v1/lists/{name}", WRITE, "Delete a CIDR list", lists.delete_list, Written, statuses=DONE, errors=(404, 409, 412)),
    # health
    Route("GET", "/api/v1/endpoints", READ, "List what is checked", endpoints.list_endpoints, Page[Endpoint], query=EndpointsQuery),
    Route("GET", "/api/v1/endpoints/{id}", READ, "Show one check", endpoints.get_endpoint, Endpoint, errors=(404,)),
    Route(
        "GET",
        "/api/v1/endpoints/{id}/history",
        READ,
        "List the transitions of one check",
        endpoints.list_history,
        Page[TransitionView],
        query=PageQuery,
    ),
    Route(
        "PUT",
        "/api/v1/endpoints/{id}/report",
        REPORT,
        "Report the state of a PUSH check",
        endpoints.put_report,
        Endpoint,
        body=Report,
        errors=(404, 409),
    ),
    Route("GET", "/api/v1/overrides", READ, "List overrides in force", overrides.list_overrides, Page[Override], query=PageQuery),
    Route("GET", OVERRIDE, READ, "Show an override", overrides.get_override, Override, errors=(404, 422)),
    Route("PUT", OVERRIDE, WRITE, "Put an override", overrides.put_override, Override, body=OverrideInput, statuses=(200, 201)),
    Route("DELETE", OVERRIDE, WRITE, "Clear an override", overrides.delete_override, Deleted, errors=(404, 422)),
    Route("GET", "/api/v1/health/freeze", READ, "Whether health is frozen", overrides.get_freeze, Freeze),
    Route("PUT", "/api/v1/health/freeze", WRITE, "Freeze or thaw health", overrides.put_freeze, Freeze, body=FreezeInput),
    # why, now, before, who
    Route("GET", "/api/v1/explain", READ, "Why a client gets its answer", explain.explain, Document, query=ExplainQuery),
    Route(
        "POST",
        "/api/v1/simulate",
        READ,
        "What would be answered if",
        simulate.simulate,
        Document,
        body=SimulationInput,
        errors=(404,),
    ),
    Route("GET", "/api/v1/status", READ, "How the node is", operations.status, Document),
    Route("GET", "/api/v1/events", READ, "List what happened, or follow it", events.list_events, Page[Event], query=EventsQuery),
    Route("GET", "/api/v1/audit", ADMIN, "Who changed what", operations.list_audit, Page[AuditEntry], query=AuditQuery),
    Route("GET", "/api/v1/tokens", ADMIN, "List tokens", tokens.list_tokens, Page[Token], query=PageQuery),
    Route("POST", "/api/v1/tokens", ADMIN, "Make a token", tokens.create_token, NewToken, body=TokenInput, statuses=(201,), errors=(409,)),
    Route("DELETE", "/api/v1/tokens/{id}", ADMIN, "Revoke a token", tokens.revoke_token, Deleted, errors=(404, 409)),
    # without a token
    Route("GET", "/healthz", None, "Whether the process is alive", operations.live, Health),
    Route("GET", "/readyz", None, "Whether the node answers as it should", operations.ready, Health, errors=(503,)),
    Route("GET", "/metrics", None, "Metrics for Prometheus", operations.metrics, "text/plain application/openmetrics-text"),
    Route("GET", "/api/v1/openapi.json", None, "This document", operations.openapi, Document),
)
