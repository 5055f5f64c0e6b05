//! RFC 1034 §4.3.2 steps 2 and 3 on the stored zones, with RFC 4592 (wildcards) and RFC 6672 (DNAME): from a name to what the zone has for it. No
//! record is written here and no type is looked at, but for DS, which decides on which side of a zone cut a name is judged.

use geodns_wire::{NameKey, rtype};

use crate::zones::{Node, NodeFlags, Redirections, Zone, ZoneSet};

/// What a zone has for a name: the outcomes of RFC 1034 §4.3.2 step 3.
#[derive(Debug, Clone, Copy)]
pub enum Match<'z> {
    /// Step 3a: the whole name is there. Without rrsets it is an empty non-terminal (RFC 4592 §2.2.2).
    Exact(Node<'z>),
    /// Step 3b: authority ends at `node`, the last `labels` labels of the name.
    Cut { node: Node<'z>, labels: usize },
    /// RFC 6672 §3.2: a proper ancestor of the name, its last `labels` labels, is redirected.
    Dname { node: Node<'z>, labels: usize },
    /// Step 3c: the name does not exist, and the wildcard below its closest encloser stands for it (RFC 4592 §3.3.1).
    Wildcard(Node<'z>),
    /// Step 3c: the name does not exist.
    Absent,
}

/// Step 2: the nearest ancestor zone. A DS rrset belongs to the parent side of its cut (RFC 4035 §3.1.4.1), so the zone above is asked
/// for it when we serve that one too.
pub fn find_zone<'z>(zones: &'z ZoneSet, key: &NameKey, qtype: u16) -> Option<&'z Zone> {
    let zone = zones.nearest(key, key.labels())?;
    if qtype == rtype::DS && zone.labels() == key.labels() {
        let above = zone.labels().checked_sub(1).and_then(|labels| zones.nearest(key, labels));
        return above.or(Some(zone));
    }
    Some(zone)
}

/// Step 3: matches down, label by label, in the zone. What the RFC does from the apex downwards is asked here in the order in which it is
/// most often decided: the whole name first, ancestors only where the zone has cuts or DNAMEs at all.
pub fn match_name<'z>(zone: &'z Zone, key: &NameKey, qtype: u16) -> Match<'z> {
    if let Some(redirected) = find_redirection(zone, key) {
        return redirected;
    }
    match zone.node(key, key.labels()) {
        // RFC 4035 §3.1.4.1: DS at the cut is the parent's own data.
        Some(node) if node.flags().has(NodeFlags::CUT) && qtype != rtype::DS => Match::Cut { node, labels: key.labels() },
        Some(node) => Match::Exact(node),
        None => match_wildcard(zone, key),
    }
}

/// The topmost zone cut or DNAME among the proper ancestors of the name. Everything below it is occluded, whether it is stored or not.
fn find_redirection<'z>(zone: &'z Zone, key: &NameKey) -> Option<Match<'z>> {
    let first = match zone.redirections() {
        Redirections::None => return None,
        Redirections::CutsOnly => zone.labels().checked_add(1)?, // the apex is no cut
        Redirections::Any => zone.labels(),
    };
    for labels in first..key.labels() {
        let node = zone.node(key, labels)?;
        if node.flags().has(NodeFlags::CUT) {
            return Some(Match::Cut { node, labels });
        }
        if node.flags().has(NodeFlags::DNAME) {
            return Some(Match::Dname { node, labels });
        }
    }
    None
}

fn match_wildcard<'z>(zone: &'z Zone, key: &NameKey) -> Match<'z> {
    find_wildcard(zone, key).map_or(Match::Absent, Match::Wildcard)
}

/// The wildcard below the closest encloser of a name that does not exist, wherever that is: glue may come from below a cut.
pub fn find_wildcard<'z>(zone: &'z Zone, key: &NameKey) -> Option<Node<'z>> {
    let (encloser, labels) = find_closest_encloser(zone, key)?;
    if encloser.flags().has(NodeFlags::WILDCARD_BELOW) { zone.wildcard_below(key, labels) } else { None }
}

/// The longest existing ancestor of a name that does not exist (RFC 4592 §3.3.1). The zone knows how deep its names go, so a name of a
/// hundred labels costs no more than a short one.
fn find_closest_encloser<'z>(zone: &'z Zone, key: &NameKey) -> Option<(Node<'z>, usize)> {
    let deepest = key.labels().checked_sub(1)?.min(zone.deepest());
    (zone.labels()..=deepest).rev().find_map(|labels| zone.node(key, labels).map(|node| (node, labels)))
}
