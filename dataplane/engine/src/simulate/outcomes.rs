//! What a client can get, numbered: each distinct value of either side, and the answers without one.

use std::collections::HashMap;

use super::Subject;
use crate::spec::{Rdata, SteeringSpec};

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Value(Rdata),
    /// NODATA, because nothing is up.
    NoData,
    /// SERVFAIL, because nothing is up.
    ServFail,
    /// There is no such rrset.
    Absent,
}

/// Outcomes in the order in which they came up, with the site of each value on either side.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    all: Vec<Outcome>,
    numbers: HashMap<Outcome, usize>,
    /// By outcome; the side that was noted last wins, so that a changed record's word counts.
    sites: HashMap<usize, String>,
}

impl Outcomes {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn intern(&mut self, outcome: Outcome) -> usize {
        if let Some(number) = self.numbers.get(&outcome) {
            return *number;
        }
        let number = self.all.len();
        self.all.push(outcome.clone());
        self.numbers.insert(outcome, number);
        number
    }

    /// The outcomes of a side's values: those of a steered rrset by their numbers in it.
    pub(super) fn note(&mut self, subject: &Subject<'_>) -> Vec<usize> {
        match subject {
            Subject::Absent => Vec::new(),
            Subject::Static(rdatas) => rdatas.iter().map(|rdata| self.intern(Outcome::Value(rdata.clone()))).collect(),
            Subject::Steered(steered) => self.note_values(steered.spec()),
        }
    }

    fn note_values(&mut self, spec: &SteeringSpec) -> Vec<usize> {
        let mut numbers = Vec::new();
        for value in spec.pools.iter().flat_map(|pool| &pool.values) {
            let number = self.intern(Outcome::Value(value.rdata.clone()));
            if !value.site.is_empty() {
                self.sites.insert(number, value.site.clone());
            }
            numbers.push(number);
        }
        numbers.extend(spec.values.iter().map(|value| value.rdata.clone()).map(Outcome::Value).map(|value| self.intern(value)));
        numbers
    }

    /// With their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Outcome)> {
        self.all.iter().enumerate()
    }

    pub(super) fn get(&self, number: usize) -> Option<&Outcome> {
        self.all.get(number)
    }

    pub(super) fn site(&self, number: usize) -> Option<&str> {
        self.sites.get(&number).map(String::as_str)
    }
}
