//! What clients get on one side, asked of `steer::decide`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::outcomes::{Outcome, Outcomes};
use super::{Budget, SAMPLE_ERROR, Side, SimulationFault, Subject};
use crate::explain::{MAX_EXACT, find_chances};
use crate::location::{Direction, Matched};
use crate::rng::FastRng;
use crate::spec::Select;
use crate::steer::{
    Candidate, Client, Decision, Inputs, Narrowing, NoTrace, Picked, Source, Standing, SteerOutcome, Steered, SteeringTables, Trace, decide,
};

/// Draws where probabilities are not worked out (several answers out of many values of unequal weights): within 0.4 %.
const DRAWS: u32 = 200_000;

/// Values that are looked at, and sums of subsets, in the time of one step of a walk.
const WORK_OF_STEP: u64 = 16;

/// What one client, or each client of a group, gets.
#[derive(Debug)]
pub(super) struct Forecast {
    /// Outcomes and their probabilities, which add up to 1. A client that gets several values uses each alike.
    pub shares: Vec<(usize, f64)>,
    /// Where the answer comes from; see `Forecaster::origin`.
    pub origin: usize,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Steered(Source),
    /// An rrset without steering.
    Static,
    Absent,
}

/// Asks one side.
pub(super) struct Forecaster<'a> {
    tables: &'a SteeringTables,
    side: Side<'a>,
    /// Outcomes by number of the value.
    values: Vec<usize>,
    nodata: usize,
    servfail: usize,
    absent: usize,
    rng: FastRng,
    picked: Picked,
    known: HashMap<(u16, Option<Direction>), Rc<Forecast>>,
    origins: Vec<Origin>,
    has_drawn: bool,
}

impl<'a> Forecaster<'a> {
    pub(super) fn new(tables: &'a SteeringTables, side: &Side<'a>, outcomes: &mut Outcomes, seed: u64) -> Self {
        Self {
            tables,
            side: *side,
            values: outcomes.note(&side.subject),
            nodata: outcomes.intern(Outcome::NoData),
            servfail: outcomes.intern(Outcome::ServFail),
            absent: outcomes.intern(Outcome::Absent),
            rng: FastRng::from_seed(seed),
            picked: Picked::new(),
            known: HashMap::new(),
            origins: Vec::new(),
            has_drawn: false,
        }
    }

    pub(super) fn subject(&self) -> &Subject<'a> {
        &self.side.subject
    }

    /// All origins that came up, by number.
    pub(super) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// The origin of a rule's answers, once it has come up: health is the same for all clients, so the rule alone makes it.
    pub(super) fn origin_of(&self, rule: u16) -> Option<&Origin> {
        let mut forecasts = self.known.iter().filter(|((known, _), _)| *known == rule);
        forecasts.next().and_then(|(_, forecast)| self.origins.get(forecast.origin))
    }

    /// By how much drawn probabilities may be off.
    pub(super) fn draw_error(&self) -> f64 {
        if self.has_drawn { SAMPLE_ERROR / f64::from(DRAWS).sqrt() } else { 0.0 }
    }

    /// What the client at `addr` gets, which matches that rule and is in that direction.
    pub(super) fn forecast(
        &mut self,
        addr: IpAddr,
        rule: u16,
        direction: Option<Direction>,
        budget: &Budget,
    ) -> Result<Rc<Forecast>, SimulationFault> {
        let direction = direction.filter(|_| self.side.subject.select() == Some(Select::Nearest));
        let known = self.known.get(&(rule, direction)).cloned();
        match (known, self.side.subject) {
            (Some(known), Subject::Steered(steered)) if steered.spec().select == Select::Sticky => {
                self.decide_alone(steered, addr, &known, budget)
            }
            (Some(known), _) => Ok(known),
            (None, subject) => {
                let forecast = Rc::new(match subject {
                    Subject::Absent => Forecast { shares: vec![(self.absent, 1.0)], origin: self.note(Origin::Absent) },
                    Subject::Static(_) => Forecast { shares: share_alike(self.values.iter().copied()), origin: self.note(Origin::Static) },
                    Subject::Steered(steered) => self.decide_traced(steered, addr, budget)?,
                });
                self.known.insert((rule, direction), Rc::clone(&forecast));
                Ok(forecast)
            }
        }
    }

    fn note(&mut self, origin: Origin) -> usize {
        let known = self.origins.iter().position(|known| *known == origin);
        known.unwrap_or_else(|| {
            self.origins.push(origin);
            self.origins.len().saturating_sub(1)
        })
    }

    /// One decision, listened to: which values could be chosen, each with its probability.
    fn decide_traced(&mut self, steered: &Steered, addr: IpAddr, budget: &Budget) -> Result<Forecast, SimulationFault> {
        let mut listener = Listener::default();
        let client = client_at(addr);
        let decision = decide(self.tables, self.side.health, steered, &client, &mut self.rng, &mut self.picked, &mut listener);
        let Listener { source, candidates, count, chances, .. } = listener;
        let origin = self.note(Origin::Steered(source));
        // What finding the chances costs at most: `nearest` compares all with all, and works out the subsets for each of several answers.
        let wide = u64::try_from(candidates.len()).unwrap_or(u64::MAX);
        let pairs = wide.saturating_mul(wide);
        let subsets = if count > 1 && candidates.len() <= MAX_EXACT { pairs.saturating_mul(1 << MAX_EXACT) } else { 0 };
        budget.spend(pairs.saturating_add(subsets) / WORK_OF_STEP)?;
        let shares = match decision.outcome {
            SteerOutcome::NoData { .. } => vec![(self.nodata, 1.0)],
            SteerOutcome::ServFail => vec![(self.servfail, 1.0)],
            SteerOutcome::Answer => match chances.iter().copied().collect::<Option<Vec<f64>>>() {
                Some(chances) => {
                    let all: f64 = chances.iter().sum();
                    let outcomes = candidates.iter().map(|candidate| self.outcome_of(candidate.value));
                    outcomes.zip(chances).filter(|(_, chance)| *chance > 0.0).map(|(outcome, chance)| (outcome, chance / all)).collect()
                }
                None => self.draw(steered, &client, count, budget)?,
            },
        };
        Ok(Forecast { shares, origin })
    }

    /// One decision that is the client's alone.
    fn decide_alone(
        &mut self,
        steered: &Steered,
        addr: IpAddr,
        of_rule: &Forecast,
        budget: &Budget,
    ) -> Result<Rc<Forecast>, SimulationFault> {
        budget.spend(self.walk_of_values())?;
        let decision = decide(self.tables, self.side.health, steered, &client_at(addr), &mut self.rng, &mut self.picked, &mut NoTrace);
        let shares = match decision.outcome {
            SteerOutcome::NoData { .. } => vec![(self.nodata, 1.0)],
            SteerOutcome::ServFail => vec![(self.servfail, 1.0)],
            SteerOutcome::Answer => share_alike(self.picked.values().map(|value| self.outcome_of(value))),
        };
        Ok(Rc::new(Forecast { shares, origin: of_rule.origin }))
    }

    /// Many decisions for one client.
    fn draw(&mut self, steered: &Steered, client: &Client, count: usize, budget: &Budget) -> Result<Vec<(usize, f64)>, SimulationFault> {
        budget.spend(u64::from(DRAWS).saturating_mul(self.walk_of_values().saturating_add(1)))?;
        self.has_drawn = true;
        let mut counts: HashMap<usize, u32> = HashMap::new();
        for _ in 0..DRAWS {
            decide(self.tables, self.side.health, steered, client, &mut self.rng, &mut self.picked, &mut NoTrace);
            for value in self.picked.values() {
                let times = counts.entry(self.outcome_of(value)).or_default();
                *times = times.saturating_add(1);
            }
        }
        #[allow(clippy::cast_precision_loss)] // few answers
        let all = f64::from(DRAWS) * count as f64;
        let mut shares: Vec<_> = counts.into_iter().map(|(outcome, times)| (outcome, f64::from(times) / all)).collect();
        shares.sort_unstable_by_key(|(outcome, _)| *outcome);
        Ok(shares)
    }

    /// Steps that a decision costs beyond its own one, which walks over the values.
    fn walk_of_values(&self) -> u64 {
        u64::try_from(self.values.len()).unwrap_or(u64::MAX) / WORK_OF_STEP
    }

    fn outcome_of(&self, value: u32) -> usize {
        self.values.get(value as usize).copied().unwrap_or(self.absent)
    }
}

