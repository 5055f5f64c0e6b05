//! The adopter's side of steering: takes what control publishes, hands out tables that workers only read.
//!
//! Rule sets are shared by records with equal rules, values have dense slots, lists are flattened once. Nothing that a view in use still reads is ever changed or
//! given to somebody else: slots and rule sets are reused only when the last rrset that names them is gone from every view.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Weak};

use super::health::Slot;
use super::merging::{MergeJob, Merged};
use super::sticky::StickyPrefix;
use super::{HealthTable, Steered, SteeringTables, steered};
use crate::location::address::is_network;
use crate::location::{AddressMap, LocationSet, Matcher, Membership, Predicates, PrefixSet, RuleSet};
use crate::refused::Refused;
use crate::spec::{HealthEntry, Prefix, SteeringSpec, ValueId};

/// Merged maps that are kept. A map of a country database is about 3 MiB, so these are at most some 200 MiB; records with equal rules share one, and few installations
/// have more than a handful of different rule sets.
pub const MAX_MERGED_MAPS: usize = 64;

/// Memory of all merged maps. A whole city database takes 50 MiB a map when nothing merges, and 64 of those would be more than small machines have.
const MAX_MERGED_BYTES: usize = 512 * 1024 * 1024;

/// Ranges of sources that one look for stale matchers merges at once: a millisecond. What is more is a job for another thread.
const RANGES_AT_ONCE: usize = 20_000;

/// Rrsets compiled before unused ones are looked for the first time.
const FIRST_SWEEP: usize = 1024;

/// Hashes value ids by one multiplication: a whole vector of 100,000 values arrives every second, and ids are numbers that the store counts up.
#[derive(Debug, Default, Clone, Copy)]
struct IdHasher(u64);

type IdHashing = BuildHasherDefault<IdHasher>;

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        // The map takes its place from the low bits and its tag from the high ones; the product is best in its high half.
        self.0.rotate_left(32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15); // 2^64 over the golden ratio
    }
}

/// A health vector, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub enum HealthUpdate {
    /// Replaces everything; an absent value is up.
    Whole(Vec<(ValueId, HealthEntry)>),
    /// Replaces what it names.
    Changes(Vec<(ValueId, HealthEntry)>),
}

/// A named CIDR list: as published and as ranges.
#[derive(Debug, Clone)]
struct List {
    prefixes: Arc<[Prefix]>,
    set: Arc<PrefixSet>,
}

/// A rule set in use.
#[derive(Debug)]
struct Interned {
    rules: Arc<RuleSet>,
    predicates: Arc<[Predicates]>,
}

/// Interns rule sets, lists and value ids; owned by the thread that adopts.
#[derive(Debug)]
pub struct SteeringEditor {
    tables: Arc<SteeringTables>,
    health: Arc<HealthTable>,
    lists: BTreeMap<String, List>,
    rule_sets: Vec<Option<Interned>>,
    rule_set_numbers: HashMap<Arc<[Predicates]>, u32>,
    free_rule_sets: Vec<u32>,
    /// Rule sets whose matcher must be made anew.
    stale: HashSet<u32>,
    /// Rule sets in force without a merged map that should have one.
    unmerged: BTreeSet<u32>,
    /// The id in each slot; 0 where a slot is free.
    ids: Vec<ValueId>,
    slots: HashMap<ValueId, Slot, IdHashing>,
    free_slots: Vec<Slot>,
    /// What was said of values that no rrset has had yet: health may come before the state.
    unplaced: HashMap<ValueId, HealthEntry, IdHashing>,
    compiled: Vec<Weak<Steered>>,
    sweep_at: usize,
}

impl Default for SteeringEditor {
    fn default() -> Self {
        Self {
            tables: Arc::default(),
            health: Arc::default(),
            lists: BTreeMap::new(),
            rule_sets: Vec::new(),
            rule_set_numbers: HashMap::new(),
            free_rule_sets: Vec::new(),
            stale: HashSet::new(),
            unmerged: BTreeSet::new(),
            ids: Vec::new(),
            slots: HashMap::default(),
            free_slots: Vec::new(),
            unplaced: HashMap::default(),
            compiled: Vec::new(),
            sweep_at: FIRST_SWEEP,
        }
    }
}

