//! What the zones take and refuse, and that edits on a shared structure come to the same as building it anew.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use geodns_engine::lookup::{Match, match_name};
use geodns_engine::refused::RefusalCode;
use geodns_engine::rng::{FastRng, Rng};
use geodns_engine::spec::{Change, RrsetData, RrsetSpec, WireName};
use geodns_engine::zones::{NodeFlags, ZoneSet};
use geodns_wire::{Name, NameKey, rtype};
use support::{Server, changes, name, rdata};

const APEX: &str = "
zone example.com.
example.com. 3600 SOA ns1.example.com. hostmaster.example.com. 7 3600 600 604800 60
example.com. 3600 NS ns1.example.com.
";

fn put(owner: &str, rrsets: Vec<RrsetSpec>) -> Change {
    Change::PutOwner { apex: name("example.com."), owner: name(owner), rrsets }
}

fn rrset(rtype: u16, ttl: u32, rdatas: &[&str]) -> RrsetSpec {
    RrsetSpec { rtype, ttl, data: RrsetData::Static(rdatas.iter().map(|text| rdata(rtype, text)).collect()) }
}

#[test]
fn items_that_no_publisher_may_send_are_refused() {
    let a = |ttl| rrset(rtype::A, ttl, &["192.0.2.1"]);
    let cname = || rrset(rtype::CNAME, 60, &["www.example.com."]);
    let raw = |rtype, rdata: &[u8]| RrsetSpec { rtype, ttl: 60, data: RrsetData::Static(vec![rdata.into()]) };
    let steered = |rtype| {
        let spec = support::steering::spec(rtype::A, "192.0.2.1");
        RrsetSpec { rtype, ttl: 60, data: RrsetData::Steered(Box::new(spec)) }
    };
    let soa = "ns1.example.com. hostmaster.example.com. 7 3600 600 604800 60";
    let cases = [
        ("outside the zone", put("www.example.net.", vec![a(60)]), RefusalCode::Malformed),
        ("a name that only ends alike", put("www.bexample.com.", vec![a(60)]), RefusalCode::Malformed),
        ("upper case", put("WWW.example.com.", vec![a(60)]), RefusalCode::Malformed),
        (
            "no such zone",
            Change::PutOwner { apex: name("example.net."), owner: name("example.net."), rrsets: vec![a(60)] },
            RefusalCode::Malformed,
        ),
        (
            "no name",
            Change::PutOwner { apex: name("example.com."), owner: Box::from(*b"\x03ww"), rrsets: vec![a(60)] },
            RefusalCode::Malformed,
        ),
        ("ttl", put("www.example.com.", vec![a(0x8000_0000)]), RefusalCode::Malformed),
        ("the same type twice", put("www.example.com.", vec![a(60), a(60)]), RefusalCode::Malformed),
        ("no rdata", put("www.example.com.", vec![rrset(rtype::A, 60, &[])]), RefusalCode::Malformed),
        ("rdata cut short", put("www.example.com.", vec![raw(rtype::A, &[192, 0, 2])]), RefusalCode::Malformed),
        ("rdata with a pointer", put("www.example.com.", vec![raw(rtype::NS, &[0xc0, 12])]), RefusalCode::Malformed),
        ("a meta type", put("www.example.com.", vec![raw(rtype::OPT, &[])]), RefusalCode::Malformed),
        ("CNAME beside other data", put("www.example.com.", vec![cname(), a(60)]), RefusalCode::Malformed),
        (
            "two CNAMEs",
            put("www.example.com.", vec![rrset(rtype::CNAME, 60, &["a.example.com.", "b.example.com."])]),
            RefusalCode::Malformed,
        ),
        (
            "two DNAMEs",
            put("www.example.com.", vec![rrset(rtype::DNAME, 60, &["a.example.com.", "b.example.com."])]),
            RefusalCode::Malformed,
        ),
        ("SOA below the apex", put("www.example.com.", vec![rrset(rtype::SOA, 60, &[soa])]), RefusalCode::Malformed),
        ("two SOAs", put("example.com.", vec![rrset(rtype::SOA, 60, &[soa, soa])]), RefusalCode::Malformed),
        ("CNAME at the apex", put("example.com.", vec![rrset(rtype::SOA, 60, &[soa]), cname()]), RefusalCode::Malformed),
        ("steered TXT", put("www.example.com.", vec![steered(rtype::TXT)]), RefusalCode::Malformed),
        ("steered AAAA with A rdata", put("www.example.com.", vec![steered(rtype::AAAA)]), RefusalCode::Malformed),
        ("too much rdata", put("www.example.com.", vec![raw(65400, &[0; 40_000]), raw(65401, &[0; 65_536])]), RefusalCode::Limit),
    ];
    for (case, change, code) in cases {
        let mut server = Server::new(APEX);
        let before = server.zones.owners();
        assert_eq!(server.apply([change]).expect_err(case).code, code, "{case}");
        assert_eq!(server.zones.owners(), before, "{case}");
    }
}

