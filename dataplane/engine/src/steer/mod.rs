//! The decision for a steered rrset: client, rule, pool, values, ttl and scope, as in the contract.
//!
//! `SteeringEditor` turns what control publishes into dense tables on the adopter's thread; `decide` reads them and nothing else. Deciding
//! allocates nothing once `Picked` has grown to the largest pool, draws only from the randomness it is given, and never looks at a clock.

mod block;
mod editor;
mod health;
mod merging;
mod nearest;
mod picked;
mod pool;
mod steered;
mod sticky;
mod tables;
mod trace;
mod ttl;
mod weighted;

use std::net::IpAddr;

pub use editor::{HealthUpdate, MAX_MERGED_MAPS, SteeringEditor};
pub use health::{HealthTable, Slot, Word};
pub use merging::{MergeJob, Merged};
pub use picked::{Candidate, Picked};
pub use pool::{PoolState, Serving, Standing};
pub use steered::Steered;
pub use sticky::StickyPrefix;
pub use tables::SteeringTables;
pub use trace::{Inputs, Narrowing, NoTrace, PoolVerdict, Source, Trace};
pub use ttl::Bound;

use crate::location::{Bearing, Direction, Matched};
use crate::rng::Rng;
use crate::spec::{AllDown, Override, Select};

/// Whom the answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// An IPv4-mapped address stands as IPv4; bits beyond `prefix` are zero.
    pub addr: IpAddr,
    /// The source prefix of the client subnet, or the whole address.
    pub prefix: u8,
    /// From a client subnet (RFC 7871), not from the sender's address.
    pub from_ecs: bool,
}

/// What kind of answer a decision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SteerOutcome {
    /// The rdatas are in `Picked`.
    Answer,
    /// NODATA whose ttl is at most `negative_ttl` seconds.
    NoData { negative_ttl: u32 },
    /// SERVFAIL.
    ServFail,
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    pub outcome: SteerOutcome,
    /// Seconds.
    pub ttl: u32,
    /// RFC 7871 §7.2.1: the shortest prefix around the client in which every address is decided alike.
    pub scope: u8,
}

/// Decides for one steered rrset and one client; the chosen values are left in `picked`.
pub fn decide<T: Trace>(
    tables: &SteeringTables,
    health: &HealthTable,
    steered: &Steered,
    client: &Client,
    rng: &mut impl Rng,
    picked: &mut Picked,
    trace: &mut T,
) -> Decision {
    let inputs = Inputs { tables, health, steered, client };
    trace.begin(&inputs);
    picked.clear();
    let matched = tables.decide_rule(steered.rule_set(), client.addr);
    let method = Method::prepare(&inputs);
    let narrowing = method.narrowing(tables, client);
    trace.rule(matched, narrowing);
    let first = steered.rule_pool(matched.rule);
    let serving = pool::find_serving(steered, health, first, &mut picked.candidates, trace);
    let outcome = match serving {
        Some(serving) => serve_pool(&inputs, serving, &method, rng, picked, trace),
        None => serve_all_down(&inputs, first, &method, rng, picked, trace),
    };
    let range = steered.ttl_range();
    let bound = range.and_then(|_| ttl::find_bound(steered, health, first, serving.map(|serving| serving.pool)));
    trace.ttl(bound);
    let decision = Decision { outcome, ttl: ttl::clamp(steered, range, bound), scope: find_scope(matched, narrowing) };
    trace.end(&inputs, &decision, picked);
    decision
}

/// The longest of what decides: the rule, the prefix that `sticky` keeps together, the database network of `nearest`. Health does not enter.
fn find_scope(matched: Matched, narrowing: Narrowing) -> u8 {
    match narrowing {
        Narrowing::None => matched.scope,
        Narrowing::StickyPrefix(length) => matched.scope.max(length),
        Narrowing::Network(bearing) => matched.scope.max(bearing.network),
    }
}

/// How values are chosen, with what the client brings to it.
enum Method {
    Weighted,
    Sticky { key: u64 },
    Nearest { bearing: Bearing },
}