impl SteeringEditor {
    /// No lists, no locations, everything up.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks and compiles a steered rrset; `owner` in lower-case wire form. Nothing in force changes by it.
    ///
    /// # Errors
    /// `Refused` with what is wrong with `spec`.
    pub fn compile(&mut self, owner: &[u8], rtype: u16, ttl: u32, spec: SteeringSpec) -> Result<Arc<Steered>, Refused> {
        steered::check(rtype, &spec)?;
        if self.compiled.len() >= self.sweep_at {
            self.forget_unused();
        }
        let rule_set = self.intern_rules(spec.rules.iter().map(Predicates::of).collect())?;
        let steered = Arc::new(Steered::compile(owner, rtype, ttl, spec, rule_set, |id| self.place(id)));
        self.compiled.push(Arc::downgrade(&steered));
        if steered.largest_choice() > self.tables.largest_choice {
            Arc::make_mut(&mut self.tables).largest_choice = steered.largest_choice();
        }
        Ok(steered)
    }

    fn intern_rules(&mut self, predicates: Arc<[Predicates]>) -> Result<u32, Refused> {
        if let Some(number) = self.rule_set_numbers.get(&predicates) {
            return Ok(*number);
        }
        let rules = Arc::new(RuleSet::new(&predicates)?);
        let next = u32::try_from(self.rule_sets.len()).map_err(|_| Refused::limit("more rule sets than 32 bits can count"))?;
        let number = self.free_rule_sets.pop().unwrap_or(next);
        if number == next {
            self.rule_sets.push(None);
        }
        if let Some(entry) = self.rule_sets.get_mut(number as usize) {
            *entry = Some(Interned { rules, predicates: Arc::clone(&predicates) });
        }
        self.rule_set_numbers.insert(predicates, number);
        self.stale.insert(number);
        Ok(number)
    }

    /// The slot of a value, with what was already said of it.
    fn place(&mut self, id: ValueId) -> Slot {
        if let Some(slot) = self.slots.get(&id) {
            return *slot;
        }
        let next = Slot::try_from(self.ids.len()).unwrap_or(Slot::MAX);
        let slot = self.free_slots.pop().unwrap_or(next);
        if slot == next {
            self.ids.push(0);
        }
        if let Some(entry) = self.ids.get_mut(slot as usize) {
            *entry = id;
        }
        self.slots.insert(id, slot);
        let word = self.unplaced.remove(&id).unwrap_or_default();
        Arc::make_mut(&mut self.health).put(slot, &word);
        slot
    }

    /// Puts a named CIDR list in force.
    ///
    /// # Errors
    /// `Refused` when a prefix has host bits or an impossible length.
    pub fn put_list(&mut self, name: String, prefixes: Vec<Prefix>) -> Result<(), Refused> {
        if let Some(prefix) = prefixes.iter().find(|prefix| !is_network(prefix)) {
            return Err(Refused::malformed(format!("list {name}: {}/{} is no network", prefix.addr, prefix.length)));
        }
        let members: Vec<(Prefix, Membership)> = prefixes.iter().map(|prefix| (*prefix, Membership::Inside)).collect();
        let set = AddressMap::least(&members, Membership::Outside);
        let set = set.map_err(|_| Refused::limit(format!("list {name}: more prefixes than 32 bits can count")))?;
        self.change_list(name, Some(List { prefixes: prefixes.into(), set: Arc::new(set) }));
        Ok(())
    }

    /// The named list matches nobody from now on.
    pub fn drop_list(&mut self, name: &str) {
        self.change_list(name.to_owned(), None);
    }

    /// The lists in force, for compaction.
    pub fn lists(&self) -> impl Iterator<Item = (&str, &Arc<[Prefix]>)> {
        self.lists.iter().map(|(name, list)| (name.as_str(), &list.prefixes))
    }

    fn change_list(&mut self, name: String, list: Option<List>) {
        // A FULL mostly brings the lists that are there already; their maps stay.
        if self.lists.get(&name).map(|list| &list.prefixes) == list.as_ref().map(|list| &list.prefixes) {
            return;
        }
        let names_it = |interned: &Interned| interned.rules.lists().iter().any(|(_, wanted)| *wanted == name);
        let touched = (0..).zip(&self.rule_sets).filter(|(_, entry)| entry.as_ref().is_some_and(names_it)).map(|(number, _)| number);
        self.stale.extend(touched);
        match list {
            Some(list) => self.lists.insert(name, list),
            None => self.lists.remove(&name),
        };
    }

