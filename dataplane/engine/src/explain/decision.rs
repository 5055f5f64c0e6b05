//! One decision for a steered rrset as a report: rules, pools, values, ttl and scope, each with its reason.

use serde::Serialize;

use super::chance;
use super::rules::{RuleReport, judge_rules};
use super::text::show_rdata;
use crate::location::{Bearing, Direction, Matched};
use crate::spec::{HealthEntry, Override, Select, Status, ValueSpec};
use crate::steer::{
    Bound, Candidate, Decision, Inputs, Narrowing, Picked, PoolState, PoolVerdict, Source, Standing, SteerOutcome, Steered,
};

/// What the trace of a decision said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub rule: Option<(Matched, Narrowing)>,
    pub pools: Vec<(u16, PoolState, PoolVerdict)>,
    pub choice: Option<(Source, Vec<Candidate>, usize)>,
    pub bound: Option<Bound>,
}

/// A decision and all that led to it.
#[derive(Debug, Serialize)]
pub struct DecisionReport {
    pub rules: Vec<RuleReport>,
    /// Index of the rule that decides.
    pub rule: u16,
    /// The pools from the rule's on, in the order of fallbacks; those past the one that serves were not looked at.
    pub pools: Vec<PoolReport>,
    pub choice: Choice,
    /// `answer`, `nodata` or `servfail`.
    pub outcome: &'static str,
    pub ttl: TtlReport,
    pub scope: ScopeReport,
}

/// A pool of the chain.
#[derive(Debug, Serialize)]
pub struct PoolReport {
    pub pool: String,
    /// `serves`, `too-little-up`, `only-drained`, `all-down`, or `not-reached`.
    pub verdict: &'static str,
    /// Whether the answer comes from it.
    pub served: bool,
    /// Weight of the values that are up and not drained; null when the pool was not looked at.
    pub up_weight: Option<u64>,
    /// Weight of the values that are neither `status: down` nor drained.
    pub counted_weight: Option<u64>,
    /// `up_weight` over `counted_weight`; null when nothing counts.
    pub live_share: Option<f64>,
    /// The share that must be up.
    pub min_up: f64,
    pub values: Vec<ValueReport>,
}

/// A value of a pool.
#[derive(Debug, Serialize)]
pub struct ValueReport {
    pub id: u32,
    pub value: String,
    pub site: Option<String>,
    pub weight: u32,
    /// The weight that counts in a draw now: less than `weight` while the value ramps up.
    pub effective_weight: f64,
    /// `up`, `down` or `drained`.
    pub state: &'static str,
    /// What made it so: the operator, the record or health.
    pub because: &'static str,
    /// What the checks say: `up` or `down`.
    pub verdict: &'static str,
    /// `obey`, `up` or `down`, as in the record.
    pub status: &'static str,
    /// The operator's word: `up`, `down`, `drain` or null.
    #[serde(rename = "override")]
    pub operator: Option<&'static str>,
    /// Unix milliseconds of the last transition; null when it is not known.
    pub since_ms: Option<u64>,
    /// Seconds for which the value surely keeps its state; null when there is no bound.
    pub ttl_bound: Option<u32>,
}

/// What could be chosen from and what was.
#[derive(Debug, Serialize)]
pub struct Choice {
    /// `pool`, `drained`, `serve-all`, `values` or `nothing`.
    pub from: &'static str,
    pub pool: Option<String>,
    /// `weighted`, `sticky` or `nearest`; null where everything goes out.
    pub select: Option<&'static str>,
    /// How many are chosen.
    pub answers: usize,
    pub candidates: Vec<CandidateReport>,
    /// In drawn order: a possible answer.
    pub chosen: Vec<String>,
}

/// A value that could be chosen.
#[derive(Debug, Serialize)]
pub struct CandidateReport {
    pub value: String,
    pub site: Option<String>,
    /// Its part of all weight: of all clients, this share gets it first (`weighted`, `sticky`).
    pub share: f64,
    /// The probability that this client's answer carries it; null where that was not computed (many values of unequal weights, several answers).
    pub probability: Option<f64>,
    /// From the client, for `nearest`; null without location or coordinates.
    pub distance_km: Option<u32>,
}

