"""`/zones`: zones, their SOA and their default ttl."""

from __future__ import annotations

import urllib.parse

from geodns.api.binding import Call, Nothing, Reply
from geodns.api.common import actor_of, at_pointer, precondition_of, reply_to_write, zone_of
from geodns.api.models import Page, PageQuery, Soa, Zone, ZoneInput, ZonePatch
from geodns.api.seam import Node
from geodns.api.soa import make_soa, parse_host, parse_mailbox
from geodns.errors import InvalidInput, errors_in
from geodns.model import names
from geodns.model.rdata import NS, parse_values
from geodns.model.record import Rrset, ZoneContents
from geodns.store import zones as store
from geodns.store.requests import CreateZone, DeleteZone, PatchZone


async def list_zones(call: Call[Node, PageQuery, None]) -> Reply:
    async with call.node.database.read() as session:
        page = await store.list_zones(session, cursor=call.query.cursor, limit=call.query.limit)
    return Reply(Page[Zone](items=[show_zone(zone) for zone in page.items], next=page.next))


async def create_zone(call: Call[Node, Nothing, ZoneInput]) -> Reply:
    given = call.body
    apex = at_pointer("/name", names.parse_zone_name, given.name)
    rdatas, problems = parse_values(NS, given.nameservers, apex=apex)
    if errors_in(problems):
        raise InvalidInput([problem.below("/nameservers") for problem in problems])
    rrsets = (Rrset(apex, NS, given.default_ttl, rdatas),) if rdatas else ()
    nameservers = [names.from_wire(rdata) for rdata in rdatas] or [parse_host(name) for name in call.node.settings.zones.nameservers]
    soa = make_soa(apex, given.soa, nameservers)
    result = await call.node.write(CreateZone(ZoneContents(apex, rrsets, soa, default_ttl=given.default_ttl)), actor_of(call))
    location = f"/api/v1/zones/{urllib.parse.quote(names.zone_text(apex), safe='')}"
    return reply_to_write(result, created=True, headers={"Location": location})


async def get_zone(call: Call[Node, Nothing, None]) -> Reply:
    async with call.node.database.read() as session:
        zone = await store.get_zone(session, zone_of(call))
    return Reply(show_zone(zone), revision=zone.revision)


async def patch_zone(call: Call[Node, Nothing, ZonePatch]) -> Reply:
    soa = call.body.soa
    request = PatchZone(
        zone_of(call),
        mname=None if soa.mname is None else at_pointer("/soa/mname", parse_host, soa.mname),
        rname=None if soa.rname is None else at_pointer("/soa/rname", parse_mailbox, soa.rname),
        refresh=soa.refresh,
        retry=soa.retry,
        expire=soa.expire,
        minimum=soa.minimum,
        soa_ttl=soa.ttl,
        serial=call.body.serial,
        default_ttl=call.body.default_ttl,
        precondition=precondition_of(call.conditions),
    )
    return reply_to_write(await call.node.write(request, actor_of(call)))


async def delete_zone(call: Call[Node, Nothing, None]) -> Reply:
    request = DeleteZone(zone_of(call), precondition_of(call.conditions))
    return reply_to_write(await call.node.write(request, actor_of(call)))


def show_zone(zone: store.Zone) -> Zone:
    """A stored zone as the API shows it; SOA names are absolute, as in rdata."""
    soa = zone.soa
    return Zone(
        name=names.zone_text(zone.apex),
        default_ttl=zone.default_ttl,
        soa=Soa(
            mname=soa.mname.to_text(),
            rname=soa.rname.to_text(),
            serial=zone.serial,
            refresh=soa.refresh,
            retry=soa.retry,
            expire=soa.expire,
            minimum=soa.minimum,
            ttl=soa.ttl,
        ),
        mirrored=zone.mirrored,
        rrsets=zone.rrset_count,
        revision=zone.revision,
        changed_at=zone.changed_at,
    )
