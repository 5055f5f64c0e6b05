//! Applying a FULL or a DELTA to a copy of the zones. The editor keeps what lookups rely on: every ancestor of an owner name exists as a node
//! (empty non-terminals, RFC 4592 §2.2.2), knows how many names stand right below it and whether `*` is one of them, and the zone knows its
//! cuts and DNAMEs. An editor that has refused a change is of no further use; the set it was made from is untouched.

use geodns_wire::{Name, NameKey, rtype};

use super::ZoneSet;
use super::check::{check_name, check_owner};
use super::gathering::Gathering;
use super::node::{NodeBuilder, NodeFlags};
use super::page::NodeSummary;
use super::zone::Zone;
use crate::refused::Refused;
use crate::spec::{Change, RrsetData, RrsetSpec};
use crate::steer::SteeringEditor;

/// A set of zones being changed.
#[derive(Debug)]
pub struct ZoneEditor {
    set: ZoneSet,
    /// Reused from change to change.
    apex: NameKey,
    owner: NameKey,
    node: NodeBuilder,
    buffer: Vec<u8>,
    /// Zones that have no SOA yet or any more.
    without_soa: usize,
    /// While a whole state is loaded: owner names that have not been put yet.
    gathering: Option<Box<Gathering>>,
}

impl ZoneEditor {
    pub(super) fn new(set: ZoneSet) -> Self {
        let mut apex = NameKey::new();
        apex.set(Name::ROOT, set.seed);
        Self { set, apex, owner: NameKey::new(), node: NodeBuilder::default(), buffer: Vec::new(), without_soa: 0, gathering: None }
    }

    /// The same, and owner names of zones that have none yet are gathered first.
    pub(super) fn loading(set: ZoneSet) -> Self {
        Self { gathering: Some(Box::default()), ..Self::new(set) }
    }

    /// Puts what was gathered. Further changes are single ones.
    pub fn settle(&mut self) {
        self.put_gathered();
        self.gathering = None;
    }

    /// Applies one item; lists go to `steering`, and steered rrsets are compiled by it.
    ///
    /// # Errors
    /// When the item breaks a rule; nothing of this editor may then be adopted.
    pub fn apply(&mut self, change: Change, steering: &mut SteeringEditor) -> Result<(), Refused> {
        match change {
            Change::PutZone { apex } => self.put_zone(check_name("apex", &apex)?),
            Change::DropZone { apex } => self.drop_zone(check_name("apex", &apex)?),
            Change::PutOwner { apex, owner, rrsets } => self.put_owner(&apex, &owner, rrsets, steering)?,
            Change::PutList { name, prefixes } => steering.put_list(name, prefixes)?,
            Change::DropList { name } => steering.drop_list(&name),
        }
        Ok(())
    }

    /// The changed set.
    ///
    /// # Errors
    /// When a zone has no SOA record.
    pub fn finish(mut self) -> Result<ZoneSet, Refused> {
        self.settle();
        if self.without_soa == 0 {
            return Ok(self.set);
        }
        let zone = self.set.iter().find(|zone| zone.soa.is_none()).map_or_else(String::new, |zone| zone.apex().to_string());
        Err(Refused::malformed(format!("zone {zone} has no SOA")))
    }

    fn put_zone(&mut self, apex: Name<'_>) {
        self.apex.set(apex, self.set.seed);
        if self.set.zone(&self.apex, self.apex.labels()).is_some() {
            return;
        }
        let mut zone = Zone::new(apex);
        self.node.clear();
        zone.insert(&self.apex, self.apex.labels(), &self.node, 0, &mut self.buffer);
        self.set.put(&self.apex, zone);
        self.without_soa = self.without_soa.saturating_add(1);
    }

    fn drop_zone(&mut self, apex: Name<'_>) {
        self.put_gathered();
        self.apex.set(apex, self.set.seed);
        let Some(zone) = self.set.zone(&self.apex, self.apex.labels()) else { return };
        if zone.soa.is_none() {
            self.without_soa = self.without_soa.saturating_sub(1);
        }
        self.set.remove(&self.apex);
    }

    fn put_owner(&mut self, apex: &[u8], owner: &[u8], rrsets: Vec<RrsetSpec>, steering: &mut SteeringEditor) -> Result<(), Refused> {
        let (apex, owner) = (check_name("apex", apex)?, check_name("owner name", owner)?);
        check_owner(apex, owner, &rrsets)?;
        if self.apex.name() != apex {
            self.apex.set(apex, self.set.seed);
        }
        self.owner.set(owner, self.set.seed);
        self.turn_to_zone();
        let Some(zone) = self.set.zone_mut(&self.apex) else {
            return Err(Refused::malformed(format!("{owner}: there is no zone {apex}")));
        };
        if owner == apex {
            let before = zone.soa.is_none();
            zone.remember_soa(&rrsets);
            self.without_soa = match (before, zone.soa.is_none()) {
                (false, true) => self.without_soa.saturating_add(1),
                (true, false) => self.without_soa.saturating_sub(1),
                (true, true) | (false, false) => self.without_soa,
            };
        }
        build_node(&mut self.node, apex, owner, rrsets, steering)?;
        match &mut self.gathering {
            Some(gathering) if gathering.is_of(apex) => gathering.put(zone.owner_key(&self.owner, self.owner.labels()), &self.node),
            Some(_) | None => zone.put_node(&self.owner, &mut self.node, &mut self.buffer),
        }
        let owners = zone.owners();
        self.set.note_owners(owners);
        Ok(())
    }

