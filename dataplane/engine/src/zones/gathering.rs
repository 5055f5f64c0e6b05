//! The owner names of a zone that is loaded whole, on their way into pages. They come in an order that has nothing to do with where their hashes
//! put them: put one by one, each of a million waits for memory several times and makes its page anew. So they are gathered as they come,
//! sorted by bucket, and each page is written once, without slack.
//!
//! The zone that comes out is the one that single edits make of the same changes: the last word on an owner name counts, every ancestor exists
//! and knows its children. The order of the names decides nothing, not even speed, so whoever wrote the file need not be believed.

use std::cmp::Reverse;
use std::sync::Arc;

use geodns_wire::{Name, NameKey, SharedName};

use super::buckets::{Buckets, HashTag, buckets_for, index_of};
use super::node::{Node, NodeBuilder, NodeFlags};
use super::page::{OwnerKey, Page, PageBuilder};
use super::shared_vec::SharedVec;
use super::zone::Zone;
use crate::steer::Steered;

/// Octets of nodes above which no more are gathered: where the next one ends must fit 32 bits, and the largest that an item can carry has 32 MiB.
const MOST_OCTETS: usize = 1 << 31;

/// The owner names of one zone. The memory is used again for the next one.
#[derive(Debug)]
pub struct Gathering {
    /// `MOST_OCTETS`; a test cannot wait for so many.
    most_octets: usize,
    apex: Option<SharedName>,
    entries: Vec<Entry>,
    /// As they stand in a page, but without children.
    nodes: Vec<u8>,
    steered: Vec<Arc<Steered>>,
}

/// Where what was said of an owner name stands.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: HashTag,
    start: u32,
    end: u32,
    first_steered: u32,
}

impl Default for Gathering {
    fn default() -> Self {
        Self::up_to(MOST_OCTETS)
    }
}

impl Gathering {
    /// Nothing yet; `is_full` above `most_octets` of nodes.
    pub fn up_to(most_octets: usize) -> Self {
        Self { most_octets, apex: None, entries: Vec::new(), nodes: Vec::new(), steered: Vec::new() }
    }

    /// Of which zone the owner names are.
    pub fn apex(&self) -> Option<&SharedName> {
        self.apex.as_ref()
    }

    /// Whether this is the zone.
    #[inline]
    pub fn is_of(&self, apex: Name<'_>) -> bool {
        self.apex.as_ref().is_some_and(|gathered| gathered.as_name() == apex)
    }

    /// Whether it is time to `fill`.
    pub fn is_full(&self) -> bool {
        self.nodes.len() > self.most_octets
    }

    /// The next owner names are those of `zone`, which has only an apex yet, without rrsets.
    pub fn begin(&mut self, zone: &Zone, key: &NameKey) {
        self.apex = Some(zone.apex.clone());
        self.put(zone.owner_key(key, key.labels()), &NodeBuilder::default());
    }

    /// What `node` holds is all that is at this owner name from now on.
    pub fn put(&mut self, key: OwnerKey<'_>, node: &NodeBuilder) {
        let [start, first_steered] = [self.nodes.len(), self.steered.len()].map(offset);
        node.write((key.head, key.tail), 0, 0, &mut self.nodes);
        self.steered.extend_from_slice(node.steered());
        self.entries.push(Entry { tag: key.tag, start, end: offset(self.nodes.len()), first_steered });
    }

    /// Makes of what was gathered the owner names of its zone. Nothing is gathered then.
    pub fn fill(&mut self, zone: &mut Zone, seed: u64, buffer: &mut Vec<u8>) {
        let buckets = buckets_for::<Page>(self.entries.len());
        self.sort(buckets);
        let deep = self.write_pages(zone, buckets, seed);
        let mut key = NameKey::new();
        for entry in deep {
            buffer.clear();
            buffer.extend_from_slice(self.node(entry).relative_name());
            buffer.extend_from_slice(zone.apex().wire());
            if let Ok(name) = Name::from_wire(buffer) {
                key.set(name, seed);
                zone.deepest = zone.deepest.max(key.labels());
                zone.link_to_parent(&key, key.labels(), buffer);
            }
        }
        self.apex = None;
        self.entries.clear();
        self.nodes.clear();
        self.steered.clear();
    }

    /// By bucket, and of what was said of one owner name only the last.
    fn sort(&mut self, buckets: usize) {
        let nodes = &self.nodes;
        let name = |entry: &Entry| Node::new(span(nodes, *entry), &[]).relative_name();
        self.entries.sort_unstable_by(|one, other| {
            let [place, other_place] = [one, other].map(|entry| (index_of(entry.tag, buckets), entry.tag));
            place.cmp(&other_place).then_with(|| (name(one), Reverse(one.start)).cmp(&(name(other), Reverse(other.start))))
        });
        self.entries.dedup_by(|next, kept| next.tag == kept.tag && name(next) == name(kept));
    }

    /// Writes the pages and tells the apex of the names right below it. Returns the names that lie deeper: their ancestors know nothing of them yet.
    fn write_pages(&self, zone: &mut Zone, buckets: usize, seed: u64) -> Vec<Entry> {
        let mut pages = SharedVec::new();
        let mut page = PageBuilder::default();
        let (mut names, mut children) = (0_usize, 0_u32);
        let mut apex_flags = NodeFlags::default();
        let mut deep = Vec::new();
        let mut entries = self.entries.iter().copied().peekable();
        for bucket in 0..buckets {
            while let Some(entry) = entries.next_if(|entry| index_of(entry.tag, buckets) == bucket) {
                let node = self.node(entry);
                match Depth::of(node.relative_name()) {
                    Depth::Apex => {}
                    Depth::Below | Depth::Deep if node.rrset_count() == 0 => continue,
                    Depth::Below => children = children.saturating_add(1),
                    Depth::Deep => deep.push(entry),
                }
                if node.relative_name() == b"\x01*" {
                    apex_flags = NodeFlags::WILDCARD_BELOW;
                }
                zone.count_flags(node.flags(), u32::saturating_add);
                page.copy(entry.tag, node);
                names = names.saturating_add(1);
            }
            pages.push(page.finish());
        }
        zone.names = Buckets::of(pages, names);
        if children > 0 {
            zone.deepest = zone.deepest.max(zone.apex_labels.saturating_add(1));
            let mut key = NameKey::new();
            key.set(zone.apex(), seed);
            zone.update(&key, zone.apex_labels, |flags, _| (flags.with(apex_flags), children));
        }
        deep
    }

    fn node(&self, entry: Entry) -> Node<'_> {
        Node::new(span(&self.nodes, entry), self.steered.get(entry.first_steered as usize..).unwrap_or(&[]))
    }
}

/// How far below the apex a name lies.
enum Depth {
    Apex,
    /// By one label.
    Below,
    /// By more.
    Deep,
}

impl Depth {
    fn of(relative: &[u8]) -> Self {
        match relative.split_first() {
            None => Self::Apex,
            Some((label, rest)) if usize::from(*label) == rest.len() => Self::Below,
            Some(_) => Self::Deep,
        }
    }
}

fn span(nodes: &[u8], entry: Entry) -> &[u8] {
    nodes.get(entry.start as usize..entry.end as usize).unwrap_or(&[])
}

/// `MOST_OCTETS` leaves room for everything.
fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
