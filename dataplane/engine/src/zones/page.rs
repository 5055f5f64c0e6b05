//! A bucket of owner names packed into one block of memory, so that a million names are some ten thousands of allocations and finding one touches
//! two or three cache lines. Changing a page writes a new block; blocks are never changed while anybody else holds them.
//!
//! ```text
//!   block = u16 entries, entries x u32 tag, entries x u32 end of its node, nodes (ends count from the first node)
//! ```
//!
//! Steered rrsets stand beside the block, in the order of the nodes that they belong to.

use std::sync::Arc;

use super::buckets::{Bucket, HashTag};
use super::node::{CHILDREN_AT, FIRST_STEERED_AT, Node, NodeBuilder, NodeFlags};
use crate::steer::Steered;

/// Octets of the entry count.
const COUNT: usize = 2;
/// Octets of a tag, and of an end.
const WORD: usize = 4;

/// An owner name to look for: its tag, and the labels in front of the apex in two parts (the second is empty but for wildcards).
#[derive(Debug, Clone, Copy)]
pub struct OwnerKey<'a> {
    pub tag: HashTag,
    pub head: &'a [u8],
    pub tail: &'a [u8],
}

impl OwnerKey<'_> {
    #[inline]
    fn is(&self, name: &[u8]) -> bool {
        name.len() == self.head.len().wrapping_add(self.tail.len()) && name.starts_with(self.head) && name.ends_with(self.tail)
    }
}

/// One bucket of owner names.
#[derive(Debug, Clone, Default)]
pub struct Page {
    block: Option<Arc<[u8]>>,
    steered: Option<Arc<[Arc<Steered>]>>,
}

impl Page {
    /// The node of this owner name.
    #[inline]
    pub fn find(&self, key: OwnerKey<'_>) -> Option<Node<'_>> {
        let tag = key.tag.to_be_bytes();
        let (tags, _) = self.words().0.as_chunks::<WORD>();
        let candidates = tags.iter().enumerate().filter(|(_, candidate)| **candidate == tag);
        candidates.filter_map(|(index, _)| self.node(index)).find(|node| key.is(node.relative_name()))
    }

    /// All nodes with their tags.
    pub fn nodes(&self) -> impl Iterator<Item = (HashTag, Node<'_>)> {
        let (tags, _) = self.words().0.as_chunks::<WORD>();
        tags.iter().enumerate().filter_map(|(index, tag)| Some((u32::from_be_bytes(*tag), self.node(index)?)))
    }

    fn block(&self) -> &[u8] {
        self.block.as_deref().unwrap_or(&[])
    }

    fn entries(&self) -> usize {
        self.block().first_chunk().map_or(0, |count| usize::from(u16::from_be_bytes(*count)))
    }

    /// The tags, the ends and the nodes.
    #[inline]
    fn words(&self) -> (&[u8], &[u8], &[u8]) {
        let size = self.entries().wrapping_mul(WORD);
        let rest = self.block().get(COUNT..).unwrap_or(&[]);
        let (tags, rest) = rest.split_at_checked(size).unwrap_or((&[], &[]));
        let (ends, nodes) = rest.split_at_checked(size).unwrap_or((&[], &[]));
        (tags, ends, nodes)
    }

    #[inline]
    fn span(&self, index: usize) -> Option<(usize, usize)> {
        let (ends, _) = self.words().1.as_chunks::<WORD>();
        let end = u32::from_be_bytes(*ends.get(index)?);
        let start = index.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| u32::from_be_bytes(*end));
        Some((start as usize, end as usize))
    }

