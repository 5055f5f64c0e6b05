//! An owner name with its rrsets, as packed octets. This file owns the form: what `NodeBuilder` writes, `Node` reads.
//!
//! ```text
//!   node  = u8 flags, u8 name length, u8 rrsets, u16 first steered, u32 children, name (relative to the apex, without root label), rrsets
//!   rrset = u16 rtype, u32 ttl (top bit: steered), u32 body length, body
//!   body  = u16 count, count x (u16 length, rdata)     or, steered: nothing; the rrset is the next of the page's steered ones
//! ```
//!
//! A name with one address takes about 35 octets beside its name. RFC 2181 §8 leaves the top bit of a ttl free.

use std::hint::black_box;
use std::sync::Arc;

use geodns_wire::reader::{Malformed, Reader};

use crate::steer::Steered;

/// Octets before the name.
pub(super) const NODE_HEADER: usize = 9;
/// Where `u16 first steered` stands.
pub(super) const FIRST_STEERED_AT: usize = 3;
/// Where `u32 children` stands.
pub(super) const CHILDREN_AT: usize = 5;
const STEERED: u32 = 0x8000_0000;

/// What the lookup must know of a node before it looks at rrsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeFlags(u8);

impl NodeFlags {
    /// NS records below the apex: authority ends here (RFC 1034 §4.2.1).
    pub const CUT: Self = Self(1);
    /// A DNAME record: names below are redirected (RFC 6672 §2.2).
    pub const DNAME: Self = Self(2);
    /// A CNAME record.
    pub const CNAME: Self = Self(4);
    /// The name `*` right below exists (RFC 4592 §2.1.1).
    pub const WILDCARD_BELOW: Self = Self(8);

    /// Whether all flags of `wanted` are set.
    #[inline]
    pub fn has(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// These and those.
    #[must_use]
    pub fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// These but not those.
    #[must_use]
    pub fn without(self, fewer: Self) -> Self {
        Self(self.0 & !fewer.0)
    }

    pub(super) fn octet(self) -> u8 {
        self.0
    }
}

/// An owner name as it stands in a page.
#[derive(Debug, Clone, Copy)]
pub struct Node<'z> {
    octets: &'z [u8],
    steered: &'z [Arc<Steered>],
}

impl<'z> Node<'z> {
    pub(super) fn new(octets: &'z [u8], steered: &'z [Arc<Steered>]) -> Self {
        Self { octets, steered }
    }

    /// What the lookup must know.
    #[inline]
    pub fn flags(&self) -> NodeFlags {
        NodeFlags(self.octets.first().copied().unwrap_or(0))
    }

    /// Names right below this one.
    pub fn children(&self) -> u32 {
        Reader::at(self.octets, CHILDREN_AT).u32().unwrap_or(0)
    }

    /// Number of rrsets; 0 is an empty non-terminal (RFC 4592 §2.2.2).
    pub fn rrset_count(&self) -> u8 {
        self.octets.get(2).copied().unwrap_or(0)
    }

    /// The labels in front of the apex.
    #[inline]
    pub fn relative_name(&self) -> &'z [u8] {
        let length = usize::from(self.octets.get(1).copied().unwrap_or(0));
        self.octets.get(NODE_HEADER..NODE_HEADER.wrapping_add(length)).unwrap_or(&[])
    }

    /// The rrset of this type.
    #[inline]
    pub fn rrset(&self, rtype: u16) -> Option<Rrset<'z>> {
        self.rrsets().find(|rrset| rrset.rtype == rtype)
    }

    /// All rrsets, in stored order.
    #[inline]
    pub fn rrsets(&self) -> Rrsets<'z> {
        let first = Reader::at(self.octets, FIRST_STEERED_AT).u16().unwrap_or(0);
        let name = self.octets.get(1).copied().unwrap_or(0);
        Rrsets {
            rest: Reader::at(self.octets, NODE_HEADER.wrapping_add(usize::from(name))),
            left: self.rrset_count(),
            steered: self.steered.get(usize::from(first)..).unwrap_or(&[]),
        }
    }

    /// Fetches the node (`ahead`).
    pub fn fetch(&self) {
        black_box((self.octets.first().copied(), self.octets.last().copied()));
    }

    /// The first of the steered rrsets that the node has.
    pub fn first_steered(&self) -> Option<&'z Arc<Steered>> {
        if self.steered.is_empty() { None } else { self.own_steered().next() }
    }

    pub(super) fn octets(&self) -> &'z [u8] {
        self.octets
    }

    /// The steered rrsets of this node alone.
    pub(super) fn own_steered(&self) -> impl Iterator<Item = &'z Arc<Steered>> {
        self.rrsets().filter_map(|rrset| match rrset.data {
            RrsetView::Static(_) => None,
            RrsetView::Steered(steered) => Some(steered),
        })
    }
}

/// One rrset of a node.
#[derive(Debug, Clone, Copy)]
pub struct Rrset<'z> {
    pub rtype: u16,
    /// Seconds; for a steered rrset the decision says it.
    pub ttl: u32,
    pub data: RrsetView<'z>,
}

/// Static rdata in stored order, or a steered rrset.
#[derive(Debug, Clone, Copy)]
pub enum RrsetView<'z> {
    Static(Rdatas<'z>),
    Steered(&'z Arc<Steered>),
}

/// Iterator over the rrsets of a node.
#[derive(Debug, Clone)]
pub struct Rrsets<'z> {
    rest: Reader<'z>,
    left: u8,
    steered: &'z [Arc<Steered>],
}

