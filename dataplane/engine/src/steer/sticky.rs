//! Weighted rendezvous: a client keeps its value while the value is there, and a value that leaves takes only its own clients along. The algorithm and its test vectors
//! are in `docs/sticky.md`; whatever changes here moves every client of every sticky record.
//!
//! The site is drawn first and then a value in it, so that A and AAAA of one name lead a client to the same site. Everything is integer arithmetic: every build on every
//! machine, and so every node, agrees.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::picked::{Candidate, Picked};
use super::steered::{Steered, StickyValue};
use crate::location::address::Address;

/// FNV-1a, 64 bits (Fowler, Noll, Vo): mixes well once finished, and its state after the owner name can be kept.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// First bytes of what is hashed, so that a site and a value of the same octets differ.
const SITE_TAG: u8 = 1;
const VALUE_TAG: u8 = 2;

/// Lengths to which a client's address is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StickyPrefix {
    pub ipv4: u8,
    pub ipv6: u8,
}

impl Default for StickyPrefix {
    /// The networks that RFC 7871 §11.1 recommends resolvers to send.
    fn default() -> Self {
        Self { ipv4: 24, ipv6: 56 }
    }
}

impl StickyPrefix {
    /// The length for an address.
    pub fn length(self, addr: IpAddr) -> u8 {
        match addr {
            IpAddr::V4(_) => self.ipv4,
            IpAddr::V6(_) => self.ipv6,
        }
    }
}

fn fnv(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |state, &byte| (state ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
}

/// The finaliser of `MurmurHash3` (Appleby): each input bit changes each output bit with a chance of about one half.
fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

/// The part of the key that is the same for all clients; `owner` in lower-case wire form.
pub(super) fn owner_state(owner: &[u8]) -> u64 {
    fnv(FNV_OFFSET, owner)
}

/// Hash of a site's name.
pub(super) fn site_hash(name: &str) -> u64 {
    mix(fnv(fnv(FNV_OFFSET, &[SITE_TAG]), name.as_bytes()))
}

/// Hash of a value.
pub(super) fn value_hash(rdata: &[u8]) -> u64 {
    mix(fnv(fnv(FNV_OFFSET, &[VALUE_TAG]), rdata))
}

/// Hash of owner name, family, prefix length and network of a client.
pub(super) fn client_key(owner_state: u64, addr: IpAddr, prefix: StickyPrefix) -> u64 {
    let length = prefix.length(addr);
    mix(match addr {
        IpAddr::V4(addr) => fnv(fnv(owner_state, &[4, length]), &u32::from(addr).network(length).to_be_bytes()),
        IpAddr::V6(addr) => fnv(fnv(owner_state, &[6, length]), &u128::from(addr).network(length).to_be_bytes()),
    })
}

/// How far a site or a value is from winning: the client's draw for it, divided by its weight. Weight 0 comes after all others.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Score {
    cost: u64,
    hash: u64,
    weight: u64,
    /// Ranks those of weight 0 among each other.
    nominal: u64,
}

impl Score {
    /// Less is better. Fractions are compared by cross-multiplication, without rounding.
    fn compare(&self, other: &Self) -> Ordering {
        let (weight, other_weight) =
            if (self.weight, other.weight) == (0, 0) { (self.nominal, other.nominal) } else { (self.weight, other.weight) };
        let left = u128::from(self.cost).saturating_mul(other_weight.into());
        let right = u128::from(other.cost).saturating_mul(weight.into());
        left.cmp(&right).then(other.hash.cmp(&self.hash))
    }

    fn of(candidate: &Candidate) -> Self {
        Self { cost: candidate.cost, hash: candidate.hash, weight: candidate.weight, nominal: candidate.nominal.into() }
    }
}

/// Moves the `count` best candidates to the front: values of the best site first, best first within a site. `sites` is the number of sites of the pool.
pub(super) fn choose(steered: &Steered, key: u64, sites: usize, count: usize, picked: &mut Picked) {
    let Picked { candidates, sites: scores, .. } = picked;
    for candidate in &mut *candidates {
        candidate.hash = mix(key ^ steered.sticky(candidate.value).map_or(0, |value| value.value_hash));
        candidate.cost = cost(candidate.hash);
    }
    score_sites(steered, key, sites, candidates, scores);
    let site_of = |candidate: &Candidate| {
        let number = steered.sticky(candidate.value).and_then(|value| usize::try_from(value.site).ok());
        number.and_then(|number| scores.get(number)).copied().unwrap_or_default()
    };
    let compare = |a: &Candidate, b: &Candidate| {
        site_of(a).compare(&site_of(b)).then_with(|| Score::of(a).compare(&Score::of(b))).then(a.value.cmp(&b.value))
    };
    if count == 1 {
        let best = candidates.iter().enumerate().min_by(|(_, a), (_, b)| compare(a, b)).map(|(place, _)| place);
        if let Some(best) = best {
            candidates.swap(0, best);
        }
    } else {
        candidates.sort_unstable_by(compare);
    }
}

