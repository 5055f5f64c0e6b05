//! Reading ahead for a batch of queries, so that they wait for memory together and not one after the other.
//!
//! Where the caches do not hold what is served, finding a steered rrset and deciding is a chain of loads, each from a line that the one before has named: page, node, rrset, then values and
//! health, and for the client's location index and ranges. Here all queries of a batch take one step of that chain before any takes the next. Their loads do not depend on each other,
//! so the processor has many of them under way at once.
//!
//! Nothing is decided here and nothing is kept: an answer looks everything up again, and finds it in the cache. What is read in vain (two names share a tag, a
//! question is for another type) costs only its time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use geodns_wire::NameKey;
use geodns_wire::request::Request;

use crate::admit::{Admission, admit};
use crate::client::{believed_subnet, client_of, unmapped};
use crate::location::Matcher;
use crate::steer::Steered;
use crate::view::View;
use crate::zones::{Node, Place, Zone};

/// Queries that are read ahead together. Whoever receives batches holds them to it.
pub const MOST_READ_AHEAD: usize = 32;

/// Names, zones or ranges from which on reading ahead saves more than it costs: about as many names as a second-level cache of 1 MiB keeps beside what the kernel
/// needs of it.
const MANY: usize = 8192;

/// Octets of a cache line.
pub const LINE: usize = 64;

/// Values of an rrset that are read ahead: beyond them, an answer waits for the computing and not for memory.
pub const FETCHED_VALUES: usize = 32;

/// Where a query's answer begins.
#[derive(Debug, Clone, Copy)]
struct Start<'v> {
    zone: &'v Zone,
    place: Place<'v>,
    client: IpAddr,
}

/// Fetches what the answers to `requests` will read, and says for how many it found a steered rrset; `key` is memory to work with. Requests beyond
/// `MOST_READ_AHEAD` are left to themselves. The first request speaks for all: where the caches hold what it asks for, nothing is read ahead, and the batch has paid for
/// one look.
pub fn read_ahead<'m>(view: &View, requests: impl Iterator<Item = (SocketAddr, &'m [u8])>, key: &mut NameKey) -> usize {
    let mut starts = requests.map(|(source, request)| find_start(view, source, request, key));
    let Some(first) = starts.next().flatten().filter(|start| is_large(view, start)) else { return 0 };
    let mut batch = [None; MOST_READ_AHEAD];
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
    steered().count()
}

/// `None` where the answer looks nothing up: what it drops, refuses or cannot read costs no more for being one of many.
fn find_start<'v>(view: &'v View, source: SocketAddr, request: &[u8], key: &mut NameKey) -> Option<Start<'v>> {
    if source.port() == 0 {
        return None;
    }
    let request = Request::read(request).ok()?;
    let sender = unmapped(source.ip());
    let Admission::Question(question) = admit(&view.options, &request, sender) else { return None };
    key.set(question.qname, view.zones.seed());
    let zone = view.zones.nearest(key, key.labels())?;
    let subnet = request.edns.as_ref().and_then(|edns| believed_subnet(&view.options.client_subnets, edns, sender));
    Some(Start { zone, place: zone.place(key)?, client: client_of(subnet.as_ref(), sender).addr })
}

/// Networks count where the query will look for its client's, not where a database is loaded beside it.
fn is_large(view: &View, start: &Start<'_>) -> bool {
    [start.zone.owners(), view.zones.zones()].into_iter().any(|count| count >= MANY) || ranges_to_search(view, start) >= MANY
}

fn ranges_to_search(view: &View, start: &Start<'_>) -> usize {
    let steered = start.place.guess_node().as_ref().and_then(Node::first_steered);
    steered.and_then(|steered| view.tables.matcher_of(steered)).map_or(0, Matcher::merged_ranges)
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
