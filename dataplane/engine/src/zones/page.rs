//! A bucket of owner names packed into one block of memory, so that a million names are some ten thousands of allocations and finding one touches
//! two or three cache lines. Changing a page writes a new block; blocks are never changed while anybody else holds them.
//!
//! ```text
//!   block = u16 entries, u16 slots, slots x u32 tag, slots x u32 end of its node, nodes, room (ends count from the first node)
//! ```
//!
//! A block that an insertion has made has a few free slots and some room behind the nodes for the next ones: a FULL then makes a new
//! block for every fourth name only. Any other change, and a load from disk (`gathering`), makes a block without slack.
//!
//! Steered rrsets stand beside the block, in the order of the nodes that they belong to.

use std::hint::black_box;
use std::sync::Arc;

use super::buckets::{Bucket, HashTag};
use super::node::{CHILDREN_AT, FIRST_STEERED_AT, Node, NodeBuilder, NodeFlags};
use crate::ahead::LINE;
use crate::steer::Steered;

/// Octets of the counts of entries and slots.
const COUNTS: usize = 4;
/// Octets of a tag, and of an end.
const WORD: usize = 4;
/// Offsets of the cache lines after the first in which tags and ends lie when there are as many as `LOAD`.
const NEXT_LINES: [usize; 2] = [LINE, LINE * 2];
/// Steered rrsets of a page to which one cache line points.
const STEERED_A_LINE: usize = LINE / size_of::<Arc<Steered>>();
/// Slots that a growing block has beyond its need, and as many average nodes of room. On average half of them stay free, which is about
/// five octets a name.
const SLACK: usize = 4;

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
        match self.tail {
            [] => name == self.head,
            tail => name.split_at_checked(self.head.len()).is_some_and(|(head, rest)| head == self.head && rest == tail),
        }
    }
}

/// Where an owner name would be, to be read ahead of looking it up (`ahead`).
#[derive(Debug, Clone, Copy)]
pub struct Place<'z> {
    page: &'z Page,
    tag: HashTag,
}

impl<'z> Place<'z> {
    pub(super) fn new(page: &'z Page, tag: HashTag) -> Self {
        Self { page, tag }
    }

    /// Fetches what says where the node is. Not inlined, because the compiler would repeat it for each query of a batch.
    #[inline(never)]
    pub fn fetch(&self) {
        black_box(self.page.block().first().copied());
        for steered in self.page.steered().iter().step_by(STEERED_A_LINE) {
            black_box(Arc::as_ptr(steered));
        }
    }

