//! A steered rrset, checked once and compiled for decisions: what a draw reads lies together, and everything else stays in the spec.

use std::collections::HashMap;
use std::ops::Range;

use geodns_wire::{Name, rtype};

use super::health::Slot;
use super::sticky;
use crate::location::Direction;
use crate::refused::Refused;
use crate::spec::{AllDown, PoolSpec, Select, Status, SteeringSpec, TtlRange, ValueId, ValueSpec};

/// Millionths in a whole share (`min_up`).
pub(super) const WHOLE_SHARE: u32 = 1_000_000;

/// What a decision reads of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    pub slot: Slot,
    pub weight: u32,
    pub status: Status,
    pub drained: bool,
}

/// A pool: some of the values, and where to go on without them.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    values: Range<usize>,
    pub fallback: Option<u16>,
    /// Number of distinct sites, where a value without one counts as its own.
    pub sites: usize,
}

/// What `sticky` knows of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct StickyValue {
    /// Number within the pool.
    pub site: u32,
    pub site_hash: u64,
    pub value_hash: u64,
}

/// A steered A, AAAA or CNAME rrset.
///
/// Values are known by one number: those of the pools first, in order, then the record's own.
#[derive(Debug)]
pub struct Steered {
    spec: SteeringSpec,
    rtype: u16,
    ttl: u32,
    rule_set: u32,
    rule_pools: Box<[u16]>,
    pools: Box<[Pool]>,
    values: Box<[Value]>,
    own_slots: Box<[Slot]>,
    /// Only for `sticky`, one for each value of the pools.
    sticky: Box<[StickyValue]>,
    /// The owner name's part of the sticky key.
    owner_state: u64,
    /// Only for `nearest`, one for each value of the pools.
    directions: Box<[Option<Direction>]>,
    rdata: Box<[u8]>,
    /// Where each value's rdata ends; it starts where the one before ends.
    rdata_ends: Box<[u32]>,
}

impl Steered {
    /// Compiles a spec that `check` has passed. `slot` gives the place of a value in the health table.
    pub(super) fn compile(
        owner: &[u8],
        rtype: u16,
        ttl: u32,
        spec: SteeringSpec,
        rule_set: u32,
        mut slot: impl FnMut(ValueId) -> Slot,
    ) -> Self {
        let mut values = Vec::new();
        let mut pools = Vec::new();
        let mut sticky = Vec::new();
        for pool in &spec.pools {
            let first = values.len();
            values.extend(pool.values.iter().map(|value| Value {
                slot: slot(value.id),
                weight: value.weight,
                status: value.status,
                drained: value.drained,
            }));
            let in_pool = sticky_values(pool);
            let sites = in_pool.iter().map(|value| value.site).max().map_or(0, |last| last as usize).saturating_add(1);
            if spec.select == Select::Sticky {
                sticky.extend(in_pool);
            }
            pools.push(Pool { values: first..values.len(), fallback: pool.fallback, sites });
        }
        let directions = match spec.select {
            Select::Nearest => pool_values(&spec).map(|value| value.coordinates.map(Direction::from_coordinates)).collect(),
            Select::Weighted | Select::Sticky => Box::default(),
        };
        let mut rdata = Vec::new();
        let mut rdata_ends = Vec::new();
        for octets in pool_values(&spec).map(|value| &value.rdata).chain(spec.values.iter().map(|value| &value.rdata)) {
            rdata.extend_from_slice(octets);
            rdata_ends.push(u32::try_from(rdata.len()).unwrap_or(u32::MAX));
        }
        Self {
            rtype,
            ttl,
            rule_set,
            rule_pools: spec.rules.iter().map(|rule| rule.pool).collect(),
            pools: pools.into(),
            values: values.into(),
            own_slots: spec.values.iter().map(|value| slot(value.id)).collect(),
            sticky: sticky.into(),
            owner_state: sticky::owner_state(owner),
            directions,
            rdata: rdata.into(),
            rdata_ends: rdata_ends.into(),
            spec,
        }
    }

