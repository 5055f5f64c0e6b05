//! Reading ahead for a batch of queries, so that they wait for memory together and not one after the other.
//!
//! Where the caches do not hold what is served, finding a steered rrset and deciding is a chain of loads, each from a line that the one before has named: page, node, rrset, then values and
//! health, and for the client's location index and ranges. Here all queries of a batch take one step of that chain before any takes the next. Their loads do not depend on each other,
//! so the processor has many of them under way at once.
//!
//! Nothing is decided here and nothing is kept: an answer looks everything up again, and finds it in the cache. What is read in vain (two names share a tag, a client
//! subnet is not believed) costs only its time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use geodns_wire::NameKey;
use geodns_wire::request::Request;

use crate::steer::Steered;
use crate::view::View;
use crate::zones::{Place, Zone};

/// Queries that are read ahead together; a batch has no more.
const AT_ONCE: usize = 32;

/// Names, zones or networks from which on reading ahead saves more than it costs: about as many names as a second-level cache of 1 MiB keeps beside what the kernel
/// needs of it.
const MANY: usize = 8192;

/// Where a query's answer begins.
#[derive(Debug, Clone, Copy)]
struct Start<'v> {
    zone: &'v Zone,
    place: Place<'v>,
    client: IpAddr,
}

/// Fetches what the answers to `requests` will read; `key` is memory to work with. Requests beyond `AT_ONCE` are left to themselves. The first request speaks
/// for all: where the caches hold what it asks for, nothing is read ahead, and the batch has paid for one look.
pub fn read_ahead<'m>(view: &View, requests: impl Iterator<Item = (SocketAddr, &'m [u8])>, key: &mut NameKey) {
    let mut starts = requests.map(|(source, request)| find_start(view, source, request, key));
    let Some(first) = starts.next().flatten().filter(|start| is_large(view, start.zone)) else { return };
    let mut batch = [None; AT_ONCE];
    for (slot, start) in batch.iter_mut().zip(std::iter::once(Some(first)).chain(starts)) {
        *slot = start;
    }
    batch.iter().flatten().for_each(|start| start.place.fetch());
    let nodes = batch.map(|start| start.and_then(|start| Some((start.place.guess_node()?, start.client))));
    nodes.iter().flatten().for_each(|(node, _)| node.fetch());
    let steered = nodes.map(|found| found.and_then(|(node, client)| Some((node.first_steered()?, client))));
    let steered = || steered.iter().flatten().map(|(steered, client)| (Arc::as_ref(steered), *client));
    steered().for_each(|(steered, _)| steered.fetch());
    steered().for_each(|(steered, client)| fetch_values(view, steered, client));
    steered().for_each(|(steered, client)| fetch_verdicts(view, steered, client));
}

/// Whatever is wrong with a request is its answer's business.
fn find_start<'v>(view: &'v View, source: SocketAddr, request: &[u8], key: &mut NameKey) -> Option<Start<'v>> {
    let request = Request::read(request).ok()?;
    key.set(request.question?.qname, view.zones.seed());
    let zone = view.zones.nearest(key, key.labels())?;
    let subnet = request.edns.and_then(|edns| edns.client_subnet).and_then(|subnet| subnet.addr());
    Some(Start { zone, place: zone.place(key)?, client: subnet.unwrap_or(source.ip()) })
}

fn is_large(view: &View, zone: &Zone) -> bool {
    let networks = view.tables.locations().tables().iter().map(|named| named.table.len());
    [zone.owners(), view.zones.zones()].into_iter().chain(networks).any(|count| count >= MANY)
}

fn fetch_values(view: &View, steered: &Steered, client: IpAddr) {
    steered.fetch_values();
    if let Some(matcher) = view.tables.matcher_of(steered) {
        matcher.fetch_index(client);
    }
}

fn fetch_verdicts(view: &View, steered: &Steered, client: IpAddr) {
    view.health.fetch(steered.slots());
    if let Some(matcher) = view.tables.matcher_of(steered) {
        matcher.fetch_range(client);
    }
}
