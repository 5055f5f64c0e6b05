//! Listens to the answer function and keeps what it says, step by step.

use serde::Serialize;

use super::decision::{DecisionReport, Heard};
use super::text::show_type;
use crate::location::Matched;
use crate::path::{PathStep, PathTrace};
use crate::steer::{Bound, Candidate, Decision, Inputs, Narrowing, Picked, PoolState, PoolVerdict, Source, Trace};

/// A step of the way; see `PathStep`.
#[derive(Debug, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// A name is looked for, in this zone or in none of ours.
    Search {
        name: String,
        zone: Option<String>,
    },
    Exact {
        rrsets: u8,
    },
    Wildcard {
        rrsets: u8,
    },
    Absent,
    Delegation {
        cut: String,
    },
    Dname {
        owner: String,
    },
    Static {
        #[serde(rename = "type")]
        rtype: String,
        ttl: u32,
    },
    Steered {
        #[serde(rename = "type")]
        rtype: String,
        decision: Option<Box<DecisionReport>>,
    },
    #[serde(rename = "nodata")]
    NoData,
    Loop,
}

/// What has been told so far.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    steps: Vec<Step>,
    heard: Heard,
}

impl Recorder {
    /// All steps, in order.
    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}

impl PathTrace for Recorder {
    fn step(&mut self, step: PathStep<'_>) {
        self.steps.push(match step {
            PathStep::Search { name, zone } => Step::Search { name: name.to_string(), zone: zone.map(|zone| zone.to_string()) },
            PathStep::Exact { rrsets } => Step::Exact { rrsets },
            PathStep::Wildcard { rrsets } => Step::Wildcard { rrsets },
            PathStep::Absent => Step::Absent,
            PathStep::Delegation { cut } => Step::Delegation { cut: cut.to_string() },
            PathStep::Dname { owner } => Step::Dname { owner: owner.to_string() },
            PathStep::Static { rtype, ttl } => Step::Static { rtype: show_type(rtype), ttl },
            PathStep::Steered { rtype } => Step::Steered { rtype: show_type(rtype), decision: None },
            PathStep::NoData => Step::NoData,
            PathStep::Loop => Step::Loop,
        });
    }
}

impl Trace for Recorder {
    fn begin(&mut self, _: &Inputs<'_>) {
        self.heard = Heard::default();
    }

    fn rule(&mut self, matched: Matched, narrowing: Narrowing) {
        self.heard.rule = Some((matched, narrowing));
    }

    fn pool(&mut self, pool: u16, state: &PoolState, verdict: PoolVerdict) {
        self.heard.pools.push((pool, *state, verdict));
    }

    fn candidates(&mut self, source: Source, candidates: &[Candidate], count: usize) {
        self.heard.choice = Some((source, candidates.to_vec(), count));
    }

    fn ttl(&mut self, bound: Option<Bound>) {
        self.heard.bound = bound;
    }

    fn end(&mut self, inputs: &Inputs<'_>, decision: &Decision, picked: &Picked) {
        let report = DecisionReport::new(&std::mem::take(&mut self.heard), inputs, decision, picked);
        if let Some(Step::Steered { decision, .. }) = self.steps.last_mut() {
            *decision = Some(Box::new(report));
        }
    }
}
