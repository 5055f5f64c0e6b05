//! A steered rrset, checked once and compiled for decisions.

use crate::spec::SteeringSpec;

/// A steered A, AAAA or CNAME rrset.
#[derive(Debug)]
pub struct Steered {
    spec: SteeringSpec,
    ttl: u32,
}

impl Steered {
    pub(super) fn new(spec: SteeringSpec, ttl: u32) -> Self {
        Self { spec, ttl }
    }

    /// What was published, unchanged.
    pub fn spec(&self) -> &SteeringSpec {
        &self.spec
    }

    /// The rrset's ttl in seconds, before any bound.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    pub(super) fn own_values(&self) -> impl Iterator<Item = u32> {
        (0_u32..).take(self.spec.values.len())
    }

    pub(super) fn rdata(&self, index: u32) -> Option<&[u8]> {
        let value = self.spec.values.get(usize::try_from(index).ok()?)?;
        Some(&value.rdata)
    }
}