    /// The next owner name is one of the zone with the key `apex`. Only a zone without any is worth gathering for: of each there is one such time.
    fn turn_to_zone(&mut self) {
        let Some(gathering) = &self.gathering else { return };
        if gathering.is_of(self.apex.name()) && !gathering.is_full() {
            return;
        }
        self.put_gathered();
        if let Some(zone) = self.set.zone(&self.apex, self.apex.labels()).filter(|zone| zone.is_fresh(&self.apex))
            && let Some(gathering) = &mut self.gathering
        {
            gathering.begin(zone, &self.apex);
        }
    }

    fn put_gathered(&mut self) {
        let Some(gathering) = &mut self.gathering else { return };
        let Some(apex) = gathering.apex() else { return };
        let seed = self.set.seed;
        let mut key = NameKey::new();
        key.set(apex.as_name(), seed);
        if let Some(zone) = self.set.zone_mut(&key) {
            gathering.fill(zone, seed, &mut self.buffer);
            let owners = zone.owners();
            self.set.note_owners(owners);
        }
    }
}

fn build_node(
    node: &mut NodeBuilder,
    apex: Name<'_>,
    owner: Name<'_>,
    rrsets: Vec<RrsetSpec>,
    steering: &mut SteeringEditor,
) -> Result<(), Refused> {
    node.clear();
    for rrset in rrsets {
        match rrset.rtype {
            // Also at a wildcard, which RFC 4592 §4.2 leaves undefined: the asterisk label itself and what is below it are delegated, as with the
            // peers that load such a zone. Names that it stands for get the NS as data: to delegate every name is nothing anybody means.
            rtype::NS if owner != apex => node.flag(NodeFlags::CUT),
            rtype::DNAME => node.flag(NodeFlags::DNAME),
            rtype::CNAME => node.flag(NodeFlags::CNAME),
            _ => {}
        }
        match rrset.data {
            RrsetData::Static(rdatas) => node.put_static(rrset.rtype, rrset.ttl, rdatas.iter().map(|rdata| &**rdata)),
            RrsetData::Steered(spec) => {
                let steered = steering.compile(owner.wire(), rrset.rtype, rrset.ttl, *spec)?;
                node.put_steered(rrset.rtype, steered);
            }
        }
    }
    Ok(())
}

impl Zone {
    /// Puts what `node` holds at `owner`; an empty node removes the owner name, unless names stand below it.
    fn put_node(&mut self, owner: &NameKey, node: &mut NodeBuilder, buffer: &mut Vec<u8>) {
        let labels = owner.labels();
        let old = self.node(owner, labels).map(|old| (old.flags(), old.children()));
        if let Some((flags, _)) = old {
            self.count_flags(flags, u32::saturating_sub);
        }
        self.count_flags(node.flags(), u32::saturating_add);
        match (old, node.is_empty()) {
            (None, true) => {}
            (None, false) => {
                self.insert(owner, labels, node, 0, buffer);
                self.link_to_parent(owner, labels, buffer);
            }
            (Some((_, 0)), true) if labels > self.apex_labels => self.unlink(owner, labels),
            (Some((flags, children)), true | false) => {
                if flags.has(NodeFlags::WILDCARD_BELOW) {
                    node.flag(NodeFlags::WILDCARD_BELOW);
                }
                let key = self.owner_key(owner, labels);
                if let Some(page) = self.names.bucket_mut(key.tag) {
                    page.replace(key, node, children);
                }
            }
        }
    }

    pub(super) fn count_flags(&mut self, flags: NodeFlags, change: fn(u32, u32) -> u32) {
        if flags.has(NodeFlags::CUT) {
            self.cuts = change(self.cuts, 1);
        }
        if flags.has(NodeFlags::DNAME) {
            self.dnames = change(self.dnames, 1);
        }
    }

    fn insert(&mut self, owner: &NameKey, labels: usize, node: &NodeBuilder, children: u32, buffer: &mut Vec<u8>) {
        let key = self.owner_key(owner, labels);
        if let Some(page) = self.names.bucket_mut(key.tag) {
            page.insert(key, node, children, buffer);
            self.names.entry_added();
        }
        self.deepest = self.deepest.max(labels);
    }

