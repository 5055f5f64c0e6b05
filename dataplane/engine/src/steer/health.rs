//! The health vector as decisions read it: one dense slot a value. Health never deletes data; a value without a word from control is up.

/// What control says of every value, by slot.
#[derive(Debug, Default, Clone)]
pub struct HealthTable {}
