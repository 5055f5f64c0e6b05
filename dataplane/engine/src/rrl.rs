//! Response rate limiting by client prefix: a server that answers forged senders must not become somebody's flood. Only UDP is limited, because a
//! TCP client has shown where it is; so has one with a good cookie. A limited client gets nothing, or every `slip`-th time an empty reply with TC,
//! so that a real client behind a flooded prefix still comes through over TCP.
//!
//! The table has a fixed size and is shared by all workers: the one cache line on the query path that two of them may write. It is judged before
//! the lookup, so that a flood costs less than its answers would.
//!
//! ```text
//!   within the rate  -> answered
//!   above it         -> every slip-th: truncated; else: dropped (dry run: answered, and counted as what would have happened)
//! ```

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::acl::NetworkSet;

/// Sets of four entries; 65,536 client prefixes at once take 512 KiB. A flood from more prefixes than that pushes entries out and is then limited
/// less: the table errs towards answering.
const SETS: usize = 16_384;
const WAYS: usize = 4;
/// Attempts to count against other workers doing the same; after that the query counts for nothing, which a busy prefix does not notice.
const ATTEMPTS: usize = 4;
/// The default prefix lengths: what one customer commonly holds, and what a forger cannot tell apart from it.
const DEFAULT_PREFIXES: (u8, u8) = (24, 56);
/// Every second limited reply is truncated and not dropped, as BIND and Knot have it by default or in their examples.
const DEFAULT_SLIP: u32 = 2;

/// What is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// Replies a second and client prefix, at least 1.
    pub rate: u16,
    /// 0 = never truncate, 1 = always, n = every n-th.
    pub slip: u32,
    pub ipv4_prefix: u8,
    pub ipv6_prefix: u8,
    /// Client networks that are never limited.
    pub exempt: NetworkSet,
    /// Judge and count, and answer nevertheless.
    pub dry_run: bool,
}

impl RateLimits {
    /// Limits with the default slip and prefixes.
    pub fn new(rate: u16) -> Self {
        let (ipv4_prefix, ipv6_prefix) = DEFAULT_PREFIXES;
        Self { rate, slip: DEFAULT_SLIP, ipv4_prefix, ipv6_prefix, exempt: NetworkSet::default(), dry_run: false }
    }
}

/// What to do with a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateVerdict {
    Within,
    /// Above the rate: an empty reply with TC.
    Slip,
    /// Above the rate: no reply.
    Drop,
}

/// Limits and the counts that they are held against.
pub struct RateLimiter {
    limits: RateLimits,
    seed: u64,
    entries: Box<[[AtomicU64; WAYS]]>,
}

impl RateLimiter {
    /// An empty table; `seed` is drawn at random, so that nobody can aim at another prefix's entry.
    pub fn new(limits: RateLimits, seed: u64) -> Self {
        let entries = std::iter::repeat_with(|| [const { AtomicU64::new(0) }; WAYS]).take(SETS).collect();
        Self { limits, seed, entries }
    }

    /// What is allowed.
    pub fn limits(&self) -> &RateLimits {
        &self.limits
    }

    /// Counts a query from `client` (an IPv4-mapped address as IPv4) at unix time `now_s` and judges it.
    pub fn judge(&self, client: IpAddr, now_s: u32) -> RateVerdict {
        if !self.limits.exempt.is_empty() && self.limits.exempt.contains(client) {
            return RateVerdict::Within;
        }
        let excess = self.count(client, now_s).saturating_sub(u32::from(self.limits.rate));
        match (excess, self.limits.slip) {
            (0, _) => RateVerdict::Within,
            (_, 0) => RateVerdict::Drop,
            (excess, slip) if excess.checked_rem(slip) == Some(0) => RateVerdict::Slip,
            (_, _) => RateVerdict::Drop,
        }
    }

    /// Queries of the client's prefix in this second, this one included.
    fn count(&self, client: IpAddr, now_s: u32) -> u32 {
        let hash = self.hash(client);
        let Some(set) = usize::try_from(hash).ok().and_then(|hash| self.entries.get(hash % SETS)) else { return 1 };
        let fresh = Entry { tag: Entry::tag_of(hash), second: Entry::second_of(now_s), count: 1 };
        for _ in 0..ATTEMPTS {
            let Some((slot, old)) = choose(set, fresh) else { return 1 };
            let same = Entry::unpack(old);
            let new = if same.tag == fresh.tag && same.second == fresh.second { same.counted() } else { fresh };
            // Nothing else is published by this number, so no ordering is needed.
            if slot.compare_exchange(old, new.pack(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return new.count;
            }
        }
        1
    }

    fn hash(&self, client: IpAddr) -> u64 {
        let (number, kept, family) = match client {
            IpAddr::V4(addr) => (u128::from(u32::from(addr)) << 96, self.limits.ipv4_prefix, 4_u64),
            IpAddr::V6(addr) => (u128::from(addr), self.limits.ipv6_prefix, 6),
        };
        let prefix = number & !u128::MAX.checked_shr(u32::from(kept)).unwrap_or(0);
        let [high, low] = [prefix >> 64, prefix].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
        mix(mix(self.seed ^ family ^ high) ^ low)
    }
}

impl PartialEq for RateLimiter {
    /// Two limiters that allow the same are the same to whoever compares settings; counts pass.
    fn eq(&self, other: &Self) -> bool {
        self.limits == other.limits
    }
}

impl Eq for RateLimiter {}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.limits.fmt(f)
    }
}