#[test]
fn every_zone_needs_its_soa_in_the_end() {
    let mut server = Server::new(APEX);
    let refused = server.apply([Change::PutZone { apex: name("example.net.") }]).unwrap_err();
    assert!(refused.reason.contains("example.net."), "{refused}");
    assert!(server.apply([put("example.com.", vec![rrset(rtype::A, 60, &["192.0.2.1"])])]).is_err());
    let moved = "
zone example.net.
example.net. 3600 SOA ns1.example.com. hostmaster.example.com. 7 3600 600 604800 60
";
    server.apply([Change::DropZone { apex: name("example.com.") }].into_iter().chain(changes(moved))).unwrap();
    assert_eq!((server.zones.zones(), server.zones.owners()), (1, 1));
    assert!(server.zones.zone_named(Name::from_wire(&name("example.com.")).unwrap()).is_none());
}

#[test]
fn dropping_a_zone_uncovers_the_one_above() {
    let both = "
zone example.com.
example.com. 3600 SOA ns1.example.com. hostmaster.example.com. 7 3600 600 604800 60
*.example.com. 3600 A 192.0.2.1
zone child.example.com.
child.example.com. 3600 SOA ns1.example.com. hostmaster.example.com. 7 3600 600 604800 60
";
    let mut server = Server::new(both);
    let nearest = |server: &Server| {
        let mut key = NameKey::new();
        key.set(Name::from_wire(&name("www.child.example.com.")).unwrap(), server.zones.seed());
        server.zones.nearest(&key, key.labels()).unwrap().apex().to_string()
    };
    assert_eq!(nearest(&server), "child.example.com.");
    server.apply([Change::DropZone { apex: name("child.example.com.") }]).unwrap();
    assert_eq!(nearest(&server), "example.com.");
}

#[test]
fn items_of_a_set_build_an_equal_set() {
    let text = APEX.to_owned()
        + "
a.b.c.example.com. 60 TXT deep
steered.example.com. 60 A steered 192.0.2.1 192.0.2.2
steered.example.com. 60 AAAA 2001:db8::1
zone .
. 3600 SOA a.root.example. hostmaster.example. 7 3600 600 604800 60
com. 60 NS ns.example.com.
";
    let first = Server::new(&text);
    let mut second = Server::new(APEX);
    second.zones = std::sync::Arc::new(ZoneSet::new(4711));
    second.apply(first.zones.changes()).unwrap();
    assert_eq!(items(&first.zones), items(&second.zones));
    assert_eq!(first.zones.owners(), second.zones.owners());
}

type Items = BTreeMap<(WireName, WireName), Vec<RrsetSpec>>;

fn items(zones: &ZoneSet) -> Items {
    zones
        .changes()
        .filter_map(|change| match change {
            Change::PutOwner { apex, owner, rrsets } => Some(((apex, owner), rrsets)),
            _ => None,
        })
        .collect()
}

/// A zone as the RFCs describe it, without any shortcut.
#[derive(Default)]
struct Oracle {
    owners: BTreeMap<WireName, Vec<RrsetSpec>>,
}

impl Oracle {
    fn exists(&self, wanted: Name<'_>) -> bool {
        self.owners.keys().any(|owner| Name::from_wire(owner).unwrap().is_at_or_below(wanted))
    }