    /// The first node with the tag: with hardly an exception the one looked for. Reads nothing of the node itself.
    pub fn guess_node(&self) -> Option<Node<'z>> {
        let words = self.page.words();
        words.node(from_index(words.tags, 0, self.tag.to_be_bytes())?, self.page.steered())
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
        self.position(key).map(|(_, node)| node)
    }

    #[inline]
    fn position(&self, key: OwnerKey<'_>) -> Option<(usize, Node<'_>)> {
        let words = self.words();
        let tag = key.tag.to_be_bytes();
        let mut from = 0;
        loop {
            // Two tags are seldom alike: nearly always the first candidate is the node or there is none.
            let index = from_index(words.tags, from, tag)?;
            match words.node(index, self.steered()) {
                Some(node) if key.is(node.relative_name()) => return Some((index, node)),
                Some(_) | None => from = index.wrapping_add(1),
            }
        }
    }

    /// All nodes with their tags.
    pub fn nodes(&self) -> impl Iterator<Item = (HashTag, Node<'_>)> {
        let (words, steered) = (self.words(), self.steered());
        words.tags.iter().enumerate().filter_map(move |(index, tag)| Some((u32::from_be_bytes(*tag), words.node(index, steered)?)))
    }

    fn steered(&self) -> &[Arc<Steered>] {
        self.steered.as_deref().unwrap_or(&[])
    }

    #[inline]
    fn words(&self) -> Words<'_> {
        Words::read(self.block()).unwrap_or_default()
    }

    #[inline]
    fn block(&self) -> &[u8] {
        let block = self.block.as_deref().unwrap_or(&[]);
        // A lookup reads the counts, then a tag, then an end, each where the one before said. Loads of the lines in which they mostly lie do not wait for
        // each other, so the processor fetches all at once: in a zone that the caches do not hold, one miss instead of three.
        for line in NEXT_LINES {
            black_box(block.get(line).copied());
        }
        block
    }

    /// Puts a node that the page does not have; `buffer` is memory to work with. A FULL does this all the time.
    pub fn insert(&mut self, key: OwnerKey<'_>, node: &NodeBuilder, children: u32, buffer: &mut Vec<u8>) {
        let first_steered = u16::try_from(self.steered().len()).unwrap_or(u16::MAX);
        buffer.clear();
        node.write((key.head, key.tail), first_steered, children, buffer);
        if self.insert_in_place(key.tag, buffer).is_none() {
            self.insert_in_new_block(key.tag, buffer);
        }
        if !node.steered().is_empty() {
            self.steered = Some(self.steered().iter().chain(node.steered()).cloned().collect());
        }
    }

    /// `None` when somebody else holds the block, or it has no room.
    fn insert_in_place(&mut self, tag: HashTag, node: &[u8]) -> Option<()> {
        let words = self.words();
        let (index, used, slots) = (words.tags.len(), words.used(), words.slots);
        if index >= slots {
            return None;
        }
        let block = Arc::get_mut(self.block.as_mut()?)?;
        let (counts, rest) = block.split_first_chunk_mut::<COUNTS>()?;
        let (tags, rest) = rest.split_at_mut_checked(slots.wrapping_mul(WORD))?;
        let (ends, nodes) = rest.split_at_mut_checked(slots.wrapping_mul(WORD))?;
        let end = used.wrapping_add(node.len());
        nodes.get_mut(used..end)?.copy_from_slice(node);
        *tags.as_chunks_mut().0.get_mut(index)? = tag.to_be_bytes();
        *ends.as_chunks_mut().0.get_mut(index)? = u32::try_from(end).ok()?.to_be_bytes();
        *counts = counts_octets(index.wrapping_add(1), slots);
        Some(())
    }

    fn insert_in_new_block(&mut self, tag: HashTag, node: &[u8]) {
        let words = self.words();
        let entries = words.tags.len().wrapping_add(1);
        let used = words.used().wrapping_add(node.len());
        let slots = entries.wrapping_add(SLACK);
        let room = used.checked_div(entries).unwrap_or(0).wrapping_mul(SLACK);
        let size = COUNTS.wrapping_add(slots.wrapping_mul(WORD).wrapping_mul(2)).wrapping_add(used).wrapping_add(room);
        let mut block = Vec::with_capacity(size);
        let free = [0; SLACK * WORD];
        block.extend_from_slice(&counts_octets(entries, slots));
        block.extend_from_slice(words.tags.as_flattened());
        block.extend_from_slice(&tag.to_be_bytes());
        block.extend_from_slice(&free);
        block.extend_from_slice(words.ends.as_flattened());
        block.extend_from_slice(&u32::try_from(used).unwrap_or(u32::MAX).to_be_bytes());
        block.extend_from_slice(&free);
        block.extend_from_slice(words.nodes);
        block.extend_from_slice(node);
        block.resize(size, 0);
        self.block = Some(Arc::from(block));
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

    /// Changes flags and number of children of a node, in place when nobody else holds the block. Says what the node was before.
    pub fn update(&mut self, key: OwnerKey<'_>, change: impl FnOnce(NodeFlags, u32) -> (NodeFlags, u32)) -> Option<NodeSummary> {
        let (index, node) = self.position(key)?;
        let before = NodeSummary { rrsets: node.rrset_count(), children: node.children() };
        let (flags, children) = change(node.flags(), before.children);
        let words = self.words();
        let header = COUNTS.wrapping_add(words.slots.wrapping_mul(WORD).wrapping_mul(2));
        let start = words.span(index)?.0.wrapping_add(header);
        let octets = Arc::make_mut(self.block.as_mut()?).get_mut(start..)?;
        *octets.first_mut()? = flags.octet();
        octets.get_mut(CHILDREN_AT..CHILDREN_AT.wrapping_add(WORD))?.copy_from_slice(&children.to_be_bytes());
        Some(before)
    }
}

