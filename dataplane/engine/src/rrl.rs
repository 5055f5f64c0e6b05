//! Response rate limiting: how many UDP replies a client prefix gets, so that forged senders cannot turn this server against a third party.
//!
//! Every UDP reply counts alike, whatever its rcode or size: a limit per answer's content, as others have it, is evaded by asking for many names.
//! Nothing counts over TCP, behind a valid server cookie (RFC 7873 §5.2.4: the sender is where it says), or from the networks in `allow`. What is over
//! the limit is dropped, and every n-th time sent truncated and empty, so that a client behind a flooded prefix still gets its answer over TCP.
//!
//! The algorithm is the virtual scheduling form of a leaky bucket (ITU-T I.371, "GCRA"): a prefix's state is one time, at which all that it has got so
//! far would have been due at its rate. It may run ahead of the clock by the window. That fits one word, so one compare-and-swap charges it and no two
//! atomics have to agree. What is refused is not charged: a flood gets exactly its rate, and a prefix is free again when the flood ends.
//!
//! The table has a fixed size, made at start. A prefix belongs to one line of eight slots; in a line where all eight are in debt a newcomer takes over the
//! slot with the least, debt included (Metwally, Agrawal, El Abbadi, "Space-Saving", 2005). So collisions err toward limiting, never beyond what one slot
//! allows, and only for a prefix whose line is shared by eight others that asked within the last window. Two prefixes of a line whose tags are equal
//! (one pair in 131,072) share a budget. The hash is keyed by the caller's seed, so that nobody can aim.
//!
//! This owns no clock and no randomness: the caller passes monotonic milliseconds and the seed. Workers share the table, which is the one place where
//! two of them write one cache line; with limiting off it is never touched.

use core::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::acl::NetworkSet;
use crate::rng::{FastRng, Rng};

/// Lines of the table: 16,384 of 64 octets are 1 MiB, which stays in a cache. A prefix occupies a slot only while in debt, at most one window; 131,072
/// slots are enough for half a million prefixes a second.
const LINES: usize = 1 << LINE_BITS;
const LINE_BITS: u32 = 14;
const LINE_MASK: u64 = (1 << LINE_BITS) - 1;
/// Slots of a line: as many as a cache line holds.
const SLOTS: usize = 8;

/// A slot's word: 17 bits of hash, 7 bits that count what was limited, 40 bits of time.
const TIME_BITS: u32 = 40;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const LIMITED_BITS: u32 = 7;
const LIMITED_MASK: u64 = (1 << LIMITED_BITS) - 1;
const TAG_SHIFT: u32 = TIME_BITS + LIMITED_BITS;

/// Units of time are 1/4096 ms: fine enough that the interval between answers is within 2 % at the greatest rate, and the clock goes round in 3 days.
const UNIT_SHIFT: u32 = 12;
const UNITS_PER_SECOND: u64 = 1000 << UNIT_SHIFT;

/// Answers a second beyond which a limit protects nobody.
pub const MAX_RATE: u32 = 100_000;
/// Every hundredth is as good as never. Fits into `LIMITED_BITS`.
pub const MAX_SLIP: u8 = 100;

/// How far a prefix may run ahead: a quarter of a second's answers at once. A second's worth, which is usual, would let a short flood through at twice
/// its rate.
const WINDOW: u64 = UNITS_PER_SECOND / 4;
/// But at low rates these many, for one page makes a resolver ask for several names at once.
const LEAST_BURST: u64 = 5;

/// By how much workers' clocks may differ: they take the time once for a batch, and this is a long pause of one of them. What is ahead by more than the
/// window and this is no debt: it stems from a lower rate before, or from a round of the clock ago.
const CLOCK_SLACK: u64 = UNITS_PER_SECOND;

/// Lost races for one slot after which the reply counts as limited: so many others in the same instant are a flood.
const MOST_RACES: usize = 16;

/// A rate in the form that charging needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Units between two answers.
    interval: u64,
    /// Units by which a prefix may run ahead.
    window: u64,
}

impl Pace {
    /// `rate` answers a second; `None` for 0, and for what is beyond `MAX_RATE`.
    pub fn new(rate: u32) -> Option<Self> {
        if rate > MAX_RATE {
            return None;
        }
        let rate = u64::from(rate);
        let interval = UNITS_PER_SECOND.wrapping_add(rate / 2).checked_div(rate)?;
        Some(Self { interval, window: WINDOW.max(interval.wrapping_mul(LEAST_BURST)) })
    }
}

/// `rrl` of CONFIG, when its rate is above 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub pace: Pace,
    /// Every so manieth limited reply goes out truncated: 0 none, 1 each; at most `MAX_SLIP`.
    pub slip: u8,
    /// Lengths of the prefixes that share a budget.
    pub ipv4_prefix: u8,
    pub ipv6_prefix: u8,
    /// Networks that are never limited.
    pub allow: NetworkSet,
    /// Everything is judged and counted, and answered all the same.
    pub dry_run: bool,
}

impl Limits {
    /// The client's prefix as a number; IPv4 as the mapped addresses of IPv6, so that the families never meet.
    fn prefix_of(&self, client: IpAddr) -> u128 {
        let (bits, number, length) = match client {
            IpAddr::V4(addr) => (32_u32, u128::from(addr.to_ipv6_mapped()), self.ipv4_prefix),
            IpAddr::V6(addr) => (128, u128::from(addr), self.ipv6_prefix),
        };
        let host_bits = bits.saturating_sub(u32::from(length));
        number & u128::MAX.checked_shl(host_bits).unwrap_or(0)
    }
}

