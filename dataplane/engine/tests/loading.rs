//! A set that takes a whole state at once is the set that single changes make of it, whatever stands in the state and in which order.

mod support;

use std::collections::BTreeSet;

use geodns_engine::lookup::{Match, match_name};
use geodns_engine::refused::Refused;
use geodns_engine::rng::{FastRng, Rng};
use geodns_engine::spec::{Change, RrsetData, RrsetSpec};
use geodns_engine::steer::SteeringEditor;
use geodns_engine::zones::{Zone, ZoneEditor, ZoneSet};
use geodns_wire::{Name, NameKey, rtype};
use support::{name, rdata};

const SEED: u64 = 99;
const ZONES: [&str; 3] = ["example.com.", "b.example.com.", "example.net."];
const LABELS: [&str; 4] = ["a.", "b.", "*.", "c."];

fn rrset(rtype: u16, text: &str) -> RrsetSpec {
    RrsetSpec { rtype, ttl: 60, data: RrsetData::Static(vec![rdata(rtype, text)]) }
}

fn steered(text: &str) -> RrsetSpec {
    RrsetSpec { rtype: rtype::A, ttl: 60, data: RrsetData::Steered(Box::new(support::steering::spec(rtype::A, text))) }
}

fn put(apex: &str, owner: &str, rrsets: Vec<RrsetSpec>) -> Change {
    Change::PutOwner { apex: name(apex), owner: name(owner), rrsets }
}

fn put_zone(apex: &str) -> Change {
    Change::PutZone { apex: name(apex) }
}

fn put_soa(apex: &str, serial: u64) -> Change {
    put(apex, apex, vec![rrset(rtype::SOA, &format!("a. b. {serial} 2 3 4 5")), rrset(rtype::NS, "a.")])
}

fn pick<'a>(rng: &mut impl Rng, among: &[&'a str]) -> &'a str {
    among[usize::try_from(rng.below(among.len() as u64)).unwrap()]
}

fn random_owner(rng: &mut impl Rng, apex: &str) -> String {
    let depth = rng.below(5);
    (0..depth).map(|_| pick(rng, &LABELS)).collect::<String>() + apex
}

fn random_rrsets(rng: &mut impl Rng) -> Vec<RrsetSpec> {
    let last = rng.below(250) + 1;
    let a = rrset(rtype::A, &format!("192.0.2.{last}"));
    match rng.below(9) {
        0..=2 => vec![],
        3..=4 => vec![a],
        5 => vec![a, rrset(rtype::NS, "a.")],
        6 => vec![rrset(rtype::DNAME, "a.")],
        7 => vec![rrset(rtype::CNAME, "a.")],
        _ => vec![steered(&format!("192.0.2.{last} 192.0.2.1")), rrset(rtype::TXT, "beside")],
    }
}

/// A state as a publisher or a stranger might write it: zones among each other, names said twice or taken back, zones that go and come again.
fn random_state(rng: &mut impl Rng) -> Vec<Change> {
    let mut state: Vec<Change> = ZONES.iter().map(|apex| put_zone(apex)).collect();
    let mut apex = ZONES[0];
    for _ in 0..80 {
        if rng.below(6) == 0 {
            apex = pick(rng, &ZONES);
        }
        match rng.below(40) {
            0 => state.extend([Change::DropZone { apex: name(apex) }, put_zone(apex)]),
            1..=4 => state.push(put_zone(apex)),
            5..=7 => state.push(put_soa(apex, rng.below(100))),
            8 => state.push(put(apex, apex, vec![])),
            _ => state.push(put(apex, &random_owner(rng, apex), random_rrsets(rng))),
        }
    }
    if rng.below(10) == 0 {
        // What comes next for this zone is refused.
        state.push(Change::DropZone { apex: name(apex) });
        state.push(put(apex, &random_owner(rng, apex), random_rrsets(rng)));
    }
    // Some zones have no SOA else, and are refused in the end.
    if rng.below(10) > 0 {
        state.extend(ZONES.iter().flat_map(|apex| [put_zone(apex), put_soa(apex, 7)]));
    }
    state
}

fn apply(mut editor: ZoneEditor, changes: &[Change]) -> Result<ZoneSet, Refused> {
    let mut steering = SteeringEditor::new();
    for change in changes {
        editor.apply(change.clone(), &mut steering)?;
    }
    editor.finish()
}

/// Loads all but the last `singles` changes at once.
fn load(changes: &[Change], singles: usize) -> Result<ZoneSet, Refused> {
    let mut steering = SteeringEditor::new();
    let mut editor = ZoneSet::new(SEED).load();
    for (index, change) in changes.iter().enumerate() {
        if index + singles == changes.len() {
            editor.settle();
        }
        editor.apply(change.clone(), &mut steering)?;
    }
    editor.finish()
}

/// Everything that a lookup of `wanted` can see.
fn seen(zones: &ZoneSet, wanted: &str) -> String {
    let wire = name(wanted);
    let mut key = NameKey::new();
    key.set(Name::from_wire(&wire).unwrap(), zones.seed());
    let Some(zone) = zones.nearest(&key, key.labels()) else { return "no zone".to_owned() };
    let matched = match match_name(zone, &key, rtype::A) {
        Match::Exact(_) => "exact",
        Match::Cut { .. } => "cut",
        Match::Dname { .. } => "dname",
        Match::Wildcard(_) => "wildcard",
        Match::Absent => "absent",
    };
    let node = zone.node(&key, key.labels());
    let node = node.map(|node| format!("{:?} {} children {:?}", node.flags(), node.children(), node.rrsets().collect::<Vec<_>>()));
    format!("{matched} {node:?}")
}

