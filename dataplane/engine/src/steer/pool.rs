//! Which pool of the chain serves: the first that can, as the contract's section 2.3 words it.

use super::health::{HealthTable, WHOLE_FACTOR, Word};
use super::picked::Candidate;
use super::steered::{Steered, Value, WHOLE_SHARE};
use super::trace::{PoolVerdict, Trace};
use crate::spec::{Override, Status};

/// What a value is good for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is drawn.
    Up,
    /// It is up, and drawn only when nothing else of the chain is.
    Drained,
    Down,
}

/// The operator's word stands above `status`, which stands above health.
///
/// | override | status | health | up |
/// |---|---|---|---|
/// | up | any | any | yes |
/// | down | any | any | no |
/// | none, drain | up | any | yes |
/// | none, drain | down | any | no |
/// | none, drain | obey | up, unknown | yes |
/// | none, drain | obey | down | no |
///
/// What is up is drained by the override `drain` or by weight 0 in the record, which the override `up` does not lift: it speaks of health.
pub(super) fn judge(value: &Value, word: Word) -> Standing {
    let is_up = match (word.operator(), value.status) {
        (Override::Up, _) | (Override::None | Override::Drain, Status::Up) => true,
        (Override::Down, _) | (Override::None | Override::Drain, Status::Down) => false,
        (Override::None | Override::Drain, Status::Obey) => !word.is_down(),
    };
    match (is_up, is_drained(value, word)) {
        (true, false) => Standing::Up,
        (true, true) => Standing::Drained,
        (false, _) => Standing::Down,
    }
}

pub(super) fn is_drained(value: &Value, word: Word) -> bool {
    value.drained || word.operator() == Override::Drain
}

/// Weights of a pool, as written; a ramp changes draws and not whether a pool can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolState {
    /// Weight of the values that are up and not drained.
    pub up: u64,
    /// Weight of the values that are neither `status: down`, unless the operator says up, nor drained.
    pub counted: u64,
    /// Weight of the values that are up and drained.
    pub drained: u64,
}

impl PoolState {
    /// The state of a pool; the values that are up are put into `up`, for nearly always it is this pool that serves, and then one pass has done.
    fn of(steered: &Steered, health: &HealthTable, pool: u16, up: &mut Vec<Candidate>) -> Self {
        let mut state = Self::default();
        for (number, value) in steered.pool_values(pool) {
            let word = health.word(value.slot);
            let weight = u64::from(value.weight);
            let standing = judge(&value, word);
            match standing {
                Standing::Up => {
                    state.up = state.up.saturating_add(weight);
                    up.push(Candidate::new(number, value.weight, word.factor()));
                }
                Standing::Drained => state.drained = state.drained.saturating_add(weight),
                Standing::Down => {}
            }
            // The override `up` stands above `status: down` here too, or more would be up than there is.
            if standing == Standing::Up || (value.status != Status::Down && !is_drained(&value, word)) {
                state.counted = state.counted.saturating_add(weight);
            }
        }
        state
    }

    /// Weights are at least 1, so weight above 0 means a value.
    fn judge(&self, min_up: u32) -> PoolVerdict {
        let enough = || {
            let share_up = u128::from(self.up).saturating_mul(WHOLE_SHARE.into());
            share_up >= u128::from(self.counted).saturating_mul(min_up.into())
        };
        match (self.up > 0, self.drained > 0) {
            (true, _) if enough() => PoolVerdict::Serves,
            (true, _) => PoolVerdict::TooLittleUp,
            (false, true) => PoolVerdict::OnlyDrained,
            (false, false) => PoolVerdict::AllDown,
        }
    }
}

/// The pool that serves and which of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serving {
    pub pool: u16,
    /// `Up` or `Drained`.
    pub standing: Standing,
}

/// The pool of the chain that serves, its values in `candidates`; `None` when all is down.
pub(super) fn find_serving(
    steered: &Steered,
    health: &HealthTable,
    first: u16,
    candidates: &mut Vec<Candidate>,
    trace: &mut impl Trace,
) -> Option<Serving> {
    let mut any_up = None;
    let mut any_drained = None;
    for pool in steered.chain(first) {
        candidates.clear();
        let state = PoolState::of(steered, health, pool, candidates);
        let verdict = state.judge(steered.min_up());
        trace.pool(pool, &state, verdict);
        match verdict {
            PoolVerdict::Serves => return Some(Serving { pool, standing: Standing::Up }),
            PoolVerdict::TooLittleUp => any_up = any_up.or(Some(pool)),
            PoolVerdict::OnlyDrained => any_drained = any_drained.or(Some(pool)),
            PoolVerdict::AllDown => {}
        }
    }
    let up = any_up.map(|pool| Serving { pool, standing: Standing::Up });
    let second_best = up.or(any_drained.map(|pool| Serving { pool, standing: Standing::Drained }));
    candidates.clear();
    if let Some(serving) = second_best {
        collect(steered, health, serving, candidates);
    }
    second_best
}

/// Puts the values of that standing into `candidates`.
fn collect(steered: &Steered, health: &HealthTable, serving: Serving, candidates: &mut Vec<Candidate>) {
    for (number, value) in steered.pool_values(serving.pool) {
        let word = health.word(value.slot);
        if judge(&value, word) == serving.standing {
            candidates.push(Candidate::new(number, value.weight, word.factor()));
        }
    }
}

/// Every value of the pool but `status: down` and those forced down (`all_down: serve-all`), by their written weights.
pub(super) fn collect_all(steered: &Steered, health: &HealthTable, pool: u16, candidates: &mut Vec<Candidate>) {
    for (number, value) in steered.pool_values(pool) {
        if value.status != Status::Down && health.word(value.slot).operator() != Override::Down {
            candidates.push(Candidate::new(number, value.weight, WHOLE_FACTOR));
        }
    }
}