/// What becomes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is sent.
    Within,
    /// It is not sent.
    Drop,
    /// It is sent truncated and empty.
    Slip,
}

/// The budgets of all prefixes, shared by the workers.
#[derive(Debug)]
pub struct RateTable {
    lines: Box<[Line]>,
    keys: [u64; 4],
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; SLOTS]);

impl RateTable {
    /// An empty table. `seed` is 64 secret bits.
    pub fn new(seed: u64) -> Self {
        let mut keys = FastRng::from_seed(seed);
        Self { lines: (0..LINES).map(|_| Line::default()).collect(), keys: core::array::from_fn(|_| keys.next_u64()) }
    }

    /// Judges one UDP reply to `client` at monotonic `now_ms`, and charges it when it is within the limit. Workers' clocks may differ by what a batch
    /// takes.
    pub fn judge(&self, limits: &Limits, client: IpAddr, now_ms: u64) -> Verdict {
        let client = client.to_canonical();
        if limits.allow.contains(client) {
            return Verdict::Within;
        }
        let hash = self.hash(limits.prefix_of(client));
        let Some(line) = self.line(hash) else { return Verdict::Within };
        let tag = hash >> TAG_SHIFT;
        let now = (now_ms << UNIT_SHIFT) & TIME_MASK;
        for _ in 0..MOST_RACES {
            let (slot, seen) = line.find(tag, limits.pace, now);
            let (charged, verdict) = seen.charge(tag, limits, now);
            let is_settled = charged == seen || slot.compare_exchange_weak(seen.0, charged.0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            if is_settled {
                return verdict;
            }
        }
        Verdict::Drop
    }

    fn hash(&self, prefix: u128) -> u64 {
        let [k0, k1, k2, k3] = self.keys;
        fold(fold(low_half(prefix) ^ k0, high_half(prefix) ^ k1) ^ k2, k3)
    }

    /// The line that the low bits name: always one, for there are `LINES`.
    fn line(&self, hash: u64) -> Option<&Line> {
        self.lines.get(usize::try_from(hash & LINE_MASK).ok()?)
    }
}

impl Line {
    /// The slot with this tag, else the one with the least debt. Two workers may give one prefix two slots in the same instant; then the first is used
    /// from there on, and the other's debt runs out.
    fn find(&self, tag: u64, pace: Pace, now: u64) -> (&AtomicU64, Slot) {
        let [first, ..] = &self.0;
        let mut found = (first, Slot(first.load(Ordering::Relaxed)));
        let mut least = u64::MAX;
        for cell in &self.0 {
            let slot = Slot(cell.load(Ordering::Relaxed));
            if slot.tag() == tag {
                return (cell, slot);
            }
            let debt = slot.debt(now, pace);
            if debt < least {
                (found, least) = ((cell, slot), debt);
            }
        }
        found
    }
}

/// A slot's word. All zero, a slot is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot(u64);

impl Slot {
    fn tag(self) -> u64 {
        self.0 >> TAG_SHIFT
    }

    fn limited(self) -> u64 {
        (self.0 >> TIME_BITS) & LIMITED_MASK
    }

    /// Units by which the prefix is ahead of the clock, which goes round (serial number arithmetic as in RFC 1982). So once in three days the slot of a
    /// prefix that nobody asked from since looks in debt, for no longer than a second and a window; an empty one never does.
    fn debt(self, now: u64, pace: Pace) -> u64 {
        let ahead = self.0.wrapping_sub(now) & TIME_MASK;
        if self.0 == 0 || ahead > pace.window.wrapping_add(CLOCK_SLACK) { 0 } else { ahead }
    }

    /// The slot after one more reply for `tag`, and what becomes of the reply. The same slot when there is nothing to remember.
    fn charge(self, tag: u64, limits: &Limits, now: u64) -> (Self, Verdict) {
        let Pace { interval, window } = limits.pace;
        let after = self.debt(now, limits.pace).wrapping_add(interval);
        if after <= window {
            let limited = if self.tag() == tag { self.limited() } else { 0 };
            return (Self::pack(tag, limited, now.wrapping_add(after)), Verdict::Within);
        }
        let limited = self.limited().wrapping_add(1);
        match u64::from(limits.slip) {
            0 => (self, Verdict::Drop),
            1 => (self, Verdict::Slip),
            slip if limited >= slip => (Self::pack(tag, 0, self.0), Verdict::Slip),
            _ => (Self::pack(tag, limited, self.0), Verdict::Drop),
        }
    }

    fn pack(tag: u64, limited: u64, time: u64) -> Self {
        Self((tag << TAG_SHIFT) | ((limited & LIMITED_MASK) << TIME_BITS) | (time & TIME_MASK))
    }
}

/// The two halves of a product over each other: every bit of both factors reaches every bit of the result.
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left).wrapping_mul(u128::from(right));
    low_half(product) ^ high_half(product)
}

#[allow(clippy::cast_possible_truncation)] // the truncation is the meaning
fn low_half(number: u128) -> u64 {
    number as u64
}

#[allow(clippy::cast_possible_truncation)] // at most 64 bits are left after the shift
fn high_half(number: u128) -> u64 {
    (number >> 64) as u64
}

#[cfg(test)]
mod tests;
