//! The chosen values, in the order in which they go out. Reused from query to query: it grows to the largest pool and then allocates no more.

use super::Steered;

/// Indexes of the chosen values of one rrset.
#[derive(Debug, Default)]
pub struct Picked {
    chosen: Vec<u32>,
}

impl Picked {
    /// Nothing chosen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of values chosen.
    pub fn len(&self) -> usize {
        self.chosen.len()
    }

    /// True when nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// The chosen rdatas of the rrset that was decided, in drawn order.
    pub fn rdatas<'a>(&'a self, steered: &'a Steered) -> impl Iterator<Item = &'a [u8]> {
        self.chosen.iter().filter_map(|index| steered.rdata(*index))
    }

    pub(super) fn take_own(&mut self, steered: &Steered) {
        self.chosen.clear();
        self.chosen.extend(steered.own_values());
    }
}