fn client_at(addr: IpAddr) -> Client {
    Client { addr, prefix: if addr.is_ipv4() { 32 } else { 128 }, from_ecs: false }
}

#[allow(clippy::cast_precision_loss)] // few values
fn share_alike(outcomes: impl Iterator<Item = usize>) -> Vec<(usize, f64)> {
    let outcomes: Vec<usize> = outcomes.collect();
    let share = 1.0 / outcomes.len().max(1) as f64;
    outcomes.into_iter().map(|outcome| (outcome, share)).collect()
}

/// Keeps what could be chosen, and with which probability.
struct Listener {
    source: Source,
    candidates: Vec<Candidate>,
    count: usize,
    narrowing: Narrowing,
    chances: Vec<Option<f64>>,
}

impl Default for Listener {
    fn default() -> Self {
        Self { source: Source::Nothing, candidates: Vec::new(), count: 0, narrowing: Narrowing::None, chances: Vec::new() }
    }
}

impl Trace for Listener {
    fn rule(&mut self, _: Matched, narrowing: Narrowing) {
        self.narrowing = narrowing;
    }

    fn candidates(&mut self, source: Source, candidates: &[Candidate], count: usize) {
        (self.source, self.candidates, self.count) = (source, candidates.to_vec(), count);
    }

    fn end(&mut self, inputs: &Inputs<'_>, _: &Decision, picked: &Picked) {
        self.chances = find_chances(inputs, self.narrowing, (self.source, &self.candidates, self.count), picked);
    }
}

impl Origin {
    /// `pool`, `drained`, `serve-all`, `values`, `nothing`, `static` or `absent`; and the pool where there is one.
    pub(super) fn describe(self, subject: &Subject<'_>) -> (&'static str, Option<String>) {
        let name = |pool: u16| match subject {
            Subject::Steered(steered) => steered.spec().pools.get(usize::from(pool)).map(|pool| pool.name.clone()),
            Subject::Absent | Subject::Static(_) => None,
        };
        match self {
            Self::Steered(Source::Pool { pool, standing: Standing::Drained }) => ("drained", name(pool)),
            Self::Steered(Source::Pool { pool, .. }) => ("pool", name(pool)),
            Self::Steered(Source::WholePool { pool }) => ("serve-all", name(pool)),
            Self::Steered(Source::OwnValues) => ("values", None),
            Self::Steered(Source::Nothing) => ("nothing", None),
            Self::Static => ("static", None),
            Self::Absent => ("absent", None),
        }
    }
}
