//! What decisions read beside the rrset itself: matchers and locations. Immutable; a change makes a new one that shares what stayed.

use std::net::IpAddr;
use std::sync::Arc;

use super::steered::Steered;
use super::sticky::StickyPrefix;
use crate::location::{LocationSet, Matched, Matcher};

/// Matchers, locations and the client prefix of `sticky`.
#[derive(Debug, Default, Clone)]
pub struct SteeringTables {
    /// By number of the rule set; `None` where a number is free.
    pub(super) matchers: Vec<Option<Arc<Matcher>>>,
    pub(super) locations: Arc<LocationSet>,
    pub(super) sticky_prefix: StickyPrefix,
    pub(super) largest_choice: usize,
    pub(super) largest_map: usize,
}

impl SteeringTables {
    /// The rule that an address matches. A view always holds the matchers of its rrsets; without one, the first rule is a decision like any other.
    #[inline]
    pub(super) fn decide_rule(&self, rule_set: u32, addr: IpAddr) -> Matched {
        self.matcher(rule_set).map_or(Matched { rule: 0, scope: 0 }, |matcher| matcher.decide(addr, &self.locations))
    }

    pub(super) fn matcher(&self, rule_set: u32) -> Option<&Matcher> {
        self.matchers.get(rule_set as usize)?.as_deref()
    }

    /// The rule that an address matches for an rrset, as a decision finds it.
    pub(crate) fn match_rule(&self, steered: &Steered, addr: IpAddr) -> Matched {
        self.decide_rule(steered.rule_set(), addr)
    }

    /// The matcher of an rrset's rules.
    pub(crate) fn matcher_of(&self, steered: &Steered) -> Option<&Matcher> {
        self.matcher(steered.rule_set())
    }

    /// The location databases in force.
    pub fn locations(&self) -> &LocationSet {
        &self.locations
    }

    /// Lengths to which `sticky` cuts a client's address.
    pub fn sticky_prefix(&self) -> StickyPrefix {
        self.sticky_prefix
    }

    /// Values in the largest set that any decision chooses from, for `Picked::reserve`.
    pub fn largest_choice(&self) -> usize {
        self.largest_choice
    }

    /// Ranges of the largest merged map.
    pub fn largest_map(&self) -> usize {
        self.largest_map
    }

    /// To be called when matchers have changed.
    pub(super) fn note_largest_map(&mut self) {
        self.largest_map = self.matchers.iter().flatten().map(|matcher| matcher.merged_ranges()).max().unwrap_or(0);
    }

    /// Number of merged maps, at most `MAX_MERGED_MAPS`, and their bytes together.
    pub fn merged_maps(&self) -> (usize, usize) {
        let merged = self.matchers.iter().flatten().filter(|matcher| matcher.is_merged());
        merged.fold((0, 0), |(maps, bytes): (usize, usize), matcher| (maps.saturating_add(1), bytes.saturating_add(matcher.merged_bytes())))
    }
}
