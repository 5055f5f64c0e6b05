//! The adaptive ttl: short when a change may be near. Control bounds each value's state in time; this only takes the least.

use super::health::HealthTable;
use super::steered::Steered;
use crate::spec::{Status, TtlRange};

/// The least negative ttl of a record without a `ttl` block: the default of `ttl.min`.
pub(super) const DEFAULT_TTL_MIN: u32 = 5;

/// What made a ttl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The value's number.
    pub value: u32,
    /// Seconds.
    pub seconds: u32,
}

/// The least bound over the values that obey health in the pools from the rule's to the one that served, or in the whole chain when none did.
pub(super) fn find_bound(steered: &Steered, health: &HealthTable, first: u16, served: Option<u16>) -> Option<Bound> {
    let mut least: Option<Bound> = None;
    for pool in steered.chain(first) {
        for (value, entry) in steered.pool_values(pool).filter(|(_, value)| value.status == Status::Obey) {
            let Some(seconds) = health.word(entry.slot).ttl_bound() else { continue };
            if least.is_none_or(|least| seconds < least.seconds) {
                least = Some(Bound { value, seconds });
            }
        }
        if served == Some(pool) {
            break;
        }
    }
    least
}

/// The record's ttl without a `ttl` block; else the bound, held between `min` and `max`.
pub(super) fn clamp(steered: &Steered, range: Option<TtlRange>, bound: Option<Bound>) -> u32 {
    range.map_or(steered.ttl(), |TtlRange { min, max }| bound.map_or(max, |bound| bound.seconds).max(min).min(max))
}
