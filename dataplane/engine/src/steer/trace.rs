//! What a decision tells about itself while it is made. The packet path passes `NoTrace`, which the compiler removes; `explain` records.

use super::health::HealthTable;
use super::picked::{Candidate, Picked};
use super::pool::{self, PoolState, Standing};
use super::steered::Steered;
use super::tables::SteeringTables;
use super::ttl::Bound;
use super::{Client, Decision};
use crate::location::{Bearing, Direction, Matched};
use crate::spec::HealthEntry;

/// What a decision is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    pub tables: &'a SteeringTables,
    pub health: &'a HealthTable,
    pub steered: &'a Steered,
    pub client: &'a Client,
}

/// What a trace may ask of the inputs: the same judgement, rdata and coordinates that the decision reads.
impl Inputs<'_> {
    /// Each value of a pool: what it is good for, and what control says of it.
    pub(crate) fn values_of(&self, pool: u16) -> impl Iterator<Item = (Standing, HealthEntry)> {
        self.steered.pool_values(pool).map(|(_, value)| (pool::judge(&value, self.health.word(value.slot)), self.health.entry(value.slot)))
    }

    /// The rdata of a value.
    pub(crate) fn rdata_of(&self, value: u32) -> Option<&[u8]> {
        self.steered.rdata(value)
    }

    /// Where a value stands, for `nearest`.
    pub(crate) fn direction_of(&self, value: u32) -> Option<Direction> {
        self.steered.direction(value)
    }
}

/// Whether a pool can serve, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolVerdict {
    Serves,
    /// Something is up, and less than `min_up`.
    TooLittleUp,
    /// All that is up is drained.
    OnlyDrained,
    AllDown,
}

/// Where the chosen values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Values of a pool, of that standing.
    Pool { pool: u16, standing: Standing },
    /// `all_down: serve-all`: a pool's values, whatever their health.
    WholePool { pool: u16 },
    /// The record's own values.
    OwnValues,
    /// Nothing is answered.
    Nothing,
}

/// What bounds the scope, beside the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrowing {
    /// Every client of a rule is decided alike.
    None,
    /// The length of the client prefix that `sticky` keeps together.
    StickyPrefix(u8),
    /// The network of the location database.
    Network(Bearing),
}

/// Receives the steps of a decision, in this order; `pool` once for each pool looked at.
pub trait Trace {
    fn begin(&mut self, _inputs: &Inputs<'_>) {}
    fn rule(&mut self, _matched: Matched, _narrowing: Narrowing) {}
    fn pool(&mut self, _pool: u16, _state: &PoolState, _verdict: PoolVerdict) {}
    /// What can be chosen from, before it is chosen from; `count` of them are.
    fn candidates(&mut self, _source: Source, _candidates: &[Candidate], _count: usize) {}
    fn ttl(&mut self, _bound: Option<Bound>) {}
    fn end(&mut self, _inputs: &Inputs<'_>, _decision: &Decision, _picked: &Picked) {}
}

/// Listens to nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoTrace;

impl Trace for NoTrace {}
