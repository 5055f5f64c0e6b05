//! What would be answered if: the shares of clients per value and site before and after a change of health, overrides or the record itself, and what moved where.
//!
//! Nothing here decides. Each group of clients that must be decided alike is put to `steer::decide` with the health of either side, and its weight is added up.
//! Groups come from the scopes that decisions announce: within a scope every address is decided alike (RFC 7871 §7.2.1), so a walk in steps of scopes meets every
//! decision there is. `docs/simulate.md` says what the figures mean.
//!
//! It deliberately knows no queries and no resolvers: a population is clients, as decisions see them.

mod forecast;
mod outcomes;
mod population;
mod report;
mod tally;
#[cfg(test)]
mod tests;
mod walk;

use std::cell::Cell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

pub use population::Population;
pub use report::{
    Beside, CountryRow, CountryTotal, End, MoveRow, OutcomeRow, PoolRow, RecordReport, RuleRow, RuleSide, SiteRow, TotalReport, ValueRow,
};

use crate::location::{Country, Direction};
use crate::rng::{FastRng, Rng};
use crate::spec::{Rdata, Select};
use crate::steer::{HealthTable, Steered, SteeringTables};
use forecast::Forecaster;
use outcomes::Outcomes;
use population::Block;
use report::Total;
use tally::Tally;
use walk::Walk;

/// 3.29 standard errors of a proportion at its widest: 99.9 % of samples are nearer to the truth.
const SAMPLE_ERROR: f64 = 3.29 * 0.5;

/// Why there is no forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulationFault {
    /// More steps than the caller allows.
    TooMuch,
    /// The population has no weight.
    Nobody,
}

impl std::fmt::Display for SimulationFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooMuch => "this is more work than one simulation may do; name one record, or give fewer prefixes",
            Self::Nobody => "there are no clients: the population has no weight",
        })
    }
}

/// What stands at an owner name on one side.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// No such rrset.
    Absent,
    /// Everything goes out, in stored order.
    Static(&'a [Rdata]),
    Steered(&'a Steered),
}

impl Subject<'_> {
    fn select(&self) -> Option<Select> {
        match self {
            Self::Steered(steered) => Some(steered.spec().select),
            Self::Absent | Self::Static(_) => None,
        }
    }
}

/// One side of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    pub subject: Subject<'a>,
    pub health: &'a HealthTable,
}

/// One record before and after; `owner` in wire form.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub owner: &'a [u8],
    pub rtype: u16,
    pub before: Side<'a>,
    pub after: Side<'a>,
}

impl Case<'_> {
    fn uses(&self, select: Select) -> bool {
        [self.before, self.after].iter().any(|side| side.subject.select() == Some(select))
    }
}

/// How much may be done.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Steps of walks, decisions and draws, over all records.
    pub steps: u64,
    /// Client prefixes up to which `sticky` is worked out for each one; of more, so many are drawn.
    pub sticky_clients: u32,
    /// Of what is drawn.
    pub seed: u64,
}

/// Steps that are left, counted down by whoever works.
#[derive(Debug)]
struct Budget(Cell<u64>);

impl Budget {
    fn spend(&self, steps: u64) -> Result<(), SimulationFault> {
        self.0.set(self.0.get().checked_sub(steps).ok_or(SimulationFault::TooMuch)?);
        Ok(())
    }
}

/// What clients have in common that are decided alike on both sides, but for the key of `sticky`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct GroupKey {
    /// The rule before and after.
    rules: (u16, u16),
    /// Where it matters.
    direction: Option<Direction>,
    country: Option<Country>,
}

/// The population by what clients have in common.
#[derive(Debug)]
struct Groups {
    /// With their share of all clients, and the first address of them.
    members: Vec<(GroupKey, f64, IpAddr)>,
    /// Client prefixes that `sticky` tells apart.
    sticky_keys: f64,
}

