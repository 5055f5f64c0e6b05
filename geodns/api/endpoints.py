"""`/endpoints`: every checked value with its verdict, since when, why, how fast, and who voted how.

An endpoint is a check; equal checks are run once, so that one endpoint may stand for several values. What is shown is this node's
view, from memory: it needs no database.
"""

from __future__ import annotations

from geodns.api.binding import Call, Nothing, Reply
from geodns.api.common import at_pointer
from geodns.api.models import (
    CheckedValue,
    CheckView,
    Endpoint,
    EndpointsQuery,
    Page,
    PageQuery,
    Report,
    TransitionView,
    VerdictView,
    VoteView,
)
from geodns.api.seam import Node
from geodns.errors import Conflict, NotFound
from geodns.model import names
from geodns.prober import EndpointReport
from geodns.store import health
from geodns.store.pages import make_page, read_cursor


async def list_endpoints(call: Call[Node, EndpointsQuery, None]) -> Reply:
    query = call.query
    zone = None if query.zone is None else names.zone_text(at_pointer("/query/zone", names.parse_zone_name, query.zone))
    after = None if query.cursor is None else read_cursor(query.cursor, str)[0]
    wanted = [
        report
        for report in call.node.prober.endpoints()
        if (query.state is None or report.state.verdict.value == query.state)
        and (zone is None or any(value.zone == zone for value in report.values))
        and (after is None or report.state.endpoint_id > str(after))
    ]
    wanted.sort(key=lambda report: report.state.endpoint_id)
    page = make_page(wanted, query.limit, lambda report: (report.state.endpoint_id,))
    return Reply(Page[Endpoint](items=[show_endpoint(report) for report in page.items], next=page.next))


async def get_endpoint(call: Call[Node, Nothing, None]) -> Reply:
    return Reply(show_endpoint(find_endpoint(call.node, call.params["id"])))


async def put_report(call: Call[Node, Nothing, Report]) -> Reply:
    """An endpoint, or a script beside it, says how it is: this node counts it at once, the others on its database within two seconds."""
    found = find_endpoint(call.node, call.params["id"])
    if not call.node.push_report(found.state.endpoint_id, is_up=call.body.state is VerdictView.UP, cause=call.body.cause):
        raise Conflict(f"the endpoint {found.state.endpoint_id} is not a PUSH check", hint="set `protocol: PUSH` in its healthcheck")
    return Reply(show_endpoint(find_endpoint(call.node, found.state.endpoint_id)))


def find_endpoint(node: Node, endpoint_id: str) -> EndpointReport:
    """NotFound for an id that nothing is checked under any more."""
    report = node.prober.endpoint(endpoint_id)
    if report is None:
        raise NotFound(f"there is no endpoint {endpoint_id}", hint="GET /api/v1/endpoints lists them")
    return report


def show_endpoint(report: EndpointReport) -> Endpoint:
    """A report of the prober as the API shows it."""
    state, check = report.state, report.check
    return Endpoint(
        id=state.endpoint_id,
        verdict=VerdictView(state.verdict.value),
        known=state.is_known,
        since=state.since,
        cause=state.cause,
        evidence=report.evidence.value,
        successes=state.successes,
        failures=state.failures,
        latency_ms=None if state.latency_s is None else round(state.latency_s * 1000, 3),
        last_attempt=state.last_attempt,
        hold_down_left_s=round(report.hold_down_left_s, 3),
        awaits_operator=report.awaits_operator,
        weight_factor=report.factor / 1000,
        sentinel=report.is_sentinel,
        held_back=report.held_back,
        votes={vantage: VoteView(vote.value) for vantage, vote in report.votes.items()},
        votes_needed=report.tally.needed,
        check=CheckView(
            protocol=check.protocol.value,
            target=check.target,
            port=check.port,
            path=check.path,
            host=check.host,
            interval_s=check.timing.interval_s,
            timeout_s=check.timing.timeout_s,
            fall=check.timing.fall,
            rise=check.timing.rise,
        ),
        values=[
            CheckedValue(zone=value.zone, record=value.owner, type=value.rtype, pool=value.pool, value=value.value)
            for value in report.values
        ],
    )


async def list_history(call: Call[Node, PageQuery, None]) -> Reply:
    """Also of a check that is no more: last night's story outlives the record."""
    query = call.query
    async with call.node.database.read() as session:
        page = await health.list_transitions(session, call.params["id"], cursor=query.cursor, limit=query.limit)
    items = [
        TransitionView(
            at=row.at,
            vantage=row.vantage,
            previous=VerdictView(row.previous),
            verdict=VerdictView(row.verdict),
            cause=row.cause,
            votes=row.votes,
            detail=row.detail,
        )
        for row in page.items
    ]
    return Reply(Page[TransitionView](items=items, next=page.next))