impl Method {
    fn prepare(inputs: &Inputs<'_>) -> Self {
        let Inputs { tables, steered, client, .. } = inputs;
        match steered.select() {
            Select::Weighted => Self::Weighted,
            Select::Sticky => Self::Sticky { key: sticky::client_key(steered.owner_state(), client.addr, tables.sticky_prefix()) },
            Select::Nearest => Self::Nearest { bearing: tables.locations().take_bearing(client.addr) },
        }
    }

    fn narrowing(&self, tables: &SteeringTables, client: &Client) -> Narrowing {
        match self {
            Self::Weighted => Narrowing::None,
            Self::Sticky { .. } => Narrowing::StickyPrefix(tables.sticky_prefix().length(client.addr)),
            Self::Nearest { bearing } => Narrowing::Network(*bearing),
        }
    }

    fn direction(&self) -> Option<Direction> {
        match self {
            Self::Nearest { bearing } => bearing.direction,
            Self::Weighted | Self::Sticky { .. } => None,
        }
    }

    /// Moves `count` of the picked candidates, which are values of `pool`, to the front.
    fn choose(&self, steered: &Steered, pool: u16, count: usize, rng: &mut impl Rng, picked: &mut Picked) {
        match self {
            Self::Weighted => weighted::draw(&mut picked.candidates, count, rng),
            Self::Sticky { key } => sticky::choose(steered, *key, steered.pool(pool).map_or(0, |pool| pool.sites as usize), count, picked),
            Self::Nearest { .. } => nearest::choose(steered, self.direction(), &mut picked.candidates, count, rng),
        }
    }
}

fn serve_pool<T: Trace>(
    inputs: &Inputs<'_>,
    serving: Serving,
    method: &Method,
    rng: &mut impl Rng,
    picked: &mut Picked,
    trace: &mut T,
) -> SteerOutcome {
    let steered = inputs.steered;
    let count = steered.answers().min(picked.candidates.len());
    trace.candidates(Source::Pool { pool: serving.pool, standing: serving.standing }, &picked.candidates, count);
    method.choose(steered, serving.pool, count, rng, picked);
    picked.choose(count);
    SteerOutcome::Answer
}

/// Contract section 2.4: no pool of the chain has anything that is up.
fn serve_all_down<T: Trace>(
    inputs: &Inputs<'_>,
    first: u16,
    method: &Method,
    rng: &mut impl Rng,
    picked: &mut Picked,
    trace: &mut T,
) -> SteerOutcome {
    let steered = inputs.steered;
    let silence = match steered.all_down() {
        AllDown::Values | AllDown::ServeAll => None,
        AllDown::NoData => Some(SteerOutcome::NoData { negative_ttl: steered.ttl_range().map_or(ttl::DEFAULT_TTL_MIN, |range| range.min) }),
        AllDown::ServFail => Some(SteerOutcome::ServFail),
    };
    if let Some(outcome) = silence {
        trace.candidates(Source::Nothing, &[], 0);
        return outcome;
    }
    if steered.all_down() == AllDown::ServeAll {
        pool::collect_all(steered, inputs.health, first, &mut picked.candidates);
    }
    if picked.candidates.is_empty() {
        collect_own(inputs, &mut picked.candidates);
        let count = picked.candidates.len();
        trace.candidates(Source::OwnValues, &picked.candidates, count);
        picked.choose(count);
        return SteerOutcome::Answer;
    }
    // Everything goes out in the pool's order; only a CNAME, which can carry one value, is chosen.
    let count = if steered.is_single() { 1 } else { picked.candidates.len() };
    trace.candidates(Source::WholePool { pool: first }, &picked.candidates, count);
    if steered.is_single() {
        method.choose(steered, first, count, rng, picked);
    }
    picked.choose(count);
    SteerOutcome::Answer
}

/// The record's own values in stored order, less those forced down unless none would be left.
fn collect_own(inputs: &Inputs<'_>, candidates: &mut Vec<Candidate>) {
    let own = || inputs.steered.own_values();
    let candidate = |value| Candidate::new(value, 1, health::WHOLE_FACTOR);
    candidates.extend(own().filter(|(_, slot)| inputs.health.word(*slot).operator() != Override::Down).map(|(value, _)| candidate(value)));
    if candidates.is_empty() {
        candidates.extend(own().map(|(value, _)| candidate(value)));
    }
}

#[cfg(test)]
pub(crate) mod tests;