/// The ttl and what bounds it.
#[derive(Debug, Serialize)]
pub struct TtlReport {
    pub seconds: u32,
    /// The record's own.
    pub record: u32,
    /// Of the `ttl` block; null without one.
    pub min: Option<u32>,
    pub max: Option<u32>,
    /// The value whose state may change soonest.
    pub bound: Option<TtlBoundReport>,
    /// `record`, `max`, `min` or `bound`.
    pub because: &'static str,
}

/// The least bound.
#[derive(Debug, Serialize)]
pub struct TtlBoundReport {
    pub value: String,
    pub pool: String,
    pub seconds: u32,
}

/// The scope and what bounds it.
#[derive(Debug, Serialize)]
pub struct ScopeReport {
    pub prefix: u8,
    /// `rule`, `sticky-prefix`, `location-network`, or `everybody` at 0.
    pub because: &'static str,
    /// Length of the shortest prefix around the client in which the same rule decides.
    pub rule: u8,
    pub sticky_prefix: Option<u8>,
    pub location_network: Option<u8>,
}

impl DecisionReport {
    pub(super) fn new(heard: &Heard, inputs: &Inputs<'_>, decision: &Decision, picked: &Picked) -> Self {
        let Inputs { tables, steered, client, .. } = inputs;
        let (matched, narrowing) = heard.rule.unwrap_or((Matched { rule: 0, scope: 0 }, Narrowing::None));
        let facts = tables.locations().locate(client.addr);
        let first = steered.spec().rules.get(usize::from(matched.rule)).map_or(0, |rule| rule.pool);
        Self {
            rules: judge_rules(steered, tables.matcher_of(steered), &facts, client.addr, matched.rule),
            rule: matched.rule,
            pools: report_pools(heard, inputs, first),
            choice: Choice::new(heard, inputs, narrowing, picked),
            outcome: match decision.outcome {
                SteerOutcome::Answer => "answer",
                SteerOutcome::NoData { .. } => "nodata",
                SteerOutcome::ServFail => "servfail",
            },
            ttl: TtlReport::new(heard, steered, decision),
            scope: ScopeReport::new(matched, narrowing, decision),
        }
    }
}

fn report_pools(heard: &Heard, inputs: &Inputs<'_>, first: u16) -> Vec<PoolReport> {
    let spec = inputs.steered.spec();
    let served = match heard.choice {
        Some((Source::Pool { pool, .. }, ..)) => Some(pool),
        _ => None,
    };
    let next = |pool: &u16| spec.pools.get(usize::from(*pool)).and_then(|pool| pool.fallback);
    let chain = std::iter::successors(Some(first), next);
    let report = |number: u16| {
        let pool = spec.pools.get(usize::from(number))?;
        let looked_at = heard.pools.iter().find(|(looked_at, ..)| *looked_at == number);
        let state = looked_at.map(|(_, state, _)| state);
        #[allow(clippy::cast_precision_loss)] // a share, for people
        let live_share = state.filter(|state| state.counted > 0).map(|state| state.up as f64 / state.counted as f64);
        Some(PoolReport {
            pool: pool.name.clone(),
            verdict: match looked_at.map(|(.., verdict)| verdict) {
                Some(PoolVerdict::Serves) => "serves",
                Some(PoolVerdict::TooLittleUp) => "too-little-up",
                Some(PoolVerdict::OnlyDrained) => "only-drained",
                Some(PoolVerdict::AllDown) => "all-down",
                None => "not-reached",
            },
            served: served == Some(number),
            up_weight: state.map(|state| state.up),
            counted_weight: state.map(|state| state.counted),
            live_share,
            min_up: f64::from(spec.min_up) / 1e6,
            values: inputs
                .values_of(number)
                .zip(&pool.values)
                .map(|((standing, entry), value)| ValueReport::new(standing, &entry, value, inputs.steered))
                .collect(),
        })
    };
    chain.filter_map(report).collect()
}

impl ValueReport {
    fn new(standing: Standing, entry: &HealthEntry, value: &ValueSpec, steered: &Steered) -> Self {
        Self {
            id: value.id,
            value: show_rdata(steered.rtype(), &value.rdata),
            site: Some(value.site.clone()).filter(|site| !site.is_empty()),
            weight: value.weight,
            effective_weight: f64::from(value.weight) * f64::from(entry.factor) / 1000.0,
            state: match standing {
                Standing::Up => "up",
                Standing::Drained => "drained",
                Standing::Down => "down",
            },
            because: say_why(standing, entry.operator, value.status),
            verdict: if entry.down { "down" } else { "up" },
            status: match value.status {
                Status::Obey => "obey",
                Status::Up => "up",
                Status::Down => "down",
            },
            operator: match entry.operator {
                Override::None => None,
                Override::Up => Some("up"),
                Override::Down => Some("down"),
                Override::Drain => Some("drain"),
            },
            since_ms: Some(entry.since_ms).filter(|since| *since != 0),
            ttl_bound: entry.ttl_bound,
        }
    }
}

