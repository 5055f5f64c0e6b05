//! Addresses to values as sorted, gapless ranges: the one structure behind location tables, rule maps and CIDR lists.
//!
//! A lookup costs one read of a small index of buckets and a binary search within one bucket; it also yields the longest-lived thing one can say about the
//! result: the length of the shortest prefix around the address that lies wholly in its range.

use std::hint::black_box;

use super::address::Address;

/// Ranges a bucket of the index, as a power of two. With four to eight of them, the binary search stays within one or two cache lines, and the index adds a byte
/// a range: 256 KiB for a country database of 300,000 ranges, which a second-level cache holds.
const BUCKET_FILL_BITS: u32 = 2;

/// The most buckets, as a power of two: 4 MiB, for the millions of ranges of a city database.
const MAX_BUCKET_BITS: u32 = 20;

/// The whole address space cut into ranges, each with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeMap<A, V> {
    /// Ascending; the first is the lowest address.
    starts: Box<[A]>,
    values: Box<[V]>,
    /// `index[b]` is the range that holds the first address of bucket b; one more entry than there are buckets.
    index: Box<[u32]>,
    /// The first address of bucket 0: the end of range 0, so that no bucket is spent on the empty bottom of the address space.
    base: A,
    shift: u8,
}

/// Why ranges do not make a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeFault {
    /// No range, or as many starts as values are not there.
    Count,
    /// The first range does not start at the lowest address.
    Start,
    /// Starts do not ascend.
    Order,
}

impl<A: Address, V: Copy> RangeMap<A, V> {
    /// One value for every address.
    pub fn uniform(value: V) -> Self {
        Self { starts: Box::new([A::default()]), values: Box::new([value]), index: Box::new([0, 0]), base: A::default(), shift: 0 }
    }

    /// A map of ranges that begin at `starts`.
    ///
    /// # Errors
    /// The first fault found; nothing of the input is believed.
    pub fn new(starts: Vec<A>, values: Vec<V>) -> Result<Self, RangeFault> {
        if starts.is_empty() || starts.len() != values.len() || u32::try_from(starts.len()).is_err() {
            return Err(RangeFault::Count);
        }
        if starts.first() != Some(&A::default()) {
            return Err(RangeFault::Start);
        }
        if !starts.is_sorted_by(|a, b| a < b) {
            return Err(RangeFault::Order);
        }
        let base = starts.get(1).copied().unwrap_or_default();
        let last = starts.last().copied().unwrap_or_default();
        let shift = bucket_shift(base, last, starts.len());
        let index = build_index(&starts, base, last, shift);
        Ok(Self { starts: starts.into(), values: values.into(), index, base, shift })
    }

