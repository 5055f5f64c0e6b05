//! The health vector as decisions read it: one dense slot a value. Health never deletes data; a value without a word from control is up.

use std::hint::black_box;

use crate::ahead::{FETCHED_VALUES, LINE};
use crate::spec::{HealthEntry, Override};

/// No bound on the ttl.
const NO_BOUND: u32 = u32::MAX;

/// The weight factor of a value that is not ramping up: thousandths.
pub(super) const WHOLE_FACTOR: u16 = 1000;

/// Words in a cache line, and how many lines are read ahead: those of the values that are.
const WORDS_A_LINE: usize = LINE / size_of::<Word>();
const FETCHED_LINES: usize = FETCHED_VALUES / WORDS_A_LINE;

/// What control says of a value, in eight bytes: a record of ten values is two cache lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Seconds, `NO_BOUND` for none.
    ttl_bound: u32,
    factor: u16,
    down: bool,
    operator: Override,
}

impl Word {
    fn new(entry: &HealthEntry) -> Self {
        Self {
            ttl_bound: entry.ttl_bound.unwrap_or(NO_BOUND),
            factor: entry.factor.min(WHOLE_FACTOR),
            down: entry.down,
            operator: entry.operator,
        }
    }

    /// The verdict is down.
    pub fn is_down(self) -> bool {
        self.down
    }

    /// The operator's word.
    pub fn operator(self) -> Override {
        self.operator
    }

    /// Share of the weight in thousandths.
    pub fn factor(self) -> u16 {
        self.factor
    }

    /// Seconds for which the value surely keeps its state.
    pub fn ttl_bound(self) -> Option<u32> {
        (self.ttl_bound != NO_BOUND).then_some(self.ttl_bound)
    }
}

impl Default for Word {
    fn default() -> Self {
        Self::new(&HealthEntry::default())
    }
}

/// Place of a value in a `HealthTable`.
pub type Slot = u32;

/// What control says of every value, by slot.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct HealthTable {
    words: Vec<Word>,
    /// Unix milliseconds of the last transition, 0 = unknown; only explain reads them.
    since_ms: Vec<u64>,
}

impl HealthTable {
    /// The word on the value in a slot.
    #[inline]
    pub fn word(&self, slot: Slot) -> Word {
        self.words.get(slot as usize).copied().unwrap_or_default()
    }

    /// Fetches the words of an rrset's values (`ahead`), which mostly lie side by side.
    pub(crate) fn fetch(&self, slots: impl Iterator<Item = Slot>) {
        for slot in slots.step_by(WORDS_A_LINE).take(FETCHED_LINES) {
            black_box(self.word(slot));
        }
    }

    /// Unix milliseconds of the last transition; 0 = unknown.
    pub fn since_ms(&self, slot: Slot) -> u64 {
        self.since_ms.get(slot as usize).copied().unwrap_or(0)
    }

    /// The entry as control sent it.
    pub fn entry(&self, slot: Slot) -> HealthEntry {
        let word = self.word(slot);
        HealthEntry {
            down: word.down,
            operator: word.operator,
            factor: word.factor,
            ttl_bound: word.ttl_bound(),
            since_ms: self.since_ms(slot),
        }
    }

    /// A table of that many slots about which nothing is said.
    pub(super) fn silent(slots: usize) -> Self {
        Self { words: vec![Word::default(); slots], since_ms: vec![0; slots] }
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// Puts an entry into a slot, which is made when it is the next one.
    pub(super) fn put(&mut self, slot: Slot, entry: &HealthEntry) {
        let place = slot as usize;
        if place == self.words.len() {
            self.words.push(Word::default());
            self.since_ms.push(0);
        }
        if let (Some(word), Some(since_ms)) = (self.words.get_mut(place), self.since_ms.get_mut(place)) {
            *word = Word::new(entry);
            *since_ms = entry.since_ms;
        }
    }
}