/// What an update found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeSummary {
    pub rrsets: u8,
    pub children: u32,
}

/// A block taken apart.
#[derive(Debug, Clone, Copy, Default)]
struct Words<'p> {
    slots: usize,
    tags: &'p [[u8; WORD]],
    ends: &'p [[u8; WORD]],
    /// Without the room behind them.
    nodes: &'p [u8],
}

impl<'p> Words<'p> {
    #[inline]
    fn read(block: &'p [u8]) -> Option<Self> {
        let (&[entries0, entries1, slots0, slots1], rest) = block.split_first_chunk::<COUNTS>()?;
        let entries = usize::from(u16::from_be_bytes([entries0, entries1]));
        let slots = usize::from(u16::from_be_bytes([slots0, slots1]));
        let (tags, rest) = rest.split_at_checked(slots.wrapping_mul(WORD))?;
        let (ends, nodes) = rest.split_at_checked(slots.wrapping_mul(WORD))?;
        let mut words = Self { slots, tags: tags.as_chunks().0.get(..entries)?, ends: ends.as_chunks().0.get(..entries)?, nodes: &[] };
        words.nodes = nodes.get(..words.used())?;
        Some(words)
    }

    /// Octets of all nodes.
    #[inline]
    fn used(&self) -> usize {
        self.ends.last().map_or(0, |end| u32::from_be_bytes(*end) as usize)
    }

    #[inline]
    fn span(&self, index: usize) -> Option<(usize, usize)> {
        let end = u32::from_be_bytes(*self.ends.get(index)?);
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| u32::from_be_bytes(*end));
        Some((start as usize, end as usize))
    }

    #[inline]
    fn node(&self, index: usize, steered: &'p [Arc<Steered>]) -> Option<Node<'p>> {
        let (start, end) = self.span(index)?;
        Some(Node::new(self.nodes.get(start..end)?, steered))
    }
}

/// The index of the first tag equal to `tag`, from `from` on. Eight tags are compared at a time without a branch between them, which the
/// compiler turns into a few vector instructions.
#[inline]
fn from_index(tags: &[[u8; WORD]], from: usize, tag: [u8; WORD]) -> Option<usize> {
    let (groups, rest) = tags.get(from..)?.as_chunks::<8>();
    let wanted = u32::from_ne_bytes(tag);
    let mut at = from;
    for group in groups {
        if group.iter().fold(false, |any, candidate| any | (u32::from_ne_bytes(*candidate) == wanted)) {
            let within = group.iter().position(|candidate| *candidate == tag)?;
            return Some(at.wrapping_add(within));
        }
        at = at.wrapping_add(8);
    }
    rest.iter().position(|candidate| *candidate == tag).map(|within| at.wrapping_add(within))
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
pub struct PageBuilder {
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

    /// Appends a node of another block.
    pub fn copy(&mut self, tag: HashTag, node: Node<'_>) {
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

    /// The page. The builder is empty again, for the next one.
    pub fn finish(&mut self) -> Page {
        let entries = self.tags.len() / WORD;
        if entries == 0 {
            return Page::default();
        }
        let counts = counts_octets(entries, entries);
        let parts: [&[u8]; 4] = [&counts, &self.tags, &self.ends, &self.nodes];
        let block = Some(Arc::from(parts.concat()));
        let steered = (!self.steered.is_empty()).then(|| self.steered.drain(..).collect());
        self.tags.clear();
        self.ends.clear();
        self.nodes.clear();
        Page { block, steered }
    }
}

fn counts_octets(entries: usize, slots: usize) -> [u8; COUNTS] {
    let [entries0, entries1] = u16::try_from(entries).unwrap_or(u16::MAX).to_be_bytes();
    let [slots0, slots1] = u16::try_from(slots).unwrap_or(u16::MAX).to_be_bytes();
    [entries0, entries1, slots0, slots1]
}