/// The entry of the prefix, or the one that it may take: an old one first, else the least busy.
fn choose(set: &[AtomicU64; WAYS], wanted: Entry) -> Option<(&AtomicU64, u64)> {
    let loaded = set.iter().map(|slot| (slot, slot.load(Ordering::Relaxed)));
    loaded.min_by_key(|(_, packed)| {
        let entry = Entry::unpack(*packed);
        match (entry.tag == wanted.tag, entry.second == wanted.second) {
            (true, _) => (0, 0),
            (false, false) => (1, 0),
            (false, true) => (2, entry.count),
        }
    })
}

/// One client prefix, packed into 64 bits: 28 of its hash, 12 of the second, 24 of the count.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u64,
    second: u64,
    count: u32,
}

impl Entry {
    const MAX_COUNT: u32 = 0x00ff_ffff;

    fn tag_of(hash: u64) -> u64 {
        hash >> 36
    }

    fn second_of(now_s: u32) -> u64 {
        u64::from(now_s & 0xfff)
    }

    fn unpack(packed: u64) -> Self {
        let count = u32::try_from(packed & u64::from(Self::MAX_COUNT)).unwrap_or(Self::MAX_COUNT);
        Self { tag: packed >> 36, second: (packed >> 24) & 0xfff, count }
    }

    fn pack(self) -> u64 {
        (self.tag << 36) | (self.second << 24) | u64::from(self.count)
    }

    fn counted(self) -> Self {
        Self { count: self.count.saturating_add(1).min(Self::MAX_COUNT), ..self }
    }
}

/// A round of multiplication and folding, as the hashes of names use it.
fn mix(value: u64) -> u64 {
    let product = u128::from(value ^ 0xa076_1d64_78bd_642f).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let [high, low] = [product >> 64, product].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
    high ^ low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Prefix;

    fn verdicts(limiter: &RateLimiter, client: &str, now_s: u32, count: usize) -> [usize; 3] {
        let mut tally = [0; 3];
        for _ in 0..count {
            match limiter.judge(client.parse().unwrap(), now_s) {
                RateVerdict::Within => tally[0] += 1,
                RateVerdict::Slip => tally[1] += 1,
                RateVerdict::Drop => tally[2] += 1,
            }
        }
        tally
    }

    #[test]
    fn prefix_is_held_to_its_rate_each_second_and_others_are_not() {
        let limiter = RateLimiter::new(RateLimits::new(10), 1);
        assert_eq!(verdicts(&limiter, "192.0.2.1", 100, 10), [10, 0, 0]);
        assert_eq!(verdicts(&limiter, "192.0.2.200", 100, 100), [0, 50, 50], "the same /24");
        assert_eq!(verdicts(&limiter, "192.0.3.1", 100, 10), [10, 0, 0]);
        assert_eq!(verdicts(&limiter, "2001:db8:0:1ff::1", 100, 11), [10, 0, 1]);
        assert_eq!(verdicts(&limiter, "2001:db8:0:100::1", 100, 1), [0, 1, 0], "the same /56");
        assert_eq!(verdicts(&limiter, "2001:db8:0:200::1", 100, 10), [10, 0, 0]);
        assert_eq!(verdicts(&limiter, "192.0.2.1", 101, 12), [10, 1, 1]);
    }

    #[test]
    fn slip_cases() {
        for (slip, wanted) in [(0, [5, 0, 60]), (1, [5, 60, 0]), (2, [5, 30, 30]), (3, [5, 20, 40])] {
            let limiter = RateLimiter::new(RateLimits { slip, ..RateLimits::new(5) }, 1);
            assert_eq!(verdicts(&limiter, "192.0.2.1", 7, 65), wanted, "slip {slip}");
        }
    }

    #[test]
    fn exempt_networks_are_never_limited() {
        let exempt = NetworkSet::new(&[Prefix { addr: "192.0.2.0".parse().unwrap(), length: 24 }]);
        let limiter = RateLimiter::new(RateLimits { exempt, ..RateLimits::new(1) }, 1);
        assert_eq!(verdicts(&limiter, "192.0.2.1", 7, 100), [100, 0, 0]);
    }

    #[test]
    fn flood_from_a_hundred_thousand_prefixes_does_not_touch_a_quiet_client() {
        let limiter = RateLimiter::new(RateLimits::new(5), 1);
        for number in 0..100_000_u32 {
            limiter.judge(IpAddr::from((0x0a00_0000 + number * 256).to_be_bytes()), 7);
        }
        assert_eq!(verdicts(&limiter, "192.0.2.1", 7, 5), [5, 0, 0]);
    }

    #[test]
    fn workers_count_together() {
        let limiter = RateLimiter::new(RateLimits { slip: 0, ..RateLimits::new(1000) }, 1);
        let within: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| verdicts(&limiter, "192.0.2.1", 7, 10_000)[0])).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        // A query that loses the race four times over is answered and not counted.
        assert!((1000..1200).contains(&within), "{within}");
    }
}
