//! All zones that are served, as a persistent data structure: an editor works on a copy that shares everything it does not touch, so a change to
//! one owner name among a million costs a few kilobytes, and readers of the old set never notice.
//!
//! ```text
//!   ZoneSet -> buckets of zones -> Zone -> buckets of owner names (pages) -> Node -> rrsets
//! ```
//!
//! This module stores and finds; RFC 1034 §4.3.2 is in `lookup`.

mod buckets;
mod check;
mod editor;
mod gathering;
mod node;
mod page;
mod shared_vec;
mod zone;

use std::sync::Arc;

use geodns_wire::{Name, NameKey};

pub use editor::ZoneEditor;
pub use node::{Node, NodeFlags, RdataIter, Rdatas, Rrset, RrsetView, Rrsets};
pub use page::Place;
pub use zone::{Redirections, Soa, Zone};

use crate::spec::Change;
use buckets::{Bucket, Buckets, HashTag};

/// Numbers of labels that a name can have: 0 to 127.
const DEPTHS: usize = 128;

/// The zones that are served.
#[derive(Debug, Clone)]
pub struct ZoneSet {
    seed: u64,
    zones: Buckets<ZoneBucket>,
    /// How many zones have an apex of that many labels.
    depths: Arc<[u32; DEPTHS]>,
    /// Bit n: some zone has an apex of n labels. Spares the search for the zone all other suffixes.
    depth_bits: u128,
    /// Most owner names that one of the zones ever had.
    most_owners: usize,
}

impl ZoneSet {
    /// Without zones. `seed` keys the hashes of names; whoever serves strangers' zones draws it at random.
    pub fn new(seed: u64) -> Self {
        Self { seed, zones: Buckets::new(), depths: Arc::new([0; DEPTHS]), depth_bits: 0, most_owners: 0 }
    }

    /// What `NameKey::set` needs so that its hashes are those of this set.
    #[inline]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// An editor on a copy of the set.
    pub fn edit(&self) -> ZoneEditor {
        ZoneEditor::new(self.clone())
    }

    /// An editor that takes a whole state at once: several times as fast as `edit`, and until `ZoneEditor::settle` or `finish` with twice the memory.
    pub fn load(self) -> ZoneEditor {
        ZoneEditor::loading(self)
    }

    /// Number of zones.
    pub fn zones(&self) -> usize {
        self.zones.entries()
    }

    /// Owner names in all zones, empty non-terminals included.
    pub fn owners(&self) -> usize {
        self.iter().map(Zone::owners).sum()
    }

    /// Most owner names that one of the zones ever had.
    pub fn most_owners(&self) -> usize {
        self.most_owners
    }

