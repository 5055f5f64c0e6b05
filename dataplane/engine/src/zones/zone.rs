//! One zone: its owner names, and the few facts that let a lookup skip work. What a lookup means is in `lookup`; here is only where things are.

use std::sync::Arc;

use geodns_wire::key::{NameKey, hash_label};
use geodns_wire::writer::SoaTemplate;
use geodns_wire::{Name, SharedName, rtype};

use super::buckets::{Buckets, HashTag};
use super::node::{Node, Rrset, RrsetView};
use super::page::{OwnerKey, Page, Place};
use crate::spec::{Change, RrsetData, RrsetSpec, WireName};

/// A zone as served. A copy shares everything that is not changed in it.
#[derive(Debug, Clone)]
pub struct Zone {
    pub(super) apex: SharedName,
    pub(super) apex_labels: usize,
    pub(super) soa: Option<Soa>,
    pub(super) names: Buckets<Page>,
    /// Owner names at which authority ends; 0 spares every lookup the search for one.
    pub(super) cuts: u32,
    /// Owner names with a DNAME; likewise.
    pub(super) dnames: u32,
    /// Most labels that an owner name ever had: where the search for a closest encloser begins.
    pub(super) deepest: usize,
}

/// The SOA record, at hand for negative answers.
#[derive(Debug, Clone)]
pub struct Soa {
    pub ttl: u32,
    /// The last field of the rdata (RFC 2308 §4).
    pub minimum: u32,
    pub rdata: Arc<[u8]>,
    /// `None` in the root zone.
    pub template: Option<Arc<SoaTemplate>>,
}

impl Soa {
    /// RFC 2308 §3: the ttl of the SOA record in a negative answer.
    pub fn negative_ttl(&self) -> u32 {
        self.ttl.min(self.minimum)
    }
}

impl Zone {
    pub(super) fn new(apex: Name<'_>) -> Self {
        let apex_labels = apex.labels().count();
        Self { apex: SharedName::from(apex), apex_labels, soa: None, names: Buckets::new(), cuts: 0, dnames: 0, deepest: apex_labels }
    }

    /// The zone's own name, lower-case.
    pub fn apex(&self) -> Name<'_> {
        self.apex.as_name()
    }

    /// Labels of the apex.
    #[inline]
    pub fn labels(&self) -> usize {
        self.apex_labels
    }

    /// Owner names, empty non-terminals included.
    pub fn owners(&self) -> usize {
        self.names.entries()
    }

    /// Whether nothing has been put into it yet but its apex, of which `key` is the key.
    pub(super) fn is_fresh(&self, key: &NameKey) -> bool {
        self.owners() == 1 && self.node(key, self.apex_labels).is_some_and(|apex| apex.rrset_count() == 0)
    }

    /// The SOA record; an adopted zone has one.
    pub fn soa(&self) -> Option<&Soa> {
        self.soa.as_ref()
    }

    /// Whether there is any zone cut, and whether any DNAME: without them no ancestor of a name needs to be looked at.
    #[inline]
    pub fn redirections(&self) -> Redirections {
        match (self.cuts, self.dnames) {
            (0, 0) => Redirections::None,
            (_, 0) => Redirections::CutsOnly,
            (_, _) => Redirections::Any,
        }
    }

    /// Most labels that an owner name of the zone has.
    pub fn deepest(&self) -> usize {
        self.deepest
    }

    /// Whether `key` lies at or below the apex.
    pub fn holds(&self, key: &NameKey) -> bool {
        let start = key.start(self.apex_labels);
        key.labels() >= self.apex_labels && self.is_apex(key, start)
    }

    /// Whether the octets of `key` from `start` are the apex; they end where it ends, because both have one root label.
    #[inline]
    pub(super) fn is_apex(&self, key: &NameKey, start: usize) -> bool {
        let apex = self.apex().wire();
        key.octets(start, start.wrapping_add(apex.len())) == apex
    }

    /// The node of the last `labels` labels of `key`, a name at or below the apex.
    #[inline]
    pub fn node(&self, key: &NameKey, labels: usize) -> Option<Node<'_>> {
        let owner = self.owner_key(key, labels);
        self.names.bucket(owner.tag)?.find(owner)
    }

    /// Where the node of `key`, a name at or below the apex, would be.
    pub fn place(&self, key: &NameKey) -> Option<Place<'_>> {
        let tag = tag_of(key.hash(key.labels()));
        Some(Place::new(self.names.bucket(tag)?, tag))
    }

    /// The node of the wildcard right below the last `labels` labels of `key` (RFC 4592 §2.1.1).
    pub fn wildcard_below(&self, key: &NameKey, labels: usize) -> Option<Node<'_>> {
        let tag = tag_of(hash_label(key.hash(labels), b"*"));
        let owner = OwnerKey { tag, head: b"\x01*", tail: self.relative(key, labels) };
        self.names.bucket(tag)?.find(owner)
    }

    #[inline]
    pub(super) fn owner_key<'k>(&self, key: &'k NameKey, labels: usize) -> OwnerKey<'k> {
        OwnerKey { tag: tag_of(key.hash(labels)), head: self.relative(key, labels), tail: &[] }
    }

    #[inline]
    fn relative<'k>(&self, key: &'k NameKey, labels: usize) -> &'k [u8] {
        key.octets(key.start(labels), key.start(self.apex_labels))
    }

    /// The zone as items: itself, then every owner name that has rrsets.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        let zone = Change::PutZone { apex: self.wire_apex() };
        let nodes = self.names.iter().flat_map(Page::nodes).filter(|(_, node)| node.rrset_count() > 0);
        std::iter::once(zone).chain(nodes.map(|(_, node)| Change::PutOwner {
            apex: self.wire_apex(),
            owner: [node.relative_name(), self.apex().wire()].concat().into_boxed_slice(),
            rrsets: node.rrsets().map(|rrset| spec_of(&rrset)).collect(),
        }))
    }

    fn wire_apex(&self) -> WireName {
        WireName::from(self.apex().wire())
    }

    pub(super) fn remember_soa(&mut self, node_rrsets: &[RrsetSpec]) {
        self.soa = node_rrsets.iter().find(|rrset| rrset.rtype == rtype::SOA).and_then(|rrset| soa_of(self.apex(), rrset));
    }
}

/// What may stand between the apex and a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirections {
    None,
    CutsOnly,
    Any,
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // the low half is the tag
fn tag_of(hash: u64) -> HashTag {
    hash as u32
}

fn soa_of(apex: Name<'_>, rrset: &RrsetSpec) -> Option<Soa> {
    match &rrset.data {
        RrsetData::Static(rdatas) => {
            let rdata = rdatas.first()?;
            let minimum = rdata.last_chunk().map(|octets| u32::from_be_bytes(*octets))?;
            let template = SoaTemplate::new(apex, rdata).map(Arc::new);
            Some(Soa { ttl: rrset.ttl, minimum, rdata: Arc::from(&**rdata), template })
        }
        RrsetData::Steered(_) => None,
    }
}

fn spec_of(rrset: &Rrset<'_>) -> RrsetSpec {
    let data = match rrset.data {
        RrsetView::Static(rdatas) => RrsetData::Static(rdatas.into_iter().map(Box::from).collect()),
        RrsetView::Steered(steered) => RrsetData::Steered(Box::new(steered.spec().clone())),
    };
    RrsetSpec { rtype: rrset.rtype, ttl: rrset.ttl, data }
}