    /// What was published, unchanged.
    pub fn spec(&self) -> &SteeringSpec {
        &self.spec
    }

    /// The rrset's type.
    pub fn rtype(&self) -> u16 {
        self.rtype
    }

    /// The rrset's ttl in seconds, before any bound.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    pub(super) fn select(&self) -> Select {
        self.spec.select
    }

    pub(super) fn all_down(&self) -> AllDown {
        self.spec.all_down
    }

    pub(super) fn min_up(&self) -> u32 {
        self.spec.min_up
    }

    pub(super) fn ttl_range(&self) -> Option<TtlRange> {
        self.spec.ttl
    }

    /// True for a CNAME: more than one value is no rrset (RFC 2181 §10.1).
    pub(super) fn is_single(&self) -> bool {
        self.rtype == rtype::CNAME
    }

    /// Values that an answer carries at most.
    pub(super) fn answers(&self) -> usize {
        self.spec.answers.map_or(usize::MAX, usize::from)
    }

    pub(super) fn rule_set(&self) -> u32 {
        self.rule_set
    }

    /// The pool of a rule. Rule sets are made of the same rules, so the rule is there.
    pub(super) fn rule_pool(&self, rule: u16) -> u16 {
        self.rule_pools.get(usize::from(rule)).copied().unwrap_or(0)
    }

    pub(super) fn pool(&self, pool: u16) -> Option<&Pool> {
        self.pools.get(usize::from(pool))
    }

    /// The pool, its fallback, the fallback's fallback and so on. `check` has refused loops.
    pub(super) fn chain(&self, first: u16) -> impl Iterator<Item = u16> {
        std::iter::successors(Some(first), |pool| self.pool(*pool).and_then(|pool| pool.fallback))
    }

    /// The values of a pool with their numbers.
    #[inline]
    pub(super) fn pool_values(&self, pool: u16) -> impl Iterator<Item = (u32, &Value)> {
        let range = self.pool(pool).map_or(0..0, |pool| pool.values.clone());
        let first = u32::try_from(range.start).unwrap_or(u32::MAX);
        (first..).zip(self.values.get(range).unwrap_or_default())
    }

    /// Numbers and slots of the record's own values.
    pub(super) fn own_values(&self) -> impl Iterator<Item = (u32, Slot)> {
        let first = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        (first..).zip(self.own_slots.iter().copied())
    }

    pub(super) fn sticky(&self, value: u32) -> Option<&StickyValue> {
        self.sticky.get(value as usize)
    }

    pub(super) fn owner_state(&self) -> u64 {
        self.owner_state
    }

    pub(super) fn direction(&self, value: u32) -> Option<Direction> {
        self.directions.get(value as usize).copied().flatten()
    }

    pub(super) fn rdata(&self, value: u32) -> Option<&[u8]> {
        let value = value as usize;
        let start = match value.checked_sub(1) {
            Some(before) => *self.rdata_ends.get(before)? as usize,
            None => 0,
        };
        self.rdata.get(start..*self.rdata_ends.get(value)? as usize)
    }

    /// Every slot that the rrset reads.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.values.iter().map(|value| value.slot).chain(self.own_slots.iter().copied())
    }

    /// Values in the largest set that a decision can choose from.
    pub(super) fn largest_choice(&self) -> usize {
        self.pools.iter().map(|pool| pool.values.len()).chain([self.own_slots.len()]).max().unwrap_or(0)
    }
}

fn pool_values(spec: &SteeringSpec) -> impl Iterator<Item = &ValueSpec> {
    spec.pools.iter().flat_map(|pool| &pool.values)
}