    /// Puts location databases in force.
    pub fn set_locations(&mut self, locations: Arc<LocationSet>) {
        let needs_places = |interned: &Interned| interned.rules.places().wants() != crate::location::Provides::default();
        // Maps of lists alone stay as they are; a slot among the merged maps may become free or wanted, which the next `tables` settles.
        let touched = (0..).zip(&self.rule_sets).filter(|(_, entry)| entry.as_ref().is_some_and(needs_places)).map(|(number, _)| number);
        self.stale.extend(touched);
        Arc::make_mut(&mut self.tables).locations = locations;
    }

    /// Lengths to which `sticky` cuts a client's address (`sticky_prefix` of CONFIG).
    pub fn set_sticky_prefix(&mut self, ipv4: u8, ipv6: u8) {
        let prefix = StickyPrefix { ipv4: ipv4.min(32), ipv6: ipv6.min(128) };
        if prefix != self.tables.sticky_prefix {
            Arc::make_mut(&mut self.tables).sticky_prefix = prefix;
        }
    }

    /// Takes a health vector; true when anything differs from what was in force for a value that some rrset has.
    pub fn set_health(&mut self, update: HealthUpdate) -> bool {
        match update {
            HealthUpdate::Whole(entries) => {
                self.unplaced.clear();
                let mut table = HealthTable::silent(self.health.len());
                for (id, entry) in &entries {
                    match self.slots.get(id) {
                        Some(slot) => table.put(*slot, entry),
                        None => self.keep_unplaced(*id, entry),
                    }
                }
                let changed = table != *self.health;
                if changed {
                    self.health = Arc::new(table);
                }
                changed
            }
            HealthUpdate::Changes(entries) => {
                let mut changed = false;
                for (id, entry) in &entries {
                    match self.slots.get(id) {
                        Some(slot) if self.health.entry(*slot) != *entry => {
                            Arc::make_mut(&mut self.health).put(*slot, entry);
                            changed = true;
                        }
                        Some(_) => {}
                        None => self.keep_unplaced(*id, entry),
                    }
                }
                changed
            }
        }
    }

    fn keep_unplaced(&mut self, id: ValueId, entry: &HealthEntry) {
        if *entry == HealthEntry::default() {
            self.unplaced.remove(&id);
        } else {
            self.unplaced.insert(id, *entry);
        }
    }

    /// What is in force of health, without the values that have nothing said of them.
    pub fn health(&self) -> Vec<(ValueId, HealthEntry)> {
        let placed = self.slots.iter().map(|(id, slot)| (*id, self.health.entry(*slot)));
        let unplaced = self.unplaced.iter().map(|(id, entry)| (*id, *entry));
        placed.chain(unplaced).filter(|(_, entry)| *entry != HealthEntry::default()).collect()
    }

    /// Lets go of slots and rule sets that no compiled rrset uses any more. Happens by itself as rrsets come and go.
    pub fn forget_unused(&mut self) {
        let mut slots = vec![false; self.ids.len()];
        let mut rule_sets = vec![false; self.rule_sets.len()];
        let mut note = |steered: &Steered| {
            for slot in steered.slots() {
                if let Some(used) = slots.get_mut(slot as usize) {
                    *used = true;
                }
            }
            if let Some(used) = rule_sets.get_mut(steered.rule_set() as usize) {
                *used = true;
            }
        };
        self.compiled.retain(|weak| weak.upgrade().inspect(|steered| note(steered)).is_some());
        self.free_slots(&slots);
        self.free_rule_sets(&rule_sets);
        // Twice what is left: the work per compiled rrset stays the same however many there are.
        self.sweep_at = self.compiled.len().saturating_mul(2).max(FIRST_SWEEP);
    }

    fn free_slots(&mut self, used: &[bool]) {
        for ((slot, id), _) in (0..).zip(&mut self.ids).zip(used).filter(|((_, id), used)| **id != 0 && !**used) {
            // What was said of the value is kept in case it comes back: only a health vector takes it away.
            let entry = self.health.entry(slot);
            if entry != HealthEntry::default() {
                self.unplaced.insert(*id, entry);
            }
            self.slots.remove(id);
            *id = 0;
            self.free_slots.push(slot);
        }
    }

    fn free_rule_sets(&mut self, used: &[bool]) {
        for (number, (entry, _)) in (0_u32..).zip(self.rule_sets.iter_mut().zip(used)).filter(|(_, (_, used))| !**used) {
            if let Some(interned) = entry.take() {
                self.rule_set_numbers.remove(&interned.predicates);
                self.free_rule_sets.push(number);
                self.stale.insert(number);
            }
        }
    }