    fn has(&self, owner: Name<'_>, rtype: u16) -> bool {
        self.owners.get(owner.wire()).is_some_and(|rrsets| rrsets.iter().any(|rrset| rrset.rtype == rtype))
    }

    /// RFC 1034 §4.3.2 step 3 from the apex downwards, in words.
    fn matched(&self, apex: Name<'_>, wanted: Name<'_>) -> String {
        let labels: Vec<&[u8]> = wanted.labels().collect();
        let depth = apex.labels().count();
        let mut encloser = apex.wire().to_vec();
        for used in depth..=labels.len() {
            let suffix = support_name(&labels[labels.len() - used..]);
            let suffix = Name::from_wire(&suffix).unwrap();
            if !self.exists(suffix) {
                let wildcard = [b"\x01*", encloser.as_slice()].concat();
                let wildcard = Name::from_wire(&wildcard).unwrap();
                return if self.exists(wildcard) { format!("wildcard {wildcard}") } else { "absent".to_owned() };
            }
            if used > depth && self.has(suffix, rtype::NS) {
                return format!("cut {suffix}");
            }
            if used < labels.len() && self.has(suffix, rtype::DNAME) {
                return format!("dname {suffix}");
            }
            encloser = suffix.wire().to_vec();
        }
        format!("exact {wanted}")
    }
}

fn support_name(labels: &[&[u8]]) -> Vec<u8> {
    let mut wire: Vec<u8> =
        labels.iter().flat_map(|label| std::iter::once(u8::try_from(label.len()).unwrap()).chain(label.iter().copied())).collect();
    wire.push(0);
    wire
}

fn words(zones: &ZoneSet, wanted: Name<'_>) -> String {
    let mut key = NameKey::new();
    key.set(wanted, zones.seed());
    let zone = zones.nearest(&key, key.labels()).expect("the zone");
    let full = |relative: &[u8]| {
        let wire = [relative, zone.apex().wire()].concat();
        Name::from_wire(&wire).unwrap().to_string()
    };
    match match_name(zone, &key, rtype::A) {
        Match::Exact(node) => format!("exact {}", full(node.relative_name())),
        Match::Cut { node, .. } => format!("cut {}", full(node.relative_name())),
        Match::Dname { node, .. } => format!("dname {}", full(node.relative_name())),
        Match::Wildcard(node) => format!("wildcard {}", full(node.relative_name())),
        Match::Absent => "absent".to_owned(),
    }
}

fn random_owner(rng: &mut impl Rng) -> String {
    let labels = ["a", "b", "*", "c"];
    let depth = rng.below(5);
    let mut text = String::new();
    for _ in 0..depth {
        text += labels[usize::try_from(rng.below(4)).unwrap()];
        text.push('.');
    }
    text + "example.com."
}

fn random_rrsets(rng: &mut impl Rng, owner: &str) -> Vec<RrsetSpec> {
    let a = rrset(rtype::A, 60, &["192.0.2.1"]);
    match rng.below(8) {
        _ if owner == "example.com." => vec![rrset(rtype::SOA, 60, &["a. b. 1 2 3 4 5"]), rrset(rtype::NS, 60, &["a."])],
        0..=2 => vec![],
        3..=5 => vec![a],
        6 => vec![a, rrset(rtype::NS, 60, &["a."])],
        _ => vec![rrset(rtype::DNAME, 60, &["a."])],
    }
}