    /// The ancestors of a new name learn of it; those that do not exist become empty non-terminals.
    pub(super) fn link_to_parent(&mut self, owner: &NameKey, labels: usize, buffer: &mut Vec<u8>) {
        let mut child = labels;
        while child > self.apex_labels {
            let wildcard = wildcard_flag(owner, child);
            child = child.wrapping_sub(1);
            let known = self.update(owner, child, |flags, children| (flags.with(wildcard), children.saturating_add(1)));
            if known.is_some() {
                return;
            }
            let mut empty = NodeBuilder::default();
            empty.flag(wildcard);
            self.insert(owner, child, &empty, 1, buffer);
        }
    }

    /// Removes a name without children, and the empty non-terminals above it that have lost their last one.
    fn unlink(&mut self, owner: &NameKey, labels: usize) {
        let mut child = labels;
        while child > self.apex_labels {
            let key = self.owner_key(owner, child);
            if let Some(page) = self.names.bucket_mut(key.tag) {
                page.remove(key);
                self.names.entry_removed();
            }
            let wildcard = wildcard_flag(owner, child);
            child = child.wrapping_sub(1);
            match self.update(owner, child, |flags, children| (flags.without(wildcard), children.saturating_sub(1))) {
                Some(NodeSummary { rrsets: 0, children: 1 }) => {}
                Some(_) | None => return,
            }
        }
    }

    pub(super) fn update(
        &mut self,
        owner: &NameKey,
        labels: usize,
        change: impl FnOnce(NodeFlags, u32) -> (NodeFlags, u32),
    ) -> Option<NodeSummary> {
        let key = self.owner_key(owner, labels);
        self.names.bucket_mut(key.tag)?.update(key, change)
    }
}

/// `WILDCARD_BELOW` for the parent, when the leftmost of the last `labels` labels is the asterisk label.
fn wildcard_flag(owner: &NameKey, labels: usize) -> NodeFlags {
    let label = owner.octets(owner.start(labels), owner.start(labels.saturating_sub(1)));
    if label == b"\x01*" { NodeFlags::WILDCARD_BELOW } else { NodeFlags::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 99;
    const MOST_OCTETS: usize = 1_000;
    const FIRST: &[u8] = b"\x07example\x03com\x00";
    const SECOND: &[u8] = b"\x07example\x03net\x00";

    fn put(apex: &[u8], label: &str, rtype: u16, rdata: &[u8]) -> Change {
        let label = label.as_bytes();
        let length = u8::try_from(label.len()).unwrap();
        let owner = if label.is_empty() { apex.to_vec() } else { [&[length], label, apex].concat() };
        let rrset = RrsetSpec { rtype, ttl: 60, data: RrsetData::Static(vec![rdata.into()]) };
        Change::PutOwner { apex: apex.into(), owner: owner.into(), rrsets: vec![rrset] }
    }

    fn zone(apex: &[u8], names: u32) -> Vec<Change> {
        let soa = [apex, apex, &[0; 20]].concat();
        let begin = [Change::PutZone { apex: apex.into() }, put(apex, "", rtype::SOA, &soa)];
        // Each name is said twice: the second time counts, also where the first was gathered and the second is not.
        let name = |number: u32| put(apex, &format!("n{}", number % (names / 2)), rtype::A, &number.to_be_bytes());
        begin.into_iter().chain((0..names).map(name)).collect()
    }

    fn contents(editor: ZoneEditor) -> (usize, Vec<String>) {
        let set = editor.finish().unwrap();
        let mut changes: Vec<String> = set.changes().map(|change| format!("{change:?}")).collect();
        changes.sort_unstable();
        (set.owners(), changes)
    }

    #[test]
    fn what_is_too_much_to_be_gathered_is_put_singly_and_the_next_zone_is_gathered_again() {
        let mut edited = ZoneEditor::new(ZoneSet::new(SEED));
        let gathering = Some(Box::new(Gathering::up_to(MOST_OCTETS)));
        let mut loaded = ZoneEditor { gathering, ..ZoneEditor::new(ZoneSet::new(SEED)) };
        let mut steering = SteeringEditor::new();
        let gathered = |editor: &ZoneEditor| editor.gathering.as_ref().unwrap().apex().map(|apex| apex.as_name().wire().to_vec());
        for (apex, names, gathered_in_the_end) in [(FIRST, 200, false), (SECOND, 20, true)] {
            for (number, change) in zone(apex, names).into_iter().enumerate() {
                edited.apply(change.clone(), &mut steering).unwrap();
                loaded.apply(change, &mut steering).unwrap();
                if number == 10 {
                    assert_eq!(gathered(&loaded).as_deref(), Some(apex));
                }
            }
            assert_eq!(gathered(&loaded).is_some(), gathered_in_the_end);
        }
        assert_eq!(contents(loaded), contents(edited));
    }
}
