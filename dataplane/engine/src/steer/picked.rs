//! The chosen values, in the order in which they go out. Reused from query to query: it grows to the largest pool and then allocates no more.

use super::Steered;
use super::sticky::Score;

/// A value that could be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Candidate {
    /// The value's number in its rrset.
    pub value: u32,
    /// The weight as it was written.
    pub nominal: u32,
    /// The weight that counts now: thousandths of `nominal` while the value ramps up.
    pub weight: u64,
    /// What a selection method orders by, less first: a distance, or a draw to be divided by the weight.
    pub(super) cost: u64,
    /// The client's draw for the value (`sticky`).
    pub(super) hash: u64,
}

impl Candidate {
    /// A value that is not ramping up.
    pub(super) fn new(value: u32, nominal: u32, factor: u16) -> Self {
        Self { value, nominal, weight: u64::from(nominal).saturating_mul(u64::from(factor)), cost: 0, hash: 0 }
    }
}

/// Candidates of one rrset, the chosen ones first.
#[derive(Debug, Default)]
pub struct Picked {
    pub(super) candidates: Vec<Candidate>,
    pub(super) chosen: usize,
    /// Working memory of `sticky`.
    pub(super) sites: Vec<Score>,
}

impl Picked {
    /// Nothing chosen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for choices among that many values (`SteeringTables::largest_choice`), so that no query has to.
    pub fn reserve(&mut self, values: usize) {
        self.candidates.reserve(values.saturating_sub(self.candidates.len()));
        self.sites.reserve(values.saturating_sub(self.sites.len()));
    }

    /// Number of values chosen.
    pub fn len(&self) -> usize {
        self.chosen
    }

    /// True when nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.chosen == 0
    }

    /// The numbers of the chosen values, in drawn order.
    pub fn values(&self) -> impl Iterator<Item = u32> {
        self.candidates.iter().take(self.chosen).map(|candidate| candidate.value)
    }

    /// The chosen rdatas of the rrset that was decided, in drawn order.
    pub fn rdatas<'a>(&'a self, steered: &'a Steered) -> impl Iterator<Item = &'a [u8]> {
        self.values().filter_map(|value| steered.rdata(value))
    }

    /// Forgets the last decision.
    pub(super) fn clear(&mut self) {
        self.candidates.clear();
        self.chosen = 0;
    }

    pub(super) fn choose(&mut self, count: usize) {
        self.chosen = count.min(self.candidates.len());
    }
}