    /// All zones, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Zone> {
        self.zones.iter().flat_map(ZoneBucket::entries).map(|(_, zone)| &**zone)
    }

    /// The whole set as items, each zone before its owner names: what a fresh editor would have to apply to become equal to it.
    pub fn changes(&self) -> impl Iterator<Item = Change> {
        self.iter().flat_map(Zone::changes)
    }

    /// RFC 1034 §4.3.2 step 2: the zone which is the nearest ancestor of the last `labels` labels of `key`.
    #[inline]
    pub fn nearest(&self, key: &NameKey, labels: usize) -> Option<&Zone> {
        let mut depths = self.depth_bits & bits_up_to(labels);
        while let Some(depth) = depths.checked_ilog2() {
            let depth_labels = depth as usize;
            if let Some(zone) = self.zone(key, depth_labels) {
                return Some(zone);
            }
            depths &= !bit(depth_labels);
        }
        None
    }

    /// The zone whose apex is the last `labels` labels of `key`.
    #[inline]
    pub fn zone(&self, key: &NameKey, labels: usize) -> Option<&Zone> {
        let tag = tag_of(key.hash(labels));
        let start = key.start(labels);
        let same = |zone: &Zone| zone.is_apex(key, start);
        self.zones
            .bucket(tag)?
            .entries()
            .find(|(candidate, zone)| *candidate == tag && zone.apex_labels == labels && same(zone))
            .map(|(_, zone)| &**zone)
    }

    /// The zone with this apex.
    pub fn zone_named(&self, apex: Name<'_>) -> Option<&Zone> {
        let mut key = NameKey::new();
        key.set(apex, self.seed);
        self.zone(&key, key.labels())
    }

    fn zone_mut(&mut self, key: &NameKey) -> Option<&mut Zone> {
        self.zone(key, key.labels())?;
        let tag = tag_of(key.hash(key.labels()));
        self.zones.bucket_mut(tag)?.zone_mut(key.name())
    }

    fn put(&mut self, key: &NameKey, zone: Zone) {
        let tag = tag_of(key.hash(key.labels()));
        self.note_depth(zone.apex_labels, u32::checked_add);
        if let Some(bucket) = self.zones.bucket_mut(tag) {
            bucket.push(tag, Arc::new(zone));
            self.zones.entry_added();
        }
    }

    fn remove(&mut self, key: &NameKey) {
        let Some(labels) = self.zone(key, key.labels()).map(Zone::labels) else { return };
        self.note_depth(labels, u32::checked_sub);
        if let Some(bucket) = self.zones.bucket_mut(tag_of(key.hash(labels))) {
            bucket.remove(key.name());
            self.zones.entry_removed();
        }
    }

    fn note_owners(&mut self, owners: usize) {
        self.most_owners = self.most_owners.max(owners);
    }

    fn note_depth(&mut self, labels: usize, change: fn(u32, u32) -> Option<u32>) {
        let Some(count) = Arc::make_mut(&mut self.depths).get_mut(labels) else { return };
        *count = change(*count, 1).unwrap_or(*count);
        if *count == 0 {
            self.depth_bits &= !bit(labels);
        } else {
            self.depth_bits |= bit(labels);
        }
    }
}

fn bit(labels: usize) -> u128 {
    u32::try_from(labels).ok().and_then(|shift| 1_u128.checked_shl(shift)).unwrap_or(0)
}

fn bits_up_to(labels: usize) -> u128 {
    bit(labels).wrapping_mul(2).wrapping_sub(1)
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // the low half is the tag
fn tag_of(hash: u64) -> HashTag {
    hash as u32
}

type ZoneEntry = (HashTag, Arc<Zone>);

/// A handful of zones.
#[derive(Debug, Clone, Default)]
struct ZoneBucket(Option<Arc<[ZoneEntry]>>);

impl ZoneBucket {
    fn entries(&self) -> impl Iterator<Item = &ZoneEntry> {
        self.0.iter().flat_map(|entries| entries.iter())
    }

    fn zone_mut(&mut self, apex: Name<'_>) -> Option<&mut Zone> {
        let entries = Arc::make_mut(self.0.as_mut()?);
        let (_, zone) = entries.iter_mut().find(|(_, zone)| zone.apex() == apex)?;
        Some(Arc::make_mut(zone))
    }

    fn push(&mut self, tag: HashTag, zone: Arc<Zone>) {
        self.0 = Some(self.entries().cloned().chain([(tag, zone)]).collect());
    }

    fn remove(&mut self, apex: Name<'_>) {
        self.0 = Some(self.entries().filter(|(_, zone)| zone.apex() != apex).cloned().collect());
    }
}

impl Bucket for ZoneBucket {
    /// Few, because the search looks at every suffix of a name that some zone's apex might be.
    const LOAD: usize = 4;

    fn split(&mut self, leaves: impl Fn(HashTag) -> bool) -> Self {
        let (moved, kept): (Vec<_>, Vec<_>) = self.entries().cloned().partition(|(tag, _)| leaves(*tag));
        self.0 = Some(Arc::from(kept));
        Self(Some(Arc::from(moved)))
    }

    fn absorb(&mut self, other: Self) {
        self.0 = Some(self.entries().chain(other.entries()).cloned().collect());
    }
}
