//! Linear hashing (Litwin, 1980) over a `SharedVec`: the table grows by splitting one bucket at a time, so no insertion ever pays for a rehash
//! of everything, and a copy of the table shares all buckets that were not touched. What is in a bucket is the bucket's own business.

use super::shared_vec::SharedVec;

/// The part of a hash that entries keep: enough for four billion buckets, and a filter inside the bucket.
pub type HashTag = u32;

/// A handful of entries that know their tags.
pub trait Bucket: Clone + Default {
    /// Entries per bucket on average, above which another bucket is added.
    const LOAD: usize;

    /// Takes out the entries whose tag satisfies `leaves`.
    fn split(&mut self, leaves: impl Fn(HashTag) -> bool) -> Self;

    /// Takes over all entries of `other`.
    fn absorb(&mut self, other: Self);
}

/// A hash table of buckets.
#[derive(Debug, Clone)]
pub struct Buckets<B> {
    buckets: SharedVec<B>,
    entries: usize,
}

impl<B: Bucket> Buckets<B> {
    /// Without entries; the one bucket is empty.
    pub fn new() -> Self {
        let mut buckets = SharedVec::new();
        buckets.push(B::default());
        Self { buckets, entries: 0 }
    }

    /// With `buckets`, at least one, in each of which is what `index_of` says, and `entries` in all.
    pub fn of(buckets: SharedVec<B>, entries: usize) -> Self {
        Self { buckets, entries }
    }

    /// Number of entries, as `entry_added` and `entry_removed` were told.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// The bucket in which an entry with this tag would be.
    #[inline]
    pub fn bucket(&self, tag: HashTag) -> Option<&B> {
        self.buckets.get(index_of(tag, self.buckets.len()))
    }

    /// The same, to be changed.
    pub fn bucket_mut(&mut self, tag: HashTag) -> Option<&mut B> {
        let index = index_of(tag, self.buckets.len());
        self.buckets.get_mut(index)
    }

    /// All buckets.
    pub fn iter(&self) -> impl Iterator<Item = &B> {
        self.buckets.iter()
    }

    /// An entry was put into its bucket.
    pub fn entry_added(&mut self) {
        self.entries = self.entries.wrapping_add(1);
        if self.entries > self.buckets.len().saturating_mul(B::LOAD) {
            self.split_next();
        }
    }

    /// An entry was taken out of its bucket. The table shrinks at half the load, so that it does not swing at the border.
    pub fn entry_removed(&mut self) {
        self.entries = self.entries.saturating_sub(1);
        if self.buckets.len() > 1 && self.entries < self.buckets.len().saturating_mul(B::LOAD) / 2 {
            self.join_last();
        }
    }

    fn split_next(&mut self) {
        let new = self.buckets.len();
        let Some(source) = self.buckets.get_mut(sibling_of(new)) else { return };
        let moved = source.split(|tag| index_of(tag, new.wrapping_add(1)) == new);
        self.buckets.push(moved);
    }

    fn join_last(&mut self) {
        let Some(last) = self.buckets.pop() else { return };
        if let Some(sibling) = self.buckets.get_mut(sibling_of(self.buckets.len())) {
            sibling.absorb(last);
        }
    }
}

/// How many buckets a table of so many entries has that has only grown.
pub fn buckets_for<B: Bucket>(entries: usize) -> usize {
    entries.div_ceil(B::LOAD).max(1)
}

/// With 2^k <= `count` < 2^(k+1) buckets, the low k + 1 bits name the bucket, or the low k while that one does not exist yet.
#[inline]
pub fn index_of(tag: HashTag, count: usize) -> usize {
    let mask = count.next_power_of_two().wrapping_sub(1);
    let index = tag as usize & mask;
    if index < count { index } else { index & (mask >> 1) }
}

/// The bucket that bucket `new` is split from: the same index without its highest bit.
fn sibling_of(new: usize) -> usize {
    let highest = new.checked_ilog2().and_then(|bit| 1_usize.checked_shl(bit)).unwrap_or(0);
    new ^ highest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Tags(Vec<HashTag>);

    impl Bucket for Tags {
        const LOAD: usize = 4;

        fn split(&mut self, leaves: impl Fn(HashTag) -> bool) -> Self {
            let (moved, kept) = self.0.iter().partition(|tag| leaves(**tag));
            self.0 = kept;
            Self(moved)
        }

        fn absorb(&mut self, other: Self) {
            self.0.extend(other.0);
        }
    }

    fn scattered(number: u32) -> HashTag {
        number.wrapping_mul(0x9e37_79b1)
    }

    #[test]
    fn every_tag_is_found_while_the_table_grows_and_shrinks() {
        let mut table = Buckets::<Tags>::new();
        let holds = |table: &Buckets<Tags>, number| table.bucket(scattered(number)).unwrap().0.contains(&scattered(number));
        for number in 0..3_000 {
            table.bucket_mut(scattered(number)).unwrap().0.push(scattered(number));
            table.entry_added();
        }
        let full = table.clone();
        for number in 0..2_990 {
            table.bucket_mut(scattered(number)).unwrap().0.retain(|&tag| tag != scattered(number));
            table.entry_removed();
        }
        assert!((0..3_000).all(|number| holds(&full, number)));
        assert!((2_990..3_000).all(|number| holds(&table, number)));
        assert!(full.iter().count() >= 750 && table.iter().count() <= 6);
        assert_eq!(table.entries(), 10);
    }
}