fn sticky_values(pool: &PoolSpec) -> Vec<StickyValue> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut next = 0_u32;
    let mut take_next = || {
        let number = next;
        next = next.saturating_add(1);
        number
    };
    let mut values = Vec::new();
    for value in &pool.values {
        let value_hash = sticky::value_hash(&value.rdata);
        let (site, site_hash) = if value.site.is_empty() {
            (take_next(), value_hash)
        } else {
            (*numbers.entry(&value.site).or_insert_with(&mut take_next), sticky::site_hash(&value.site))
        };
        values.push(StickyValue { site, site_hash, value_hash });
    }
    values
}

/// Judges a spec wholly, except its rules' predicates (`RuleSet::new`): what passes cannot make a decision fail.
///
/// # Errors
/// The first thing that no publisher may send.
pub(super) fn check(rtype: u16, spec: &SteeringSpec) -> Result<(), Refused> {
    if !matches!(rtype, rtype::A | rtype::AAAA | rtype::CNAME) {
        return Err(Refused::malformed(format!("type {rtype} cannot be steered")));
    }
    if spec.answers == Some(0) || (rtype == rtype::CNAME && (spec.answers != Some(1) || spec.values.len() != 1)) {
        return Err(Refused::malformed("answers: not a number of values that this type can carry"));
    }
    if spec.min_up > WHOLE_SHARE || spec.ttl.is_some_and(|ttl| ttl.min > ttl.max) {
        return Err(Refused::malformed("min_up or ttl out of range"));
    }
    if spec.values.is_empty() || spec.pools.is_empty() || spec.rules.is_empty() {
        return Err(Refused::malformed("a steered rrset needs values, pools and rules"));
    }
    if let Some(rule) = spec.rules.iter().find(|rule| usize::from(rule.pool) >= spec.pools.len()) {
        return Err(Refused::malformed(format!("a rule names pool {} of {}", rule.pool, spec.pools.len())));
    }
    check_fallbacks(&spec.pools)?;
    for value in pool_values(spec) {
        if value.weight == 0 || value.coordinates.is_some_and(|point| !point.is_on_globe()) {
            return Err(Refused::malformed(format!("value {}: weight 0 or coordinates off the globe", value.id)));
        }
    }
    check_ids(spec)?;
    let rdatas = pool_values(spec).map(|value| &value.rdata).chain(spec.values.iter().map(|value| &value.rdata));
    match rdatas.into_iter().find(|rdata| !is_rdata(rtype, rdata)) {
        Some(rdata) => Err(Refused::malformed(format!("{} octets are no rdata of type {rtype}", rdata.len()))),
        None => Ok(()),
    }
}

fn check_fallbacks(pools: &[PoolSpec]) -> Result<(), Refused> {
    let fallback = |pool: &PoolSpec| pool.fallback.map(|fallback| pools.get(usize::from(fallback)).ok_or(()));
    for start in pools {
        let mut pool = start;
        let mut steps = 0_usize;
        while let Some(next) = fallback(pool) {
            pool = next.map_err(|()| Refused::malformed(format!("pool {}: a fallback that is not there", pool.name)))?;
            steps = steps.saturating_add(1);
            // A chain without a loop is shorter than there are pools.
            if steps >= pools.len() {
                return Err(Refused::malformed(format!("pool {}: its fallbacks lead back to it", start.name)));
            }
        }
    }
    Ok(())
}

fn check_ids(spec: &SteeringSpec) -> Result<(), Refused> {
    let mut ids: Vec<ValueId> = pool_values(spec).map(|value| value.id).chain(spec.values.iter().map(|value| value.id)).collect();
    ids.sort_unstable();
    if ids.first() == Some(&0) || !ids.is_sorted_by(|a, b| a < b) {
        return Err(Refused::malformed("a value id is 0 or stands twice"));
    }
    Ok(())
}

fn is_rdata(rtype: u16, rdata: &[u8]) -> bool {
    match rtype {
        rtype::A => rdata.len() == 4,
        rtype::AAAA => rdata.len() == 16,
        _ => Name::from_wire(rdata).is_ok(),
    }
}