impl<'z> Rrsets<'z> {
    fn read(&mut self) -> Result<Rrset<'z>, Malformed> {
        let [t0, t1, s0, s1, s2, s3, l0, l1, l2, l3] = self.rest.array()?;
        let rtype = u16::from_be_bytes([t0, t1]);
        let ttl = u32::from_be_bytes([s0, s1, s2, s3]);
        let body = self.rest.take(u32::from_be_bytes([l0, l1, l2, l3]) as usize)?;
        let data = if ttl & STEERED == 0 {
            RrsetView::Static(Rdatas::new(body)?)
        } else {
            let (first, rest) = self.steered.split_first().ok_or(Malformed)?;
            self.steered = rest;
            RrsetView::Steered(first)
        };
        Ok(Rrset { rtype, ttl: ttl & !STEERED, data })
    }
}

impl<'z> Iterator for Rrsets<'z> {
    type Item = Rrset<'z>;

    #[inline]
    fn next(&mut self) -> Option<Rrset<'z>> {
        self.left = self.left.checked_sub(1)?;
        self.read().ok()
    }
}

/// Static rdata in stored order.
#[derive(Debug, Clone, Copy)]
pub struct Rdatas<'z> {
    /// Behind the count.
    first: Reader<'z>,
    count: u16,
}

impl<'z> Rdatas<'z> {
    fn new(body: &'z [u8]) -> Result<Self, Malformed> {
        let mut first = Reader::new(body);
        let count = first.u16()?;
        Ok(Self { first, count })
    }
}

impl<'z> IntoIterator for Rdatas<'z> {
    type Item = &'z [u8];
    type IntoIter = RdataIter<'z>;

    #[inline]
    fn into_iter(self) -> RdataIter<'z> {
        RdataIter { rest: self.first, left: self.count }
    }
}

/// Iterator over static rdata.
#[derive(Debug, Clone)]
pub struct RdataIter<'z> {
    rest: Reader<'z>,
    left: u16,
}

impl<'z> Iterator for RdataIter<'z> {
    type Item = &'z [u8];

    #[inline]
    fn next(&mut self) -> Option<&'z [u8]> {
        self.left = self.left.checked_sub(1)?;
        let length = self.rest.u16().ok()?;
        self.rest.take(usize::from(length)).ok()
    }
}

/// The rrsets of an owner name on their way into a page. Reused from owner name to owner name.
#[derive(Debug, Default)]
pub struct NodeBuilder {
    flags: NodeFlags,
    rrsets: u8,
    octets: Vec<u8>,
    steered: Vec<Arc<Steered>>,
}

impl NodeBuilder {
    /// Starts over with an empty node.
    pub fn clear(&mut self) {
        self.flags = NodeFlags::default();
        self.rrsets = 0;
        self.octets.clear();
        self.steered.clear();
    }

    /// Without rrsets.
    pub fn is_empty(&self) -> bool {
        self.rrsets == 0
    }

    /// Flags that follow from the rrsets put so far.
    pub fn flags(&self) -> NodeFlags {
        self.flags
    }

    /// Adds a flag.
    pub fn flag(&mut self, flag: NodeFlags) {
        self.flags = self.flags.with(flag);
    }

    /// Appends a static rrset.
    pub fn put_static<'a>(&mut self, rtype: u16, ttl: u32, rdatas: impl Iterator<Item = &'a [u8]>) {
        self.put_rrset_header(rtype, ttl & !STEERED);
        let body_at = self.octets.len();
        self.octets.extend_from_slice(&[0, 0]);
        let mut count = 0_u16;
        for rdata in rdatas {
            self.octets.extend_from_slice(&u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
            self.octets.extend_from_slice(rdata);
            count = count.wrapping_add(1);
        }
        let length = u32::try_from(self.octets.len().wrapping_sub(body_at)).unwrap_or(u32::MAX);
        self.patch(body_at, &count.to_be_bytes());
        self.patch(body_at.wrapping_sub(4), &length.to_be_bytes());
    }

    /// Appends a steered rrset.
    pub fn put_steered(&mut self, rtype: u16, steered: Arc<Steered>) {
        self.put_rrset_header(rtype, steered.ttl() | STEERED);
        self.steered.push(steered);
    }

    fn put_rrset_header(&mut self, rtype: u16, ttl: u32) {
        self.octets.extend_from_slice(&rtype.to_be_bytes());
        self.octets.extend_from_slice(&ttl.to_be_bytes());
        self.octets.extend_from_slice(&[0; 4]);
        self.rrsets = self.rrsets.wrapping_add(1);
    }

    fn patch(&mut self, at: usize, octets: &[u8]) {
        if let Some(slot) = self.octets.get_mut(at..at.wrapping_add(octets.len())) {
            slot.copy_from_slice(octets);
        }
    }

    /// Writes the node under its relative name: `head` and `tail` joined.
    pub(super) fn write(&self, name: (&[u8], &[u8]), first_steered: u16, children: u32, page: &mut Vec<u8>) {
        let length = name.0.len().wrapping_add(name.1.len());
        let length = u8::try_from(length).unwrap_or(u8::MAX); // a name has at most 255
        let [first0, first1] = first_steered.to_be_bytes();
        let [children0, children1, children2, children3] = children.to_be_bytes();
        page.extend_from_slice(&[self.flags.octet(), length, self.rrsets, first0, first1, children0, children1, children2, children3]);
        page.extend_from_slice(name.0);
        page.extend_from_slice(name.1);
        page.extend_from_slice(&self.octets);
    }

    pub(super) fn steered(&self) -> &[Arc<Steered>] {
        &self.steered
    }
}