    /// What to put in a view; the same `Arc`s as before when nothing changed.
    pub fn tables(&mut self) -> (Arc<SteeringTables>, Arc<HealthTable>) {
        if !self.stale.is_empty() {
            self.renew_matchers();
        }
        (Arc::clone(&self.tables), Arc::clone(&self.health))
    }

    /// Puts stale rule sets in force: merged where that is done in no time, else for now without a map.
    fn renew_matchers(&mut self) {
        let mut stale: Vec<u32> = self.stale.drain().collect();
        stale.sort_unstable();
        let tables = Arc::make_mut(&mut self.tables);
        tables.matchers.resize(self.rule_sets.len(), None);
        for number in &stale {
            self.unmerged.remove(number);
            if let Some(matcher) = tables.matchers.get_mut(*number as usize) {
                *matcher = None;
            }
        }
        let mut room = Room::beside(tables);
        let mut at_once = RANGES_AT_ONCE;
        for number in stale {
            let place = number as usize;
            let Some(Some(interned)) = self.rule_sets.get(place) else { continue };
            let lists = &self.lists;
            let matcher = Matcher::new(Arc::clone(&interned.rules), |name| lists.get(name).map(|list| Arc::clone(&list.set)));
            let ranges = matcher.source_ranges(&tables.locations);
            let merged = if matcher.is_plain(&tables.locations) {
                None
            } else if room.is_taken() || ranges > at_once {
                self.unmerged.insert(number);
                None
            } else {
                at_once = at_once.saturating_sub(ranges);
                matcher.clone().merge(&tables.locations).ok().inspect(|merged| room.take(merged))
            };
            if let Some(entry) = tables.matchers.get_mut(place) {
                *entry = Some(Arc::new(merged.unwrap_or(matcher)));
            }
        }
        tables.note_largest_map();
    }

    /// The next map to be made for what `tables` gave last, if one is wanted and there is room. Whoever runs it returns it to `put_merged` before asking again.
    pub fn next_merge(&self) -> Option<MergeJob> {
        // What has changed since `tables` gave the last ones is offered only with the next: its map would be overtaken already.
        if !self.stale.is_empty() || Room::beside(&self.tables).is_taken() {
            return None;
        }
        let rule_set = *self.unmerged.first()?;
        let unmerged = Arc::clone(self.tables.matchers.get(rule_set as usize)?.as_ref()?);
        Some(MergeJob { rule_set, unmerged, locations: Arc::clone(&self.tables.locations) })
    }

    /// Takes a map that was made; true when it is in force now. One that was overtaken by a change is not.
    pub fn put_merged(&mut self, merged: Merged) -> bool {
        let Merged { rule_set, unmerged, matcher } = merged;
        let in_force = self.tables.matchers.get(rule_set as usize).and_then(Option::as_ref);
        if self.stale.contains(&rule_set) || !in_force.is_some_and(|in_force| Arc::ptr_eq(in_force, &unmerged)) {
            return false;
        }
        self.unmerged.remove(&rule_set);
        let Some(matcher) = matcher else { return false };
        if !Room::beside(&self.tables).holds(&matcher) {
            // Asking the sources is slower and as right. Another rule set's map may be smaller.
            return false;
        }
        let tables = Arc::make_mut(&mut self.tables);
        if let Some(entry) = tables.matchers.get_mut(rule_set as usize) {
            *entry = Some(Arc::new(matcher));
        }
        tables.note_largest_map();
        true
    }
}

/// What is left of `MAX_MERGED_MAPS` and `MAX_MERGED_BYTES`.
struct Room {
    maps: usize,
    bytes: usize,
}

impl Room {
    fn beside(tables: &SteeringTables) -> Self {
        let (maps, bytes) = tables.merged_maps();
        Self { maps: MAX_MERGED_MAPS.saturating_sub(maps), bytes: MAX_MERGED_BYTES.saturating_sub(bytes) }
    }

    fn is_taken(&self) -> bool {
        self.maps == 0 || self.bytes == 0
    }

    fn holds(&self, matcher: &Matcher) -> bool {
        self.maps > 0 && matcher.merged_bytes() <= self.bytes
    }

    fn take(&mut self, matcher: &Matcher) {
        self.maps = self.maps.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(matcher.merged_bytes());
    }
}
