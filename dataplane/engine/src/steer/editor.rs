//! The adopter's side of steering: takes what control publishes, hands out tables that workers only read.

use std::collections::HashMap;
use std::sync::Arc;

use super::{HealthTable, Steered, SteeringTables};
use crate::location::LocationSet;
use crate::refused::Refused;
use crate::spec::{HealthEntry, Prefix, SteeringSpec, ValueId};

/// A health vector, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub enum HealthUpdate {
    /// Replaces everything; an absent value is up.
    Whole(Vec<(ValueId, HealthEntry)>),
    /// Replaces what it names.
    Changes(Vec<(ValueId, HealthEntry)>),
}

/// Interns rule sets, lists and value ids; owned by the thread that adopts.
#[derive(Debug, Default)]
pub struct SteeringEditor {
    tables: Arc<SteeringTables>,
    health: Arc<HealthTable>,
    lists: HashMap<String, Vec<Prefix>>,
}

impl SteeringEditor {
    /// No lists, no locations, everything up.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks and compiles a steered rrset; `owner` in lower-case wire form.
    ///
    /// # Errors
    /// `Refused` with what is wrong with `spec`.
    pub fn compile(&mut self, _owner: &[u8], _rtype: u16, ttl: u32, spec: SteeringSpec) -> Result<Arc<Steered>, Refused> {
        Ok(Arc::new(Steered::new(spec, ttl)))
    }

    /// Puts a named CIDR list in force.
    ///
    /// # Errors
    /// `Refused` when a prefix has host bits or an impossible length.
    pub fn put_list(&mut self, name: String, prefixes: Vec<Prefix>) -> Result<(), Refused> {
        self.lists.insert(name, prefixes);
        Ok(())
    }

    /// The named list matches nothing from now on.
    pub fn drop_list(&mut self, name: &str) {
        self.lists.remove(name);
    }

    /// The lists in force, for compaction.
    pub fn lists(&self) -> impl Iterator<Item = (&str, &[Prefix])> {
        self.lists.iter().map(|(name, prefixes)| (name.as_str(), prefixes.as_slice()))
    }

    /// Puts location databases in force.
    pub fn set_locations(&mut self, _locations: Arc<LocationSet>) {}

    /// Lengths to which `sticky` cuts a client's address (`sticky_prefix` of CONFIG).
    pub fn set_sticky_prefix(&mut self, _ipv4: u8, _ipv6: u8) {}

    /// Takes a health vector; true when anything differs from what was in force.
    pub fn set_health(&mut self, _update: HealthUpdate) -> bool {
        false
    }

    /// What is in force of health, without the values that have nothing said of them.
    pub fn health(&self) -> Vec<(ValueId, HealthEntry)> {
        Vec::new()
    }

    /// Lets go of slots and rule sets that no compiled rrset uses any more.
    pub fn forget_unused(&mut self) {}

    /// What to put in a view; the same `Arc`s as before when nothing changed.
    pub fn tables(&mut self) -> (Arc<SteeringTables>, Arc<HealthTable>) {
        (Arc::clone(&self.tables), Arc::clone(&self.health))
    }
}
