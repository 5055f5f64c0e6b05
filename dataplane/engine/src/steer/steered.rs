//! A steered rrset, checked once and compiled for decisions: what a draw reads lies together, and everything else stays in the spec.

use std::collections::HashMap;
use std::hint::black_box;

use geodns_wire::{Name, rtype};

use super::block::Block;
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
#[derive(Debug, Clone, Copy)]
pub(super) struct Pool {
    pub first: u32,
    pub count: u32,
    pub fallback: Option<u16>,
    /// Number of distinct sites, where a value without one counts as its own.
    pub sites: u32,
}

/// What `sticky` knows of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct StickyValue {
    /// Number within the pool.
    pub site: u32,
    pub site_hash: u64,
    pub value_hash: u64,
}

/// What every decision reads of a spec, beside the block.
#[derive(Debug, Clone, Copy)]
struct Head {
    rtype: u16,
    answers: Option<u16>,
    select: Select,
    all_down: AllDown,
    ttl: u32,
    ttl_range: Option<TtlRange>,
    min_up: u32,
    rule_set: u32,
}

/// A steered A, AAAA or CNAME rrset.
///
/// Values are known by one number: those of the pools first, in order, then the record's own. With ten thousand rrsets most of what a decision reads is in no
/// cache, so what it reads of one rrset lies in one block (`block`), and the rest behind pointers that it does not follow.
#[derive(Debug)]
pub struct Steered {
    head: Head,
    block: Block,
    /// Only for `sticky`, one for each value of the pools.
    sticky: Box<[StickyValue]>,
    /// The owner name's part of the sticky key.
    owner_state: u64,
    /// Only for `nearest`, one for each value of the pools.
    directions: Box<[Option<Direction>]>,
    spec: Box<SteeringSpec>,
}

impl Steered {
    /// Compiles a spec that `check` has passed. `slot` gives the place of a value in the health table.
    pub(super) fn compile(
        owner: &[u8],
        rtype: u16,
        ttl: u32,
        spec: SteeringSpec,
        rule_set: u32,
        slot: impl FnMut(ValueId) -> Slot,
    ) -> Self {
        let sites: Vec<Vec<StickyValue>> = spec.pools.iter().map(sticky_values).collect();
        let block = Block::new(&spec, &sites, slot);
        let sticky = match spec.select {
            Select::Sticky => sites.concat().into(),
            Select::Weighted | Select::Nearest => Box::default(),
        };
        let directions = match spec.select {
            Select::Nearest => pool_values(&spec).map(|value| value.coordinates.map(Direction::from_coordinates)).collect(),
            Select::Weighted | Select::Sticky => Box::default(),
        };
        let head = Head {
            rtype,
            answers: spec.answers,
            select: spec.select,
            all_down: spec.all_down,
            ttl,
            ttl_range: spec.ttl,
            min_up: spec.min_up,
            rule_set,
        };
        Self { head, block, sticky, owner_state: sticky::owner_state(owner), directions, spec: Box::new(spec) }
    }

    /// What was published, unchanged.
    pub fn spec(&self) -> &SteeringSpec {
        &self.spec
    }

    /// The rrset's type.
    pub fn rtype(&self) -> u16 {
        self.head.rtype
    }

    /// The rrset's ttl in seconds, before any bound.
    pub fn ttl(&self) -> u32 {
        self.head.ttl
    }

    pub(super) fn select(&self) -> Select {
        self.head.select
    }

    pub(super) fn all_down(&self) -> AllDown {
        self.head.all_down
    }

    pub(super) fn min_up(&self) -> u32 {
        self.head.min_up
    }

    pub(super) fn ttl_range(&self) -> Option<TtlRange> {
        self.head.ttl_range
    }

    /// True for a CNAME: more than one value is no rrset (RFC 2181 §10.1).
    pub(super) fn is_single(&self) -> bool {
        self.head.rtype == rtype::CNAME
    }

    /// Values that an answer carries at most.
    pub(super) fn answers(&self) -> usize {
        self.head.answers.map_or(usize::MAX, usize::from)
    }

    /// Number of the rules: equal for rrsets with equal rules.
    pub(crate) fn rule_set(&self) -> u32 {
        self.head.rule_set
    }

    /// The pool of a rule. Rule sets are made of the same rules, so the rule is there.
    pub(super) fn rule_pool(&self, rule: u16) -> u16 {
        self.block.rule_pool(rule).unwrap_or(0)
    }

    pub(super) fn pool(&self, pool: u16) -> Option<Pool> {
        self.block.pool(pool)
    }

    /// The pool, its fallback, the fallback's fallback and so on. `check` has refused loops.
    pub(super) fn chain(&self, first: u16) -> impl Iterator<Item = u16> {
        std::iter::successors(Some(first), |pool| self.pool(*pool).and_then(|pool| pool.fallback))
    }

    /// The values of a pool with their numbers.
    #[inline]
    pub(super) fn pool_values(&self, pool: u16) -> impl Iterator<Item = (u32, Value)> {
        let (first, count) = self.pool(pool).map_or((0, 0), |pool| (pool.first, pool.count));
        self.block.values(first, count)
    }

    /// Numbers and slots of the record's own values.
    pub(super) fn own_values(&self) -> impl Iterator<Item = (u32, Slot)> {
        self.block.values(self.block.own_first, u32::MAX).map(|(number, value)| (number, value.slot))
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
        self.block.rdata(value)
    }

    /// Fetches what says where the values are (`ahead`).
    pub(crate) fn fetch(&self) {
        black_box((self.head.rule_set, self.owner_state, self.block.own_first));
    }

    /// Fetches rules, pools and values.
    pub(crate) fn fetch_values(&self) {
        self.block.fetch();
    }

    /// Every slot that the rrset reads.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.block.values(0, u32::MAX).map(|(_, value)| value.slot)
    }

    /// Values in the largest set that a decision can choose from.
    pub(super) fn largest_choice(&self) -> usize {
        self.spec.pools.iter().map(|pool| pool.values.len()).chain([self.spec.values.len()]).max().unwrap_or(0)
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
