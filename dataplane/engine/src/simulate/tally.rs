//! Adds up what groups of clients get on both sides, and what moves from where to where.
//!
//! Where an answer is drawn, a client has no value of its own and nothing says who moves. What is counted is then the least movement that leads from one distribution
//! to the other within clients that are decided alike: whoever can keep a value keeps it, and what a value loses goes to those that gain, in proportion to what they gain.

use std::collections::{BTreeMap, HashMap};

use super::GroupKey;
use super::forecast::Forecast;
use crate::location::Country;

/// Pairs of losing and gaining values that are kept apart for one group: a pool of a thousand values that loses half of them is far more than anybody reads.
const MAX_PAIRS: usize = 100_000;

/// Shares of all clients on both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Pair {
    pub before: f64,
    pub after: f64,
}

/// One country's clients.
#[derive(Debug, Default)]
pub(super) struct CountryTally {
    pub clients: f64,
    pub moved: f64,
    /// By outcome.
    pub outcomes: BTreeMap<usize, Pair>,
}

/// Everything that is counted for a record.
#[derive(Debug)]
pub(super) struct Tally {
    pub outcomes: Vec<Pair>,
    /// By number of the origin on its side.
    pub origins_before: BTreeMap<usize, f64>,
    pub origins_after: BTreeMap<usize, f64>,
    /// By the rules before and after.
    pub rules: BTreeMap<(u16, u16), f64>,
    pub countries: BTreeMap<Option<Country>, CountryTally>,
    pub moved: f64,
    /// By outcome before and after.
    pub moves: HashMap<(usize, usize), f64>,
    losing: Vec<(usize, f64)>,
    gaining: Vec<(usize, f64)>,
    scratch: Vec<f64>,
}

impl Tally {
    /// For that many outcomes.
    pub(super) fn new(outcomes: usize) -> Self {
        Self {
            outcomes: vec![Pair::default(); outcomes],
            origins_before: BTreeMap::new(),
            origins_after: BTreeMap::new(),
            rules: BTreeMap::new(),
            countries: BTreeMap::new(),
            moved: 0.0,
            moves: HashMap::new(),
            losing: Vec::new(),
            gaining: Vec::new(),
            scratch: vec![0.0; outcomes],
        }
    }

    /// Clients that are `share` of all, and what they get.
    pub(super) fn add(&mut self, key: &GroupKey, share: f64, before: &Forecast, after: &Forecast) {
        let country = self.countries.entry(key.country).or_default();
        country.clients += share;
        for &(outcome, chance) in &before.shares {
            if let Some(pair) = self.outcomes.get_mut(outcome) {
                pair.before += share * chance;
            }
            country.outcomes.entry(outcome).or_default().before += share * chance;
        }
        for &(outcome, chance) in &after.shares {
            if let Some(pair) = self.outcomes.get_mut(outcome) {
                pair.after += share * chance;
            }
            country.outcomes.entry(outcome).or_default().after += share * chance;
        }
        *self.origins_before.entry(before.origin).or_default() += share;
        *self.origins_after.entry(after.origin).or_default() += share;
        *self.rules.entry(key.rules).or_default() += share;
        let moved = share * self.compare(before, after);
        if moved > 0.0 {
            self.moved += moved;
            self.countries.entry(key.country).or_default().moved += moved;
            self.note_moves(share);
        }
    }

    /// Which outcomes lose and which gain among these clients; then the share of them that moves.
    fn compare(&mut self, before: &Forecast, after: &Forecast) -> f64 {
        /// Below it, a difference is what rounding left.
        const NOISE: f64 = 1e-12;
        self.losing.clear();
        self.gaining.clear();
        let signed = before.shares.iter().map(|&(outcome, chance)| (outcome, -chance)).chain(after.shares.iter().copied());
        for (outcome, change) in signed {
            if let Some(sum) = self.scratch.get_mut(outcome) {
                *sum += change;
            }
        }
        let mut lost = 0.0;
        for &(outcome, _) in before.shares.iter().chain(&after.shares) {
            let change = self.scratch.get_mut(outcome).map_or(0.0, std::mem::take);
            if change < -NOISE {
                self.losing.push((outcome, -change));
                lost -= change;
            } else if change > NOISE {
                self.gaining.push((outcome, change));
            }
        }
        lost
    }

    fn note_moves(&mut self, share: f64) {
        if self.losing.len().saturating_mul(self.gaining.len()) > MAX_PAIRS {
            return;
        }
        let gained: f64 = self.gaining.iter().map(|(_, gain)| gain).sum();
        for &(from, loss) in &self.losing {
            for &(to, gain) in &self.gaining {
                *self.moves.entry((from, to)).or_default() += share * loss * gain / gained;
            }
        }
    }
}
