//! The zone that the tests serve.

use geodns_engine::spec::{
    AllDown, Change, HealthEntry, LastResort, PoolSpec, Rdata, RrsetData, RrsetSpec, RuleOrigin, RuleSpec, Select, Status, SteeringSpec,
    Triple, ValueSpec,
};

pub const A: u16 = 1;
pub const TXT: u16 = 16;

/// A name in wire form.
pub fn name(text: &str) -> Box<[u8]> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire.into()
}

pub fn apex() -> Box<[u8]> {
    name("example.com")
}

/// The first history of the tests.
pub fn triple(revision: u64) -> Triple {
    Triple { lineage: [1; 16], revision, tag: revision * 1000 + 7 }
}

fn soa() -> Rdata {
    let mut rdata = [name("ns1.example.com"), name("hostmaster.example.com")].concat();
    for field in [1_u32, 3600, 600, 604_800, 60] {
        rdata.extend_from_slice(&field.to_be_bytes());
    }
    rdata.into()
}

fn put(owner: &str, rrsets: Vec<RrsetSpec>) -> Change {
    Change::PutOwner { apex: apex(), owner: name(owner), rrsets }
}

fn rrset(rtype: u16, rdatas: Vec<Rdata>) -> RrsetSpec {
    RrsetSpec { rtype, ttl: 30, data: RrsetData::Static(rdatas) }
}

/// One address at an owner name.
pub fn address(owner: &str, addr: [u8; 4]) -> Change {
    put(owner, vec![rrset(A, vec![Box::new(addr)])])
}

/// Texts of `total` octets of rdata at an owner name.
pub fn texts(owner: &str, total: usize) -> Change {
    let one = |number: usize| -> Rdata {
        let text = format!("{number:0>254}");
        [&[254], text.as_bytes()].concat().into()
    };
    put(owner, vec![rrset(TXT, (0..total / 255).map(one).collect())])
}

/// Nothing at an owner name.
pub fn removed(owner: &str) -> Change {
    put(owner, vec![])
}

/// The zone with its SOA and NS.
pub fn bare_zone() -> Vec<Change> {
    let ns = rrset(2, vec![name("ns1.example.com")]);
    vec![Change::PutZone { apex: apex() }, put("example.com", vec![rrset(6, vec![soa()]), ns])]
}

/// The zone, and `www` with one address.
pub fn zone(addr: [u8; 4]) -> Vec<Change> {
    let mut changes = bare_zone();
    changes.push(address("www.example.com", addr));
    changes
}

/// A steered owner name: value 1 is served while it is up, value 2 otherwise.
pub fn failover(owner: &str, first: [u8; 4], second: [u8; 4]) -> Change {
    let value = |id: u32, addr: [u8; 4]| ValueSpec {
        id,
        weight: 1,
        status: Status::Obey,
        drained: false,
        site: String::new(),
        coordinates: None,
        rdata: Box::new(addr),
    };
    let spec = SteeringSpec {
        answers: Some(1),
        select: Select::Weighted,
        all_down: AllDown::Values,
        min_up: 0,
        ttl: None,
        values: vec![LastResort { id: 3, rdata: Box::new(second) }],
        pools: vec![
            PoolSpec { name: "one".into(), fallback: Some(1), values: vec![value(1, first)] },
            PoolSpec { name: "two".into(), fallback: None, values: vec![value(2, second)] },
        ],
        rules: vec![RuleSpec { origin: RuleOrigin::Dynamic, pool: 0, geos: vec![], subnets: vec![], asns: vec![], lists: vec![] }],
    };
    put(owner, vec![RrsetSpec { rtype: A, ttl: 30, data: RrsetData::Steered(Box::new(spec)) }])
}

pub fn down() -> HealthEntry {
    HealthEntry { down: true, ..HealthEntry::default() }
}
