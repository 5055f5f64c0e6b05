//! Merging rules with lists and locations, away from the thread that adopts: what to merge, and what came of it. No thread is made here.
//!
//! A city database takes a fifth of a second a map. The editor puts rule sets in force unmerged, which is right at once, hands out one job at a time, and takes the map
//! when nothing that went into it has changed meanwhile.

use std::sync::Arc;

use crate::location::{LocationSet, Matcher};

/// A map to be made. It owns all that it reads, so it can be run anywhere.
#[derive(Debug)]
pub struct MergeJob {
    pub(super) rule_set: u32,
    pub(super) unmerged: Arc<Matcher>,
    pub(super) locations: Arc<LocationSet>,
}

/// What came of a job.
#[derive(Debug)]
pub struct Merged {
    pub(super) rule_set: u32,
    pub(super) unmerged: Arc<Matcher>,
    /// `None` when there can be no map.
    pub(super) matcher: Option<Matcher>,
}

impl MergeJob {
    /// Makes the map: some 40 ns a range of all sources.
    pub fn run(&self) -> Merged {
        self.end(Matcher::clone(&self.unmerged).merge(&self.locations).ok())
    }

    /// There will be no map.
    pub fn give_up(&self) -> Merged {
        self.end(None)
    }

    fn end(&self, matcher: Option<Matcher>) -> Merged {
        Merged { rule_set: self.rule_set, unmerged: Arc::clone(&self.unmerged), matcher }
    }
}
