//! A name made ready for lookups: case folded (RFC 4343 §3), its labels located, and a hash for every suffix of whole labels.
//!
//! One pass from the root leftwards yields the hashes of the name and of all its ancestors, so that finding the zone, the owner name, its
//! closest encloser and the wildcard below it costs one hashing of the name. The hash is keyed with a seed that the owner of the zones
//! draws, so that nobody can write a zone whose owner names all meet in one bucket.

use std::fmt;

use crate::name::{MAX_LABELS, MAX_NAME, Name};

/// Names are hashed eight octets at a time and read past their end by up to seven (the excess is masked away).
const PADDED: usize = MAX_NAME + 9;
/// Suffixes of the longest name: 0 to 127 labels.
const SUFFIXES: usize = MAX_LABELS + 1;

/// A folded name with the hashes of its suffixes. Reused from query to query; about 1.4 KiB.
#[derive(Clone)]
pub struct NameKey {
    bytes: [u8; PADDED],
    length: usize,
    labels: usize,
    /// Offset of each label from the left; the one after the last is the root label's.
    starts: [u8; SUFFIXES],
    /// By number of labels in the suffix.
    hashes: [u64; SUFFIXES],
}

impl NameKey {
    /// The root under seed 0; `set` makes it anything else.
    pub fn new() -> Self {
        Self { bytes: [0; PADDED], length: 1, labels: 0, starts: [0; SUFFIXES], hashes: [hash_root(0); SUFFIXES] }
    }

    /// Becomes the key of `name`.
    pub fn set(&mut self, name: Name<'_>, seed: u64) {
        let wire = name.wire();
        self.length = wire.len().min(MAX_NAME);
        // Length octets are at most 63 and fold to themselves, so the whole name is folded blindly.
        for (folded, octet) in self.bytes.iter_mut().zip(wire) {
            *folded = octet.to_ascii_lowercase();
        }
        self.locate_labels();
        self.hash_suffixes(seed);
    }

    fn locate_labels(&mut self) {
        let mut at = 0_u8;
        self.labels = 0;
        for start in &mut self.starts {
            *start = at;
            match self.bytes.get(usize::from(at)) {
                None | Some(0) => break,
                Some(&length) => at = at.wrapping_add(length).wrapping_add(1), // below 255 in a checked name
            }
            self.labels = self.labels.wrapping_add(1);
        }
    }

    fn hash_suffixes(&mut self, seed: u64) {
        let mut hash = hash_root(seed);
        let starts = self.starts.get(..self.labels).unwrap_or(&[]);
        let [root, above @ ..] = &mut self.hashes;
        *root = hash;
        for (&start, slot) in starts.iter().rev().zip(above) {
            hash = hash_padded_label(hash, &self.bytes, usize::from(start));
            *slot = hash;
        }
    }

    /// The folded name.
    pub fn name(&self) -> Name<'_> {
        self.suffix(self.labels)
    }

    /// Labels, the root label not counted.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// Offset at which the suffix of `labels` labels begins.
    #[inline]
    pub fn start(&self, labels: usize) -> usize {
        self.labels.checked_sub(labels).and_then(|index| self.starts.get(index)).map_or(0, |&start| usize::from(start))
    }

    /// The last `labels` labels; the whole name when it has no more.
    pub fn suffix(&self, labels: usize) -> Name<'_> {
        self.bytes.get(self.start(labels)..self.length).map_or(Name::ROOT, Name::from_checked)
    }

    /// The octets of the name from `from` to `to`, offsets as `start` gives them.
    #[inline]
    pub fn octets(&self, from: usize, to: usize) -> &[u8] {
        self.bytes.get(from..to).unwrap_or(&[])
    }

    /// The hash of the last `labels` labels.
    #[inline]
    pub fn hash(&self, labels: usize) -> u64 {
        self.hashes.get(labels).copied().unwrap_or(0)
    }
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameKey({})", self.name())
    }
}

impl Default for NameKey {
    fn default() -> Self {
        Self::new()
    }
}