fn facts(zone: &Zone) -> (String, usize, String) {
    (zone.apex().to_string(), zone.owners(), format!("{:?} {:?}", zone.redirections(), zone.soa()))
}

fn assert_alike(loaded: &ZoneSet, edited: &ZoneSet, wanted: &BTreeSet<String>, what: &str) {
    let all = |zones: &ZoneSet| zones.iter().map(facts).collect::<BTreeSet<_>>();
    assert_eq!(all(loaded), all(edited), "{what}");
    for name in wanted {
        assert_eq!(seen(loaded, name), seen(edited, name), "{what}: {name}");
    }
    let written = |zones: &ZoneSet| zones.changes().map(|change| format!("{change:?}")).collect::<BTreeSet<_>>();
    assert_eq!(written(loaded), written(edited), "{what}");
}

#[test]
fn random_states_load_as_single_changes_make_them() {
    const ROUNDS: u64 = 200;
    let mut accepted = 0;
    for seed in 0..ROUNDS {
        let mut rng = FastRng::from_seed(seed);
        let state = random_state(&mut rng);
        let singles = usize::try_from(rng.below(2) * rng.below(state.len() as u64)).unwrap();
        let what = format!("seed {seed}, the last {singles} singly");
        match (load(&state, singles), apply(ZoneSet::new(SEED).edit(), &state)) {
            (Ok(loaded), Ok(edited)) => {
                let apexes: Vec<&str> = (0..150).map(|_| pick(&mut rng, &ZONES)).collect();
                let wanted = apexes.iter().map(|apex| random_owner(&mut rng, apex)).collect();
                assert_alike(&loaded, &edited, &wanted, &what);
                accepted += 1;
            }
            (loaded, edited) => assert_eq!(loaded.map(|_| ()), edited.map(|_| ()), "{what}"),
        }
    }
    assert!(accepted > ROUNDS / 2 && accepted < ROUNDS, "{accepted} states were taken");
}

/// Enough names for many pages, in many zones and at several depths.
fn large_state() -> Vec<Change> {
    let names = |apex: &'static str, number: u32| {
        let a = || vec![rrset(rtype::A, &format!("192.0.2.{}", number % 250))];
        let owners = [format!("n{number}.{apex}"), format!("n{number}.sub{}.{apex}", number % 50), format!("*.w{number}.deep.x.{apex}")];
        owners.map(|owner| put(apex, &owner, a()))
    };
    let zone = |apex: &'static str| [put_zone(apex), put_soa(apex, 1)].into_iter().chain((0..1_000).flat_map(move |n| names(apex, n)));
    ZONES.into_iter().flat_map(zone).collect()
}

fn apex_of(change: &Change) -> Box<[u8]> {
    match change {
        Change::PutZone { apex } | Change::DropZone { apex } | Change::PutOwner { apex, .. } => apex.clone(),
        Change::PutList { .. } | Change::DropList { .. } => unreachable!("the states of these tests have no lists"),
    }
}

#[test]
fn many_names_load_in_any_order_and_are_edited_afterwards() {
    let state = large_state();
    let edited = apply(ZoneSet::new(SEED).edit(), &state).unwrap();
    let wanted: BTreeSet<String> =
        (900..1_100).flat_map(|n| ["", "sub7.", "w999.deep.x."].map(|below| format!("n{n}.{below}example.com."))).collect();
    let mut rng = FastRng::from_seed(1);
    let mut shuffled = state.clone();
    for at in (1..shuffled.len()).rev() {
        shuffled.swap(at, usize::try_from(rng.below(at as u64 + 1)).unwrap());
    }
    shuffled.sort_by_key(|change| !matches!(change, Change::PutZone { .. }));
    // Among each other, each zone is gathered only up to the next item; zone by zone, each is gathered whole.
    let mut zone_by_zone = shuffled.clone();
    zone_by_zone.sort_by_key(apex_of);
    let orders = [("as written", &state), ("shuffled, zones among each other", &shuffled), ("shuffled, zone by zone", &zone_by_zone)];
    for (order, state) in orders {
        let loaded = load(state, 0).unwrap();
        assert_alike(&loaded, &edited, &wanted, order);
        let removed: Vec<Change> = (0..950).map(|number| put("example.com.", &format!("n{number}.example.com."), vec![])).collect();
        let [loaded, edited] = [&loaded, &edited].map(|zones| apply(zones.edit(), &removed).unwrap());
        assert_alike(&loaded, &edited, &wanted, &format!("{order}, then edited"));
    }
}

#[test]
fn the_last_word_on_a_name_counts_however_often_it_was_said() {
    let put_www = |number: u32| put("example.com.", "www.example.com.", vec![rrset(rtype::A, &format!("192.0.2.{}", number % 250))]);
    let state: Vec<Change> = [put_zone("example.com."), put_soa("example.com.", 1)].into_iter().chain((0..5_000).map(put_www)).collect();
    let loaded = load(&state, 0).unwrap();
    assert_eq!(loaded.owners(), 2);
    assert!(loaded.changes().any(|change| change == put_www(4_999)));
    let taken_back: Vec<Change> = state.into_iter().chain([put("example.com.", "www.example.com.", vec![])]).collect();
    assert_eq!(load(&taken_back, 0).unwrap().owners(), 1);
}