    /// Number of ranges.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Never true: a map covers every address.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Memory that the map takes, without the map itself.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.starts).saturating_add(size_of_val(&*self.values)).saturating_add(size_of_val(&*self.index))
    }

    /// True when every address has the same value.
    pub fn is_uniform(&self) -> bool {
        self.starts.len() == 1
    }

    /// First addresses of the ranges.
    pub fn starts(&self) -> &[A] {
        &self.starts
    }

    /// Values of the ranges.
    pub fn values(&self) -> &[V] {
        &self.values
    }

    /// The bucket of an address that is not below `base`.
    fn bucket(&self, addr: A) -> usize {
        addr.bucket(self.base, self.shift).min(self.index.len().saturating_sub(2))
    }

    /// The range that holds the first address of a bucket.
    fn first_range(&self, bucket: usize) -> usize {
        self.index.get(bucket).map_or(0, |&range| range as usize)
    }

    /// Fetches what says where the range of an address is (`ahead`).
    pub fn fetch_index(&self, addr: A) {
        black_box(self.first_range(self.bucket(addr)));
    }

    /// Fetches the range: few lie in a bucket, so it is in the line of the first or in the one behind.
    pub fn fetch_range(&self, addr: A) {
        let range = self.first_range(self.bucket(addr));
        black_box((self.starts.get(range).copied(), self.values.get(range).copied()));
    }

    /// The range that holds the address.
    fn find(&self, addr: A) -> usize {
        if addr < self.base {
            return 0;
        }
        let bucket = self.bucket(addr);
        let low = self.first_range(bucket);
        let above = low.saturating_add(1);
        let candidates = self.starts.get(above..=self.first_range(bucket.saturating_add(1))).unwrap_or_default();
        low.saturating_add(candidates.partition_point(|&start| start <= addr))
    }

    /// The value of the address, and the length of the shortest prefix around it that lies in the same range.
    pub fn look_up(&self, addr: A) -> Option<(V, u8)> {
        let range = self.find(addr);
        let value = self.values.get(range)?;
        Some((*value, self.prefix_length(range, addr)))
    }

    /// The value of the address, and the last address of its range.
    pub fn stretch(&self, addr: A) -> Option<(V, A)> {
        let range = self.find(addr);
        let next = self.starts.get(range.saturating_add(1)).and_then(|start| start.before());
        Some((*self.values.get(range)?, next.unwrap_or(A::LAST)))
    }

    /// The value of the address.
    pub fn get(&self, addr: A) -> Option<V> {
        self.values.get(self.find(addr)).copied()
    }

    /// Prefixes around an address are nested, and each is an interval. One therefore leaves the range exactly when it holds the last
    /// address before the range or the first one after it, so the shortest that does not is one bit longer than what the address shares
    /// with the nearer of these two.
    fn prefix_length(&self, range: usize, addr: A) -> u8 {
        let below = self.starts.get(range).and_then(|start| start.before());
        let above = self.starts.get(range.saturating_add(1)).copied();
        let beyond = |outside: Option<A>| outside.map_or(0, |outside| outside.common_bits(addr).saturating_add(1));
        beyond(below).max(beyond(above))
    }
}

/// The shift that spreads the span between the first and the last boundary over about as many buckets as there are ranges.
fn bucket_shift<A: Address>(base: A, last: A, ranges: usize) -> u8 {
    // At least two buckets: then a shift below the width of an address always is enough.
    let wanted = ranges.ilog2().saturating_sub(BUCKET_FILL_BITS).clamp(1, MAX_BUCKET_BITS);
    (0..A::BITS).find(|&shift| last.bucket(base, shift).checked_shr(wanted).unwrap_or(0) == 0).unwrap_or_default()
}

fn build_index<A: Address>(starts: &[A], base: A, last: A, shift: u8) -> Box<[u32]> {
    let buckets = last.bucket(base, shift).saturating_add(1);
    let mut index = Vec::with_capacity(buckets.saturating_add(1));
    let mut range = 0_usize;
    for bucket in 0..buckets {
        let first = A::bucket_start(base, bucket, shift).unwrap_or(A::LAST);
        while starts.get(range.saturating_add(1)).is_some_and(|&start| start <= first) {
            range = range.saturating_add(1);
        }
        index.push(u32::try_from(range).unwrap_or(u32::MAX));
    }
    index.push(u32::try_from(starts.len().saturating_sub(1)).unwrap_or(u32::MAX));
    index.into()
}

/// Collects ranges from the lowest address upwards; neighbours with equal values become one.
#[derive(Debug)]
pub struct RangeMapBuilder<A, V> {
    starts: Vec<A>,
    values: Vec<V>,
}

impl<A: Address, V: Copy + PartialEq> RangeMapBuilder<A, V> {
    /// A builder in which every address has `value` until something else is said.
    pub fn new(value: V) -> Self {
        Self { starts: vec![A::default()], values: vec![value] }
    }