/// The hash of the name that `label`, lower-case, makes in front of the name hashed to `parent`.
pub fn hash_label(parent: u64, label: &[u8]) -> u64 {
    let mut padded = [0_u8; 72];
    if let Some((length, octets)) = padded.split_first_mut() {
        for (slot, octet) in octets.iter_mut().zip(label.iter().take(63)) {
            *slot = *octet;
            *length = length.wrapping_add(1);
        }
    }
    hash_padded_label(parent, &padded, 0)
}

fn hash_root(seed: u64) -> u64 {
    mix(seed ^ 0x243f_6a88_85a3_08d3)
}

/// Hashes the label at `start` with its length octet; at least seven octets must follow it in `bytes`.
#[inline]
fn hash_padded_label(parent: u64, bytes: &[u8], start: usize) -> u64 {
    let mut hash = parent;
    let mut left = usize::from(bytes.get(start).copied().unwrap_or(0)).wrapping_add(1);
    let mut at = start;
    while left > 8 {
        hash = mix(hash ^ load(bytes, at));
        at = at.wrapping_add(8);
        left = left.wrapping_sub(8);
    }
    // 1 to 8 octets are left; the shift is 56 down to 0.
    let excess = 64_usize.wrapping_sub(left.wrapping_mul(8));
    mix(hash ^ ((load(bytes, at) << (excess & 63)) >> (excess & 63)))
}

#[inline]
fn load(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// One round: a 64 x 64 bit multiplication folded onto itself (the step of wyhash and its kin), which spreads every input bit over the
/// whole result; the constant is an odd number without pattern (the fraction of the golden ratio).
#[inline]
fn mix(value: u64) -> u64 {
    let [low, high] = widening_halves(value ^ 0xa076_1d64_78bd_642f);
    low ^ high
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // the halves are what is wanted
fn widening_halves(value: u64) -> [u64; 2] {
    let product = u128::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [product as u64, (product >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn key(wire: &[u8]) -> NameKey {
        let mut key = NameKey::new();
        key.set(Name::from_wire(wire).unwrap(), 42);
        key
    }

    #[test]
    fn suffixes_are_located_and_folded() {
        let key = key(b"\x03WwW\x07ExAmple\x03cOm\x00");
        assert_eq!(key.labels(), 3);
        assert_eq!(key.name().to_string(), "www.example.com.");
        assert_eq!(key.suffix(2).to_string(), "example.com.");
        assert_eq!(key.suffix(0).to_string(), ".");
        assert_eq!(key.octets(0, key.start(2)), b"\x03www");
    }

    #[test]
    fn suffix_hash_is_the_hash_of_the_suffix_as_a_name() {
        let long = key(b"\x03www\x10sixteen-letters.\x0fexamples-galore\x07example\x03com\x00");
        let short = key(b"\x07EXAMPLE\x03com\x00");
        assert_eq!(long.hash(2), short.hash(2));
        assert_eq!(hash_label(long.hash(4), b"www"), long.hash(5));
        assert_eq!(hash_label(long.hash(3), b"sixteen-letters."), long.hash(4));
        assert_ne!(long.hash(2), long.hash(1));
    }

    #[test]
    fn hash_depends_on_where_labels_end() {
        assert_ne!(key(b"\x02ab\x01c\x00").hash(2), key(b"\x01a\x02bc\x00").hash(2));
    }

    #[test]
    fn low_and_high_halves_of_sequential_names_are_spread() {
        let mut low = HashSet::new();
        let mut buckets = [0_u32; 64];
        for number in 0..20_000 {
            let text = format!("n{number}");
            let mut wire = vec![u8::try_from(text.len()).unwrap()];
            wire.extend_from_slice(text.as_bytes());
            wire.extend_from_slice(b"\x07example\x00");
            let hash = key(&wire).hash(2);
            low.insert(hash & 0xffff_ffff);
            buckets[usize::try_from(hash & 63).unwrap()] += 1;
        }
        assert!(low.len() > 19_990, "{}", low.len());
        assert!(buckets.iter().all(|&count| (220..410).contains(&count)), "{buckets:?}");
    }

    #[test]
    fn name_of_127_labels_has_127_suffixes() {
        let mut wire = [1_u8, b'x'].repeat(127);
        wire.push(0);
        let key = key(&wire);
        assert_eq!(key.labels(), 127);
        assert_eq!(key.suffix(1).to_string(), "x.");
    }
}