#[test]
fn random_edits_answer_as_the_rfc_reads() {
    const ROUNDS: u64 = 120;
    let mut outcomes = BTreeSet::new();
    for seed in 0..ROUNDS {
        let mut rng = FastRng::from_seed(seed);
        let mut server = Server::new(APEX);
        let mut oracle = Oracle::default();
        oracle.owners.insert(name("example.com."), random_rrsets(&mut rng, "example.com."));
        for _ in 0..60 {
            let owner = random_owner(&mut rng);
            let rrsets = random_rrsets(&mut rng, &owner);
            server.apply([put(&owner, rrsets.clone())]).unwrap();
            if rrsets.is_empty() {
                oracle.owners.remove(&name(&owner));
            } else {
                oracle.owners.insert(name(&owner), rrsets);
            }
        }
        for _ in 0..200 {
            let wanted = name(&random_owner(&mut rng));
            let wanted = Name::from_wire(&wanted).unwrap();
            let (found, read) = (words(&server.zones, wanted), oracle.matched(Name::from_wire(&name("example.com.")).unwrap(), wanted));
            assert_eq!(found, read, "{wanted} with seed {seed}");
            outcomes.insert(read.split(' ').next().unwrap().to_owned());
        }
        let existing = oracle.owners.keys().flat_map(|owner| ancestors(owner)).collect::<BTreeSet<_>>();
        assert_eq!(server.zones.owners(), existing.len(), "empty non-terminals come and go with what is below them (seed {seed})");
    }
    assert_eq!(outcomes.len(), 5, "{outcomes:?}");
}

fn ancestors(owner: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    let mut current = Name::from_wire(owner).ok();
    while let Some(name) = current.filter(|name| name.labels().count() >= 2) {
        all.push(name.to_string());
        current = name.parent();
    }
    all
}

#[test]
fn flags_follow_the_records() {
    let mut server = Server::new(APEX);
    let flags = |server: &Server, owner: &str| {
        let mut key = NameKey::new();
        key.set(Name::from_wire(&name(owner)).unwrap(), server.zones.seed());
        let zone = server.zones.nearest(&key, key.labels()).unwrap();
        zone.node(&key, key.labels()).map(|node| node.flags())
    };
    server.apply([put("*.w.example.com.", vec![rrset(rtype::A, 60, &["192.0.2.1"])])]).unwrap();
    assert!(flags(&server, "w.example.com.").unwrap().has(NodeFlags::WILDCARD_BELOW));
    server.apply([put("w.example.com.", vec![rrset(rtype::CNAME, 60, &["x.example.com."])])]).unwrap();
    assert!(flags(&server, "w.example.com.").unwrap().has(NodeFlags::WILDCARD_BELOW.with(NodeFlags::CNAME)));
    server.apply([put("*.w.example.com.", vec![])]).unwrap();
    assert_eq!(flags(&server, "w.example.com."), Some(NodeFlags::CNAME));
    server.apply([put("w.example.com.", vec![])]).unwrap();
    assert_eq!(flags(&server, "w.example.com."), None);
}

#[test]
fn ten_thousand_names_come_and_go_and_old_views_stay() {
    let mut server = Server::new(APEX);
    let owner = |number: usize| format!("n{number}.sub{}.example.com.", number % 50);
    let a = |number: usize| rrset(rtype::A, 60, &[&format!("192.0.2.{}", number % 256)]);
    server.apply((0..10_000).map(|number| put(&owner(number), vec![a(number)]))).unwrap();
    let full = std::sync::Arc::clone(&server.zones);
    assert_eq!(full.owners(), 10_051);
    let before = items(&full);
    for number in (0..10_000).filter(|number| number % 50 != 7) {
        server.apply([put(&owner(number), vec![])]).unwrap();
    }
    assert_eq!(server.zones.owners(), 202);
    assert_eq!(items(&full), before);
    assert_eq!(items(&server.zones).len(), 201);
}

#[test]
fn a_thousand_zones_come_and_go() {
    let mut server = Server::new(APEX);
    let apex = |number: usize| name(&format!("z{number}.example."));
    let soa = || rrset(rtype::SOA, 60, &["a. b. 1 2 3 4 5"]);
    let zone = |number: usize| {
        [Change::PutZone { apex: apex(number) }, Change::PutOwner { apex: apex(number), owner: apex(number), rrsets: vec![soa()] }]
    };
    server.apply((0..1_000).flat_map(zone)).unwrap();
    assert_eq!(server.zones.zones(), 1_001);
    server.apply((0..999).map(|number| Change::DropZone { apex: apex(number) })).unwrap();
    assert_eq!(server.zones.zones(), 2);
    assert!(server.zones.zone_named(Name::from_wire(&apex(999)).unwrap()).is_some());
    assert!(server.zones.zone_named(Name::from_wire(&apex(0)).unwrap()).is_none());
}