    /// From `start` upwards the value is `value`. `start` must not be below an earlier one; at the same start the later word counts.
    pub fn push(&mut self, start: A, value: V) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    /// The map.
    ///
    /// # Errors
    /// When starts did not ascend.
    pub fn finish(self) -> Result<RangeMap<A, V>, RangeFault> {
        let Self { mut starts, mut values } = self;
        starts.shrink_to_fit();
        values.shrink_to_fit();
        RangeMap::new(starts, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{FastRng, Rng};

    fn random_map(rng: &mut FastRng, ranges: u64, low_bits: u32) -> (Vec<u32>, RangeMap<u32, u16>) {
        let mut starts: Vec<u32> = (0..ranges).map(|_| u32::try_from(rng.next_u64() >> (64 - low_bits)).unwrap()).collect();
        starts.push(0);
        starts.sort_unstable();
        starts.dedup();
        let values = (0..u16::try_from(starts.len()).unwrap()).collect();
        (starts.clone(), RangeMap::new(starts, values).unwrap())
    }

    #[test]
    fn finds_the_range_of_every_address() {
        let mut rng = FastRng::from_seed(1);
        for ranges in [0, 1, 2, 7, 300, 5_000] {
            for low_bits in [8, 16, 24, 32] {
                let (starts, map) = random_map(&mut rng, ranges, low_bits);
                let near_boundaries = starts.iter().flat_map(|&start| [start.wrapping_sub(1), start, start.wrapping_add(1)]);
                let anywhere: Vec<u32> = (0..1_000).map(|_| u32::try_from(rng.next_u64() >> 32).unwrap()).collect();
                for addr in near_boundaries.chain(anywhere) {
                    let expected = starts.iter().rposition(|&start| start <= addr).unwrap();
                    assert_eq!(usize::from(map.get(addr).unwrap()), expected, "{addr} in {ranges} ranges of {low_bits} bits");
                }
            }
        }
    }

    #[test]
    fn prefix_is_the_shortest_inside_the_range() {
        let mut rng = FastRng::from_seed(2);
        let (starts, map) = random_map(&mut rng, 40, 16);
        for addr in 0..=u32::from(u16::MAX) {
            let (value, length) = map.look_up(addr).unwrap();
            let uniform = |length: u8| {
                let first = starts.iter().rposition(|&start| start <= addr.network(length)).unwrap();
                let last = starts.iter().rposition(|&start| start <= addr.broadcast(length)).unwrap();
                first == last
            };
            let shortest = (0..=32).find(|&length| uniform(length)).unwrap();
            assert_eq!((usize::from(value), length), (starts.iter().rposition(|&start| start <= addr).unwrap(), shortest), "{addr}");
        }
    }

    #[test]
    fn one_range_needs_no_prefix() {
        assert_eq!(RangeMap::<u32, u8>::uniform(7).look_up(0), Some((7, 0)));
        assert_eq!(RangeMap::<u128, u8>::uniform(7).look_up(u128::MAX), Some((7, 0)));
    }

    #[test]
    fn ipv6_ranges_up_to_single_addresses() {
        let starts = vec![0, 0x2001_0db8 << 96, (0x2001_0db8 << 96) | 5, (0x2001_0db8 << 96) | 6, u128::MAX];
        let map = RangeMap::new(starts, vec![0_u8, 1, 2, 3, 4]).unwrap();
        assert_eq!(map.look_up((0x2001_0db8 << 96) | 5), Some((2, 128)));
        assert_eq!(map.look_up((0x2001_0db8 << 96) | 4), Some((1, 128)));
        assert_eq!(map.look_up(0x2001_0db8 << 96), Some((1, 126)));
        assert_eq!(map.look_up(u128::MAX), Some((4, 128)));
        assert_eq!(map.look_up(0), Some((0, 3)));
        assert_eq!(map.look_up(0x4000 << 112), Some((3, 2)));
    }

    #[test]
    fn builder_merges_equal_neighbours() {
        let mut builder = RangeMapBuilder::<u32, u8>::new(0);
        for (start, value) in [(0, 0), (10, 1), (20, 1), (30, 2), (30, 1), (40, 0)] {
            builder.push(start, value);
        }
        let map = builder.finish().unwrap();
        assert_eq!((map.starts(), map.values()), (&[0, 10, 40][..], &[0, 1, 0][..]));
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(RangeMap::<u32, u8>::new(vec![], vec![]), Err(RangeFault::Count));
        assert_eq!(RangeMap::<u32, u8>::new(vec![0, 1], vec![0]), Err(RangeFault::Count));
        assert_eq!(RangeMap::<u32, u8>::new(vec![1], vec![0]), Err(RangeFault::Start));
        assert_eq!(RangeMap::<u32, u8>::new(vec![0, 5, 5], vec![0, 1, 2]), Err(RangeFault::Order));
    }
}
