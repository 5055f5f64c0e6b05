//! Reading ahead for a batch of queries, so that they wait for memory together and not one after the other.
//!
//! Finding an rrset and deciding is a chain of loads, each from a line that the one before has named: page, node, rrset, then values and health, and for the client's location index and
//! ranges. Where the caches do not hold what is served, all queries of a batch take one step of that chain before any takes the next. Their loads do not depend on each other, so the
//! processor has many of them under way at once.
//!
//! Nothing is decided here and nothing is kept: an answer looks up again, and finds it in the cache. What is read in vain (two names share a tag, a question is for another
//! type) costs only its time.

use std::net::IpAddr;
use std::sync::Arc;

use crate::prepared::{Prepared, Search, Task};
use crate::steer::Steered;
use crate::view::View;
use crate::zones::Place;

/// Queries that are read ahead together. Whoever receives batches holds them to it.
pub const MOST_READ_AHEAD: usize = 32;

/// Names, zones or ranges from which on reading ahead saves more than it costs: about as many names as a second-level cache of 1 MiB keeps beside what the kernel
/// needs of it.
const MANY: usize = 8192;

/// Octets of a cache line.
pub const LINE: usize = 64;

/// Values of an rrset that are read ahead: beyond them, an answer waits for the computing and not for memory.
pub const FETCHED_VALUES: usize = 32;

/// Whether the caches cannot hold what is served. Networks count where rules look for the client's, not where a database is loaded beside them.
pub fn is_worth_it(view: &View) -> bool {
    [view.zones.zones(), view.zones.most_owners(), view.tables.largest_map()].into_iter().any(|count| count >= MANY)
}

/// Fetches what the answers to `batch` will read, and says for how many it found a steered rrset. Queries beyond `MOST_READ_AHEAD` are left to themselves, and so is what looks nothing up.
pub fn read_ahead<'b, 'v: 'b>(view: &'v View, batch: impl Iterator<Item = &'b Prepared<'b, 'v, 'b>>) -> usize {
    let mut places = [None; MOST_READ_AHEAD];
    for (slot, found) in places.iter_mut().zip(batch.filter_map(find_place)) {
        *slot = Some(found);
    }
    places.iter().flatten().for_each(|(place, _)| place.fetch());
    let nodes = places.map(|found| found.and_then(|(place, client)| Some((place.guess_node()?, client))));
    nodes.iter().flatten().for_each(|(node, _)| node.fetch());
    let steered = nodes.map(|found| found.and_then(|(node, client)| Some((Arc::as_ref(node.first_steered()?), client))));
    let steered = || steered.iter().flatten().copied();
    steered().for_each(|(steered, _)| steered.fetch());
    steered().for_each(|(steered, client)| fetch_values(view, steered, client));
    steered().for_each(|(steered, client)| fetch_verdicts(view, steered, client));
    steered().count()
}

fn find_place<'v>(prepared: &Prepared<'_, 'v, '_>) -> Option<(Place<'v>, IpAddr)> {
    let Task::Search(Search { key, client, zone: Some(zone), .. }) = &prepared.task else { return None };
    Some((zone.place(key)?, client.addr))
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