fn score_sites(steered: &Steered, key: u64, sites: usize, candidates: &[Candidate], scores: &mut Vec<Score>) {
    scores.clear();
    scores.resize(sites, Score::default());
    for candidate in candidates {
        let Some(StickyValue { site, site_hash, .. }) = steered.sticky(candidate.value) else { continue };
        if let Some(score) = scores.get_mut(*site as usize) {
            score.hash = *site_hash;
            score.weight = score.weight.saturating_add(candidate.weight);
            score.nominal = score.nominal.saturating_add(candidate.nominal.into());
        }
    }
    for score in scores.iter_mut().filter(|score| score.nominal > 0) {
        score.hash = mix(key ^ score.hash);
        score.cost = cost(score.hash);
    }
}

/// Entries of the logarithm's table, as a power of two. Linear interpolation between 257 points is off by at most 3e-6, and a share by no more: a chi-square
/// test would need a hundred billion clients to see it.
const TABLE_BITS: u32 = 8;
const TABLE_SIZE: usize = 1 << TABLE_BITS;

/// `LOG2[i]` = floor(2^32 log2(1 + i/256)).
static LOG2: [u64; TABLE_SIZE + 1] = make_table();

#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)] // evaluated by the compiler, which refuses what would overflow
const fn make_table() -> [u64; TABLE_SIZE + 1] {
    let mut table = [0; TABLE_SIZE + 1];
    table[TABLE_SIZE] = 1 << 32;
    let mut i = 0;
    while i < TABLE_SIZE {
        // One binary digit of the logarithm a squaring; x = 1 + i/256 in units of 2^-63.
        let mut x = (TABLE_SIZE as u128 + i as u128) << (63 - TABLE_BITS);
        let mut digits = 0;
        let mut digit = 0;
        while digit < 32 {
            x = (x * x) >> 63;
            digits <<= 1;
            if x >> 64 != 0 {
                x >>= 1;
                digits |= 1;
            }
            digit += 1;
        }
        table[i] = digits;
        i += 1;
    }
    table
}

/// -log2(hash / 2^64) in units of 2^-32, at least 1: exponentially distributed when the hash is uniform.
fn cost(hash: u64) -> u64 {
    let hash = hash.max(1);
    let zeros = hash.leading_zeros();
    // The mantissa without its leading one, at the top of 64 bits.
    let mantissa = hash.checked_shl(zeros.saturating_add(1)).unwrap_or(0);
    let entry = usize::try_from(mantissa >> (64 - TABLE_BITS)).unwrap_or(0);
    let fraction = (mantissa << TABLE_BITS) >> 32;
    let (low, high) = (LOG2.get(entry).copied().unwrap_or(0), LOG2.get(entry.saturating_add(1)).copied().unwrap_or(1 << 32));
    let log2_mantissa = low.saturating_add(high.saturating_sub(low).saturating_mul(fraction) >> 32);
    (u64::from(zeros).saturating_add(1) << 32).saturating_sub(log2_mantissa)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_close_to_the_true_one() {
        let mut hash = 1_u64;
        for _ in 0..100_000 {
            hash = mix(hash.wrapping_add(1));
            #[allow(clippy::cast_precision_loss)]
            let (ours, true_one) = (cost(hash) as f64 / 4_294_967_296.0, 64.0 - (hash as f64).log2());
            assert!((ours - true_one).abs() < 3e-6, "{hash}: {ours} {true_one}");
        }
    }

    /// Against floor(2^32 log2(1 + i/256)) computed with sixty decimal digits: three entries and the sum of all 257.
    #[test]
    fn the_table_is_the_one_in_the_docs() {
        assert_eq!((LOG2[1], LOG2[128], LOG2[255]), (24_157_254, 2_512_394_809, 4_282_853_258));
        assert_eq!(LOG2.iter().sum::<u64>(), 614_909_757_760);
    }

    #[test]
    fn the_logarithm_never_rises_with_the_hash_and_is_never_zero() {
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]).chain([u64::MAX - 1, u64::MAX]);
        let mut hashes: Vec<u64> = edges.chain((0..10_000).map(mix)).collect();
        hashes.sort_unstable();
        assert!(hashes.windows(2).all(|pair| cost(pair[0]) >= cost(pair[1])));
        assert_eq!((cost(u64::MAX), cost(0), cost(1 << 63)), (1, 64 << 32, 1 << 32));
    }
}