/// What groups depend on: the rules of both sides, and whether directions matter.
type GroupsOf = (Option<u32>, Option<u32>, bool);

/// Forecasts for one population; records are put to it one by one.
#[derive(Debug)]
pub struct Simulation<'a> {
    tables: &'a SteeringTables,
    blocks: Vec<Block>,
    weight: f64,
    /// Addresses of which no database says anything are nobody's.
    known_only: bool,
    budget: Budget,
    effort: Effort,
    groups: HashMap<GroupsOf, Rc<Groups>>,
    sample: Option<Rc<[Drawn]>>,
    total: Total,
}

impl<'a> Simulation<'a> {
    /// Measures the population.
    ///
    /// # Errors
    /// It has no weight, or more networks than the effort allows.
    pub fn new(tables: &'a SteeringTables, population: &Population, effort: Effort) -> Result<Self, SimulationFault> {
        let budget = Budget(Cell::new(effort.steps));
        let locations = tables.locations();
        let blocks = population.blocks(locations, &budget)?;
        let weight: f64 = blocks.iter().map(|block| block.weight).sum();
        if weight.is_nan() || weight <= 0.0 {
            return Err(SimulationFault::Nobody);
        }
        let known_only = matches!(population, Population::Databases { .. }) && !locations.is_empty();
        Ok(Self { tables, blocks, weight, known_only, budget, effort, groups: HashMap::new(), sample: None, total: Total::default() })
    }

    /// The weight of all clients, as the population was given.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Over all records so far, each counted alike.
    pub fn total(&self) -> TotalReport {
        self.total.report()
    }

    /// What becomes of one record.
    ///
    /// # Errors
    /// The effort is spent.
    pub fn run(&mut self, case: &Case<'a>) -> Result<RecordReport, SimulationFault> {
        let groups = self.groups(case)?;
        let size = self.effort.sticky_clients.max(1);
        let sample = if case.uses(Select::Sticky) && groups.sticky_keys > f64::from(size) { Some(self.sample(size)?) } else { None };
        let mut outcomes = Outcomes::default();
        let mut before = Forecaster::new(self.tables, &case.before, &mut outcomes, self.effort.seed);
        let mut after = Forecaster::new(self.tables, &case.after, &mut outcomes, self.effort.seed);
        let mut tally = Tally::new(outcomes.len());
        let budget = &self.budget;
        let mut ask = |key: &GroupKey, share: f64, addr: IpAddr| {
            budget.spend(1)?;
            let one = before.forecast(addr, key.rules.0, key.direction, budget)?;
            let other = after.forecast(addr, key.rules.1, key.direction, budget)?;
            tally.add(key, share, &one, &other);
            Ok(())
        };
        match &sample {
            Some(sample) => self.ask_sample(case, sample, &mut ask)?,
            None if case.uses(Select::Sticky) => self.ask_clients(case, &mut ask)?,
            None => groups.members.iter().try_for_each(|(key, share, addr)| ask(key, *share, *addr))?,
        }
        let sample = sample.map(|_| size);
        let drawn = before.draw_error().max(after.draw_error());
        let error = sample.map_or(drawn, |size| drawn.max(SAMPLE_ERROR / f64::from(size).sqrt()));
        let report = report::describe(case, &tally, &outcomes, (&before, &after), sample, error);
        self.total.add(&report);
        Ok(report)
    }