fn say_why(standing: Standing, operator: Override, status: Status) -> &'static str {
    match (standing, operator, status) {
        (Standing::Drained, Override::Drain, _) => "override: drain",
        (Standing::Drained, ..) => "weight 0 in the record",
        (_, Override::Up, _) => "override: up",
        (_, Override::Down, _) => "override: down",
        (_, _, Status::Up) => "status: up",
        (_, _, Status::Down) => "status: down",
        (Standing::Up, _, Status::Obey) => "health: up",
        (Standing::Down, _, Status::Obey) => "health: down",
    }
}

impl Choice {
    fn new(heard: &Heard, inputs: &Inputs<'_>, narrowing: Narrowing, picked: &Picked) -> Self {
        let steered = inputs.steered;
        let spec = steered.spec();
        let (source, candidates, answers) = heard.choice.clone().unwrap_or((Source::Nothing, Vec::new(), 0));
        let pool_name = |pool: u16| spec.pools.get(usize::from(pool)).map(|pool| pool.name.clone());
        let (from, pool) = match source {
            Source::Pool { pool, standing: Standing::Drained } => ("drained", pool_name(pool)),
            Source::Pool { pool, .. } => ("pool", pool_name(pool)),
            Source::WholePool { pool } => ("serve-all", pool_name(pool)),
            Source::OwnValues => ("values", None),
            Source::Nothing => ("nothing", None),
        };
        let select = find_method(source, spec.select, candidates.len(), answers);
        let show = |value: u32| inputs.rdata_of(value).map(|rdata| show_rdata(steered.rtype(), rdata)).unwrap_or_default();
        let distances = measure(inputs, narrowing, &candidates);
        let chances = chances_by(select, &candidates, &distances, answers, picked);
        #[allow(clippy::cast_precision_loss)] // a share, for people
        let total: f64 = candidates.iter().map(|candidate| candidate.weight as f64).sum();
        let values: Vec<&ValueSpec> = spec.pools.iter().flat_map(|pool| &pool.values).collect();
        let reports = candidates.iter().zip(distances.iter().zip(chances)).map(|(candidate, (distance, probability))| CandidateReport {
            value: show(candidate.value),
            site: values.get(candidate.value as usize).map(|value| value.site.clone()).filter(|site| !site.is_empty()),
            #[allow(clippy::cast_precision_loss)]
            share: if total > 0.0 { candidate.weight as f64 / total } else { 0.0 },
            probability,
            distance_km: distance.map(show_km),
        });
        Self {
            from,
            pool,
            select: select.map(|select| match select {
                Select::Weighted => "weighted",
                Select::Sticky => "sticky",
                Select::Nearest => "nearest",
            }),
            answers,
            candidates: reports.collect(),
            chosen: picked.values().map(show).collect(),
        }
    }
}

/// How values are chosen from a source; `None` where everything goes out.
fn find_method(source: Source, select: Select, candidates: usize, answers: usize) -> Option<Select> {
    match source {
        Source::Pool { .. } => Some(select),
        Source::WholePool { .. } => Some(select).filter(|_| answers < candidates),
        Source::OwnValues | Source::Nothing => None,
    }
}

/// The probability of each candidate to be in this client's answer; `None` where it costs too much to work out.
pub(crate) fn find_chances(
    inputs: &Inputs<'_>,
    narrowing: Narrowing,
    (source, candidates, answers): (Source, &[Candidate], usize),
    picked: &Picked,
) -> Vec<Option<f64>> {
    let select = find_method(source, inputs.steered.spec().select, candidates.len(), answers);
    chances_by(select, candidates, &measure(inputs, narrowing, candidates), answers, picked)
}