    #[inline]
    fn node(&self, index: usize) -> Option<Node<'_>> {
        let (start, end) = self.span(index)?;
        let octets = self.words().2.get(start..end)?;
        Some(Node::new(octets, self.steered.as_deref().unwrap_or(&[])))
    }

    /// Puts a node that the page does not have. This is what loading a zone does all the time, hence block by block.
    pub fn insert(&mut self, key: OwnerKey<'_>, node: &NodeBuilder, children: u32) {
        let (tags, ends, nodes) = self.words();
        let first_steered = u16::try_from(self.steered.as_deref().map_or(0, <[_]>::len)).unwrap_or(u16::MAX);
        let mut last = Vec::new();
        node.write((key.head, key.tail), first_steered, children, &mut last);
        let count = u16::try_from(self.entries().wrapping_add(1)).unwrap_or(u16::MAX);
        let end = u32::try_from(nodes.len().wrapping_add(last.len())).unwrap_or(u32::MAX);
        let parts: [&[u8]; 7] = [&count.to_be_bytes(), tags, &key.tag.to_be_bytes(), ends, &end.to_be_bytes(), nodes, &last];
        self.block = Some(Arc::from(parts.concat()));
        if !node.steered().is_empty() {
            let steered = self.steered.iter().flat_map(|all| all.iter()).chain(node.steered());
            self.steered = Some(steered.cloned().collect());
        }
    }

    /// Puts a node in the place of the one of the same name.
    pub fn replace(&mut self, key: OwnerKey<'_>, node: &NodeBuilder, children: u32) {
        let mut builder = PageBuilder::default();
        for (tag, old) in self.nodes() {
            if tag == key.tag && key.is(old.relative_name()) {
                builder.put(tag, node, (key.head, key.tail), children);
            } else {
                builder.copy(tag, old);
            }
        }
        *self = builder.finish();
    }

    /// Takes the node of this name out.
    pub fn remove(&mut self, key: OwnerKey<'_>) {
        let mut builder = PageBuilder::default();
        for (tag, old) in self.nodes().filter(|(tag, old)| *tag != key.tag || !key.is(old.relative_name())) {
            builder.copy(tag, old);
        }
        *self = builder.finish();
    }

    /// Sets flags and number of children of a node; in place when nobody else holds the block.
    pub fn patch(&mut self, key: OwnerKey<'_>, flags: NodeFlags, children: u32) {
        let (tags, _) = self.words().0.as_chunks::<WORD>();
        let is_it = |index: usize| self.node(index).is_some_and(|node| key.is(node.relative_name()));
        let Some(index) = (0..tags.len()).find(|&index| tags.get(index) == Some(&key.tag.to_be_bytes()) && is_it(index)) else { return };
        let header = COUNT.wrapping_add(tags.len().wrapping_mul(WORD).wrapping_mul(2));
        let Some(start) = self.span(index).map(|(start, _)| start.wrapping_add(header)) else { return };
        let Some(octets) = self.block.as_mut().and_then(|block| Arc::make_mut(block).get_mut(start..)) else { return };
        if let Some(slot) = octets.first_mut() {
            *slot = flags.octet();
        }
        if let Some(slot) = octets.get_mut(CHILDREN_AT..CHILDREN_AT.wrapping_add(WORD)) {
            slot.copy_from_slice(&children.to_be_bytes());
        }
    }
}

impl Bucket for Page {
    /// 16 names make a page of about 800 octets: few enough that copying it for an edit and scanning its tags are cheap, enough that the 32
    /// octets which the directory spends on a page do not matter.
    const LOAD: usize = 16;

    fn split(&mut self, leaves: impl Fn(HashTag) -> bool) -> Self {
        let (mut kept, mut moved) = (PageBuilder::default(), PageBuilder::default());
        for (tag, node) in self.nodes() {
            if leaves(tag) { moved.copy(tag, node) } else { kept.copy(tag, node) }
        }
        *self = kept.finish();
        moved.finish()
    }

    fn absorb(&mut self, other: Self) {
        let mut builder = PageBuilder::default();
        for (tag, node) in self.nodes().chain(other.nodes()) {
            builder.copy(tag, node);
        }
        *self = builder.finish();
    }
}

/// A page being written entry by entry.
#[derive(Debug, Default)]
struct PageBuilder {
    tags: Vec<u8>,
    ends: Vec<u8>,
    nodes: Vec<u8>,
    steered: Vec<Arc<Steered>>,
}

impl PageBuilder {
    fn first_steered(&self) -> u16 {
        u16::try_from(self.steered.len()).unwrap_or(u16::MAX)
    }

    fn put(&mut self, tag: HashTag, node: &NodeBuilder, name: (&[u8], &[u8]), children: u32) {
        node.write(name, self.first_steered(), children, &mut self.nodes);
        self.steered.extend_from_slice(node.steered());
        self.close(tag);
    }

    fn copy(&mut self, tag: HashTag, node: Node<'_>) {
        let at = self.nodes.len().wrapping_add(FIRST_STEERED_AT);
        let first = self.first_steered().to_be_bytes();
        self.nodes.extend_from_slice(node.octets());
        if let Some(slot) = self.nodes.get_mut(at..at.wrapping_add(first.len())) {
            slot.copy_from_slice(&first);
        }
        self.steered.extend(node.own_steered().cloned());
        self.close(tag);
    }

    fn close(&mut self, tag: HashTag) {
        self.tags.extend_from_slice(&tag.to_be_bytes());
        self.ends.extend_from_slice(&u32::try_from(self.nodes.len()).unwrap_or(u32::MAX).to_be_bytes());
    }

    fn finish(self) -> Page {
        let entries = self.tags.len() / WORD;
        if entries == 0 {
            return Page::default();
        }
        let count = u16::try_from(entries).unwrap_or(u16::MAX).to_be_bytes();
        let parts: [&[u8]; 4] = [&count, &self.tags, &self.ends, &self.nodes];
        Page { block: Some(Arc::from(parts.concat())), steered: (!self.steered.is_empty()).then(|| Arc::from(self.steered)) }
    }
}