    fn walk<'s>(&'s self, case: &'s Case<'a>) -> Walk<'s> {
        Walk { tables: self.tables, case, blocks: &self.blocks, whole: self.weight, known_only: self.known_only, budget: &self.budget }
    }

    /// The population by the rules of both sides; records with equal rules share it.
    fn groups(&mut self, case: &Case<'a>) -> Result<Rc<Groups>, SimulationFault> {
        let rules = |side: &Side<'_>| match side.subject {
            Subject::Steered(steered) => Some(steered.rule_set()),
            Subject::Absent | Subject::Static(_) => None,
        };
        let of = (rules(&case.before), rules(&case.after), case.uses(Select::Nearest));
        if let Some(groups) = self.groups.get(&of) {
            return Ok(Rc::clone(groups));
        }
        let mut members: HashMap<GroupKey, (f64, IpAddr)> = HashMap::new();
        let mut sticky_keys = 0.0;
        self.walk(case).run(&mut |piece, key, share| {
            members.entry(*key).or_insert((0.0, piece.first())).0 += share;
            sticky_keys += piece.count_keys(self.tables.sticky_prefix());
            Ok(())
        })?;
        let mut members: Vec<_> = members.into_iter().map(|(key, (share, first))| (key, share, first)).collect();
        // A hash map has another order in each process; sums of floats, and draws, shall not.
        members.sort_unstable_by_key(|(_, _, first)| *first);
        let groups = Rc::new(Groups { members, sticky_keys });
        self.groups.insert(of, Rc::clone(&groups));
        Ok(groups)
    }

    /// Asks for every client prefix that `sticky` tells apart.
    fn ask_clients(
        &self,
        case: &Case<'a>,
        ask: &mut impl FnMut(&GroupKey, f64, IpAddr) -> Result<(), SimulationFault>,
    ) -> Result<(), SimulationFault> {
        let prefix = self.tables.sticky_prefix();
        self.walk(case).run(&mut |piece, key, share| piece.each_key(prefix, |first, part| ask(key, share * part, first)))
    }

    /// Asks for clients that were drawn.
    fn ask_sample(
        &self,
        case: &Case<'a>,
        sample: &[Drawn],
        ask: &mut impl FnMut(&GroupKey, f64, IpAddr) -> Result<(), SimulationFault>,
    ) -> Result<(), SimulationFault> {
        let share = 1.0 / f64::from(u32::try_from(sample.len()).unwrap_or(u32::MAX));
        for drawn in sample {
            let rules = (self.match_rule(&case.before, drawn.addr), self.match_rule(&case.after, drawn.addr));
            let bearing = || self.tables.locations().take_bearing(drawn.addr);
            let direction = if case.uses(Select::Nearest) { bearing().direction } else { None };
            ask(&GroupKey { rules, direction, country: drawn.country }, share, drawn.addr)?;
        }
        Ok(())
    }

    fn match_rule(&self, side: &Side<'_>, addr: IpAddr) -> u16 {
        walk::match_rule(self.tables, &side.subject, addr).rule
    }

    /// One client out of each of `size` equal parts of the population, which is never worse than drawing freely; drawn once for all records.
    fn sample(&mut self, size: u32) -> Result<Rc<[Drawn]>, SimulationFault> {
        if let Some(sample) = &self.sample {
            return Ok(Rc::clone(sample));
        }
        let part = 1.0 / f64::from(size);
        let mut rng = FastRng::from_seed(self.effort.seed);
        let mut sample: Vec<Drawn> = Vec::new();
        let mut next = part * fraction(&mut rng);
        let mut passed = 0.0;
        let mut number = 0_u32;
        let nothing = Side { subject: Subject::Absent, health: &HealthTable::default() };
        let case = Case { owner: &[], rtype: 0, before: nothing, after: nothing };
        self.walk(&case).run(&mut |piece, key, share| {
            while next < passed + share && number < size {
                sample.push(Drawn { addr: piece.part_way((next - passed) / share), country: key.country });
                number = number.saturating_add(1);
                next = part * (f64::from(number) + fraction(&mut rng));
            }
            passed += share;
            Ok(())
        })?;
        let sample: Rc<[Drawn]> = sample.into();
        self.sample = Some(Rc::clone(&sample));
        Ok(sample)
    }
}

/// A client that stands for others.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    addr: IpAddr,
    country: Option<Country>,
}

/// Uniform in 0 to 1.
#[allow(clippy::cast_precision_loss)] // 53 bits are left
fn fraction(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