/// Squared chords from the client, for `nearest`.
fn measure(inputs: &Inputs<'_>, narrowing: Narrowing, candidates: &[Candidate]) -> Vec<Option<u64>> {
    let client: Option<Direction> = match narrowing {
        Narrowing::Network(Bearing { direction, .. }) => direction,
        Narrowing::None | Narrowing::StickyPrefix(_) => None,
    };
    candidates.iter().map(|candidate| Some(client?.distance(inputs.direction_of(candidate.value)?))).collect()
}

/// The great-circle distance of a squared chord in units of 2^-60.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most 20,015 km
fn show_km(squared_chord: u64) -> u32 {
    const EARTH_RADIUS_KM: f64 = 6371.0;
    let half_chord = (squared_chord as f64).sqrt() / f64::from(1_u32 << 31);
    (2.0 * EARTH_RADIUS_KM * half_chord.min(1.0).asin()).round() as u32
}

fn chances_by(
    select: Option<Select>,
    candidates: &[Candidate],
    distances: &[Option<u64>],
    answers: usize,
    picked: &Picked,
) -> Vec<Option<f64>> {
    match select {
        None => vec![Some(1.0); candidates.len()],
        Some(Select::Weighted) => {
            let all: Vec<&Candidate> = candidates.iter().collect();
            draw_chances(&all, answers)
        }
        Some(Select::Sticky) => {
            let chosen: Vec<u32> = picked.values().collect();
            candidates.iter().map(|candidate| Some(if chosen.contains(&candidate.value) { 1.0 } else { 0.0 })).collect()
        }
        Some(Select::Nearest) => {
            let rank = |distance: &Option<u64>| distance.unwrap_or(u64::MAX);
            let chance = |(place, distance): (usize, &Option<u64>)| {
                let nearer = distances.iter().filter(|other| rank(other) < rank(distance)).count();
                let tied: Vec<usize> =
                    (0..candidates.len()).filter(|&other| distances.get(other).map(rank) == Some(rank(distance))).collect();
                let equally_far: Vec<&Candidate> = tied.iter().filter_map(|&other| candidates.get(other)).collect();
                let chances = draw_chances(&equally_far, answers.saturating_sub(nearer));
                tied.iter().position(|&other| other == place).and_then(|place| chances.get(place).copied()).flatten()
            };
            distances.iter().enumerate().map(chance).collect()
        }
    }
}

fn draw_chances(candidates: &[&Candidate], answers: usize) -> Vec<Option<f64>> {
    let weights: Vec<u64> = candidates.iter().map(|candidate| candidate.weight).collect();
    let nominal: Vec<u32> = candidates.iter().map(|candidate| candidate.nominal).collect();
    chance::inclusion(&weights, &nominal, answers)
}

impl TtlReport {
    fn new(heard: &Heard, steered: &Steered, decision: &Decision) -> Self {
        let spec = steered.spec();
        let because = match (spec.ttl, heard.bound) {
            (None, _) => "record",
            (Some(_), None) => "max",
            (Some(range), Some(bound)) if bound.seconds >= range.max => "max",
            (Some(range), Some(bound)) if bound.seconds <= range.min => "min",
            (Some(_), Some(_)) => "bound",
        };
        let bound = heard.bound.and_then(|bound| {
            let named = spec.pools.iter().flat_map(|pool| pool.values.iter().map(move |value| (pool, value)));
            let (pool, value) = named.into_iter().nth(bound.value as usize)?;
            Some(TtlBoundReport { value: show_rdata(steered.rtype(), &value.rdata), pool: pool.name.clone(), seconds: bound.seconds })
        });
        Self {
            seconds: decision.ttl,
            record: steered.ttl(),
            min: spec.ttl.map(|range| range.min),
            max: spec.ttl.map(|range| range.max),
            bound,
            because,
        }
    }
}

impl ScopeReport {
    fn new(matched: Matched, narrowing: Narrowing, decision: &Decision) -> Self {
        let (sticky_prefix, location_network) = match narrowing {
            Narrowing::None => (None, None),
            Narrowing::StickyPrefix(length) => (Some(length), None),
            Narrowing::Network(bearing) => (None, Some(bearing.network)),
        };
        let because = match decision.scope {
            0 => "everybody",
            scope if scope == matched.scope => "rule",
            _ if sticky_prefix.is_some() => "sticky-prefix",
            _ => "location-network",
        };
        Self { prefix: decision.scope, because, rule: matched.scope, sticky_prefix, location_network }
    }
}
